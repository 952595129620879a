//! The persistence thread: old canonical blocks go to the database, one write transaction a batch,
//! markers in the same transaction. At most one batch is in flight.

use std::{sync::Arc, thread::JoinHandle, time::Instant};

use banyan_primitives::{B256, BlockRef, RecoveredBlock, SealedHeader};
use banyan_state::{FlatState, persist_layers, unwind, write_nodes};
use banyan_storage::{BlockRead, Database, Journal, Markers, StorageError};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{ChainError, ExecutedBlock, commit::rows, machine::Chain};

/// Added to the niceness of the thread that writes: it gets a quarter of a processor that others want.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 6;

/// Canonical blocks to write, oldest first, the first one a child of the persisted tip.
#[derive(Debug)]
struct PersistBatch {
    blocks: Vec<Persistable>,
    markers: Markers,
    /// How far the journal has come.
    journal: u64,
    /// Flush the database too, so that the journal can let go of these blocks.
    flush: bool,
}

/// A block with the root after it, where that does not stand in its own header.
pub(crate) type Persistable = (Arc<ExecutedBlock>, Option<B256>);

/// A batch that was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Persisted {
    tip: BlockRef,
    flushed: bool,
}

type PersistResult = Result<Persisted, StorageError>;

/// The chain thread's end of the persistence thread.
#[derive(Debug)]
pub(crate) struct Persister {
    jobs: Option<Sender<PersistBatch>>,
    results: Receiver<PersistResult>,
    /// Height that the batch in flight leads to.
    in_flight: Option<u64>,
    thread: Option<JoinHandle<()>>,
}

impl Persister {
    pub(crate) fn spawn(db: Database) -> std::io::Result<Self> {
        // Rayon's threads inherit the priority of whoever wants them first: not that one's.
        rayon::current_num_threads();
        let (jobs, inbox) = bounded::<PersistBatch>(1);
        let (outbox, results) = bounded(1);
        let thread = std::thread::Builder::new().name("persist".into()).spawn(move || {
            give_way();
            for batch in inbox {
                if outbox.send(write(&db, &batch)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), results, in_flight: None, thread: Some(thread) })
    }

    /// Where results arrive.
    pub(crate) fn results(&self) -> Receiver<PersistResult> {
        self.results.clone()
    }

    /// Height that the batch in flight leads to, if there is one.
    pub(crate) const fn target(&self) -> Option<u64> {
        self.in_flight
    }

    fn send(&mut self, batch: PersistBatch) -> Result<(), ChainError> {
        let jobs = self.jobs.as_ref().ok_or(ChainError::Stopped)?;
        let target = batch.markers.head.number;
        jobs.send(batch).map_err(|_| ChainError::Stopped)?;
        self.in_flight = Some(target);
        Ok(())
    }

    /// Ends the thread after its last batch.
    pub(crate) fn stop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the persistence thread panicked");
        }
    }
}

/// The calling thread gives way to those that answer: on a machine with few cores both are busy at
/// once. Whoever waits for it after all does not compete with it.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS)
    {
        tracing::debug!(%error, "blocks are written at normal priority");
    }
}

fn write(db: &Database, batch: &PersistBatch) -> PersistResult {
    let started = Instant::now();
    let txn = db.write()?;
    let rows = rows(&FlatState::new(&txn), &batch.blocks)?;
    let mut tip = BlockRef::default();
    for (executed, root) in &batch.blocks {
        tip = executed.block_ref();
        txn.put_block(&executed.block, &executed.output.receipts)?;
        txn.set_canonical(&executed.block)?;
        if let Some(root) = root {
            txn.put_state_root(tip, root)?;
        }
    }
    persist_layers(&txn, batch.blocks.iter().map(|(executed, _)| &*executed.layer))?;
    write_nodes(&txn, &rows)?;
    txn.set_markers(&batch.markers)?;
    txn.set_journal_sequence(batch.journal)?;
    txn.commit()?;
    // It is written, whatever comes of the flush.
    let flushed = batch.flush && flush(db);
    metrics::histogram!("banyan_block_persist_seconds")
        .record(started.elapsed() / u32::try_from(batch.blocks.len()).unwrap_or(u32::MAX).max(1));
    Ok(Persisted { tip, flushed })
}

fn flush(db: &Database) -> bool {
    let result = db.sync();
    if let Err(error) = &result {
        tracing::error!(%error, "database could not be flushed to disk");
    }
    result.is_ok()
}

impl Chain {
    /// Unpersisted blocks beyond those that are kept in memory.
    fn backlog(&self) -> u64 {
        let unpersisted = self.tree.head().number - self.tree.persisted().number;
        unpersisted.saturating_sub(self.config.keep_blocks)
    }

    /// Called before the chain grows. If the disk is slower than the chain, waits for it: answering
    /// more slowly instead of growing. If it fails, fails too, as long as it does.
    pub(crate) fn wait_for_disk(&mut self) -> Result<(), ChainError> {
        if self.backlog() > self.config.max_unpersisted_blocks {
            self.finish_persisting()?;
            if self.backlog() > self.config.max_unpersisted_blocks {
                self.persist_if_due()?;
                self.finish_persisting()?;
            }
        }
        Ok(())
    }

