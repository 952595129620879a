//! The state roots of a `wide` chain: computed block by block on a thread of their own, off the way
//! of execution, and waited for only by a header that commits to one that is not ready.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use banyan_chainspec::{ChainSpec, WideParams};
use banyan_primitives::{B256, B256Map, BlockRef, StateSource};
use banyan_storage::{BlockRead, Database};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{ChainError, ChainView, machine::Chain, preload::Prepared, root_tree::RootTree};

/// What is known of the roots of a `wide` chain, and what its headers carry of it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Roots {
    book: Arc<Book>,
    db: Database,
    params: WideParams,
    genesis: u64,
}

/// By block hash, not by height: headers after a reorg may commit to a state before it.
#[derive(Debug, Default)]
struct Book {
    entries: Mutex<Entries>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Entries {
    roots: B256Map<Entry>,
    pending: usize,
    /// At least as many entries are `Failed`.
    failed: usize,
    /// The thread has ended: what is pending stays so.
    stopped: bool,
    /// For tests: the thread begins with nothing new.
    held: bool,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    root: Root,
}

#[derive(Debug)]
enum Root {
    Pending,
    Known(B256),
    Failed(ChainError),
}

impl Entries {
    fn leave(&mut self, block: BlockRef, result: Result<B256, ChainError>) {
        let root = match result {
            Ok(root) => Root::Known(root),
            Err(error) => {
                // Of a block whose ancestors have left the chain; it is tried again if they return.
                tracing::debug!(number = block.number, hash = %block.hash, %error, "no state root");
                self.failed += 1;
                Root::Failed(error)
            }
        };
        self.roots.insert(block.hash, Entry { number: block.number, root });
        self.pending = self.pending.saturating_sub(1);
    }
}

impl Roots {
    /// Those of `spec`'s chain in `db`; `None` if its headers do not lag.
    pub(crate) fn of(spec: &ChainSpec, db: &Database) -> Option<Self> {
        let params = spec.commitment.wide()?;
        let genesis = spec.genesis_header.number;
        Some(Self { book: Arc::default(), db: db.clone(), params, genesis })
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.book.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far headers lag.
    pub const fn params(&self) -> WideParams {
        self.params
    }

    /// Height of the block to whose state header `number` commits.
    pub const fn committed_by(&self, number: u64) -> u64 {
        self.params.committed_by(self.genesis, number)
    }

    /// Height of the first header that commits to the state after block `number`, if any does.
    pub const fn committed_in(&self, number: u64) -> Option<u64> {
        self.params.committed_in(self.genesis, number)
    }

    /// Blocks whose root is being computed or waits for that.
    pub fn queue_depth(&self) -> usize {
        self.entries().pending
    }

    /// What header `number` on `parent` carries as its state root. Waits if it is not ready, and says
    /// how long. Not to be called on a rayon thread: the one who computes needs those.
    pub fn of_header<S: StateSource>(
        &self,
        number: u64,
        parent: &S,
    ) -> Result<(B256, Duration), ChainError> {
        let committed = self.committed_by(number);
        let block = BlockRef::new(committed, parent.block_hash(committed)?);
        if let Some(root) = self.known(block)? {
            return Ok((root, Duration::ZERO));
        }
        let _span = tracing::debug_span!("root_wait", number, committed).entered();
        let started = Instant::now();
        let root = self.wait(block);
        let waited = started.elapsed();
        metrics::histogram!("banyan_root_wait_seconds").record(waited);
        Ok((root?, waited))
    }

    /// The root after a block, if it is known by now.
    pub fn known(&self, block: BlockRef) -> Result<Option<B256>, ChainError> {
        match self.entries().roots.get(&block.hash) {
            Some(Entry { root: Root::Known(root), .. }) => return Ok(Some(*root)),
            Some(Entry { root: Root::Pending, .. }) => return Ok(None),
            Some(Entry { root: Root::Failed(_), .. }) | None => {}
        }
        Ok(self.db.read()?.state_root(block)?)
    }

    fn wait(&self, block: BlockRef) -> Result<B256, ChainError> {
        let mut entries = self.entries();
        loop {
            match entries.roots.get(&block.hash).map(|entry| &entry.root) {
                Some(Root::Known(root)) => return Ok(*root),
                Some(Root::Failed(error)) => return Err(error.clone()),
                Some(Root::Pending) if !entries.stopped => {}
                Some(Root::Pending) => return Err(ChainError::Stopped),
                None => {
                    return Err(ChainError::Fault(format!("the root after {block} is not known")));
                }
            }
            entries = self.book.changed.wait(entries).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until nothing is pending any more.
    fn settle(&self) {
        let mut entries = self.entries();
        while entries.pending > 0 && !entries.stopped {
            entries = self.book.changed.wait(entries).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Enters a block whose root will be computed; false if that is done or under way.
    fn enter(&self, block: BlockRef) -> bool {
        let mut entries = self.entries();
        let there = entries.roots.get(&block.hash);
        if there.is_some_and(|entry| !matches!(entry.root, Root::Failed(_))) {
            return false;
        }
        entries.roots.insert(block.hash, Entry { number: block.number, root: Root::Pending });
        entries.pending += 1;
        true
    }

    /// Blocks whose root could not be computed.
    fn failed(&self) -> Vec<BlockRef> {
        let mut entries = self.entries();
        if std::mem::take(&mut entries.failed) == 0 {
            return Vec::new();
        }
        let failed = entries.roots.iter().filter(|(_, e)| matches!(e.root, Root::Failed(_)));
        let failed: Vec<_> = failed.map(|(hash, e)| BlockRef::new(e.number, *hash)).collect();
        entries.failed = failed.len();
        failed
    }

    /// Forgets what is stored, or on a branch that is given up.
    fn forget_below(&self, number: u64) {
        self.entries()
            .roots
            .retain(|_, entry| entry.number >= number || matches!(entry.root, Root::Pending));
    }

    /// For tests: the thread finishes what it is at, and begins nothing until it is let go.
    #[doc(hidden)]
    pub fn hold(&self, held: bool) {
        self.entries().held = held;
        self.book.changed.notify_all();
    }

    fn pass(&self) {
        let mut entries = self.entries();
        while entries.held && !entries.stopped {
            entries = self.book.changed.wait(entries).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn stop(&self) {
        self.entries().stopped = true;
        self.book.changed.notify_all();
    }
}

/// The chain thread's end of the thread that computes roots.
#[derive(Debug)]
pub(crate) struct RootWorker {
    pub(crate) roots: Roots,
    jobs: Option<Sender<BlockRef>>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl RootWorker {
    /// Starts it.
    pub(crate) fn spawn(
        roots: Roots,
        memory: u64,
        published: Arc<ArcSwap<ChainView>>,
        prepared: Prepared,
    ) -> std::io::Result<Self> {
        let params = roots.params;
        let tree = RootTree::new(roots.db.clone(), roots.clone(), memory);
        // Further behind than the lag, whoever brings another block waits.
        let (jobs, inbox) = bounded(usize::try_from(params.lag).unwrap_or(usize::MAX).min(64));
        let (ring, done) = bounded(1);
        let worker = Worker { roots: roots.clone(), tree, published, prepared, inbox, ring };
        let thread =
            std::thread::Builder::new().name("roots".into()).spawn(move || worker.run())?;
        Ok(Self { roots, jobs: Some(jobs), done, thread: Some(thread) })
    }

    /// Rings after each root.
    pub(crate) fn done(&self) -> Receiver<()> {
        self.done.clone()
    }

    /// Waits if it is too far behind.
    fn submit(&self, block: BlockRef) -> Result<(), ChainError> {
        let jobs = self.jobs.as_ref().ok_or(ChainError::Stopped)?;
        jobs.send(block).map_err(|_| ChainError::Stopped)
    }

    /// Ends the thread. What it has not begun stays undone.
    pub(crate) fn stop(&mut self) {
        self.jobs = None;
        self.roots.stop();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the state roots panicked");
        }
    }
}

struct Worker {
    roots: Roots,
    tree: RootTree,
    published: Arc<ArcSwap<ChainView>>,
    prepared: Prepared,
    inbox: Receiver<BlockRef>,
    ring: Sender<()>,
}

impl Worker {
    fn run(mut self) {
        self.prepare();
        while let Ok(block) = self.inbox.recv() {
            self.roots.pass();
            if self.roots.entries().stopped {
                break;
            }
            let started = Instant::now();
            while !self.settle(block) {}
            metrics::histogram!("banyan_root_seconds").record(started.elapsed());
            // Rings already, or nobody listens any more.
            let _ = self.ring.try_send(());
        }
    }

    /// An error is met again, and told, when a root is asked for.
    fn prepare(&mut self) {
        let started = Instant::now();
        let go_on = || !self.roots.entries().stopped;
        match self.tree.prepare(&self.published.load(), &go_on) {
            Ok(()) => tracing::debug!(elapsed = ?started.elapsed(), "the state's tree is ready"),
            Err(error) => tracing::warn!(%error, "the state's tree could not be built"),
        }
        let _ = self.prepared.set(());
    }

    /// Enters the root after a block, or why there is none; false if the chain has moved meanwhile,
    /// so that there may be one now.
    fn settle(&mut self, block: BlockRef) -> bool {
        let view = self.published.load_full();
        let result = self.tree.root_after(&view, block);
        // Locked while it is looked at: who moves the chain looks for failures afterwards.
        let mut entries = self.roots.entries();
        if result.is_err() && !Arc::ptr_eq(&view, &self.published.load()) && !entries.stopped {
            return false;
        }
        entries.leave(block, result);
        self.roots.book.changed.notify_all();
        true
    }
}

impl Drop for Worker {
    /// Also by a panic: nobody waits for it then.
    fn drop(&mut self) {
        self.roots.stop();
        let _ = self.prepared.set(());
    }
}

impl Chain {
    /// The roots, on a chain whose headers lag.
    pub(crate) fn roots(&self) -> Option<&Roots> {
        self.root_worker.as_ref().map(|worker| &worker.roots)
    }

    /// Has the roots computed that are missing on the branch of a block in memory, oldest first.
    /// After the view that holds the block is published.
    pub(crate) fn want_roots(&self, tip: BlockRef) -> Result<(), ChainError> {
        let Some(worker) = &self.root_worker else { return Ok(()) };
        for block in self.tree.branch(tip).blocks.iter().rev() {
            let block = block.block_ref();
            if worker.roots.committed_in(block.number).is_some() && worker.roots.enter(block) {
                worker.submit(block)?;
            }
        }
        Ok(())
    }

    /// The chain has moved: blocks without root may have got their ancestors back.
    pub(crate) fn retry_roots(&self) -> Result<(), ChainError> {
        for block in self.roots().map(Roots::failed).unwrap_or_default() {
            if self.tree.get(&block.hash).is_some() && self.available_header(&block.hash)?.is_some()
            {
                self.want_roots(block)?;
            }
        }
        Ok(())
    }

    /// Waits for all roots, the head's among them even if no header will carry it: before everything
    /// is written.
    pub(crate) fn settle_roots(&self) {
        let Some(worker) = &self.root_worker else { return };
        let head = BlockRef::from(self.tree.head());
        if self.tree.get(&head.hash).is_some() && worker.roots.enter(head) {
            // If the thread has ended, what has a root is written all the same.
            let _ = worker.submit(head);
        }
        worker.roots.settle();
    }

    /// Old roots are in the database by now, or belong to branches that are dropped.
    pub(crate) fn forget_roots(&self, below: u64) {
        if let Some(roots) = self.roots() {
            roots.forget_below(below);
        }
    }
}

/// Opens with the rule of its chain, or not at all.
pub(crate) fn check_keys(spec: &ChainSpec, db: &Database) -> Result<(), ChainError> {
    let (keys, wanted) = (db.keys(), spec.commitment.keys());
    if keys == wanted {
        return Ok(());
    }
    Err(ChainError::Fault(format!("the database was opened for {keys:?} keys, not {wanted:?}")))
}
