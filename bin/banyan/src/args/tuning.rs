use std::time::Duration;

use banyan_node::ProgramMode;
use clap::Args;

use crate::parse;

/// Execution of blocks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Execution")]
pub(crate) struct ExecutorArgs {
    /// Threads that execute a block, 0 for plain sequential execution. [default: the cores]
    #[arg(long = "executor.workers", value_name = "N")]
    pub(crate) workers: Option<u16>,
    /// Programs learnt from token calls: off, shadow (learnt and compared, the EVM's result
    /// counts), on.
    #[arg(long = "executor.programs", value_name = "MODE", default_value = "on")]
    #[arg(value_parser = parse::program_mode)]
    pub(crate) programs: ProgramMode,
}

/// Block building.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Building")]
pub(crate) struct BuilderArgs {
    /// Pause between two attempts at a better block (`200ms`, or seconds).
    #[arg(long = "builder.interval", value_name = "TIME", default_value = "200ms")]
    #[arg(value_parser = parse::duration)]
    pub(crate) builder_interval: Duration,
    /// Time after which a build job ends (seconds).
    #[arg(long = "builder.deadline", value_name = "TIME", default_value = "12")]
    #[arg(value_parser = parse::duration)]
    pub(crate) builder_deadline: Duration,
    /// Gas limit aimed at on Ethereum chains. [default: the parent's]
    #[arg(long = "builder.gaslimit", alias = "miner.gaslimit", value_name = "GAS")]
    pub(crate) builder_gaslimit: Option<u64>,
    /// Extra data of blocks on Ethereum chains: text, or hex after 0x; at most 32 bytes.
    #[arg(long = "builder.extradata", value_name = "DATA", default_value = "banyan")]
    #[arg(value_parser = parse::extra_data)]
    pub(crate) builder_extradata: parse::ExtraData,
    /// Most build jobs kept at a time.
    #[arg(long = "builder.max-tasks", value_name = "N", default_value_t = 16)]
    pub(crate) builder_max_tasks: usize,
}

/// The transaction pool.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pool")]
pub(crate) struct TxPoolArgs {
    /// Most executable transactions.
    #[arg(long = "txpool.pending-max-count", alias = "txpool.pending_max_count")]
    #[arg(value_name = "N", default_value_t = 10_000)]
    pub(crate) pending_max_count: usize,
    /// Their total size, MB.
    #[arg(long = "txpool.pending-max-size", alias = "txpool.pending_max_size")]
    #[arg(value_name = "MB", default_value_t = 20)]
    pub(crate) pending_max_size: usize,
    /// Most transactions that wait for an earlier nonce or a lower base fee.
    #[arg(long = "txpool.queued-max-count", alias = "txpool.queued_max_count")]
    #[arg(value_name = "N", default_value_t = 10_000)]
    pub(crate) queued_max_count: usize,
    /// Their total size, MB.
    #[arg(long = "txpool.queued-max-size", alias = "txpool.queued_max_size")]
    #[arg(value_name = "MB", default_value_t = 20)]
    pub(crate) queued_max_size: usize,
    /// Most transactions of one sender.
    #[arg(long = "txpool.max-account-slots", alias = "txpool.max_account_slots")]
    #[arg(value_name = "N", default_value_t = 16)]
    pub(crate) max_account_slots: usize,
    /// Price bump for a replacement, percent.
    #[arg(long = "txpool.pricebump", value_name = "PERCENT", default_value_t = 10)]
    pub(crate) price_bump: u128,
    /// Price bump for replacing a blob transaction, percent.
    #[arg(long = "blobpool.pricebump", value_name = "PERCENT", default_value_t = 100)]
    pub(crate) blob_price_bump: u128,
    /// Longest time that a transaction may wait for an earlier nonce or a lower base fee (`3h`
    /// is `10800`: seconds).
    #[arg(long = "txpool.lifetime", value_name = "TIME", default_value = "10800")]
    #[arg(value_parser = parse::duration)]
    pub(crate) lifetime: Duration,
    /// Lowest priority fee, wei.
    #[arg(long = "txpool.minimum-priority-fee", value_name = "WEI", default_value_t = 0)]
    pub(crate) minimum_priority_fee: u128,
    /// Largest transaction, bytes.
    #[arg(long = "txpool.max-tx-input-bytes", alias = "txpool.max_tx_input_bytes")]
    #[arg(value_name = "BYTES", default_value_t = 131_072)]
    pub(crate) max_tx_bytes: usize,
    /// Largest gas limit of a transaction. [default: the block's]
    #[arg(long = "txpool.max-tx-gas", value_name = "GAS")]
    pub(crate) max_tx_gas: Option<u64>,
    /// No exemptions for local transactions (there are none: always in effect).
    #[arg(long = "txpool.nolocals", hide = true)]
    pub(crate) no_locals: bool,
}
