//! One block, three times.

use std::time::{Duration, Instant};

use banyan_chainspec::{ChainSpec, Fork};
use banyan_consensus::{ExecutionResult, validate_output};
use banyan_executor::{
    BlockContext, BlockOutput, ExecutionError, Executor, ExecutorConfig, TxError,
};
use banyan_primitives::{
    Address, AddressMap, B256, BlockRef, RecoveredBlock, SourceError, StateDiff, StateSource,
    TransactionTrait, TxKind,
};
use banyan_state::StateView;
use banyan_storage::{BlockRead, Database};

use super::{
    class::{Class, Way},
    report::{Call, Difference, ReExecuteReport},
};
use crate::NodeError;

/// Executes blocks in order, and learns from them as a node does.
pub(super) struct Runner<'a> {
    spec: &'a ChainSpec,
    database: &'a Database,
    /// Plain sequential execution: what is right, and the clock.
    plain: Executor,
    /// As asked for.
    fast: Executor,
    /// The committer alone, step by step: says which way each transaction goes.
    steps: Executor,
    pub(super) report: ReExecuteReport,
}

/// A block executed step by step.
struct Run {
    output: BlockOutput,
    steps: Vec<Step>,
    /// With what comes before and after the transactions.
    time: Duration,
}

/// A transaction of it.
struct Step {
    way: Way,
    gas: u64,
    time: Duration,
}

/// What became of a block, or why it was refused.
type Outcome<T> = Result<T, String>;

impl<'a> Runner<'a> {
    pub(super) fn new(
        spec: &'a ChainSpec,
        database: &'a Database,
        config: &ExecutorConfig,
    ) -> Self {
        Self {
            spec,
            database,
            plain: Executor::new(ExecutorConfig::SEQUENTIAL),
            fast: Executor::new(config.clone()),
            steps: Executor::new(ExecutorConfig { workers: 1, ..config.clone() }),
            report: ReExecuteReport::new(config.workers),
        }
    }

    /// Executes the canonical block `number`.
    pub(super) fn run(&mut self, number: u64) -> Result<(), NodeError> {
        let unreadable = |error: SourceError| fault(number, &error);
        let parent = StateView::history(self.database, number - 1).map_err(unreadable)?;
        let block = self.load(&parent, number)?;
        // First, and not timed: it also brings the state into memory.
        let stepped = self.stepwise(&self.steps, &block, &parent)?;
        // In turns, since the second finds the caches warmer.
        let (plain, (fast, fast_time)) = if number.is_multiple_of(2) {
            let plain = self.stepwise(&self.plain, &block, &parent)?;
            (plain, self.whole(&block, &parent)?)
        } else {
            let fast = self.whole(&block, &parent)?;
            (self.stepwise(&self.plain, &block, &parent)?, fast)
        };
        let mut found = Vec::new();
        match &plain {
            Ok(plain) => {
                found.extend(against_header(self.spec, &block, &plain.output));
                let stepped = stepped.as_ref().map(|run| &run.output);
                found.extend(against("step by step", stepped, &plain.output));
                found.extend(against("fast path", fast.as_ref(), &plain.output));
            }
            Err(reason) => found.push(format!("plain execution: {reason}")),
        }
        self.report.add_block(number, block.header.gas_used, fast_time);
        if let (Ok(plain), Ok(stepped)) = (&plain, &stepped) {
            self.count(&block, &parent, plain, stepped).map_err(unreadable)?;
        }
        if !found.is_empty() {
            let (hash, what) = (block.hash(), found.join("; "));
            tracing::error!(number, %hash, %what, "block differs");
            self.report.add_difference(Difference { number, hash, what });
        }
        Ok(())
    }

    fn load(&self, parent: &StateView, number: u64) -> Result<RecoveredBlock, NodeError> {
        let txn = parent.transaction();
        let block = match txn.canonical_hash(number)? {
            Some(hash) => txn.block(BlockRef::new(number, hash))?,
            None => None,
        };
        block.ok_or_else(|| {
            NodeError::ReExecute(format!("block {number} is not in the database any more"))
        })
    }

    /// The whole block at once, and how long that took.
    fn whole(
        &self,
        block: &RecoveredBlock,
        parent: &StateView,
    ) -> Result<(Outcome<BlockOutput>, Duration), NodeError> {
        let started = Instant::now();
        let result = self.fast.execute_block(self.spec, block, parent);
        let time = started.elapsed();
        Ok((outcome(block, result.map(|execution| execution.output))?, time))
    }

    /// Transaction by transaction.
    fn stepwise(
        &self,
        executor: &Executor,
        block: &RecoveredBlock,
        parent: &StateView,
    ) -> Result<Outcome<Run>, NodeError> {
        let context = BlockContext::from_header(&block.header);
        let started = Instant::now();
        let result = executor.build(self.spec, context, parent, |mut run| {
            run.reserve(block.body.transactions.len());
            run.begin()?;
            let mut steps = Vec::with_capacity(block.body.transactions.len());
            for (index, (tx, sender)) in block.transactions().enumerate() {
                let before = run.stats();
                let started = Instant::now();
                let done = run.execute(tx, sender).map_err(|error| at(index, error))?;
                let time = started.elapsed();
                let way = Way::between(&before, &run.stats());
                steps.push(Step { way, gas: done.gas_used, time });
            }
            let withdrawals = block.body.withdrawals.as_ref().map(|list| list.as_slice());
            let output = run.finish(&block.body.ommers, withdrawals)?;
            Ok(Run { output, steps, time: started.elapsed() })
        });
        outcome(block, result)
    }

