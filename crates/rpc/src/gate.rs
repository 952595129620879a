//! What stands before the JSON-RPC server on every port: allowed hosts, token check, WebSocket
//! origins, CORS, the size of requests, an answer for health checks.

use std::{
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpRequest, HttpResponse, ws},
};
use tower::{Layer, Service};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{JwtSecret, ServeError, jwt::TokenError};

/// Refused tokens are logged at most this often.
const WARNING_PERIOD: Duration = Duration::from_secs(10);

/// What a port demands of a request before JSON-RPC sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    /// Demand a token signed with this secret.
    pub(crate) secret: Option<Arc<JwtSecret>>,
    /// Browser origins that may open a WebSocket.
    pub(crate) ws_origins: Arc<[String]>,
    /// Host names answered to over HTTP; empty or `*`: all.
    pub(crate) hosts: Arc<[String]>,
    /// Largest body, bytes.
    pub(crate) max_request_bytes: u32,
    /// Keeps a client with a wrong secret from filling the log.
    pub(crate) refused: Arc<Throttle>,
}

impl Gate {
    /// `Some` if the request is answered here.
    fn refuse<B>(&self, request: &HttpRequest<B>) -> Option<HttpResponse> {
        if let Some(secret) = &self.secret
            && let Err(error) = check_token(secret, request.headers(), unix_now())
        {
            if let Some(unlogged) = self.refused.admit(Instant::now()) {
                tracing::warn!(
                    target: "rpc", %error, unlogged,
                    "Engine API call refused: do both sides use the same JWT secret and time?"
                );
            }
            return Some(plain(StatusCode::UNAUTHORIZED, error.to_string()));
        }
        if ws::is_upgrade_request(request) {
            let allowed = origin_allowed(&self.ws_origins, request.headers());
            return (!allowed).then(|| plain(StatusCode::FORBIDDEN, "origin not allowed".into()));
        }
        if !host_allowed(&self.hosts, request.headers()) {
            return Some(plain(StatusCode::FORBIDDEN, "invalid host specified".into()));
        }
        if let Some(length) = content_length(request.headers())
            && length > self.max_request_bytes.into()
        {
            let text = format!("content length too large ({length}>{})", self.max_request_bytes);
            return Some(plain(StatusCode::PAYLOAD_TOO_LARGE, text));
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

/// A page of a foreign name that resolves to us (DNS rebinding) is refused; whoever uses an
/// address, or sends no `Host`, is no page.
fn host_allowed(allowed: &[String], headers: &HeaderMap) -> bool {
    if allowed.is_empty() || allowed.iter().any(|entry| entry == "*") {
        return true;
    }
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(authority) = http::uri::Authority::try_from(host.as_bytes()) else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok()
        || allowed.iter().any(|entry| entry.eq_ignore_ascii_case(name))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Lets one warning through per [`WARNING_PERIOD`], and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<(Option<Instant>, u64)>);

impl Throttle {
    /// `Some` if the event at `now` should be logged, with the number of those that were not.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0.is_some_and(|last| now.duration_since(last) < WARNING_PERIOD) {
            state.1 += 1;
            return None;
        }
        state.0 = Some(now);
        Some(std::mem::take(&mut state.1))
    }
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
    fn only_listed_hosts_and_addresses_are_answered() {
        let allowed = ["localhost".to_owned(), "node.example".to_owned()];
        let check = |host: &str| host_allowed(&allowed, &with(header::HOST, host));
        for host in ["localhost", "LOCALHOST:8545", "node.example:1", "127.0.0.1:8545", "[::1]:80"]
        {
            assert!(check(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:8545", "", "a b"] {
            assert!(!check(host), "{host}");
        }
        assert!(host_allowed(&allowed, &HeaderMap::new()));
        assert!(host_allowed(&[], &with(header::HOST, "evil.example")), "no list, no limit");
        assert!(host_allowed(&["*".to_owned()], &with(header::HOST, "evil.example")));
    }

    #[test]
    fn refusals_are_logged_once_in_a_while_with_their_number() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        assert_eq!(throttle.admit(start), Some(0));
        for second in 1..10 {
            assert_eq!(throttle.admit(start + Duration::from_secs(second)), None);
        }
        assert_eq!(throttle.admit(start + WARNING_PERIOD), Some(9));
        assert_eq!(throttle.admit(start + WARNING_PERIOD * 2), Some(0));
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
