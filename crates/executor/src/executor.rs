use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use banyan_chainspec::ChainSpec;
use banyan_primitives::{
    Address, AddressMap, B256, HashMap, RecoveredBlock, StateSource, Transaction, TransactionTrait,
};

use crate::{
    BlockAccessList, BlockAccesses, BlockContext, BlockExecutor, BlockOutput, ExecutionError,
    Observer, StateRootFn,
    ahead::{self, RunAhead, Targets, Work},
    block::{Class, execute_with},
    codes::CodeCache,
    prepare::Preparation,
    program::Library,
    shortcuts::Setting,
    simple::{SimpleRules, TRANSACTION_GAS},
};

/// Other threads are woken for a block whose jobs will use so much gas in the EVM: that is about half
/// a millisecond of work, and waking and setting up costs a tenth of that.
const WORTH_WAKING: u64 = 2_500_000;

/// A transaction that uses less in the EVM is done in the time that it takes to hand a result from one
/// core to another; with many workers it is worth more to keep the committer free.
const LIGHT_GAS: u64 = 30_000;
const LIGHT_GAS_OF_MANY: u64 = 10_000;

/// In one of so many blocks workers may run ahead although it will probably be in vain.
const TRY_EVERY: u32 = 16;

/// And for so many calls of programs, or transfers whose accounts can be read ahead.
const WORTH_PREPARING: usize = 256;

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
    /// Whether what a block touches is kept ([`Execution::accesses`]). It costs each transaction
    /// that needs no EVM up to a tenth of its time.
    pub record: bool,
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
    /// As many threads as there are cores; accesses are recorded for those that run ahead.
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self { workers, programs: ProgramMode::default(), perturb: None, record: workers > 1 }
    }
}

impl ExecutorConfig {
    /// Plain sequential execution: the oracle.
    pub const SEQUENTIAL: Self =
        Self { workers: 0, programs: ProgramMode::Off, perturb: None, record: false };
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
    /// Calls that the EVM executed although a program answers them, to learn or to check it.
    pub program_checks: u64,
}

/// The result of a block and how it came about.
#[derive(Clone, Debug)]
pub struct Execution {
    /// Receipts and changes.
    pub output: BlockOutput,
    /// How it was executed.
    pub stats: ExecutionStats,
    /// What it touched, if that was to be kept.
    pub accesses: Option<Arc<BlockAccesses>>,
}

/// What may go along with the execution of a block.
#[derive(Default)]
#[allow(missing_debug_implementations)]
pub struct Along<'a> {
    /// Computes the state roots of receipts before Byzantium ([`crate::execute_block_with_roots`]).
    pub state_root: Option<&'a mut StateRootFn<'a>>,
    /// What the block touches, from an earlier execution or from whoever made it: then every
    /// transaction can be executed ahead, in any order. A list that is wrong costs time and nothing
    /// else.
    pub list: Option<&'a BlockAccessList>,
    /// Is called every 64 transactions, and at the end.
    pub observer: Option<&'a mut Observer<'a>>,
}

/// Executes blocks: worker threads that live as long as it does, and what was learnt from earlier
/// blocks. One for a node, shared by validation and building.
#[derive(Debug)]
pub struct Executor {
    config: ExecutorConfig,
    /// All threads but the committer's; `None` if there are no others.
    pool: Option<rayon::ThreadPool>,
    /// The same for building, which goes on while blocks are validated.
    build_pool: Option<rayon::ThreadPool>,
    knowledge: Knowledge,
}

/// What earlier blocks taught.
#[derive(Debug)]
pub(crate) struct Knowledge {
    pub(crate) codes: Arc<CodeCache>,
    pub(crate) library: Library,
    pub(crate) targets: Targets,
    /// Looked at so far.
    blocks: AtomicU32,
    /// Workers ran ahead in the last block that looked like it.
    ran_ahead: AtomicBool,
}

