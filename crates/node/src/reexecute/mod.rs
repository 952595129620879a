//! `re-execute`: the stored blocks once more, plainly and as a node does it. Says whether that is
//! the same, how fast each is, and what share of the work the shortcuts take over.

mod block;
mod class;
mod report;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use banyan_executor::ExecutorConfig;
use banyan_state::oldest_state;
use banyan_storage::{BlockRead, Database, Marker};

pub use report::ReExecuteReport;

use crate::{
    NodeError, Progress, StoreConfig, datadir::DataPaths, genesis::load_chain, store::open_database,
};
use block::Runner;

/// What to execute again, and how.
#[derive(Clone, Debug)]
pub struct ReExecuteConfig {
    /// The database; nothing in it is changed.
    pub store: StoreConfig,
    /// First block; `None`: the oldest that can be executed.
    pub from: Option<u64>,
    /// Last block; `None`: the newest.
    pub to: Option<u64>,
    /// What is compared with plain sequential execution.
    pub executor: ExecutorConfig,
}

/// Executes stored blocks again, on the states of their parents. Blocks that come out otherwise are
/// in the report.
///
/// # Errors
/// A range that the database does not hold, or a database that cannot be read.
pub fn re_execute(config: &ReExecuteConfig) -> Result<ReExecuteReport, NodeError> {
    if config.executor.workers == 0 {
        let text = "plain execution is what the other is compared with: --executor.workers must be \
                    at least 1";
        return Err(NodeError::ReExecute(text.to_owned()));
    }
    let spec = load_chain(&config.store.chain)?;
    let paths = DataPaths::of(&config.store, &spec)?;
    if !paths.database().exists() {
        return Err(NodeError::NoDatabase(paths.database()));
    }
    let database = open_database(&spec, &paths)?;
    let Some(stored) = Stored::in_database(&database)? else {
        return Err(NodeError::NoDatabase(paths.database()));
    };
    let blocks = stored.choose(config.from, config.to).map_err(NodeError::ReExecute)?;
    let total = blocks.end() - blocks.start() + 1;
    let mut runner = Runner::new(&spec, &database, &config.executor);
    let progress = Progress::new("executing blocks", total);
    for number in blocks {
        runner.run(number)?;
        progress.add(1);
    }
    progress.finish();
    Ok(runner.report)
}

/// What the database has.
#[derive(Clone, Copy, Debug)]
struct Stored {
    /// The oldest block after which the state can be read.
    oldest_state: u64,
    /// The newest block.
    tip: u64,
}

impl Stored {
    /// `None` without a genesis block.
    fn in_database(database: &Database) -> Result<Option<Self>, NodeError> {
        let txn = database.read()?;
        let Some(tip) = txn.marker(Marker::Tip)? else { return Ok(None) };
        Ok(Some(Self { oldest_state: oldest_state(&txn)?, tip: tip.number }))
    }

    /// The blocks asked for, or why there are none.
    fn choose(&self, from: Option<u64>, to: Option<u64>) -> Result<RangeInclusive<u64>, String> {
        let (oldest, tip) = (self.oldest_state + 1, self.tip);
        let (first, last) = (from.unwrap_or(oldest), to.unwrap_or(tip));
        if first == 0 {
            return Err("--from 0: genesis is not executed, the first block is 1".to_owned());
        }
        if last > tip || first > tip && from.is_some() {
            let flag = if last > tip { format!("--to {last}") } else { format!("--from {first}") };
            return Err(format!(
                "{flag} is beyond the newest block of the database, {tip}; what a node that was \
                 killed had above is in its journal, and is written when it is started and \
                 stopped once"
            ));
        }
        if tip == self.oldest_state {
            return Err(format!("no block can be executed: the only state is that of block {tip}"));
        }
        if first < oldest {
            return Err(format!(
                "--from {first}: the state before block {first} is not kept, --from {oldest} is \
                 the first that can be executed"
            ));
        }
        if first > last {
            return Err(format!("no blocks: --from {first} is above --to {last}"));
        }
        Ok(first..=last)
    }
}
