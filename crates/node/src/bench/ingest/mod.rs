//! `bench ingest`: what a transaction costs on its way in.
//!
//! A node with an open HTTP port takes signed transfers by `eth_sendRawTransaction` over a few
//! keep-alive connections, once without blocks and once while blocks are made and committed through
//! the Engine API. The sender is another process and signs beforehand, so the processor time of
//! this process is the server's: sockets, HTTP, JSON, recovery, state reads and the pool.

mod client;
mod report;

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use banyan_chain::ChainConfig;
use banyan_chainspec::ChainSpec;
use banyan_primitives::{Encodable2718, alloy_primitives::hex};
use banyan_rpc::{HttpConfig, Namespace, ServerHandle, ServerLimits};
use banyan_txpool::PoolConfig;
use serde_json::json;
use tokio::sync::watch;

pub use client::{IngestClient, bench_ingest_client};
pub use report::IngestReport;

use self::{client::Sent, report::Round};
use super::{Workload, replay::Stack, workload::Generator};
use crate::{DevConfig, NodeError, dev, engine::EngineClient, metrics::cpu_seconds};

/// Gas limit of the blocks that are made meanwhile.
const GAS_LIMIT: u64 = 200_000_000;

/// What to measure.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// Transactions of each round.
    pub transactions: u32,
    /// Accounts that send, each in turn.
    pub senders: u32,
    /// Keep-alive connections.
    pub connections: u32,
    /// Time between blocks in the round with blocks.
    pub block_time: Duration,
    /// Where the databases are put; `None`: the system's directory for temporary files.
    pub directory: Option<PathBuf>,
}

