//! Sending transactions on to the sequencer (`--rollup.sequencer`).

use std::time::Duration;

use banyan_primitives::B256;
use http::{HeaderMap, HeaderName, HeaderValue};
use jsonrpsee::{
    core::client::{ClientT, Error as ClientError},
    http_client::{HttpClient, HttpClientBuilder},
    rpc_params,
    types::ErrorObjectOwned,
};

use crate::error::{RpcError, code};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests under way at once; more wait.
const MAX_REQUESTS: usize = 256;
/// Largest answer, bytes: a hash, or an error with its data.
const MAX_ANSWER: u32 = 1 << 20;

/// The sequencer's JSON-RPC, over `http://` or `https://`.
#[derive(Clone, Debug)]
pub struct Sequencer {
    client: HttpClient,
    retain: bool,
}

/// The sequencer's address or a header makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequencerError {
    /// Not an address.
    #[error("{url:?} is no sequencer to send to: {error}; write http://HOST:PORT or https://HOST")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        error: String,
    },
    /// Not a header.
    #[error("{0:?} is no HTTP header; write NAME=VALUE")]
    Header(String),
}

impl Sequencer {
    /// A client of the sequencer at `url`; it connects when there is something to send. `headers`
    /// (`NAME=VALUE`) go with every request. With `retain` the pool keeps what the sequencer took.
    pub fn new(url: &str, headers: &[String], retain: bool) -> Result<Self, SequencerError> {
        let headers = headers.iter().map(|text| header(text)).collect::<Result<HeaderMap, _>>()?;
        let client = HttpClientBuilder::default()
            .connect_timeout(CONNECT_TIMEOUT)
            .request_timeout(ANSWER_TIMEOUT)
            .max_concurrent_requests(MAX_REQUESTS)
            .max_response_size(MAX_ANSWER)
            .set_headers(headers)
            .build(url)
            .map_err(|error| SequencerError::Url {
                url: url.to_owned(),
                error: error.to_string(),
            })?;
        Ok(Self { client, retain })
    }

    /// True if the pool keeps what the sequencer took.
    pub(crate) const fn retains(&self) -> bool {
        self.retain
    }

    /// Sends a transaction on. What the sequencer says against it is the answer.
    pub(crate) async fn send_raw_transaction(
        &self,
        encoded: &banyan_primitives::Bytes,
    ) -> Result<B256, ErrorObjectOwned> {
        self.client
            .request("eth_sendRawTransaction", rpc_params![encoded])
            .await
            .map_err(|error| match error {
                ClientError::Call(refusal) => refusal,
                fault => {
                    tracing::warn!(target: "rpc", error = %fault, "the sequencer cannot be reached");
                    RpcError::new(code::INTERNAL, format!("sequencer: {fault}")).into()
                }
            })
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), SequencerError> {
    let malformed = || SequencerError::Header(text.to_owned());
    let (name, value) = text.split_once('=').ok_or_else(malformed)?;
    let name = name.trim().parse().map_err(|_| malformed())?;
    let value = value.trim().parse().map_err(|_| malformed())?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_headers_are_checked_beforehand() {
        let new = |url, header: &str| Sequencer::new(url, &[header.to_owned()], false).map(drop);
        assert_eq!(new("http://127.0.0.1:8545", "authorization=Bearer x=y"), Ok(()));
        assert_eq!(new("https://sequencer.example", "a = b"), Ok(()));
        assert!(matches!(new("ws://127.0.0.1:1", "a=b"), Err(SequencerError::Url { .. })));
        assert!(matches!(new("127.0.0.1", "a=b"), Err(SequencerError::Url { .. })));
        for header in ["a", "=b", "a b=c", "a=\u{1}"] {
            let refused = Err(SequencerError::Header(header.to_owned()));
            assert_eq!(new("http://127.0.0.1:1", header), refused);
        }
    }
}