impl Knowledge {
    /// The gas that a transaction will probably use in the EVM, beyond what any transaction costs.
    pub(crate) fn expected_gas(&self, tx: &Transaction) -> u64 {
        if tx.is_deposit() {
            return 0;
        }
        let target = tx.to().map(|to| self.targets.get(&to));
        // Limits are twice what is used, on the whole.
        let gas = target.and_then(|it| it.gas()).unwrap_or(tx.gas_limit() / 2);
        gas.saturating_sub(TRANSACTION_GAS)
    }
}

impl Executor {
    /// Starts the worker threads.
    pub fn new(config: ExecutorConfig) -> Self {
        let threads = config.workers.saturating_sub(1);
        let (pool, build_pool) = (pool(threads, "exec"), pool(threads, "build-exec"));
        let knowledge = Knowledge {
            codes: Arc::default(),
            library: Library::new(config.programs),
            targets: Targets::default(),
            blocks: AtomicU32::new(0),
            ran_ahead: AtomicBool::new(false),
        };
        Self { config, pool, build_pool, knowledge }
    }

    /// The settings.
    pub fn config(&self) -> &ExecutorConfig {
        &self.config
    }

    /// A block came out otherwise than with plain execution: no more learnt programs from now on.
    pub fn distrust(&self) {
        self.knowledge.library.turn_off();
    }

    /// True after [`Self::distrust`].
    pub fn is_distrusted(&self) -> bool {
        self.knowledge.library.is_off()
    }

    /// Executes a whole block on its parent's state. Equal to [`crate::execute_block`], the oracle.
    pub fn execute_block<S: StateSource + Sync>(
        &self,
        spec: &ChainSpec,
        block: &RecoveredBlock,
        parent: &S,
    ) -> Result<Execution, ExecutionError> {
        self.execute_block_with(spec, block, parent, Along::default())
    }

    /// As [`Self::execute_block`], with the state roots of receipts before Byzantium
    /// ([`execute_block_with_roots`](crate::execute_block_with_roots)).
    pub fn execute_block_with_roots<S: StateSource + Sync>(
        &self,
        spec: &ChainSpec,
        block: &RecoveredBlock,
        parent: &S,
        state_root: &mut StateRootFn<'_>,
    ) -> Result<Execution, ExecutionError> {
        let along = Along { state_root: Some(state_root), ..Along::default() };
        self.execute_block_with(spec, block, parent, along)
    }

    /// As [`Self::execute_block`], for a block that was executed before and touched what `list`
    /// says.
    pub fn execute_block_again<S: StateSource + Sync>(
        &self,
        spec: &ChainSpec,
        block: &RecoveredBlock,
        parent: &S,
        list: &BlockAccessList,
    ) -> Result<Execution, ExecutionError> {
        let along = Along { list: Some(list), ..Along::default() };
        self.execute_block_with(spec, block, parent, along)
    }

    /// As [`Self::execute_block`], with all that may go along.
    pub fn execute_block_with<S: StateSource + Sync>(
        &self,
        spec: &ChainSpec,
        block: &RecoveredBlock,
        parent: &S,
        along: Along<'_>,
    ) -> Result<Execution, ExecutionError> {
        let context = BlockContext::from_header(&block.header);
        let record = self.config.record || along.observer.is_some();
        if self.config.workers == 0 {
            let executor =
                BlockExecutor::new(spec, context, parent).with_knowledge(&self.knowledge);
            return execute_with(executor.recorded(record)?, block, along);
        }
        let knowledge = &self.knowledge;
        let executor =
            BlockExecutor::with_shortcuts(spec, context.clone(), parent)?.with_knowledge(knowledge);
        let mut executor = executor.recorded(record)?.with_light_gas(self.light_gas());
        let Some(pool) = &self.pool else { return execute_with(executor, block, along) };
        if !self.knowledge.ran_ahead.load(Ordering::Relaxed) || !self.may_pay(block) {
            let plan = self.plan(block, parent.remembers(), &mut executor);
            return match plan {
                Plan::RunAhead(works) => self.scope(pool, spec, context, parent, |ahead| {
                    run_ahead(executor, ahead, (block, &works), along)
                }),
                plan => self.prepare(pool, plan, executor, (block, parent), along),
            };
        }
        // As with the block before, workers will be needed: they wake up while it is looked at.
        self.scope(pool, spec, context, parent, |ahead| {
            match self.plan(block, parent.remembers(), &mut executor) {
                Plan::RunAhead(works) => run_ahead(executor, ahead, (block, &works), along),
                plan => {
                    ahead.stop();
                    self.prepare(pool, plan, executor, (block, parent), along)
                }
            }
        })
    }

