use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwap;
use banyan_chainspec::ChainSpec;
use banyan_executor::{Executor, ExecutorConfig};
use banyan_primitives::{B256, RecoveredBlock};
use banyan_storage::Database;
use crossbeam_channel::{Sender, TrySendError, bounded};
use tokio::sync::{broadcast, oneshot};

use crate::{
    ChainError, ChainView, ExecutedBlock, ForkchoiceError, OpenError,
    event_loop::{Event, spawn},
    machine::Chain,
    preload::Prepared,
};

/// Requests that may wait for the chain thread.
const QUEUE: usize = 1024;

/// Answer to a payload (or to the head of a forkchoice).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadStatus {
    /// Executed and right; this block is the latest valid one.
    Valid(B256),
    /// Breaks a rule. `latest_valid` is the nearest valid ancestor (zero hash: a proof-of-work
    /// ancestor; `None`: unknown).
    Invalid {
        /// Nearest valid ancestor.
        latest_valid: Option<B256>,
        /// What is wrong.
        error: String,
    },
    /// The parent is unknown.
    Syncing,
    /// A side-branch block that is kept but was not executed.
    Accepted,
}

/// `engine_forkchoiceUpdated`'s first parameter. Zero hashes mean "not known".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForkchoiceState {
    /// New head.
    pub head: B256,
    /// Safe block.
    pub safe: B256,
    /// Finalized block.
    pub finalized: B256,
}

/// What a move of the head did. Sent to subscribers in order.
#[derive(Clone, Debug)]
pub struct CanonicalChange {
    /// Blocks that left the chain, oldest first.
    pub reverted: Vec<RecoveredBlock>,
    /// Blocks that joined it, oldest first.
    pub included: Vec<Arc<ExecutedBlock>>,
    /// The view after the change.
    pub view: Arc<ChainView>,
}

/// Settings of the chain thread.
#[derive(Clone, Debug)]
pub struct ChainConfig {
    /// Newest blocks that stay in memory when older ones are written to the database, unless the CL
    /// calls them safe.
    pub keep_blocks: u64,
    /// So many blocks that may be written start a write.
    pub persist_threshold: u64,
    /// Unpersisted blocks beyond `keep_blocks` at which the chain waits for the disk.
    pub max_unpersisted_blocks: u64,
    /// Deepest reorg that is carried out; deeper ones are refused with −38006.
    pub max_reorg_depth: u64,
    /// Most bytes, about, that the state's tries may take in memory. On an `mpt` chain the rest is read
    /// where it is needed; on a `wide` chain the roots of a larger state are computed from what is
    /// stored.
    pub root_memory: u64,
    /// What an acknowledged head survives.
    pub durability: Durability,
    /// How blocks are executed.
    pub executor: ExecutorConfig,
}

/// What a block survives from the moment when forkchoiceUpdated answered VALID with it as head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing, until it is in the database: for imports and benchmarks.
    Off,
    /// The death of the process (class D1).
    #[default]
    Process,
    /// A power failure (class D2): the journal reaches the disk before the answer.
    Power,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            keep_blocks: 2,
            persist_threshold: 8,
            max_unpersisted_blocks: 64,
            max_reorg_depth: 90_000,
            root_memory: 2 << 30,
            durability: Durability::default(),
            executor: ExecutorConfig::default(),
        }
    }
}

/// Handle of the chain thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct ChainHandle {
    spec: Arc<ChainSpec>,
    executor: Arc<Executor>,
    events: Sender<Event>,
    published: Arc<ArcSwap<ChainView>>,
    changes: broadcast::Sender<Arc<CanonicalChange>>,
    thread: Arc<Mutex<Option<std::thread::JoinHandle<()>>>>,
    stopping: Arc<AtomicBool>,
    prepared: Prepared,
}

impl ChainHandle {
    /// Opens the chain of `spec` in `database` (writing genesis into an empty one), executes what
    /// the journal holds above it, and starts the chain and persistence threads.
    pub fn start(
        spec: Arc<ChainSpec>,
        database: Database,
        config: ChainConfig,
    ) -> Result<Self, OpenError> {
        Self::start_with_progress(spec, database, config, &mut |_, _| {})
    }

