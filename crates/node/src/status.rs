//! The operator's page: metrics on every path, and `/healthz`, `/readyz`, `/status`.
//!
//! Plain HTTP/1.1, one request per connection: enough for Prometheus, probes and curl.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use banyan_chain::{ChainHandle, ChainView};
use banyan_primitives::SealedHeader;
use banyan_storage::Database;
use banyan_txpool::PoolHandle;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};

use crate::{Client, NodeError, metrics::Metrics};

/// Largest request head, bytes.
const MAX_HEAD: usize = 8 << 10;
/// Longest time for one request.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most requests at once.
const MAX_CONNECTIONS: usize = 32;
/// A head older than this is not ready for traffic, seconds.
const MAX_HEAD_AGE_SECONDS: u64 = 60;

/// What the page tells about.
#[derive(Clone)]
pub(crate) struct Status {
    /// Who we are.
    pub(crate) client: Client,
    /// The chain.
    pub(crate) chain: ChainHandle,
    /// Its database.
    pub(crate) database: Database,
    /// The pool.
    pub(crate) pool: PoolHandle,
    /// The recorder.
    pub(crate) metrics: Metrics,
    /// Open ports by name.
    pub(crate) endpoints: Vec<(&'static str, String)>,
    /// When the node started.
    pub(crate) started: Instant,
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
struct Response {
    code: u16,
    content_type: &'static str,
    body: String,
}

/// Opens the port, and says which.
pub(crate) async fn open(addr: SocketAddr) -> Result<TcpListener, NodeError> {
    let bound = TcpListener::bind(addr).await;
    let listener = bound.map_err(|source| NodeError::MetricsPort { addr, source })?;
    let addr = listener.local_addr().unwrap_or(addr);
    tracing::info!("Starting metrics endpoint at {addr}");
    Ok(listener)
}

/// Answers until the runtime ends.
pub(crate) async fn serve(listener: TcpListener, status: Status) {
    let (status, slots) = (Arc::new(status), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let status = Arc::clone(&status);
                tokio::spawn(async move {
                    // Whoever hangs up early needs no answer.
                    let _ = timeout(PATIENCE, answer(stream, &status)).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "metrics connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, status: &Arc<Status>) -> io::Result<()> {
    let head = read_head(&mut stream).await?;
    let response = match path_of(&head) {
        Some(path) => {
            let (status, path) = (Arc::clone(status), path.to_owned());
            // Rendering and reading the chain may take a moment.
            tokio::task::spawn_blocking(move || status.respond(&path))
                .await
                .unwrap_or_else(|_| Response::text(500, "internal error\n"))
        }
        None => Response::text(400, "bad request\n"),
    };
    stream.write_all(response.encode().as_bytes()).await?;
    stream.shutdown().await
}

async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while head.len() < MAX_HEAD && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut chunk).await? {
            0 => break,
            read => head.extend_from_slice(chunk.get(..read).unwrap_or_default()),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// The path of a GET request, without its query.
fn path_of(head: &str) -> Option<&str> {
    let mut words = head.lines().next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    (method == "GET").then(|| target.split('?').next().unwrap_or(target))
}

impl Response {
    fn text(code: u16, body: impl Into<String>) -> Self {
        Self { code, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    fn encode(&self) -> String {
        let reason = match self.code {
            200 => "OK",
            400 => "Bad Request",
            503 => "Service Unavailable",
            _ => "Internal Server Error",
        };
        format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{}",
            self.code,
            self.content_type,
            self.body.len(),
            self.body
        )
    }
}

impl Status {
    fn respond(&self, path: &str) -> Response {
        match path {
            "/healthz" => Response::text(200, "ok\n"),
            "/readyz" => self.readiness(),
            "/status" => Response {
                code: 200,
                content_type: "application/json",
                body: format!("{:#}\n", self.report()),
            },
            _ => {
                Response { code: 200, content_type: "text/plain; version=0.0.4", body: self.page() }
            }
        }
    }

    /// The metrics, with what is looked up rather than counted.
    fn page(&self) -> String {
        let view = self.chain.view();
        let number = |header: Option<&SealedHeader>| header.map_or(0, |header| header.number);
        let age = unix_seconds().saturating_sub(view.head().timestamp);
        metrics::gauge!("banyan_chain_head_number").set(view.head().number as f64);
        metrics::gauge!("banyan_chain_head_age_seconds").set(age as f64);
        let (verified, roots) = progress_of_roots(&view);
        metrics::gauge!("banyan_chain_verified_number").set(verified as f64);
        metrics::gauge!("banyan_root_queue_depth").set(roots as f64);
        metrics::gauge!("banyan_chain_safe_number").set(number(view.safe()) as f64);
        metrics::gauge!("banyan_chain_finalized_number").set(number(view.finalized()) as f64);
        let pool = self.pool.status();
        metrics::gauge!("banyan_pool_pending_transactions").set(pool.pending as f64);
        metrics::gauge!("banyan_pool_queued_transactions").set(pool.queued as f64);
        match self.database.stats() {
            Ok(stats) => {
                metrics::gauge!("banyan_db_file_bytes").set(stats.file_bytes as f64);
                metrics::gauge!("banyan_db_free_bytes").set(stats.free_bytes as f64);
            }
            Err(error) => tracing::debug!(%error, "size of the database"),
        }
        self.metrics.render()
    }

    /// Ready when the head is recent: somebody drives us, and we keep up.
    fn readiness(&self) -> Response {
        let head = self.chain.view().head().timestamp;
        match unix_seconds().saturating_sub(head) {
            age if age <= MAX_HEAD_AGE_SECONDS => Response::text(200, "ready\n"),
            age => Response::text(503, format!("not ready: the head is {age} s old\n")),
        }
    }

    fn report(&self) -> Value {
        let view = self.chain.view();
        let pool = self.pool.status();
        let endpoints: serde_json::Map<_, _> =
            self.endpoints.iter().map(|(name, url)| ((*name).to_owned(), json!(url))).collect();
        json!({
            "client": format!("{}/v{}", self.client.name, self.client.version),
            "commit": self.client.commit,
            "chainId": self.chain.spec().chain_id,
            "head": block_json(view.head()),
            "safe": view.safe().map(block_json),
            "finalized": view.finalized().map(block_json),
            "commitment": self.chain.spec().commitment.to_string(),
            "verified": progress_of_roots(&view).0,
            "headAgeSeconds": unix_seconds().saturating_sub(view.head().timestamp),
            "pool": { "pending": pool.pending, "queued": pool.queued },
            "uptimeSeconds": self.started.elapsed().as_secs(),
            "endpoints": endpoints,
        })
    }
}

/// Height up to which headers vouch for the state, and the roots that are still to be computed.
fn progress_of_roots(view: &ChainView) -> (u64, usize) {
    let head = view.head().number;
    view.roots().map_or((head, 0), |roots| (roots.committed_by(head), roots.queue_depth()))
}

fn block_json(header: &SealedHeader) -> Value {
    json!({ "number": header.number, "hash": header.hash(), "timestamp": header.timestamp })
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_get_requests_have_a_path() {
        let path = |head| path_of(head);
        assert_eq!(path("GET /status?pretty HTTP/1.1\r\nHost: a\r\n\r\n"), Some("/status"));
        assert_eq!(path("GET / HTTP/1.1\r\n"), Some("/"));
        assert_eq!(path("POST /status HTTP/1.1\r\n"), None);
        assert_eq!(path(""), None);
        assert_eq!(path("\r\n"), None);
    }

    #[test]
    fn a_response_says_how_long_it_is() {
        let text = Response::text(503, "no\n").encode();
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{text}");
        assert!(text.contains("Content-Length: 3\r\n") && text.ends_with("\r\n\r\nno\n"), "{text}");
    }
}
