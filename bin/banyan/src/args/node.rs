use std::{net::SocketAddr, time::Duration};

use banyan_node::Durability;
use clap::Args;

use super::{
    AuthArgs, BuilderArgs, ExecutorArgs, GasPriceArgs, HttpArgs, NetworkArgs, RpcLimitArgs,
    SendArgs, StoreArgs, TxPoolArgs, WsArgs,
};
use crate::parse;

/// `node`. The order of the groups is that of `--help`.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// Chain and database.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// When blocks are written.
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// HTTP.
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    /// WebSocket.
    #[command(flatten)]
    pub(crate) ws: WsArgs,
    /// Engine API.
    #[command(flatten)]
    pub(crate) auth: AuthArgs,
    /// Limits.
    #[command(flatten)]
    pub(crate) limits: RpcLimitArgs,
    /// Fees to suggest.
    #[command(flatten)]
    pub(crate) gas_price: GasPriceArgs,
    /// Pool.
    #[command(flatten)]
    pub(crate) pool: TxPoolArgs,
    /// How blocks are executed.
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
    /// Builder.
    #[command(flatten)]
    pub(crate) builder: BuilderArgs,
    /// Sequencer.
    #[command(flatten)]
    pub(crate) send: SendArgs,
    /// Rollup.
    #[command(flatten)]
    pub(crate) rollup: RollupArgs,
    /// Serve metrics in Prometheus form on this address (also /healthz, /readyz, /status).
    #[arg(long, alias = "metrics.prometheus", value_name = "ADDR:PORT")]
    #[arg(value_parser = parse::socket_address, help_heading = "Metrics")]
    pub(crate) metrics: Option<SocketAddr>,
    /// Dev chain.
    #[command(flatten)]
    pub(crate) dev: DevArgs,
    /// Identity and ports.
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Print which flags of op-reth have an effect here, and exit.
    #[arg(long, help_heading = "Debug")]
    pub(crate) print_flag_compat: bool,
}

/// When blocks are written to the database.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Chain and data")]
pub(crate) struct EngineArgs {
    /// Blocks, beyond those kept in memory, that are written to the database at a time (and after a
    /// crash executed again, from the journal). [default: 8]
    #[arg(long = "engine.persistence-threshold", value_name = "N")]
    pub(crate) persistence_threshold: Option<u64>,
    /// What an acknowledged block survives: `process` (kill -9), or `power` (loss of power; synced
    /// before each answer).
    #[arg(long, value_name = "CLASS", default_value = "process", value_parser = parse::durability)]
    pub(crate) durability: Durability,
    /// Newest blocks that stay in memory. [default: 2]
    #[arg(long = "engine.memory-block-buffer-target", value_name = "N")]
    pub(crate) memory_blocks: Option<u64>,
    /// Memory for state roots, about. What does not fit is read from the database block by block.
    /// [default: 2048]
    #[arg(long = "engine.root-memory", value_name = "MIB")]
    pub(crate) root_memory: Option<u64>,
}

/// What belongs to rollups alone.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Rollup")]
pub(crate) struct RollupArgs {
    /// No gossip of transactions (there is none: always in effect).
    #[arg(long = "rollup.disable-tx-pool-gossip")]
    pub(crate) disable_tx_pool_gossip: bool,
}

/// A chain of your own.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Dev")]
pub(crate) struct DevArgs {
    /// Make blocks ourselves, without a consensus client. Turns on HTTP and WebSocket.
    #[arg(long, alias = "auto-mine")]
    pub(crate) dev: bool,
    /// Time between blocks (`2s`, `500ms`, or seconds).
    #[arg(long = "dev.block-time", value_name = "TIME", default_value = "1s")]
    #[arg(value_parser = parse::duration)]
    pub(crate) dev_block_time: Duration,
    /// Phrase whose first ten accounts `--chain dev` funds; its keys are printed at the start.
    /// [default: the one that every development tool knows, test … junk]
    #[arg(long = "dev.mnemonic", value_name = "PHRASE")]
    pub(crate) dev_mnemonic: Option<String>,
}
