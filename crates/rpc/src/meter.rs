//! What stands between the socket and the methods: every call is counted and timed by its name,
//! and limits answer with geth's errors, which tools know, instead of jsonrpsee's.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use jsonrpsee::{
    BatchResponseBuilder, MethodResponse, Methods,
    core::middleware::{Batch, BatchEntry, Notification, RpcServiceT},
    types::{
        ErrorObject, Id, Request,
        error::{METHOD_NOT_FOUND_CODE, OVERSIZED_RESPONSE_CODE},
    },
};
use metrics::{Counter, Gauge, Histogram};
use tower::Layer;

use crate::error::code;

/// Label of methods that we do not have: a caller must not be able to invent series.
const UNKNOWN: &str = "unknown";

/// When a consensus client last moved the head.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulse {
    /// The time of the last `engine_forkchoiceUpdated` through a socket.
    pub(crate) fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }
}

/// The series of one method.
#[derive(Clone)]
struct Series {
    seconds: Histogram,
    errors: Counter,
    moves_head: bool,
}

impl Series {
    fn new(method: &'static str) -> Self {
        let engine = method.starts_with("engine_");
        let (seconds, errors) = if engine {
            ("banyan_engine_request_seconds", "banyan_engine_errors_total")
        } else {
            ("banyan_rpc_request_seconds", "banyan_rpc_errors_total")
        };
        Self {
            seconds: metrics::histogram!(seconds, "method" => method),
            errors: metrics::counter!(errors, "method" => method),
            moves_head: method.starts_with("engine_forkchoiceUpdated"),
        }
    }
}

/// Counts, times and limits the calls of one port.
#[derive(Clone)]
pub(crate) struct Meter(Arc<Shared>);

struct Shared {
    series: HashMap<&'static str, Series>,
    unknown: Series,
    in_flight: Gauge,
    max_batch: usize,
    max_response_bytes: usize,
    pulse: Pulse,
}

impl Meter {
    /// A meter for these methods.
    pub(crate) fn new(
        methods: &Methods,
        max_batch: u32,
        max_response_bytes: u32,
        pulse: Pulse,
    ) -> Self {
        let series = methods.method_names().map(|name| (name, Series::new(name))).collect();
        Self(Arc::new(Shared {
            series,
            unknown: Series::new(UNKNOWN),
            in_flight: metrics::gauge!("banyan_rpc_requests_in_flight"),
            max_batch: max_batch as usize,
            max_response_bytes: max_response_bytes as usize,
            pulse,
        }))
    }
}

impl Shared {
    /// Notes the call, and says the error as geth does.
    fn finish(
        &self,
        method: &str,
        id: &Id<'_>,
        started: Instant,
        response: MethodResponse,
    ) -> MethodResponse {
        let known = self.series.get(method);
        let series = known.unwrap_or(&self.unknown);
        series.seconds.record(started.elapsed());
        let Some(code) = response.as_error_code() else {
            if series.moves_head {
                self.pulse.beat(Instant::now());
            }
            return response;
        };
        series.errors.increment(1);
        match code {
            OVERSIZED_RESPONSE_CODE => too_large(id),
            METHOD_NOT_FOUND_CODE if known.is_none() => no_such_method(id, method),
            _ => response,
        }
    }
}

/// Counted until dropped, also when the caller leaves before the answer.
struct UnderWay(Gauge);

impl UnderWay {
    fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn no_such_method(id: &Id<'_>, method: &str) -> MethodResponse {
    let text = format!("the method {method} does not exist/is not available");
    MethodResponse::error(id.clone(), ErrorObject::owned(METHOD_NOT_FOUND_CODE, text, None::<()>))
}

fn too_large(id: &Id<'_>) -> MethodResponse {
    let error = ErrorObject::borrowed(code::RESPONSE_TOO_LARGE, "response too large", None);
    MethodResponse::error(id.clone(), error)
}

fn batch_too_large(id: Id<'_>) -> MethodResponse {
    MethodResponse::error(id, ErrorObject::borrowed(code::INVALID_REQUEST, "batch too large", None))
}

impl<S> Layer<S> for Meter {
    type Service = Metered<S>;

    fn layer(&self, inner: S) -> Metered<S> {
        Metered { shared: Arc::clone(&self.0), inner }
    }
}

/// A service behind a [`Meter`].
#[derive(Clone)]
pub(crate) struct Metered<S> {
    shared: Arc<Shared>,
    inner: S,
}

impl<S> RpcServiceT for Metered<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (shared, inner) = (Arc::clone(&self.shared), self.inner.clone());
        async move {
            let (method, id) = (request.method.clone(), request.id.clone());
            let started = Instant::now();
            let under_way = UnderWay::new(&shared.in_flight);
            let response = inner.call(request).await;
            drop(under_way);
            shared.finish(&method, &id, started, response)
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move {
            if batch.len() > this.shared.max_batch {
                return one_answer(batch_too_large(first_id(&batch)));
            }
            this.answer_all(batch).await
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}

impl<S> Metered<S>
where
    Self: RpcServiceT<MethodResponse = MethodResponse, NotificationResponse = MethodResponse>,
{
    /// Answers the calls one after another. Once the answers are too large together, the rest gets
    /// errors, as with geth.
    async fn answer_all(&self, batch: Batch<'_>) -> MethodResponse {
        // The limit is kept here, call by call.
        let mut answers = BatchResponseBuilder::new_with_limit(usize::MAX);
        let (mut bytes, mut only_notifications) = (0usize, false);
        for entry in batch {
            let answer = match entry {
                Ok(BatchEntry::Notification(notification)) => {
                    only_notifications |= answers.is_empty();
                    self.notification(notification).await;
                    continue;
                }
                Ok(BatchEntry::Call(call)) if bytes > self.shared.max_response_bytes => {
                    too_large(&call.id)
                }
                Ok(BatchEntry::Call(call)) => {
                    let id = call.id.clone().into_owned();
                    let answer = self.call(call).await;
                    bytes = bytes.saturating_add(answer.as_json().get().len());
                    // Calls that end at once must not hold the thread for a whole batch.
                    tokio::task::yield_now().await;
                    if bytes > self.shared.max_response_bytes { too_large(&id) } else { answer }
                }
                Err(error) => {
                    let (error, id) = error.into_parts();
                    MethodResponse::error(id, error)
                }
            };
            if let Err(error) = answers.append(answer) {
                return error;
            }
        }
        if answers.is_empty() && only_notifications {
            return MethodResponse::notification();
        }
        MethodResponse::from_batch(answers.finish())
    }
}

/// A batch with one answer.
fn one_answer(answer: MethodResponse) -> MethodResponse {
    let mut answers = BatchResponseBuilder::new_with_limit(usize::MAX);
    match answers.append(answer) {
        Ok(()) => MethodResponse::from_batch(answers.finish()),
        Err(error) => error,
    }
}

/// Id of the first call, which carries the error for all.
fn first_id<'a>(batch: &Batch<'a>) -> Id<'a> {
    let id = |entry: &BatchEntry<'a>| match entry {
        BatchEntry::Call(call) => Some(call.id.clone()),
        BatchEntry::Notification(_) => None,
    };
    batch.iter().flatten().find_map(id).unwrap_or(Id::Null)
}
