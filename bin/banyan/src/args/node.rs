use std::{net::SocketAddr, time::Duration};

use clap::Args;

use super::{
    AuthArgs, BuilderArgs, HttpArgs, NetworkArgs, RpcLimitArgs, SendArgs, StoreArgs, TxPoolArgs,
    WsArgs,
};
use crate::parse;

/// `node`.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// Chain and database.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
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
    /// Identity.
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Builder.
    #[command(flatten)]
    pub(crate) builder: BuilderArgs,
    /// Pool.
    #[command(flatten)]
    pub(crate) pool: TxPoolArgs,
    /// Sequencer.
    #[command(flatten)]
    pub(crate) send: SendArgs,
    /// Persistence and rollup.
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Dev chain.
    #[command(flatten)]
    pub(crate) dev: DevArgs,
    /// Serve metrics in Prometheus form on this address (also /healthz, /readyz, /status).
    #[arg(long, alias = "metrics.prometheus", value_name = "ADDR:PORT")]
    #[arg(value_parser = parse::socket_address)]
    pub(crate) metrics: Option<SocketAddr>,
    /// Let the system choose every port.
    #[arg(long)]
    pub(crate) with_unused_ports: bool,
    /// Number of this node on the machine, from 1: moves each default port so that several nodes
    /// can run side by side.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(crate) instance: Option<u16>,
    /// Print which flags of op-reth have an effect here, and exit.
    #[arg(long)]
    pub(crate) print_flag_compat: bool,
}

/// Persistence and rollup.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Persistence and rollup")]
pub(crate) struct EngineArgs {
    /// Blocks, beyond those kept in memory, that start a write to the database.
    #[arg(long = "engine.persistence-threshold", value_name = "N")]
    pub(crate) persistence_threshold: Option<u64>,
    /// Newest blocks that stay in memory.
    #[arg(long = "engine.memory-block-buffer-target", value_name = "N")]
    pub(crate) memory_blocks: Option<u64>,
    /// No gossip of transactions (there is none: always in effect).
    #[arg(long = "rollup.disable-tx-pool-gossip", hide = true)]
    pub(crate) disable_tx_pool_gossip: bool,
}

/// A chain of your own.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Development chain")]
pub(crate) struct DevArgs {
    /// Make blocks ourselves, without a consensus client. Turns on HTTP and WebSocket.
    #[arg(long, alias = "auto-mine")]
    pub(crate) dev: bool,
    /// Time between blocks (`2s`, `500ms`, or seconds).
    #[arg(long = "dev.block-time", value_name = "TIME", default_value = "1s")]
    #[arg(value_parser = parse::duration)]
    pub(crate) dev_block_time: Duration,
}
