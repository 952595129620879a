use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;

use crate::parse;

/// `bench ingest`.
#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Transactions of each round: one round without blocks, one while blocks are committed.
    #[arg(long, value_name = "N", default_value_t = 40_000)]
    pub(crate) transactions: u32,
    /// Accounts that send, each in turn.
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub(crate) senders: u32,
    /// Keep-alive connections, each with one call at a time.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) connections: u32,
    /// Time between blocks in the round with blocks.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse::duration)]
    pub(crate) block_time: Duration,
    /// Directory for the databases, removed afterwards. [default: the system's]
    #[arg(long, value_name = "DIR")]
    pub(crate) tmpdir: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bench ingest-client`: started by `bench ingest` itself.
#[derive(Debug, Args)]
pub(crate) struct IngestClientArgs {
    /// Address of the node's HTTP port.
    #[arg(long)]
    pub(crate) address: SocketAddr,
    /// File of requests, one per line.
    #[arg(long)]
    pub(crate) requests: PathBuf,
    /// Accounts that send.
    #[arg(long)]
    pub(crate) senders: u32,
    /// Connections.
    #[arg(long)]
    pub(crate) connections: u32,
}
