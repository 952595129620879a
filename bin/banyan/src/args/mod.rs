//! What can be said on the command line, in the grammar of reth and op-reth.
//!
//! Flags only: [`crate::config`] turns them into the node's configuration. Flags of op-reth that
//! have no effect here are in [`crate::compat`].

mod ingest;
mod log;
mod network;
mod node;
mod rollup;
mod rpc;
mod tuning;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

pub(crate) use ingest::{IngestArgs, IngestClientArgs};
pub(crate) use log::LogArgs;
pub(crate) use network::NetworkArgs;
pub(crate) use node::NodeArgs;
pub(crate) use rollup::SendArgs;
pub(crate) use rpc::{AuthArgs, GasPriceArgs, HttpArgs, RpcLimitArgs, WsArgs};
pub(crate) use tuning::{BuilderArgs, ExecutorArgs, TxPoolArgs};

/// Second line of `--version`; hive and others look for "Version: " and "Commit SHA: ".
const VERSION: &str =
    concat!("Version: ", env!("CARGO_PKG_VERSION"), "\nCommit SHA: ", env!("BANYAN_COMMIT"));

/// Banyan: an execution client for Ethereum rules and the OP Stack.
///
/// `banyan node --dev` starts a chain of your own; `banyan node --chain genesis.json
/// --authrpc.jwtsecret jwt.hex` waits for a consensus client.
#[derive(Debug, Parser)]
#[command(name = "banyan", version = VERSION, args_override_self = true)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Logging.
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the node.
    Node(Box<NodeArgs>),
    /// Create the database and write the genesis block.
    Init(StoreArgs),
    /// Import blocks from RLP files, oldest first.
    Import(ImportArgs),
    /// Print the genesis file of the chain as JSON.
    DumpGenesis(ChainArgs),
    /// Look at the database.
    Db(DbArgs),
    /// Print what `node` would run with, given the same flags.
    Config(Box<NodeArgs>),
    /// Print a script that completes commands and flags in a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Execute stored blocks again, plainly and with all shortcuts: say whether both give the same,
    /// how fast they are, and what share of the work learnt programs take over.
    ReExecute(ReExecuteArgs),
    /// Measure.
    Bench(BenchArgs),
    /// Proof history: op-reth needs a store of its own for it, here it is part of the database.
    Proofs(ProofsArgs),
}

/// Which chain.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Chain and data")]
pub(crate) struct ChainArgs {
    /// The chain: `dev`, or the path of a genesis file in geth or op-geth form.
    #[arg(long, value_name = "NAME_OR_FILE", default_value = "dev")]
    pub(crate) chain: String,
}

/// Which chain, stored where.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Chain and data")]
pub(crate) struct StoreArgs {
    /// Chain.
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
    /// Directory of all data; created with its parents.
    /// [default: banyan/CHAIN in the user's data directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) datadir: Option<PathBuf>,
}

/// `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Database.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// How blocks are executed.
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
    /// Files of RLP-encoded blocks, one after another.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// `re-execute`.
#[derive(Debug, Args)]
pub(crate) struct ReExecuteArgs {
    /// Database; the node must not be running.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// First block. [default: the oldest whose parent's state is kept]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) from: Option<u64>,
    /// Last block. [default: the newest]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) to: Option<u64>,
    /// Also write the report as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// How blocks are executed, besides plainly.
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
    /// Go on behind a block that differs (always in effect).
    #[arg(long, hide = true)]
    pub(crate) skip_invalid_blocks: bool,
}

/// `db`.
#[derive(Debug, Args)]
pub(crate) struct DbArgs {
    /// What to show.
    #[command(subcommand)]
    pub(crate) command: DbCommand,
}

/// The subcommands of `db`.
#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Size and number of entries of each table.
    Stats(StoreArgs),
    /// Path of the database.
    Path(StoreArgs),
    /// Version of the database's schema, ours and the one found.
    Version(StoreArgs),
}

/// `bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub(crate) command: BenchCommand,
}

