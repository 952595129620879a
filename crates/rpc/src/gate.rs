//! What stands before the JSON-RPC server on every port: token check, WebSocket origins, CORS, an
//! answer for health checks.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpRequest, HttpResponse, ws},
};
use tower::{Layer, Service};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{JwtSecret, ServeError, jwt::TokenError};

/// What a port demands of a request before JSON-RPC sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    /// Demand a token signed with this secret.
    pub(crate) secret: Option<Arc<JwtSecret>>,
    /// Browser origins that may open a WebSocket.
    pub(crate) ws_origins: Arc<[String]>,
}

impl Gate {
    /// `Some` if the request is answered here.
    fn refuse<B>(&self, request: &HttpRequest<B>) -> Option<HttpResponse> {
        if let Some(secret) = &self.secret
            && let Err(error) = check_token(secret, request.headers(), unix_now())
        {
            return Some(plain(StatusCode::UNAUTHORIZED, error.to_string()));
        }
        if ws::is_upgrade_request(request) {
            let allowed = origin_allowed(&self.ws_origins, request.headers());
            return (!allowed).then(|| plain(StatusCode::FORBIDDEN, "origin not allowed".into()));
        }
        // Load balancers ask with an empty GET whether anybody is there, as with geth.
        (request.method() == Method::GET).then(|| plain(StatusCode::OK, String::new()))
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

fn check_token(secret: &JwtSecret, headers: &HeaderMap, now: u64) -> Result<(), TokenError> {
    let value = headers.get(header::AUTHORIZATION).ok_or(TokenError::Missing)?;
    let text = value.to_str().map_err(|_| TokenError::Invalid)?;
    let (scheme, token) = text.split_once(' ').ok_or(TokenError::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(TokenError::Missing);
    }
    secret.verify(token.trim(), now)
}

/// Programs send no `Origin`; browsers always do, and only listed pages may connect.
fn origin_allowed(allowed: &[String], headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    allowed.iter().any(|entry| entry == "*" || entry.as_bytes() == origin.as_bytes())
}

fn plain(status: StatusCode, text: String) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// CORS headers for `origins`; `None` (no headers at all) if there are none.
pub(crate) fn cors(origins: &[String]) -> Result<Option<CorsLayer>, ServeError> {
    if origins.is_empty() {
        return Ok(None);
    }
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let parse = |origin: &String| {
            HeaderValue::from_str(origin).map_err(|_| ServeError::Origin(origin.clone()))
        };
        AllowOrigin::list(origins.iter().map(parse).collect::<Result<Vec<_>, _>>()?)
    };
    Ok(Some(
        CorsLayer::new()
            .allow_origin(origin)
            .allow_methods([Method::POST, Method::GET])
            .allow_headers([header::CONTENT_TYPE]),
    ))
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: self.clone(), inner }
    }
}

/// A service behind a [`Gate`].
#[derive(Clone, Debug)]
pub(crate) struct Gated<S> {
    gate: Gate,
    inner: S,
}

impl<S, B> Service<HttpRequest<B>> for Gated<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        match self.gate.refuse(&request) {
            Some(response) => Box::pin(std::future::ready(Ok(response))),
            None => Box::pin(self.inner.call(request)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn with(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_bearer_token_is_demanded() {
        let secret = JwtSecret::random();
        let check = |value: &str| check_token(&secret, &with(header::AUTHORIZATION, value), NOW);
        let token = secret.token(NOW);
        assert_eq!(check(&format!("Bearer {token}")), Ok(()));
        assert_eq!(check(&format!("bearer {token}")), Ok(()));
        assert_eq!(check(&token), Err(TokenError::Missing));
        assert_eq!(check(&format!("Basic {token}")), Err(TokenError::Missing));
        assert_eq!(check("Bearer x"), Err(TokenError::Invalid));
        assert_eq!(check_token(&secret, &HeaderMap::new(), NOW), Err(TokenError::Missing));
    }

    #[test]
    fn browsers_open_websockets_from_listed_origins_only() {
        let page = with(header::ORIGIN, "http://a.example");
        assert!(origin_allowed(&[], &HeaderMap::new()));
        assert!(!origin_allowed(&[], &page));
        assert!(!origin_allowed(&["http://b.example".into()], &page));
        assert!(origin_allowed(&["http://a.example".into()], &page));
        assert!(origin_allowed(&["*".into()], &page));
    }
}
