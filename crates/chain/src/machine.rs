use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwap;
use banyan_chainspec::ChainSpec;
use banyan_executor::{BlockAccesses, Executor};
use banyan_primitives::{B256, BlockRef, RecoveredBlock, SealedHeader, SourceError};
use banyan_state::{Layer, StateView};
use banyan_storage::{BlockRead, Database, Journal, StorageError};
use lru::LruCache;
use tokio::sync::broadcast;

use crate::{
    CanonicalChange, ChainConfig, ChainError, ChainView, Commitments, ExecutedBlock,
    buffer::OrphanBuffer,
    difficulty::TotalDifficulties,
    invalid::InvalidCache,
    persist::Persister,
    preload::{Preloader, Prepared},
    roots::RootWorker,
    tree::BlockTree,
    view::reverse_layer,
};

/// Retries when the database moves under a read; each waits for the write in flight.
const STALE_RETRIES: usize = 3;

/// The state machine of the chain: owned by one thread, driven by one event at a time.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) db: Database,
    pub(crate) config: ChainConfig,
    pub(crate) executor: Arc<Executor>,
    pub(crate) tree: BlockTree,
    pub(crate) invalid: InvalidCache,
    pub(crate) buffer: OrphanBuffer,
    /// Blocks we built and executed, but that no newPayload has named yet. Until then they are not
    /// on the tree: the consensus client may discard them, or find fault with what came along
    /// (blob hashes).
    pub(crate) built: LruCache<B256, Arc<ExecutedBlock>>,
    /// What recent blocks touched: one that was persisted and reverted may have to run again.
    pub(crate) accesses: LruCache<B256, Arc<BlockAccesses>>,
    pub(crate) total_difficulties: TotalDifficulties,
    pub(crate) safe: Option<SealedHeader>,
    pub(crate) finalized: Option<SealedHeader>,
    pub(crate) persister: Persister,
    pub(crate) commitments: Commitments,
    /// Computes the roots of a chain whose headers lag; `None` on others.
    pub(crate) root_worker: Option<RootWorker>,
    /// Reads the tries of other chains at a start.
    pub(crate) preloader: Option<Preloader>,
    pub(crate) prepared: Prepared,
    /// Makes acknowledged heads durable; `None` if that was not asked for.
    pub(crate) journal: Option<Journal>,
    pub(crate) published: Arc<ArcSwap<ChainView>>,
    pub(crate) changes: broadcast::Sender<Arc<CanonicalChange>>,
    /// Side branches often share their base: the last reverse layer, with the persisted tip it
    /// leads from.
    pub(crate) last_reverse: Option<(BlockRef, Arc<Layer>)>,
    /// Set when the node stops: what still waits for the thread is not done any more.
    pub(crate) stopping: Arc<AtomicBool>,
}

impl Chain {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Runs `read` on the state after `block`; on a stale view, again on a fresh one.
    pub(crate) fn with_state<T>(
        &mut self,
        block: BlockRef,
        mut read: impl FnMut(&Self, &StateView) -> Result<T, ChainError>,
    ) -> Result<T, ChainError> {
        let mut attempt = 0;
        loop {
            match self.open_state(block).and_then(|view| read(self, &view)) {
                Err(error) if error.is_stale() && attempt < STALE_RETRIES => {
                    attempt += 1;
                    self.finish_persisting()?;
                }
                result => return result,
            }
        }
    }

    fn open_state(&mut self, block: BlockRef) -> Result<StateView, ChainError> {
        let branch = self.tree.branch(block);
        let mut layers = branch.layers();
        if branch.base != self.tree.persisted() {
            layers.push(self.reverse_layer(branch.base)?);
        }
        Ok(StateView::new(&self.db, layers, block)?)
    }

    /// The layer that leads from the persisted tip back to its ancestor `base`.
    pub(crate) fn reverse_layer(&mut self, base: BlockRef) -> Result<Arc<Layer>, ChainError> {
        let tip = self.tree.persisted();
        match &self.last_reverse {
            Some((from, layer)) if *from == tip && layer.block == base => Ok(Arc::clone(layer)),
            _ => {
                let layer = Arc::new(reverse_layer(&self.db, base)?);
                if layer.parent == tip {
                    self.last_reverse = Some((tip, Arc::clone(&layer)));
                }
                Ok(layer)
            }
        }
    }

    /// Header of a block whose state can be had at once: canonical and persisted, or in memory
    /// with all its ancestors down to such a block.
    pub(crate) fn available_header(&self, hash: &B256) -> Result<Option<SealedHeader>, ChainError> {
        if let Some(block) = self.tree.get(hash) {
            let base = self.tree.branch(block.block_ref()).base;
            let available = self.is_persisted(&base)?;
            return Ok(available.then(|| block.block.block.header.clone()));
        }
        let txn = self.db.read()?;
        let Some(block) = txn.block_ref(hash)? else { return Ok(None) };
        if txn.canonical_hash(block.number)? != Some(*hash) {
            return Ok(None);
        }
        Ok(txn.header(block)?)
    }

    fn is_persisted(&self, block: &BlockRef) -> Result<bool, ChainError> {
        let tip = self.tree.persisted();
        let canonical = || self.db.read()?.canonical_hash(block.number);
        Ok(*block == tip || (block.number < tip.number && canonical()? == Some(block.hash)))
    }

    /// A block that is stored but neither canonical nor in memory (reverted earlier).
    pub(crate) fn reverted_block(&self, hash: &B256) -> Result<Option<RecoveredBlock>, ChainError> {
        let txn = self.db.read()?;
        let Some(block) = txn.block_ref(hash)? else { return Ok(None) };
        Ok(txn.block(block)?)
    }

    /// Builds and publishes the view of the present moment.
    pub(crate) fn publish(&self) -> Arc<ChainView> {
        let view = Arc::new(ChainView::new(
            self.db.clone(),
            &self.tree,
            self.safe.clone(),
            self.finalized.clone(),
            self.commitments.clone(),
        ));
        self.published.store(Arc::clone(&view));
        view
    }
}

impl From<StorageError> for ChainError {
    fn from(error: StorageError) -> Self {
        Self::Source(SourceError::from(error))
    }
}
