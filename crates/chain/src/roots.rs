//! The state roots of a `wide` chain: computed block by block on a thread of their own, off the way
//! of execution, and waited for only by a header that commits to one that is not ready.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Instant,
};

use banyan_chainspec::{ChainSpec, WideParams};
use banyan_commitment::wide::wide_root;
use banyan_primitives::{B256, B256Map, BlockRef, StateSource};
use banyan_state::SharedView;
use banyan_storage::{BlockRead, Database};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{ChainError, machine::Chain, tree::Branch, view::from_tip};

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

impl Roots {
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

    /// What header `number` on `parent` carries as its state root. Waits if it is not ready. Not to
    /// be called on a rayon thread: the one who computes needs those.
    pub fn of_header<S: StateSource>(&self, number: u64, parent: &S) -> Result<B256, ChainError> {
        let committed = self.committed_by(number);
        let block = BlockRef::new(committed, parent.block_hash(committed)?);
        if let Some(root) = self.known(block)? {
            return Ok(root);
        }
        let started = Instant::now();
        let root = self.wait(block);
        metrics::histogram!("banyan_root_wait_seconds").record(started.elapsed());
        root
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

    fn leave(&self, block: BlockRef, result: Result<B256, ChainError>) {
        if let Err(error) = &result {
            tracing::error!(number = block.number, hash = %block.hash, %error, "no state root");
        }
        let mut entries = self.entries();
        let root = result.map_or_else(Root::Failed, Root::Known);
        entries.roots.insert(block.hash, Entry { number: block.number, root });
        entries.pending = entries.pending.saturating_sub(1);
        self.book.changed.notify_all();
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

/// A block whose root is wanted: the newest one of a branch.
struct Job {
    block: BlockRef,
    branch: Branch,
}

/// The chain thread's end of the thread that computes roots.
#[derive(Debug)]
pub(crate) struct RootWorker {
    pub(crate) roots: Roots,
    jobs: Option<Sender<Job>>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl RootWorker {
    /// Starts it; `None` on a chain whose headers do not lag.
    pub(crate) fn spawn(spec: &ChainSpec, db: &Database) -> std::io::Result<Option<Self>> {
        let Some(params) = spec.commitment.wide() else { return Ok(None) };
        let genesis = spec.genesis_header.number;
        let roots = Roots { book: Arc::default(), db: db.clone(), params, genesis };
        // Further behind than the lag, whoever brings another block waits.
        let (jobs, inbox) = bounded(usize::try_from(params.lag).unwrap_or(usize::MAX).min(64));
        let (ring, done) = bounded(1);
        let worker = Worker { roots: roots.clone(), inbox, ring };
        let thread =
            std::thread::Builder::new().name("roots".into()).spawn(move || worker.run())?;
        Ok(Some(Self { roots, jobs: Some(jobs), done, thread: Some(thread) }))
    }

    /// Rings after each root.
    pub(crate) fn done(&self) -> Receiver<()> {
        self.done.clone()
    }

    fn submit(&self, block: BlockRef, branch: Branch) -> Result<(), ChainError> {
        let jobs = self.jobs.as_ref().ok_or(ChainError::Stopped)?;
        jobs.send(Job { block, branch }).map_err(|_| ChainError::Stopped)
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
    inbox: Receiver<Job>,
    ring: Sender<()>,
}

impl Worker {
    fn run(self) {
        while let Ok(job) = self.inbox.recv() {
            self.roots.pass();
            if self.roots.entries().stopped {
                break;
            }
            let started = Instant::now();
            let result = self.root(&job);
            metrics::histogram!("banyan_root_seconds").record(started.elapsed());
            self.roots.leave(job.block, result);
            // Rings already, or nobody listens any more.
            let _ = self.ring.try_send(());
        }
    }

    /// Over what is stored, whatever that is by now: never past a block without root.
    fn root(&self, job: &Job) -> Result<B256, ChainError> {
        let (tip, change) = from_tip(&self.roots.db, &job.branch)?;
        Ok(wide_root(&SharedView::new(&tip, 0), &change)?.root)
    }
}

impl Drop for Worker {
    /// Also by a panic: nobody waits for it then.
    fn drop(&mut self) {
        self.roots.stop();
    }
}

impl Chain {
    /// The roots, on a chain whose headers lag.
    pub(crate) fn roots(&self) -> Option<&Roots> {
        self.root_worker.as_ref().map(|worker| &worker.roots)
    }

    /// Has the roots computed that are missing on the branch of a block in memory.
    pub(crate) fn want_roots(&self, tip: BlockRef) -> Result<(), ChainError> {
        let Some(worker) = &self.root_worker else { return Ok(()) };
        let branch = self.tree.branch(tip);
        for (index, block) in branch.blocks.iter().enumerate().rev() {
            if worker.roots.enter(block.block_ref()) {
                let blocks = branch.blocks.iter().skip(index).cloned().collect();
                worker.submit(block.block_ref(), Branch { blocks, base: branch.base })?;
            }
        }
        Ok(())
    }

    /// Waits for all roots: before everything is written.
    pub(crate) fn settle_roots(&self) {
        if let Some(roots) = self.roots() {
            roots.settle();
        }
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
