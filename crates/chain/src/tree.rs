use std::sync::Arc;

use banyan_primitives::{B256, B256Map, BlockRef, SealedHeader};
use banyan_state::Layer;

use crate::ExecutedBlock;

/// Side blocks this far below the persisted tip are dropped.
const SIDE_BLOCK_DEPTH: u64 = 256;

/// Executed blocks above the persisted tip, canonical and side branches.
///
/// Invariants: `canonical[i]` is the child of `canonical[i - 1]`; `canonical[0]` is the child of
/// `persisted`; every canonical block is in `blocks`.
#[derive(Clone, Debug)]
pub(crate) struct BlockTree {
    blocks: B256Map<Arc<ExecutedBlock>>,
    canonical: Vec<Arc<ExecutedBlock>>,
    persisted: SealedHeader,
}

/// The executed ancestors of a block down to one that is not in memory.
#[derive(Debug)]
pub(crate) struct Branch {
    /// Newest first.
    pub(crate) blocks: Vec<Arc<ExecutedBlock>>,
    /// The block below the oldest of `blocks` (or the block itself if it is not in memory).
    pub(crate) base: BlockRef,
}

impl Branch {
    /// Layers, newest first.
    pub(crate) fn layers(&self) -> Vec<Arc<Layer>> {
        self.blocks.iter().map(|block| Arc::clone(&block.layer)).collect()
    }
}

impl BlockTree {
    /// An empty tree over the persisted tip.
    pub(crate) fn new(persisted: SealedHeader) -> Self {
        Self { blocks: B256Map::default(), canonical: Vec::new(), persisted }
    }

    pub(crate) fn persisted(&self) -> BlockRef {
        (&self.persisted).into()
    }

    pub(crate) fn get(&self, hash: &B256) -> Option<&Arc<ExecutedBlock>> {
        self.blocks.get(hash)
    }

    /// Unpersisted canonical blocks, oldest first.
    pub(crate) fn canonical(&self) -> &[Arc<ExecutedBlock>] {
        &self.canonical
    }

    pub(crate) fn canonical_at(&self, number: u64) -> Option<&Arc<ExecutedBlock>> {
        let index = number.checked_sub(self.persisted.number + 1)?;
        self.canonical.get(usize::try_from(index).ok()?)
    }

    /// Newest canonical block.
    pub(crate) fn head(&self) -> &SealedHeader {
        self.canonical.last().map_or(&self.persisted, |block| &block.block.block.header)
    }

    pub(crate) fn is_canonical(&self, block: &BlockRef) -> bool {
        self.persisted() == *block
            || self.canonical_at(block.number).is_some_and(|found| found.block_ref() == *block)
    }

    pub(crate) fn insert(&mut self, block: Arc<ExecutedBlock>) {
        self.blocks.insert(block.block.hash(), block);
    }

    /// Climbs from a block down to the first one that is not in memory.
    pub(crate) fn branch(&self, tip: BlockRef) -> Branch {
        let mut branch = Branch { blocks: Vec::new(), base: tip };
        while let Some(block) = self.blocks.get(&branch.base.hash) {
            if branch.base == self.persisted() {
                break;
            }
            branch.base = block.block.parent_ref();
            branch.blocks.push(Arc::clone(block));
        }
        branch
    }

    /// Cuts the canonical chain above `number` (at least the persisted tip); gives back what was
    /// cut, oldest first. The blocks stay in the tree as side blocks.
    pub(crate) fn truncate(&mut self, number: u64) -> Vec<Arc<ExecutedBlock>> {
        let keep = number.saturating_sub(self.persisted.number);
        let keep = usize::try_from(keep).unwrap_or(usize::MAX).min(self.canonical.len());
        self.canonical.split_off(keep)
    }

    /// Appends a child of the head to the canonical chain.
    pub(crate) fn append(&mut self, block: Arc<ExecutedBlock>) {
        assert_eq!(block.block.header.parent_hash, self.head().hash(), "not a child of the head");
        self.insert(Arc::clone(&block));
        self.canonical.push(block);
    }

    /// Moves the persisted tip up to a canonical block: it and its ancestors leave memory, and so
    /// do side blocks far below. Gives back the height below which none is left.
    pub(crate) fn advance_persisted(&mut self, tip: BlockRef) -> u64 {
        let count = self.canonical.iter().take_while(|block| block.block.number() <= tip.number);
        let count = count.count();
        for block in self.canonical.drain(..count) {
            self.blocks.remove(&block.block.hash());
            self.persisted = block.block.header.clone();
        }
        assert_eq!(self.persisted(), tip, "persisted a block that is not canonical");
        let floor = tip.number.saturating_sub(SIDE_BLOCK_DEPTH);
        self.blocks.retain(|_, block| block.block.number() >= floor);
        floor
    }

    /// Moves the persisted tip down to an ancestor, after the database was unwound to it.
    pub(crate) fn unwind_persisted(&mut self, tip: SealedHeader) {
        assert!(self.canonical.is_empty(), "canonical blocks above an unwound tip");
        self.persisted = tip;
    }
}
