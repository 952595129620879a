//! At a start the state's tries are read into memory, if they fit, so that no block has to: beside
//! everything else, and part by part, so that blocks can go on.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use banyan_commitment::{Filled, Trees, Walk};
use banyan_state::SharedView;
use banyan_storage::{Database, StorageError, Table};

use crate::{ChainError, ChainView, Commitments, machine::Chain};

/// Accounts, and slots, of a part: a block waits for the processor as long as one takes, at most.
const PART: usize = 2048;

/// Bytes that a leaf takes in memory with what is above it, about.
const LEAF: u64 = 224;

/// Pause after a part was too late for the state that it was read of.
const PAUSE: Duration = Duration::from_millis(20);

/// Set once whatever is read at the start is in memory, or will not be.
pub(crate) type Prepared = Arc<OnceLock<()>>;

/// Sets it, also after a panic: nobody waits for ever.
struct Done(Prepared);

impl Drop for Done {
    fn drop(&mut self) {
        let _ = self.0.set(());
    }
}

/// The chain thread's end of the thread that reads.
#[derive(Debug)]
pub(crate) struct Preloader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Preloader {
    /// Starts it.
    pub(crate) fn spawn(
        trees: Arc<Trees>,
        published: Arc<ArcSwap<ChainView>>,
        prepared: Prepared,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("preload".into()).spawn(move || {
            let _done = Done(prepared);
            let started = Instant::now();
            let go_on = || !stopping.load(Ordering::Relaxed);
            match fill(&trees, &published, go_on) {
                Ok(()) => {
                    let (bytes, elapsed) = (trees.bytes(), started.elapsed());
                    tracing::debug!(bytes, ?elapsed, "the state's tries are in memory");
                }
                // A block that meets it again says so.
                Err(error) => tracing::warn!(%error, "the state's tries could not be read ahead"),
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that reads the state's tries panicked");
        }
    }
}

impl Chain {
    /// Starts reading the tries, if this chain has any and they fit.
    pub(crate) fn preload(&mut self) -> Result<(), ChainError> {
        let Commitments::Own(trees) = &self.commitments else { return Ok(()) };
        if is_too_large(&self.db, LEAF, self.config.root_memory)? {
            let _ = self.prepared.set(());
            return Ok(());
        }
        let (published, prepared) = (Arc::clone(&self.published), Arc::clone(&self.prepared));
        let preloader = Preloader::spawn(Arc::clone(trees), published, prepared)
            .map_err(|error| ChainError::Fault(format!("cannot start a thread: {error}")))?;
        self.preloader = Some(preloader);
        Ok(())
    }
}

fn fill(
    trees: &Trees,
    published: &ArcSwap<ChainView>,
    go_on: impl Fn() -> bool,
) -> Result<(), ChainError> {
    let mut walk = Walk::all(PART);
    while go_on() {
        match fill_part(trees, &published.load(), &mut walk) {
            Ok(Filled::Some) => {}
            Ok(Filled::All) => return Ok(()),
            Ok(Filled::Elsewhere) => std::thread::sleep(PAUSE),
            Err(error) if error.is_stale() => std::thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn fill_part(trees: &Trees, view: &ChainView, walk: &mut Walk) -> Result<Filled, ChainError> {
    let state = view.trie_state_at(&view.head().hash())?;
    let Some(state) = state else { return Ok(Filled::Elsewhere) };
    Ok(trees.fill(&SharedView::new(&state, 0), walk)?)
}

/// True if the leaves of the stored state, of so many bytes each, are more than `memory` bytes.
pub(crate) fn is_too_large(db: &Database, leaf: u64, memory: u64) -> Result<bool, StorageError> {
    let stats = db.stats()?;
    let state = [Table::HashedAccounts, Table::HashedStorages];
    let entries = stats.tables.iter().filter(|stats| state.contains(&stats.table));
    let leaves: u64 = entries.map(|stats| stats.entries).sum();
    Ok(leaves.saturating_mul(leaf) > memory)
}