    /// Starts a write if enough blocks are old enough, or called safe by the CL.
    pub(crate) fn persist_if_due(&mut self) -> Result<(), ChainError> {
        let aged = self.tree.head().number.saturating_sub(self.config.keep_blocks);
        let safe = self.safe.as_ref().map_or(0, |safe| safe.number);
        let target = aged.max(safe);
        let ready = target.saturating_sub(self.tree.persisted().number);
        let most = self.config.max_unpersisted_blocks.max(1);
        match ready >= self.config.persist_threshold.clamp(1, most) {
            true => self.start_persisting(target),
            false => Ok(()),
        }
    }

    /// Starts writing canonical blocks up to `target`, unless a write is in flight.
    fn start_persisting(&mut self, target: u64) -> Result<(), ChainError> {
        if self.persister.in_flight.is_some() || target <= self.tree.persisted().number {
            return Ok(());
        }
        let blocks = self.persistable(target)?;
        let Some(tip) = blocks.last().map(|(block, _)| block.block_ref()) else { return Ok(()) };
        let markers = self.markers(tip);
        let flush = self.journal.as_ref().is_some_and(Journal::wants_release);
        let journal = self.journal_sequence();
        self.persister.send(PersistBatch { blocks, markers, journal, flush })
    }

    /// Canonical blocks up to `target`, oldest first; where headers lag, as far as a root is known:
    /// whoever computes the next one begins with what is stored.
    fn persistable(&self, target: u64) -> Result<Vec<Persistable>, ChainError> {
        let blocks = self.tree.canonical().iter().take_while(|b| b.block.number() <= target);
        let Some(roots) = self.roots() else {
            return Ok(blocks.map(|block| (Arc::clone(block), None)).collect());
        };
        let (mut found, mut sealed) = (Vec::new(), 0);
        for block in blocks {
            let root = roots.known(block.block_ref())?;
            if root.is_none() && roots.committed_in(block.block.number()).is_some() {
                break;
            }
            found.push((Arc::clone(block), root));
            sealed = if root.is_some() { found.len() } else { sealed };
        }
        found.truncate(sealed);
        Ok(found)
    }

    /// Markers as they may stand on disk with `tip` as the newest block: finalized ≤ safe ≤ tip.
    fn markers(&self, tip: BlockRef) -> Markers {
        let clip = |label: &Option<SealedHeader>| {
            label
                .as_ref()
                .map(|header| if header.number > tip.number { tip } else { header.into() })
        };
        Markers { head: tip, safe: clip(&self.safe), finalized: clip(&self.finalized) }
    }

    fn journal_sequence(&self) -> u64 {
        self.journal.as_ref().map_or(0, Journal::sequence)
    }

    /// A batch is on disk: its blocks leave memory.
    pub(crate) fn on_persisted(&mut self, result: PersistResult) -> Result<(), ChainError> {
        self.persister.in_flight = None;
        let done = result.map_err(|error| ChainError::Write(error.to_string()))?;
        let floor = self.tree.advance_persisted(done.tip);
        self.forget_roots(floor);
        if done.flushed
            && let Some(journal) = &mut self.journal
        {
            journal.release(done.tip.number);
        }
        self.last_reverse = None;
        self.publish();
        Ok(())
    }

    /// Waits for the batch in flight, if any.
    pub(crate) fn finish_persisting(&mut self) -> Result<(), ChainError> {
        if self.persister.in_flight.is_none() {
            return Ok(());
        }
        let result = self.persister.results.recv().map_err(|_| ChainError::Stopped)?;
        self.on_persisted(result)
    }

    /// Writes everything canonical, and the markers.
    pub(crate) fn persist_all(&mut self) -> Result<(), ChainError> {
        self.settle_roots();
        self.finish_persisting()?;
        self.start_persisting(self.tree.head().number)?;
        self.finish_persisting()?;
        let markers = self.markers(self.tree.persisted());
        let txn = self.db.write()?;
        txn.set_markers(&markers)?;
        txn.set_journal_sequence(self.journal_sequence())?;
        txn.commit()?;
        self.release_journal()
    }

    /// Flushes the database, so that the journal can let go of what it holds.
    pub(crate) fn release_journal(&mut self) -> Result<(), ChainError> {
        self.db.sync()?;
        let durable = self.tree.persisted().number;
        if let Some(journal) = &mut self.journal {
            journal.release(durable);
        }
        Ok(())
    }

    /// Takes the database back to `ancestor`, and nothing else; gives back the ancestor's header and
    /// the blocks that left the chain, oldest first. They stay readable by hash.
    pub(crate) fn unwind_database(
        &mut self,
        ancestor: BlockRef,
    ) -> Result<(SealedHeader, Vec<RecoveredBlock>), ChainError> {
        let tip = self.tree.persisted();
        let reverse = self.reverse_layer(ancestor)?;
        let mut reverted = Vec::new();
        let txn = self.db.write()?;
        for number in ancestor.number + 1..=tip.number {
            let hash = txn.canonical_hash(number)?.unwrap_or_default();
            let Some(block) = txn.block(BlockRef::new(number, hash))? else {
                return Err(ChainError::Fault(format!("canonical block {number} is missing")));
            };
            txn.remove_canonical(number)?;
            reverted.push(block);
        }
        unwind(&txn, ancestor, &reverse)?;
        let Some(header) = txn.header(ancestor)? else {
            return Err(ChainError::Fault(format!("header {ancestor} is missing")));
        };
        txn.set_markers(&self.markers(ancestor))?;
        txn.set_journal_sequence(self.journal_sequence())?;
        txn.commit()?;
        self.last_reverse = None;
        Ok((header, reverted))
    }
}