/// Runs the benchmark. Blocks. The sending process is this program, called with
/// `bench ingest-client`.
///
/// # Errors
/// A configuration that makes no sense, or a transaction that was refused.
pub fn bench_ingest(config: &IngestConfig) -> Result<IngestReport, NodeError> {
    if config.senders == 0 || config.transactions == 0 || config.connections == 0 {
        let words = "transactions, senders and connections must be at least 1";
        return Err(NodeError::Bench(words.to_owned()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(NodeError::Runtime)?;
    let parent = config.directory.clone().unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::tempdir_in(&parent)
        .map_err(NodeError::file("cannot create a directory in", parent))?;
    let requests = directory.path().join("requests");
    let mut generator =
        Generator::new(Workload::Transfers, 1, config.senders, ChainSpec::dev().chain_id);
    let genesis = generator.genesis(GAS_LIMIT, None)?;
    write_requests(&mut generator, config, &requests)?;
    let spec = ChainSpec::from_genesis_json(&genesis)
        .map_err(|error| NodeError::Bench(error.to_string()))?;
    let run = Run { config, spec: Arc::new(spec), directory: directory.path(), requests };
    let rounds = [("idle", false), ("blocks", true)]
        .into_iter()
        .map(|(name, blocks)| runtime.block_on(run.round(name, blocks)))
        .collect::<Result<_, _>>()?;
    Ok(IngestReport { connections: config.connections, senders: config.senders, rounds })
}

/// One request per line, ready to be sent.
fn write_requests(
    generator: &mut Generator,
    config: &IngestConfig,
    path: &Path,
) -> Result<(), NodeError> {
    let mut text = String::new();
    for tx in generator.transactions(config.transactions) {
        let request = json!({
            "jsonrpc": "2.0",
            "id": 1,
            "method": "eth_sendRawTransaction",
            "params": [format!("0x{}", hex::encode(tx.encoded_2718()))],
        });
        text.push_str(&request.to_string());
        text.push('\n');
    }
    std::fs::write(path, text).map_err(NodeError::file("cannot write", path))
}

struct Run<'a> {
    config: &'a IngestConfig,
    spec: Arc<ChainSpec>,
    directory: &'a Path,
    requests: PathBuf,
}

impl Run<'_> {
    async fn round(&self, name: &'static str, with_blocks: bool) -> Result<Round, NodeError> {
        let stack = Stack::open(
            &self.spec,
            &self.directory.join(name),
            ChainConfig::default(),
            self.pool(),
        )?;
        let port = stack.rpc.serve_http(http()).await?;
        let mut sender = Sender::start(&self.client(&port))?;
        let (stop, stopped) = watch::channel(false);
        let driver = with_blocks.then(|| {
            let engine = EngineClient::new(stack.rpc.clone(), Arc::clone(&self.spec));
            let dev = DevConfig { block_time: self.config.block_time };
            tokio::spawn(dev::drive(engine, stack.chain.clone(), dev, stopped))
        });

        let before = cpu_seconds().unwrap_or_default();
        let (sent, cpu) = tokio::task::spawn_blocking(move || {
            let sent = sender.run()?;
            Ok::<_, NodeError>((sent, cpu_seconds().unwrap_or_default() - before))
        })
        .await
        .map_err(|error| NodeError::Bench(error.to_string()))??;

        // Without a listener there is no driver.
        let _ = stop.send(true);
        if let Some(driver) = driver {
            driver.await.map_err(|error| NodeError::Bench(error.to_string()))??;
        }
        let pooled = stack.pool.status();
        let blocks = stack.chain.view().head().number;
        port.stop().await;
        stack.close().await?;
        check(&sent, self.config, (blocks == 0).then_some(pooled.pending + pooled.queued))?;
        Ok(Round { name, sent, blocks, cpu: Duration::from_secs_f64(cpu.max(0.0)) })
    }

    /// A pool that holds everything: what is measured is the way in, not eviction.
    fn pool(&self) -> PoolConfig {
        let count = self.config.transactions as usize;
        PoolConfig {
            pending_max_count: count,
            pending_max_bytes: usize::MAX,
            queued_max_count: count,
            queued_max_bytes: usize::MAX,
            max_account_slots: count,
            ..PoolConfig::default()
        }
    }

    fn client(&self, port: &ServerHandle) -> IngestClient {
        IngestClient {
            address: port.local_addr(),
            requests: self.requests.clone(),
            senders: self.config.senders,
            connections: self.config.connections,
        }
    }
}

fn http() -> HttpConfig {
    HttpConfig {
        addr: ([127, 0, 0, 1], 0).into(),
        api: Namespace::DEFAULT.to_vec(),
        cors_origins: Vec::new(),
        hosts: Vec::new(),
        limits: ServerLimits::PUBLIC,
    }
}

/// Everything sent must have been taken in, or the figures mean nothing.
fn check(sent: &Sent, config: &IngestConfig, pooled: Option<usize>) -> Result<(), NodeError> {
    let all = config.transactions as usize;
    if sent.accepted != all {
        let (count, error) = (all - sent.accepted.min(all), &sent.first_error);
        return Err(NodeError::Bench(format!("{count} transactions were refused: {error}")));
    }
    match pooled {
        Some(pooled) if pooled != all => {
            Err(NodeError::Bench(format!("{all} accepted, but {pooled} in the pool")))
        }
        _ => Ok(()),
    }
}

/// The sending process.
struct Sender {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Sender {
    /// Starts it and waits until it is connected and ready.
    fn start(client: &IngestClient) -> Result<Self, NodeError> {
        let failed = |error: std::io::Error| NodeError::Bench(format!("sender: {error}"));
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(client.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(NodeError::Bench("the sender has no pipes".to_owned()));
        };
        let mut sender = Self { child, input, output: BufReader::new(output) };
        sender.line()?;
        Ok(sender)
    }

    /// Lets it send everything, and waits for the result.
    fn run(&mut self) -> Result<Sent, NodeError> {
        self.input
            .write_all(b"go\n")
            .map_err(|error| NodeError::Bench(format!("sender: {error}")))?;
        let line = self.line()?;
        Sent::parse(&line).ok_or_else(|| NodeError::Bench(format!("sender: {line}")))
    }

    fn line(&mut self) -> Result<String, NodeError> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(0) => Err(NodeError::Bench("the sender ended; see its message above".to_owned())),
            Ok(_) => Ok(line),
            Err(error) => Err(NodeError::Bench(format!("sender: {error}"))),
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // It has ended, or has nobody to tell any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