    /// Adds a block that could be executed to the sums: time from the plain run, ways from the
    /// other one.
    fn count(
        &mut self,
        block: &RecoveredBlock,
        parent: &StateView,
        plain: &Run,
        stepped: &Run,
    ) -> Result<(), SourceError> {
        self.report.add_plain_time(plain.time);
        let mut codes = Codes { parent, diff: &plain.output.diff, known: AddressMap::default() };
        let steps = plain.steps.iter().zip(&stepped.steps);
        for ((tx, _), (timed, Step { way, .. })) in block.transactions().zip(steps) {
            let target = match tx.kind() {
                TxKind::Call(to) => codes.of(to)?.map(|code_hash| (to, code_hash)),
                TxKind::Create => None,
            };
            let class = Class::of(tx, *way, target.is_some());
            self.report.add(class, timed.gas, timed.time);
            if let Some((target, code_hash)) = target.filter(|_| class.is_call()) {
                let call = Call::new(target, code_hash, tx.input());
                self.report.add_call(call, class, timed.gas, timed.time);
            }
        }
        Ok(())
    }
}

/// Code hashes of the accounts that a block calls.
struct Codes<'a> {
    parent: &'a StateView,
    diff: &'a StateDiff,
    known: AddressMap<Option<B256>>,
}

impl Codes<'_> {
    /// Before the block, or after it for a contract that it created.
    fn of(&mut self, address: Address) -> Result<Option<B256>, SourceError> {
        if let Some(known) = self.known.get(&address) {
            return Ok(*known);
        }
        let before = self.parent.account(&address)?.filter(|account| account.has_code());
        let after = || self.diff.account(&address).flatten().filter(|account| account.has_code());
        let hash = before.or_else(after).map(|account| account.code_hash);
        self.known.insert(address, hash);
        Ok(hash)
    }
}

/// Tells a block that is refused from a state that cannot be read.
fn outcome<T>(
    block: &RecoveredBlock,
    result: Result<T, ExecutionError>,
) -> Result<Outcome<T>, NodeError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(ExecutionError::Source(error)) => Err(fault(block.number(), &error)),
        Err(error) => Ok(Err(error.to_string())),
    }
}

fn at(index: usize, error: TxError) -> ExecutionError {
    match error {
        TxError::Source(error) => ExecutionError::Source(error),
        refused => ExecutionError::InvalidTransaction { index, reason: refused.to_string() },
    }
}

fn fault(number: u64, error: &SourceError) -> NodeError {
    NodeError::ReExecute(format!("block {number} cannot be executed: {error}"))
}

/// In what the plain output is not what the header says.
fn against_header(spec: &ChainSpec, block: &RecoveredBlock, plain: &BlockOutput) -> Option<String> {
    let header = &block.header;
    // Receipts before Byzantium hold state roots, which nobody computed here.
    if !spec.rules_of(header).is(Fork::Byzantium) {
        let (told, used) = (header.gas_used, plain.gas_used);
        return (told != used).then(|| format!("plain execution: gas used {used}, header {told}"));
    }
    let result = ExecutionResult {
        gas_used: plain.gas_used,
        receipts: &plain.receipts,
        requests: plain.requests.as_ref(),
        blob_gas_used: plain.blob_gas_used,
    };
    let verdict = validate_output(spec, header, &result);
    verdict.err().map(|error| format!("plain execution: {error}"))
}

/// In what another way's output is not the plain one's.
fn against(
    name: &str,
    other: Result<&BlockOutput, &String>,
    plain: &BlockOutput,
) -> Option<String> {
    let what = match other {
        Ok(other) => difference(plain, other)?,
        Err(reason) => reason.clone(),
    };
    Some(format!("{name}: {what}"))
}

/// The first thing in which two outputs differ, in the words of an investigator.
pub(super) fn difference(plain: &BlockOutput, other: &BlockOutput) -> Option<String> {
    let receipts = plain.receipts.iter().zip(&other.receipts);
    if let Some(index) = receipts.into_iter().position(|(one, other)| one != other) {
        return Some(format!("receipt {index}"));
    }
    if plain.gas_used != other.gas_used {
        return Some(format!("gas used {} for {}", other.gas_used, plain.gas_used));
    }
    if let Some(address) = changed_otherwise(&plain.diff, &other.diff) {
        return Some(format!("state of {address}"));
    }
    (plain != other).then(|| "requests, blob gas or new code".to_owned())
}

/// The lowest address at which two diffs differ.
fn changed_otherwise(plain: &StateDiff, other: &StateDiff) -> Option<Address> {
    let addresses = plain.accounts.keys().chain(other.accounts.keys());
    let differs = |address: &&Address| plain.accounts.get(*address) != other.accounts.get(*address);
    addresses.filter(differs).min().copied()
}
