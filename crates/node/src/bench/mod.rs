//! `bench replay`: how fast blocks of a known workload go through the Engine API.
//!
//! The node's own builder makes the blocks on one database; then each is sent, as JSON, through
//! newPayload and forkchoiceUpdated to the same handlers on a fresh database. Roots are checked
//! before the answer (class R0; with a lag that of an earlier block), and what was answered survives
//! the process (class D1).
//! `bench journal` measures what that costs, `bench lag` what a lag hides, and `bench executor` what
//! executing on several threads brings.

mod erc20;
mod executor;
mod grown;
mod ingest;
mod journal;
mod lag;
mod replay;
mod report;
mod rows;
mod workload;

use std::{fmt, path::PathBuf, str::FromStr};

pub use executor::{ExecutorReport, bench_executor};
pub use ingest::{IngestClient, IngestConfig, IngestReport, bench_ingest, bench_ingest_client};
pub use journal::{JournalReport, bench_journal};
pub use lag::{LagConfig, LagReport, bench_lag};
pub use replay::bench_replay;
pub use report::BenchReport;
#[cfg(test)]
pub(crate) use {replay::Stack, workload::Generator};

use banyan_chain::{ChainConfig, Durability};
use banyan_executor::ExecutorConfig;

use crate::NodeError;

/// What to measure.
#[derive(Clone, Debug)]
pub struct BenchConfig {
    /// Workloads, in order.
    pub workloads: Vec<Workload>,
    /// Measured blocks per workload.
    pub blocks: u64,
    /// Gas limit of each block.
    pub gas_limit: u64,
    /// Accounts that send.
    pub senders: u32,
    /// Accounts that are in the state besides, if many are wanted.
    pub grown: Option<GrownConfig>,
    /// Blocks by which headers lag, on a chain with `wide` commitment; `None`: an `mpt` chain.
    pub lag: Option<u64>,
    /// Seed of all choices.
    pub seed: u64,
    /// Where the databases are put; `None`: the system's directory for temporary files.
    pub directory: Option<PathBuf>,
    /// Blocks that start a write to the database; `None`: as a node.
    pub persist_threshold: Option<u64>,
    /// How blocks are executed.
    pub executor: ExecutorConfig,
}

/// A large state, made once and kept.
#[derive(Clone, Debug)]
pub struct GrownConfig {
    /// Accounts, each with a balance of the token. They receive what the senders send.
    pub accounts: u32,
    /// Where states are kept, in directories named after what they hold.
    pub directory: PathBuf,
}

impl BenchConfig {
    fn chain(&self, durability: Durability) -> ChainConfig {
        let default = ChainConfig::default();
        let persist_threshold = self.persist_threshold.unwrap_or(default.persist_threshold);
        ChainConfig { durability, persist_threshold, executor: self.executor.clone(), ..default }
    }

    /// Accounts and slots at genesis, but for those of the chain itself.
    fn keys(&self) -> u64 {
        let holders = self.grown.as_ref().map_or(0, |grown| grown.accounts);
        2 * (u64::from(self.senders) + u64::from(holders))
    }

    fn check(&self) -> Result<(), NodeError> {
        let no_accounts = self.grown.as_ref().is_some_and(|grown| grown.accounts == 0);
        match self.senders == 0 || self.blocks == 0 || no_accounts {
            true => {
                let text = "senders, blocks and accounts must be at least 1";
                Err(NodeError::Bench(text.to_owned()))
            }
            false => Ok(()),
        }
    }
}

/// A kind of block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workload {
    /// Plain transfers between random accounts.
    #[default]
    Transfers,
    /// Transfers of one ERC-20 token between random holders.
    Erc20,
    /// Half transfers, 40% token transfers, 8% contract creations, 2% reverting token transfers.
    Mixed,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Transfers, Self::Erc20, Self::Mixed];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Erc20 => "erc20",
            Self::Mixed => "mixed",
        }
    }
}

/// Not a workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown workload {0:?}; write transfers, erc20 or mixed")]
pub struct UnknownWorkload(pub String);

impl FromStr for Workload {
    type Err = UnknownWorkload;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|workload| workload.name() == name)
            .ok_or_else(|| UnknownWorkload(name.to_owned()))
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
