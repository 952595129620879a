//! Builds the blocks, then times them.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use banyan_chain::{ChainConfig, ChainHandle, Durability};
use banyan_chainspec::ChainSpec;
use banyan_payload::{BuilderConfig, PayloadHandle};
use banyan_primitives::Transaction;
use banyan_rpc::{Rpc, RpcConfig, RpcContext};
use banyan_storage::{Database, DatabaseOptions};
use banyan_txpool::{PoolConfig, PoolHandle};
use tokio::task::JoinHandle;

use super::{
    BenchConfig, BenchReport, Workload,
    grown::GrownState,
    report::{Phases, WorkloadResult},
    workload::Generator,
};
use crate::{
    Client, NodeError,
    attributes::{BlockSettings, next_attributes, parent_beacon_root, with_forced},
    engine::{BuiltBlock, EngineClient},
    follow::follow,
    identity::Identity,
    metrics::{Metrics, bytes_written, cpu_seconds},
    servers::node_info,
};

/// Small, so that blocks are full of transactions as far as gas goes.
const DA_FOOTPRINT_GAS_SCALAR: u16 = 1;
/// The database's directory, in that of a node.
const DATABASE: &str = "db";

/// Runs the benchmark. Blocks.
///
/// # Errors
/// A configuration that makes no sense, or a fault of ours: a block that we built must be valid.
pub fn bench_replay(config: &BenchConfig) -> Result<BenchReport, NodeError> {
    config.check()?;
    let metrics = Metrics::install()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(NodeError::Runtime)?;
    let measure = |workload: &Workload| runtime.block_on(measure(config, *workload, &metrics));
    let results = config.workloads.iter().map(measure).collect::<Result<Vec<_>, _>>()?;
    Ok(BenchReport {
        seed: config.seed,
        gas_limit: config.gas_limit,
        lag: config.lag,
        keys: config.keys(),
        results,
    })
}

async fn measure(
    config: &BenchConfig,
    workload: Workload,
    metrics: &Metrics,
) -> Result<WorkloadResult, NodeError> {
    let prepared = prepare(config, workload).await?;
    replay(config, workload, &prepared, metrics).await
}

/// The chain of a workload and its blocks.
pub(super) struct Prepared {
    pub(super) spec: Arc<ChainSpec>,
    pub(super) blocks: Vec<BuiltBlock>,
    state: Option<GrownState>,
}

impl Prepared {
    /// Without blocks, and what makes their transactions.
    pub(super) fn at_genesis(
        config: &BenchConfig,
        workload: Workload,
    ) -> Result<(Self, Generator), NodeError> {
        let chain_id = ChainSpec::dev().chain_id;
        let holders = config.grown.as_ref().map_or(0, |grown| grown.accounts);
        let generator =
            Generator::new(workload, config.seed, config.senders, chain_id).with_holders(holders);
        let genesis = generator.genesis(config.gas_limit, config.lag)?;
        let mut spec = ChainSpec::from_genesis_json(&genesis)
            .map_err(|error| NodeError::Bench(error.to_string()))?;
        let grow = |grown| GrownState::of(grown, config.senders, &mut spec);
        let state = config.grown.as_ref().map(grow).transpose()?;
        Ok((Self { spec: Arc::new(spec), blocks: Vec::new(), state }, generator))
    }

    /// A node in `directory` that stands at genesis.
    pub(super) fn open(&self, directory: &Path, chain: ChainConfig) -> Result<Stack, NodeError> {
        if let Some(state) = &self.state {
            state.copy_to(&directory.join(DATABASE), &self.spec)?;
        }
        Stack::open(&self.spec, directory, chain, PoolConfig::default())
    }
}

/// Builds the blocks on a database of their own.
pub(super) async fn prepare(
    config: &BenchConfig,
    workload: Workload,
) -> Result<Prepared, NodeError> {
    let (mut prepared, mut generator) = Prepared::at_genesis(config, workload)?;
    let directory = temporary_directory(config)?;
    let stack = prepared.open(directory.path(), config.chain(Durability::Off))?;
    for _ in 0..config.blocks {
        let transactions = generator.next_block(config.gas_limit)?;
        prepared.blocks.push(stack.build(config.gas_limit, &transactions).await?);
    }
    stack.close().await?;
    Ok(prepared)
}

/// Sends the blocks to a fresh database and measures.
async fn replay(
    config: &BenchConfig,
    workload: Workload,
    prepared: &Prepared,
    metrics: &Metrics,
) -> Result<WorkloadResult, NodeError> {
    let directory = temporary_directory(config)?;
    let stack = prepared.open(directory.path(), config.chain(Durability::Process))?;
    let starting = Instant::now();
    stack.wait_until_prepared().await?;
    let prepare = starting.elapsed();
    let blocks = &prepared.blocks;
    let before = Phases::read(metrics);
    let cpu_before = cpu_seconds().unwrap_or_default();
    let written_before = bytes_written().unwrap_or_default();
    let mut latencies = Vec::with_capacity(blocks.len());
    for block in blocks {
        let started = Instant::now();
        stack.engine.new_payload(block).await?;
        stack.engine.set_head(block.hash).await?;
        latencies.push(started.elapsed());
    }
    let draining = Instant::now();
    let head = stack.close().await?;
    let result = WorkloadResult {
        workload,
        transactions: blocks.iter().map(|block| block.transactions).sum(),
        gas: blocks.iter().map(|block| block.gas_used).sum(),
        head,
        latencies,
        prepare,
        drain: draining.elapsed(),
        cpu: Duration::from_secs_f64((cpu_seconds().unwrap_or_default() - cpu_before).max(0.0)),
        bytes_written: bytes_written().unwrap_or_default().saturating_sub(written_before),
        phases: Phases::read(metrics).since(before),
    };
    Ok(result)
}

