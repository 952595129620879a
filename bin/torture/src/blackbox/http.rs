//! JSON-RPC over HTTP with a client that may die at any moment.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use ureq::Agent;

/// Largest answer, bytes: a block has at most some hundred transactions.
const ANSWER_LIMIT: u64 = 64 << 20;

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
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
#[derive(Clone, Debug)]
pub struct Http {
    agent: Agent,
    url: String,
    secret: Option<[u8; 32]>,
}

impl Http {
    /// The port `port`; with a secret it is the Engine port.
    pub fn new(port: u16, secret: Option<[u8; 32]>, patience: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(patience))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Self { agent: config.into(), url: format!("http://127.0.0.1:{port}/"), secret }
    }

    /// Calls a method and gives its result.
    pub fn call(&self, method: &str, params: &Value) -> Result<Value, Fault> {
        self.send(method, &request(1, method, params).to_string())
    }

    /// Sends a request for `method` that is written already, and gives its result.
    pub fn send(&self, method: &str, request: &str) -> Result<Value, Fault> {
        result(method, self.post(method, request)?)
    }

    /// Calls a method once with each of `params`, in one request; the first error is that of all.
    pub fn batch(&self, method: &str, params: &[Value]) -> Result<Vec<Value>, Fault> {
        let calls = params.iter().enumerate().map(|(id, params)| request(id, method, params));
        let answers = self.post(method, &calls.collect::<Value>().to_string())?;
        let Value::Array(mut answers) = answers else { return Ok(vec![result(method, answers)?]) };
        answers.sort_by_key(|answer| answer["id"].as_u64());
        answers.into_iter().map(|answer| result(method, answer)).collect()
    }

    fn post(&self, method: &str, request: &str) -> Result<Value, Fault> {
        let sent = Instant::now();
        self.exchange(request).map_err(|error| match error {
            ureq::Error::Timeout(_) => Fault::Hung(method.to_owned()),
            error => Fault::Broken { method: method.to_owned(), error: error.to_string(), sent },
        })
    }

    fn exchange(&self, request: &str) -> Result<Value, ureq::Error> {
        let mut builder = self.agent.post(&self.url).header("Content-Type", "application/json");
        if let Some(secret) = &self.secret {
            builder = builder.header("Authorization", format!("Bearer {}", token(secret)));
        }
        let mut response = builder.send(request)?;
        response.body_mut().with_config().limit(ANSWER_LIMIT).read_json()
    }
}

/// A call as it travels.
pub fn request(id: usize, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// What an answer says.
fn result(method: &str, mut answer: Value) -> Result<Value, Fault> {
    match answer.get("error") {
        Some(error) => Err(Fault::Refused(format!("{method}: {error}"))),
        None => Ok(answer["result"].take()),
    }
}

/// A token issued now.
fn token(secret: &[u8; 32]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    encode(&Header::default(), &json!({ "iat": now }), &EncodingKey::from_secret(secret))
        .expect("HS256 over a number cannot fail")
}
