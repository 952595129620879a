//! The node put together: configuration, wiring, metrics, the dev chain, benchmarks, shutdown.
//!
//! Nothing is decided here about blocks or transactions; that is below, from `rpc` down. Start at
//! [`run`], which takes a [`NodeConfig`] (flags are parsed in `bin/banyan`).

mod attributes;
mod banner;
mod bench;
mod block_log;
mod config;
mod datadir;
mod dev;
mod engine;
mod error;
mod follow;
mod genesis;
mod identity;
mod l1_info;
mod logging;
mod metrics;
mod mnemonic;
mod progress;
mod reexecute;
mod run;
mod servers;
mod status;
mod store;
mod watch;

pub use banyan_chain::{ChainConfig, Durability};
pub use banyan_executor::{ExecutorConfig, ProgramMode};
pub use banyan_payload::BuilderConfig;
pub use banyan_rpc::{Namespace, RpcConfig, Sequencer, ServerLimits};
pub use banyan_txpool::PoolConfig;
pub use bench::{
    BenchConfig, BenchReport, ExecutorReport, GrownConfig, IngestClient, IngestConfig,
    IngestReport, JournalReport, LagConfig, LagReport, UnknownWorkload, Workload, bench_executor,
    bench_ingest, bench_ingest_client, bench_journal, bench_lag, bench_replay,
};
pub use config::{
    AuthSettings, ChainChoice, Client, DataDir, DevConfig, Nat, NetworkConfig, NodeConfig, NodeKey,
    PublicSettings, StoreConfig,
};
pub use dev::DEV_MNEMONIC;
pub use engine::EngineError;
pub use error::NodeError;
pub use genesis::genesis_json;
pub use logging::{
    ColorChoice, FileLogConfig, LogConfig, LogFormat, LogLevel, init_logging, log_warning,
};
pub use progress::Progress;
pub use reexecute::{ReExecuteConfig, ReExecuteReport, re_execute};
pub use run::run;
pub use store::{database_path, database_stats, database_version, import, init};