    /// [`Self::start`] that tells how many blocks of the journal are done, and of how many.
    pub fn start_with_progress(
        spec: Arc<ChainSpec>,
        database: Database,
        config: ChainConfig,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, OpenError> {
        let mut chain = Chain::open(Arc::clone(&spec), database, config)?;
        chain.replay_journal(progress)?;
        chain.preload()?;
        let executor = Arc::clone(&chain.executor);
        let published = Arc::clone(&chain.published);
        let changes = chain.changes.clone();
        let stopping = Arc::clone(&chain.stopping);
        let prepared = Arc::clone(&chain.prepared);
        let (events, inbox) = bounded(QUEUE);
        let thread = spawn(chain, inbox)
            .map_err(|error| ChainError::Fault(format!("cannot start a thread: {error}")))?;
        let thread = Arc::new(Mutex::new(Some(thread)));
        Ok(Self { spec, executor, events, published, changes, thread, stopping, prepared })
    }

    /// Writes everything to the database and stops the threads. Blocks until done. Requests that
    /// still wait for the thread are answered with [`ChainError::Stopped`].
    pub fn shutdown(&self) -> Result<(), ChainError> {
        self.stopping.store(true, Ordering::Relaxed);
        let result = self.ask_blocking(Event::Shutdown)?;
        self.join()?;
        result
    }

    /// Ends the threads without writing what is in memory: the data is left as by a crash. For
    /// tests of recovery.
    #[doc(hidden)]
    pub fn abort(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = self.events.send(Event::Abort);
        let _ = self.join();
    }

    fn join(&self) -> Result<(), ChainError> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(()) };
        thread.join().map_err(|_| ChainError::Fault("the chain thread panicked".into()))
    }

    /// False once the chain thread has ended: stopped, after a fault, or by a panic. Nothing is
    /// accepted any more then, and the process should end.
    pub fn is_running(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Waits until the state's tree, which is read into memory after a start if it fits, is there: for
    /// benchmarks. Blocks; not for async code.
    pub fn wait_until_prepared(&self) {
        self.prepared.wait();
    }

    /// Validates a block and makes it the head (`import`). Blocks; not for async code.
    pub fn import(&self, block: RecoveredBlock) -> Result<PayloadStatus, ChainError> {
        self.ask_blocking(|reply| Event::Import(block, reply))?
    }

    /// The chain's rules.
    pub const fn spec(&self) -> &Arc<ChainSpec> {
        &self.spec
    }

    /// What executes the chain's blocks. Whoever builds on it uses the same one.
    pub const fn executor(&self) -> &Arc<Executor> {
        &self.executor
    }

    /// The present view: one atomic load.
    pub fn view(&self) -> Arc<ChainView> {
        self.published.load_full()
    }

    /// Validates and inserts a block (`engine_newPayload`). `Err` is our own fault.
    pub async fn new_payload(&self, block: RecoveredBlock) -> Result<PayloadStatus, ChainError> {
        self.ask(|reply| Event::NewPayload(block, reply)).await?
    }

    /// Moves head, safe and finalized (`engine_forkchoiceUpdated`). On `Valid` the view that holds
    /// the new head comes with it.
    pub async fn forkchoice(
        &self,
        state: ForkchoiceState,
    ) -> Result<(PayloadStatus, Arc<ChainView>), ForkchoiceError> {
        self.ask(|reply| Event::Forkchoice(state, reply)).await?
    }

    /// Hands over a block that we built ourselves, so that its newPayload need not execute it
    /// again. Does not wait for the chain thread.
    pub fn insert_built(&self, block: Arc<ExecutedBlock>) -> Result<(), ChainError> {
        self.send(Event::Built(block))
    }

    /// Moves of the head from now on. A slow subscriber loses the oldest ones.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<CanonicalChange>> {
        self.changes.subscribe()
    }

    fn send(&self, event: Event) -> Result<(), ChainError> {
        self.events.try_send(event).map_err(|error| match error {
            TrySendError::Full(_) => ChainError::Overloaded(QUEUE),
            TrySendError::Disconnected(_) => ChainError::Stopped,
        })
    }

    async fn ask<T>(
        &self,
        event: impl FnOnce(oneshot::Sender<T>) -> Event,
    ) -> Result<T, ChainError> {
        let (reply, answer) = oneshot::channel();
        self.send(event(reply))?;
        answer.await.map_err(|_| ChainError::Stopped)
    }

    fn ask_blocking<T>(&self, event: impl FnOnce(Sender<T>) -> Event) -> Result<T, ChainError> {
        let (reply, answer) = bounded(1);
        self.events.send(event(reply)).map_err(|_| ChainError::Stopped)?;
        answer.recv().map_err(|_| ChainError::Stopped)
    }
}
