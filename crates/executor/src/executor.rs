use std::sync::Arc;

use banyan_chainspec::ChainSpec;
use banyan_primitives::{RecoveredBlock, StateSource, TransactionTrait};

use crate::{
    BlockContext, BlockExecutor, BlockOutput, ExecutionError, StateRootFn,
    ahead::{self, RunAhead, Targets},
    block::{execute_with, is_cheap},
    codes::CodeCache,
    transfer::Transfers,
};

/// Other threads are woken for a block with so much gas (limits) for the EVM: about 0.1 ms.
const WORTH_WAKING: u64 = 500_000;

/// How to execute blocks. All ways give the same result; they differ in speed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorConfig {
    /// Threads that execute, the committer among them. 0: plain sequential execution by the EVM
    /// alone, without any shortcut (the oracle). 1: no other thread, but all shortcuts.
    pub workers: usize,
    /// What is done with programs learnt from traces of token calls.
    pub programs: ProgramMode,
    /// For tests: a seed that disturbs the schedule, and makes even the smallest block run ahead.
    pub perturb: Option<u64>,
}

/// What is done with learnt programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgramMode {
    /// None are learnt or run.
    Off,
    /// They are learnt and compared with the EVM, whose result counts.
    Shadow,
    /// Those that have proved equal replace the EVM.
    #[default]
    On,
}

impl Default for ExecutorConfig {
    /// As many threads as there are cores.
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self { workers, programs: ProgramMode::default(), perturb: None }
    }
}

impl ExecutorConfig {
    /// Plain sequential execution: the oracle.
    pub const SEQUENTIAL: Self = Self { workers: 0, programs: ProgramMode::Off, perturb: None };
}

/// How the transactions of a block were executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecutionStats {
    /// Transactions in the block.
    pub transactions: u64,
    /// Executed ahead of their turn by workers (a second time counts again).
    pub run_ahead: u64,
    /// Results of workers that still held at their turn.
    pub valid: u64,
    /// Results of workers that did not.
    pub stale: u64,
    /// Executed by the committer in the EVM.
    pub by_committer: u64,
    /// Plain transfers, without the EVM.
    pub transfers: u64,
    /// Calls answered by a learnt program.
    pub programs: u64,
    /// Calls for which a program was known, none of whose paths fitted.
    pub program_misses: u64,
}

/// The result of a block and how it came about.
#[derive(Clone, Debug)]
pub struct Execution {
    /// Receipts and changes.
    pub output: BlockOutput,
    /// How it was executed.
    pub stats: ExecutionStats,
}

/// Executes blocks: worker threads that live as long as it does, and what was learnt from earlier
/// blocks. One for a node, shared by validation and building.
#[derive(Debug)]
pub struct Executor {
    config: ExecutorConfig,
    /// All threads but the committer's; `None` if there are no others.
    pool: Option<rayon::ThreadPool>,
    targets: Targets,
    codes: Arc<CodeCache>,
}

