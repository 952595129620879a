//! The life of a node: open, serve, stop.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use banyan_chain::ChainHandle;
use banyan_chainspec::{ChainSpec, Fork};
use banyan_payload::PayloadHandle;
use banyan_rpc::{Rpc, RpcContext};
use banyan_storage::Database;
use banyan_txpool::{PoolHandle, load_trusted_setup};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    EngineError, NodeConfig, NodeError, StoreConfig,
    banner::{Banner, log_dev_accounts},
    block_log::log_blocks,
    datadir::DataPaths,
    dev,
    engine::EngineClient,
    follow::follow,
    genesis::{dev_keys, load_chain},
    identity::Identity,
    metrics::{Metrics, record_info},
    servers::{Servers, node_info},
    status::{self, Status},
    store::{open_database, start_chain},
    watch::watch_consensus_client,
};

/// Longest time for ending each group of tasks, so that all of them stay within two seconds.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// Exit status after a second signal, as of a program ended by Ctrl-C.
const EXIT_AT_ONCE: i32 = 130;

/// How often it is checked whether the chain still runs.
const CHAIN_CHECK: Duration = Duration::from_millis(500);

/// Runs the node until SIGTERM or SIGINT, or until a fault of ours. Blocks.
///
/// # Errors
/// What could not be opened, or the fault. In both cases the process should exit non-zero.
pub fn run(config: NodeConfig) -> Result<(), NodeError> {
    let store = StoreConfig { chain: config.chain.clone(), datadir: config.datadir.clone() };
    let spec = load_chain(&store.chain)?;
    let paths = DataPaths::of(&store, &spec)?.create()?;
    let metrics = Metrics::install()?;
    record_info(&config.client, spec.chain_id);
    let database = open_database(&spec, &paths)?;
    let chain = start_chain(Arc::clone(&spec), database.clone(), config.persistence.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("banyan-rpc")
        .build()
        .map_err(NodeError::Runtime)?;
    let outcome = runtime.block_on(async {
        let store = (database.clone(), &paths);
        let mut node = Node::start(config, &spec, store, chain.clone(), metrics).await?;
        let outcome = node.wait().await;
        node.stop().await;
        outcome
    });
    runtime.shutdown_timeout(STOP_PATIENCE);
    let started = Instant::now();
    let closed = chain.shutdown();
    outcome?;
    closed?;
    // A slow read that was left behind may hold the database open.
    database.sync()?;
    tracing::info!(elapsed_ms = started.elapsed().as_millis() as u64, "database closed");
    Ok(())
}

/// Everything that runs above the chain.
struct Node {
    chain: ChainHandle,
    payload: PayloadHandle,
    servers: Servers,
    /// Those that follow the head: the pool, and the log of blocks.
    followers: [JoinHandle<()>; 2],
    driver: Option<JoinHandle<Result<(), EngineError>>>,
    stop: watch::Sender<bool>,
}

/// Why the node ends.
enum End {
    Signal(&'static str),
    ChainStopped,
    BuilderStopped,
    Driver(EngineError),
}

impl Node {
    async fn start(
        config: NodeConfig,
        spec: &Arc<ChainSpec>,
        (database, paths): (Database, &DataPaths),
        chain: ChainHandle,
        metrics: Metrics,
    ) -> Result<Self, NodeError> {
        let started = Instant::now();
        let identity = Identity::load(&config.network, paths)?;
        let changes = chain.subscribe();
        let head = chain.view().head().clone();
        let banner = Banner {
            client: &config.client,
            spec,
            datadir: paths.root(),
            head: &head,
            enode: &identity.enode(),
        };
        banner.log();

        let pool = PoolHandle::new(Arc::clone(spec), config.pool.clone(), head.clone());
        prepare_for_blobs(spec)?;
        let payload = PayloadHandle::start_service(&chain, pool.clone(), config.builder.clone())
            .map_err(NodeError::Thread)?;
        let followers = [
            tokio::spawn(log_blocks(chain.subscribe())),
            tokio::spawn(follow(chain.clone(), pool.clone(), changes)),
        ];
        let rpc = Rpc::new(RpcContext {
            chain: chain.clone(),
            pool: pool.clone(),
            payload: payload.clone(),
            config: config.rpc.clone(),
            node_info: node_info(&config.client, &identity),
        });
        let servers = Servers::open(&rpc, &config, paths).await?;

        tokio::spawn(metrics.clone().upkeep());
        if config.auth.is_some() && config.dev.is_none() {
            tokio::spawn(watch_consensus_client(rpc.clone()));
        }
        if let Some(addr) = config.metrics {
            let listener = status::open(addr).await?;
            let (client, endpoints) = (config.client.clone(), servers.endpoints());
            let chain = chain.clone();
            let status = Status { client, chain, database, pool, metrics, endpoints, started };
            tokio::spawn(status::serve(listener, status));
        }

        let dev_keys = dev_keys(&config.chain)?;
        let (stop, stopped) = watch::channel(false);
        let driver = config.dev.map(|dev| {
            log_dev_accounts(spec, &dev_keys);
            let engine = EngineClient::new(rpc.clone(), Arc::clone(spec));
            tokio::spawn(dev::drive(engine, chain.clone(), dev, stopped))
        });
        Ok(Self { chain, payload, servers, followers, driver, stop })
    }

    /// Waits for a reason to end.
    async fn wait(&mut self) -> Result<(), NodeError> {
        let mut terminate = signal(SignalKind::terminate()).map_err(NodeError::Runtime)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(NodeError::Runtime)?;
        let end = tokio::select! {
            _ = terminate.recv() => End::Signal("SIGTERM"),
            _ = interrupt.recv() => End::Signal("SIGINT"),
            () = chain_ended(&self.chain) => End::ChainStopped,
            () = builder_ended(&self.payload) => End::BuilderStopped,
            error = driver_failed(&mut self.driver) => End::Driver(error),
        };
        match end {
            End::Signal(name) => {
                tracing::info!(signal = name, "stopping; once more stops at once");
                exit_on_signal()
            }
            End::ChainStopped => {
                tracing::error!("the chain stopped after a fault; see the lines above");
                Err(NodeError::Chain(banyan_chain::ChainError::Stopped))
            }
            End::BuilderStopped => {
                tracing::error!("the build thread ended by a fault; see the lines above");
                Err(NodeError::BuilderStopped)
            }
            End::Driver(error) => {
                tracing::error!(%error, "the dev chain cannot go on");
                Err(NodeError::Engine(error))
            }
        }
    }

    /// Ends the driver, then the ports, then building.
    async fn stop(self) {
        // Nobody listening any more is as good as being told.
        let _ = self.stop.send(true);
        if let Some(driver) = self.driver
            && !driver.is_finished()
            && timeout(STOP_PATIENCE, driver).await.is_err()
        {
            tracing::warn!("the dev driver did not end in time");
        }
        if timeout(STOP_PATIENCE, self.servers.stop()).await.is_err() {
            tracing::warn!("open connections were cut");
        }
        self.payload.shutdown();
        self.followers.iter().for_each(JoinHandle::abort);
    }
}

/// From now on a signal ends the process at once, whatever is still under way: on a thread of its
/// own, since the runtime is about to end. What was acknowledged is safe, as after a crash.
fn exit_on_signal() -> Result<(), NodeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(NodeError::Runtime)?;
    let wait = async {
        let terminate = signal(SignalKind::terminate());
        let interrupt = signal(SignalKind::interrupt());
        if let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::warn!("second signal: stopped at once");
            std::process::exit(EXIT_AT_ONCE);
        }
    };
    let thread = std::thread::Builder::new().name("signals".into());
    thread.spawn(move || runtime.block_on(wait)).map_err(NodeError::Thread)?;
    Ok(())
}