    /// Executes a block with nobody running ahead; by the plan others prepare what they can.
    fn prepare<'p, S: StateSource + Sync>(
        &'p self,
        pool: &rayon::ThreadPool,
        plan: Plan,
        executor: BlockExecutor<'p, &'p S>,
        (block, parent): (&'p RecoveredBlock, &'p S),
        along: Along<'_>,
    ) -> Result<Execution, ExecutionError> {
        let Plan::Prepare(rules, code_hashes) = plan else {
            return execute_with(executor, block, along);
        };
        let (spec, context) = (executor.spec, &executor.context);
        let setting = Setting::new(spec.chain_id, &context.rules(spec), context);
        let library = &self.knowledge.library;
        let preparation = Preparation::new((block, parent), rules, setting, library, code_hashes);
        pool.in_place_scope(|scope| {
            for _ in 1..self.config.workers {
                scope.spawn(|_| preparation.run());
            }
            let _stop = OnDrop(|| preparation.stop());
            execute_with(executor.with_preparation(&preparation), block, along)
        })
    }

    /// A first guess, from the outside, whether there is work for others.
    fn may_pay(&self, block: &RecoveredBlock) -> bool {
        let mut gas = 0_u64;
        for tx in &block.body.transactions {
            if !tx.input().is_empty() {
                gas = gas.saturating_add(self.knowledge.expected_gas(tx));
            }
        }
        gas >= WORTH_WAKING || self.config.perturb.is_some()
    }

    /// What uses less gas in the EVM is the committer's.
    fn light_gas(&self) -> u64 {
        match (self.config.perturb, self.config.workers) {
            (Some(seed), _) => [0, LIGHT_GAS_OF_MANY, LIGHT_GAS][(seed % 3) as usize],
            (None, ..4) => LIGHT_GAS,
            (None, _) => LIGHT_GAS_OF_MANY,
        }
    }

    /// What the other threads can do for a block that is worth waking them.
    fn plan<S: StateSource>(
        &self,
        block: &RecoveredBlock,
        remembers: bool,
        executor: &mut BlockExecutor<'_, S>,
    ) -> Plan {
        let Some(rules) = executor.simple.clone() else { return Plan::Alone };
        let transactions = &block.body.transactions;
        let (mut jobs, mut calls) = (Jobs::default(), 0);
        let mut code_hashes = AddressMap::default();
        let mut works = Vec::with_capacity(transactions.len());
        for tx in transactions {
            let class = executor.classify(tx);
            let (work, expected) = executor.work(tx, class);
            works.push(work);
            match class {
                Class::Evm if work == Work::Job => jobs.add(tx, expected, &self.knowledge.targets),
                Class::Program(to, code_hash) => {
                    code_hashes.insert(to, code_hash);
                    calls += 1;
                }
                Class::Transfer if remembers => calls += 1,
                Class::Evm | Class::Transfer => {}
            }
        }
        let perturbed = self.config.perturb.is_some();
        let is_try =
            self.knowledge.blocks.fetch_add(1, Ordering::Relaxed).is_multiple_of(TRY_EVERY);
        let pays = jobs.count >= 2 && (jobs.can_pay(is_try) || perturbed);
        self.knowledge.ran_ahead.store(pays, Ordering::Relaxed);
        if pays {
            return Plan::RunAhead(works);
        }
        match calls >= WORTH_PREPARING || perturbed && calls > 0 {
            true => Plan::Prepare(rules, code_hashes),
            false => Plan::Alone,
        }
    }

    /// Runs `commit` while the other threads run ahead.
    fn scope<'s, S: StateSource + Sync, R>(
        &self,
        pool: &rayon::ThreadPool,
        spec: &'s ChainSpec,
        context: BlockContext,
        parent: &'s S,
        commit: impl for<'x> FnOnce(&'x RunAhead<'x, &'s S>) -> R,
    ) -> R {
        let ahead = RunAhead::new(
            spec,
            context,
            parent,
            (&self.knowledge.targets, self.knowledge.codes.clone()),
            self.config.perturb,
        );
        pool.in_place_scope(|scope| {
            for _ in 1..self.config.workers {
                scope.spawn(|_| ahead::run(&ahead));
            }
            let _stop = OnDrop(|| ahead.stop());
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
            return build(
                BlockExecutor::new(spec, context, parent).with_knowledge(&self.knowledge),
            );
        }
        let executor = shortcuts(spec, context.clone(), parent, self.config.record);
        let executor = executor.with_knowledge(&self.knowledge).with_light_gas(self.light_gas());
        let Some(pool) = &self.build_pool else { return build(executor) };
        self.scope(pool, spec, context, parent, |ahead| build(executor.with_ahead(ahead)))
    }
}