pub(super) fn temporary_directory(config: &BenchConfig) -> Result<tempfile::TempDir, NodeError> {
    let parent = config.directory.clone().unwrap_or_else(std::env::temp_dir);
    tempfile::tempdir_in(&parent).map_err(NodeError::file("cannot create a directory in", parent))
}

/// A node without ports.
pub(crate) struct Stack {
    pub(crate) chain: ChainHandle,
    pub(crate) pool: PoolHandle,
    pub(crate) rpc: Rpc,
    pub(crate) engine: EngineClient,
    payload: PayloadHandle,
    follower: JoinHandle<()>,
}

/// A block that is being built.
pub(super) struct Job {
    id: String,
    number: u64,
    timestamp: u64,
}

impl Stack {
    /// Opens everything over a database in `directory`.
    pub(crate) fn open(
        spec: &Arc<ChainSpec>,
        directory: &Path,
        chain: ChainConfig,
        pool: PoolConfig,
    ) -> Result<Self, NodeError> {
        let options = DatabaseOptions { keys: spec.commitment.keys(), ..Default::default() };
        let database = Database::open(&directory.join(DATABASE), options)?;
        let chain = ChainHandle::start(Arc::clone(spec), database, chain)?;
        let changes = chain.subscribe();
        let head = chain.view().head().clone();
        let pool = PoolHandle::new(Arc::clone(spec), pool, head);
        let builder = BuilderConfig { gas_limit: None, ..BuilderConfig::default() };
        let payload = PayloadHandle::start_service(&chain, pool.clone(), builder)
            .map_err(NodeError::Thread)?;
        let follower = tokio::spawn(follow(chain.clone(), pool.clone(), changes));
        let client = Client {
            name: "Banyan".to_owned(),
            version: "bench".to_owned(),
            commit: String::new(),
        };
        let rpc = Rpc::new(RpcContext {
            chain: chain.clone(),
            pool: pool.clone(),
            payload: payload.clone(),
            config: RpcConfig::default(),
            node_info: node_info(&client, &Identity::anonymous()),
        });
        let engine = EngineClient::new(rpc.clone(), Arc::clone(spec));
        Ok(Self { chain, pool, rpc, payload, engine, follower })
    }

    /// Builds a block that holds all of `transactions`, and makes it the head. They are forced, as
    /// op-node forces those of a batch: what is in the block is no matter of timing.
    pub(crate) async fn build(
        &self,
        gas_limit: u64,
        transactions: &[Transaction],
    ) -> Result<BuiltBlock, NodeError> {
        let job = self.start_build(gas_limit, transactions).await?;
        let block = self.finish_build(&job).await?;
        self.engine.new_payload(&block).await?;
        self.engine.set_head(block.hash).await?;
        Ok(block)
    }

    /// Asks for a block on the head that holds all of `transactions`.
    pub(super) async fn start_build(
        &self,
        gas_limit: u64,
        transactions: &[Transaction],
    ) -> Result<Job, NodeError> {
        let parent = self.chain.view().head().clone();
        let (number, timestamp) = (parent.number + 1, parent.timestamp + 1);
        let settings =
            BlockSettings { gas_limit, da_footprint_gas_scalar: DA_FOOTPRINT_GAS_SCALAR };
        let attributes = next_attributes(self.chain.spec(), &parent, timestamp, settings);
        let attributes = with_forced(attributes, transactions);
        let id = self.engine.start_block(parent.hash(), number, timestamp, attributes).await?;
        Ok(Job { id, number, timestamp })
    }

    /// Takes the block that was asked for.
    pub(super) async fn finish_build(&self, job: &Job) -> Result<BuiltBlock, NodeError> {
        let Job { id, number, timestamp } = job;
        Ok(self.engine.finish_block(id, *number, *timestamp, parent_beacon_root()).await?)
    }

    /// Waits until the state's tree is in memory, as it is a while after a node's start.
    pub(super) async fn wait_until_prepared(&self) -> Result<(), NodeError> {
        let chain = self.chain.clone();
        tokio::task::spawn_blocking(move || chain.wait_until_prepared())
            .await
            .map_err(|error| NodeError::Bench(error.to_string()))
    }

    /// Writes everything and stops. Returns the head's hash.
    pub(crate) async fn close(self) -> Result<banyan_primitives::B256, NodeError> {
        let head = self.chain.view().head().hash();
        self.payload.shutdown();
        let chain = self.chain.clone();
        tokio::task::spawn_blocking(move || chain.shutdown())
            .await
            .map_err(|error| NodeError::Bench(error.to_string()))??;
        self.follower.abort();
        Ok(head)
    }
}