/// Loads the trusted setup ahead, lest the first blob transaction wait seconds for it.
fn prepare_for_blobs(spec: &ChainSpec) -> Result<(), NodeError> {
    if takes_blobs(spec) {
        let thread = std::thread::Builder::new().name("kzg".into());
        thread.spawn(load_trusted_setup).map_err(NodeError::Thread)?;
    }
    Ok(())
}

/// Whether blob transactions will come sooner or later.
fn takes_blobs(spec: &ChainSpec) -> bool {
    !spec.is_op() && spec.activation_time(Fork::Cancun).is_some()
}

/// Resolves when the chain thread is gone: after a fault, since we did not stop it.
async fn chain_ended(chain: &ChainHandle) {
    while chain.is_running() {
        tokio::time::sleep(CHAIN_CHECK).await;
    }
}

/// Resolves when the build thread is gone: a sequencer must not go on without it.
async fn builder_ended(payload: &PayloadHandle) {
    while payload.is_running() {
        tokio::time::sleep(CHAIN_CHECK).await;
    }
}

/// Resolves when the driver fails; never without one, nor when it ended as told.
async fn driver_failed(driver: &mut Option<JoinHandle<Result<(), EngineError>>>) -> EngineError {
    let Some(task) = driver else { return std::future::pending().await };
    match task.await {
        Ok(Ok(())) => std::future::pending().await,
        Ok(Err(error)) => error,
        Err(error) => EngineError::Driver(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trusted_setup_is_loaded_for_ethereum_chains_with_cancun() {
        let ethereum = |forks: &str| {
            let names = "homestead eip150 eip155 eip158 byzantium constantinople petersburg \
                         istanbul berlin london";
            let blocks: String =
                names.split(' ').map(|name| format!(r#""{name}Block":0,"#)).collect();
            let json = format!(
                r#"{{"config":{{"chainId":7,{blocks}"terminalTotalDifficulty":0{forks}}},
                "difficulty":"0x0","gasLimit":"0x1c9c380","alloc":{{}}}}"#
            );
            ChainSpec::from_genesis_json(&json).unwrap()
        };
        assert!(!takes_blobs(&ChainSpec::dev()), "OP chains take no blobs");
        assert!(!takes_blobs(&ethereum(r#","shanghaiTime":0"#)));
        let cancun = r#","shanghaiTime":0,"cancunTime":9,"blobSchedule":{"cancun":
            {"target":3,"max":6,"baseFeeUpdateFraction":3338477}}"#;
        assert!(takes_blobs(&ethereum(cancun)));
    }
}
