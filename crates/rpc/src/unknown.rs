//! Calls of methods that do not exist are answered with geth's words: ethers, for one, goes by them.

use std::future::Future;

use jsonrpsee::{
    MethodResponse, Methods,
    core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification, RpcServiceT},
    types::{ErrorObjectOwned, Request, error::METHOD_NOT_FOUND_CODE},
};
use tower::Layer;

/// The methods that a port serves.
#[derive(Clone, Debug)]
pub(crate) struct Known(pub(crate) Methods);

impl Known {
    /// `Some` if there is no such method.
    fn refuse(&self, method: &str) -> Option<ErrorObjectOwned> {
        let text = || format!("the method {method} does not exist/is not available");
        let missing = self.0.method(method).is_none();
        missing.then(|| ErrorObjectOwned::owned(METHOD_NOT_FOUND_CODE, text(), None::<()>))
    }
}

impl<S> Layer<S> for Known {
    type Service = KnownOnly<S>;

    fn layer(&self, inner: S) -> KnownOnly<S> {
        KnownOnly { known: self.clone(), inner }
    }
}

/// A service that is asked for known methods only.
#[derive(Clone, Debug)]
pub(crate) struct KnownOnly<S> {
    known: Known,
    inner: S,
}

impl<S> RpcServiceT for KnownOnly<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse> + Clone + Send + Sync + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = S::NotificationResponse;
    type BatchResponse = S::BatchResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (refusal, inner) = (self.known.refuse(request.method_name()), self.inner.clone());
        async move {
            match refusal {
                Some(error) => {
                    MethodResponse::error(request.id, error).with_extensions(request.extensions)
                }
                None => inner.call(request).await,
            }
        }
    }

    fn batch<'a>(
        &self,
        mut batch: Batch<'a>,
    ) -> impl Future<Output = Self::BatchResponse> + Send + 'a {
        for entry in batch.iter_mut() {
            if let Ok(BatchEntry::Call(request)) = entry
                && let Some(error) = self.known.refuse(request.method_name())
            {
                *entry = Err(BatchEntryErr::new(request.id.clone(), error));
            }
        }
        self.inner.batch(batch)
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = Self::NotificationResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}