/// An executor with shortcuts, or without: a state that cannot be read will say so again.
fn shortcuts<'a, S: StateSource>(
    spec: &'a ChainSpec,
    context: BlockContext,
    parent: &'a S,
    record: bool,
) -> BlockExecutor<'a, &'a S> {
    BlockExecutor::with_shortcuts(spec, context.clone(), parent)
        .and_then(|executor| executor.recorded(record))
        .unwrap_or_else(|_| BlockExecutor::new(spec, context, parent))
}

/// Executes a block with workers running ahead.
fn run_ahead<'a, 's: 'a, S: StateSource>(
    executor: BlockExecutor<'a, &'s S>,
    ahead: &'a RunAhead<'a, &'s S>,
    (block, works): (&RecoveredBlock, &[Work]),
    along: Along<'_>,
) -> Result<Execution, ExecutionError> {
    ahead.offer_block(block, works);
    if let Some(list) = along.list {
        ahead.know(list)?;
    }
    execute_with(executor.with_ahead(ahead), block, along)
}

/// The transactions of a block that are worth a worker.
#[derive(Default)]
struct Jobs {
    count: usize,
    gas: u64,
    /// Gas of those that must be executed one after the other, as far as earlier blocks tell.
    chains: HashMap<(Address, Address), u64>,
}

impl Jobs {
    fn add(&mut self, tx: &Transaction, gas: u64, targets: &Targets) {
        self.count += 1;
        self.gas = self.gas.saturating_add(gas);
        let Some(to) = tx.to() else { return };
        for link in targets.get(&to).links(to, tx.input()) {
            let chain = self.chains.entry(link).or_default();
            *chain = chain.saturating_add(gas);
        }
    }

    /// True if two threads will be done sooner than one. An order that was learnt may be out of
    /// date: sometimes it `is_tried` whether it is.
    fn can_pay(&self, is_tried: bool) -> bool {
        let longest = self.chains.values().max().copied().unwrap_or_default();
        let beside = self.gas.saturating_sub(longest);
        self.gas >= WORTH_WAKING && (is_tried || beside >= WORTH_WAKING.max(self.gas / 5))
    }
}

/// What the other threads are to do for a block.
enum Plan {
    Alone,
    /// Execute what is for the EVM; who executes each transaction.
    RunAhead(Vec<Work>),
    /// Prepare what needs no EVM; with the code of the contracts called.
    Prepare(SimpleRules, AddressMap<B256>),
}

fn pool(threads: usize, name: &'static str) -> Option<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let pool = pool.thread_name(move |index| format!("{name}-{index}"));
    // Without its threads it is slower, and as right.
    (threads > 0).then(|| pool.build().ok()).flatten()
}

/// Sends the workers home, also if the committer panics.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
