//! JSON-RPC over HTTP with a client that may die at any moment.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use ureq::Agent;

/// Largest answer, bytes: a block has at most some hundred transactions.
const ANSWER_LIMIT: u64 = 64 << 20;

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The connection broke before the answer: the client may have done what was asked, or not.
    #[error("the connection broke during {method}: {error}")]
    Broken {
        /// The method.
        method: String,
        /// What the HTTP client says.
        error: String,
        /// When the request was sent.
        sent: Instant,
    },
    /// No answer in time.
    #[error("no answer to {0}: the client hangs")]
    Hung(String),
    /// An answer, but not the one that was due.
    #[error("{0}")]
    Refused(String),
}

/// One port of a client.
#[derive(Clone)]
pub(crate) struct Http {
    agent: Agent,
    url: String,
    secret: Option<[u8; 32]>,
}

impl Http {
    /// The port `port`; with a secret it is the Engine port.
    pub(crate) fn new(port: u16, secret: Option<[u8; 32]>, patience: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(patience))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Self { agent: config.into(), url: format!("http://127.0.0.1:{port}/"), secret }
    }

    /// Calls a method and gives its result.
    pub(crate) fn call(&self, method: &str, params: &Value) -> Result<Value, Fault> {
        let sent = Instant::now();
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut answer = self.post(&request).map_err(|error| match error {
            ureq::Error::Timeout(_) => Fault::Hung(method.to_owned()),
            error => Fault::Broken { method: method.to_owned(), error: error.to_string(), sent },
        })?;
        match answer.get("error") {
            Some(error) => Err(Fault::Refused(format!("{method}: {error}"))),
            None => Ok(answer["result"].take()),
        }
    }

    fn post(&self, request: &Value) -> Result<Value, ureq::Error> {
        let mut builder = self.agent.post(&self.url);
        if let Some(secret) = &self.secret {
            builder = builder.header("Authorization", format!("Bearer {}", token(secret)));
        }
        let mut response = builder.send_json(request)?;
        response.body_mut().with_config().limit(ANSWER_LIMIT).read_json()
    }
}

/// A token issued now.
fn token(secret: &[u8; 32]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    encode(&Header::default(), &json!({ "iat": now }), &EncodingKey::from_secret(secret))
        .expect("HS256 over a number cannot fail")
}