/// The subcommands of `bench`.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Build blocks of a known workload, then time newPayload + forkchoiceUpdated for each of them
    /// on a fresh database.
    Replay(ReplayBenchArgs),
    /// The same blocks, a block at a time, on a node without a journal, one that survives the death
    /// of the process and one that survives power loss: what durability costs.
    Journal(JournalArgs),
    /// Blocks of a `wide` chain at their time and in a burst: what building and validating them waits
    /// for roots.
    Lag(LagArgs),
    /// The same blocks, a block at a time, on a node that executes sequentially and one that does
    /// not: what the executor brings.
    Executor(ExecutorBenchArgs),
    /// Processor time and latency of eth_sendRawTransaction over HTTP.
    Ingest(IngestArgs),
    /// The sending process of `bench ingest`.
    #[command(hide = true)]
    IngestClient(IngestClientArgs),
}

/// The blocks of a benchmark.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Workloads, comma separated: transfers, erc20, mixed.
    #[arg(long, value_name = "NAMES", default_value = "transfers,erc20,mixed")]
    pub(crate) workload: String,
    /// Measured blocks per workload.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) blocks: u64,
    /// Gas limit of each block, filled up by the workload.
    #[arg(long, value_name = "GAS", default_value_t = 60_000_000)]
    pub(crate) gas_limit: u64,
    /// Accounts that send, each in turn.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) senders: u32,
    /// Accounts that hold the token besides, and receive: a state that is grown once and kept.
    #[arg(long, value_name = "N")]
    pub(crate) accounts: Option<u32>,
    /// Directory that keeps grown states. [default: banyan-bench in the system's]
    #[arg(long, value_name = "DIR", env = "BANYAN_BENCH_STATES")]
    pub(crate) states: Option<PathBuf>,
    /// Measure a chain with `wide` state commitment whose headers lag so many blocks (1 to 64).
    #[arg(long, value_name = "BLOCKS")]
    pub(crate) lag: Option<u64>,
    /// Seed of all choices: the same seed gives the same blocks.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Directory for the two databases, removed afterwards. [default: the system's]
    #[arg(long, value_name = "DIR")]
    pub(crate) tmpdir: Option<PathBuf>,
    /// Blocks that start a write to the database. [default: as a node]
    #[arg(long = "engine.persistence-threshold", value_name = "N")]
    pub(crate) persistence_threshold: Option<u64>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// How blocks are executed.
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
}

/// `bench replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayBenchArgs {
    /// The blocks.
    #[command(flatten)]
    pub(crate) replay: ReplayArgs,
    /// Write rows for `commitment.json` into this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) rows: Option<PathBuf>,
}

/// `bench executor`.
#[derive(Debug, Args)]
pub(crate) struct ExecutorBenchArgs {
    /// The blocks, and the executor.
    #[command(flatten)]
    pub(crate) replay: ReplayArgs,
    /// Threads of the executor it is compared with; 0: plain sequential execution.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) against_workers: u16,
}

/// `bench journal`.
#[derive(Debug, Args)]
pub(crate) struct JournalArgs {
    /// The blocks.
    #[command(flatten)]
    pub(crate) replay: ReplayArgs,
    /// Time between blocks.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = crate::parse::duration)]
    pub(crate) interval: Duration,
}

/// `bench lag`.
#[derive(Debug, Args)]
pub(crate) struct LagArgs {
    /// The blocks. Without `--lag` it is 4.
    #[command(flatten)]
    pub(crate) replay: ReplayArgs,
    /// Time between blocks, but in the burst.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = crate::parse::duration)]
    pub(crate) interval: Duration,
    /// Memory for state roots, MiB; 0: every root from what is stored. [default: as a node]
    #[arg(long, value_name = "MIB")]
    pub(crate) root_memory: Option<u64>,
    /// Write the JSON object to this file, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) rows: Option<PathBuf>,
}

/// `proofs`: accepted so that launchers written for op-reth go on.
#[derive(Debug, Args)]
pub(crate) struct ProofsArgs {
    /// Subcommand and flags of op-reth, all without effect.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<String>,
}