impl Executor {
    /// Starts the worker threads.
    pub fn new(config: ExecutorConfig) -> Self {
        let threads = config.workers.saturating_sub(1);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("exec-{index}"));
        // Without its threads it is slower, and as right.
        let pool = (threads > 0).then(|| pool.build().ok()).flatten();
        Self { config, pool, targets: Targets::default(), codes: Arc::default() }
    }

    /// The settings.
    pub fn config(&self) -> &ExecutorConfig {
        &self.config
    }

    /// Executes a whole block on its parent's state. Equal to [`execute_block`], the oracle.
    pub fn execute_block<S: StateSource + Sync>(
        &self,
        spec: &ChainSpec,
        block: &RecoveredBlock,
        parent: &S,
    ) -> Result<Execution, ExecutionError> {
        self.execute(spec, block, parent, None)
    }

    /// As [`Self::execute_block`], with the state roots of receipts before Byzantium
    /// ([`execute_block_with_roots`]).
    pub fn execute_block_with_roots<S: StateSource + Sync>(
        &self,
        spec: &ChainSpec,
        block: &RecoveredBlock,
        parent: &S,
        state_root: &mut StateRootFn<'_>,
    ) -> Result<Execution, ExecutionError> {
        self.execute(spec, block, parent, Some(state_root))
    }

    fn execute<S: StateSource + Sync>(
        &self,
        spec: &ChainSpec,
        block: &RecoveredBlock,
        parent: &S,
        state_root: Option<&mut StateRootFn<'_>>,
    ) -> Result<Execution, ExecutionError> {
        let context = BlockContext::from_header(&block.header);
        if self.config.workers == 0 {
            let executor = BlockExecutor::new(spec, context, parent).with_codes(&self.codes);
            return finish(executor, block, state_root);
        }
        let transfers = Transfers::new(spec.chain_id, &context.rules(spec), &context);
        if !self.pays(block, transfers.as_ref()) {
            let executor = BlockExecutor::with_shortcuts(spec, context, parent)?;
            return finish(executor.with_codes(&self.codes), block, state_root);
        }
        self.scope(spec, context.clone(), parent, |ahead| {
            let transactions = block.transactions().map(|(tx, sender)| (tx.clone(), sender));
            ahead.offer(transactions, |tx| is_cheap(transfers.as_ref(), tx));
            let executor = BlockExecutor::with_shortcuts(spec, context, parent)?;
            finish(executor.with_codes(&self.codes).with_ahead(ahead), block, state_root)
        })
    }

    /// True if other threads may save more than it costs to wake them: they can take over what goes
    /// through the EVM, and that must be worth it.
    fn pays(&self, block: &RecoveredBlock, transfers: Option<&Transfers>) -> bool {
        let jobs = block.body.transactions.iter().filter(|tx| !tx.is_deposit());
        let gas = jobs.filter(|tx| !is_cheap(transfers, tx)).map(|tx| (tx.gas_limit(), 1));
        let (gas, jobs) =
            gas.fold((0_u64, 0), |sum, tx| (sum.0.saturating_add(tx.0), sum.1 + tx.1));
        let worth = gas >= WORTH_WAKING || self.config.perturb.is_some();
        self.pool.is_some() && transfers.is_some() && jobs >= 2 && worth
    }

    /// Runs `commit` while the other threads run ahead.
    fn scope<'s, S: StateSource + Sync, R>(
        &self,
        spec: &'s ChainSpec,
        context: BlockContext,
        parent: &'s S,
        commit: impl for<'x> FnOnce(&'x RunAhead<'x, &'x S>) -> R,
    ) -> R {
        let ahead = RunAhead::new(
            spec,
            context,
            parent,
            (&self.targets, self.codes.clone()),
            self.config.perturb,
        );
        let Some(pool) = &self.pool else { return commit(&ahead) };
        pool.in_place_scope(|scope| {
            for _ in 1..self.config.workers {
                scope.spawn(|_| ahead::run(&ahead));
            }
            let _stop = Stop(&ahead);
            commit(&ahead)
        })
    }

    /// Lets `build` execute a block step by step, with the workers running ahead on what it
    /// [offers](BlockExecutor::offer).
    pub fn build<S: StateSource + Sync, R>(
        &self,
        spec: &ChainSpec,
        context: BlockContext,
        parent: &S,
        build: impl FnOnce(BlockExecutor<'_, &S>) -> R,
    ) -> R {
        if self.config.workers == 0 {
            return build(BlockExecutor::new(spec, context, parent).with_codes(&self.codes));
        }
        if self.pool.is_none() {
            return build(shortcuts(spec, context, parent).with_codes(&self.codes));
        }
        self.scope(spec, context.clone(), parent, |ahead| {
            let executor = shortcuts(spec, context, parent).with_codes(&self.codes);
            build(executor.with_ahead(ahead))
        })
    }
}

fn finish<S: StateSource>(
    executor: BlockExecutor<'_, &S>,
    block: &RecoveredBlock,
    state_root: Option<&mut StateRootFn<'_>>,
) -> Result<Execution, ExecutionError> {
    let (output, stats) = execute_with(executor, block, state_root)?;
    Ok(Execution { output, stats })
}

/// An executor with shortcuts, or without: a state that cannot be read will say so again.
fn shortcuts<'a, S: StateSource>(
    spec: &'a ChainSpec,
    context: BlockContext,
    parent: &'a S,
) -> BlockExecutor<'a, &'a S> {
    BlockExecutor::with_shortcuts(spec, context.clone(), parent)
        .unwrap_or_else(|_| BlockExecutor::new(spec, context, parent))
}

/// Sends the workers home, also if the committer panics.
struct Stop<'a, S>(&'a RunAhead<'a, S>);

impl<S> Drop for Stop<'_, S> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
