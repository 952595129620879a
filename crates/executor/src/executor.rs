use std::sync::atomic::{AtomicBool, Ordering};

use banyan_chainspec::ChainSpec;
use banyan_primitives::{RecoveredBlock, StateSource};

use crate::{
    BlockContext, BlockExecutor, BlockOutput, ExecutionError, StateRootFn, block::execute_with,
};

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
    distrusted: AtomicBool,
}

impl Executor {
    /// Starts the worker threads.
    pub fn new(config: ExecutorConfig) -> Self {
        Self { config, distrusted: AtomicBool::new(false) }
    }

    /// The settings.
    pub fn config(&self) -> &ExecutorConfig {
        &self.config
    }

    /// A block came out otherwise than with plain execution: no more learnt programs from now on.
    pub fn distrust(&self) {
        self.distrusted.store(true, Ordering::Relaxed);
    }

    /// True after [`Self::distrust`].
    pub fn is_distrusted(&self) -> bool {
        self.distrusted.load(Ordering::Relaxed)
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
        let executor = match self.config.workers {
            0 => BlockExecutor::new(spec, context, parent),
            _ => BlockExecutor::with_shortcuts(spec, context, parent)?,
        };
        let (output, stats) = execute_with(executor, block, state_root)?;
        Ok(Execution { output, stats })
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
        build(BlockExecutor::new(spec, context, parent))
    }
}
