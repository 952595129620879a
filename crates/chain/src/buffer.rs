use std::{collections::VecDeque, num::NonZeroUsize};

use banyan_primitives::{B256, RecoveredBlock};
use lru::LruCache;

const CAPACITY: NonZeroUsize = NonZeroUsize::new(512).expect("not zero");
/// Most transactions kept in waiting blocks, so that a flood of large blocks cannot fill memory.
const MAX_TRANSACTIONS: usize = 200_000;

/// Blocks whose parent is unknown, kept until it comes. Bounded; the oldest goes first.
#[derive(Debug)]
pub(crate) struct OrphanBuffer {
    blocks: LruCache<B256, RecoveredBlock>,
    transactions: usize,
}

impl OrphanBuffer {
    pub(crate) fn new() -> Self {
        Self { blocks: LruCache::new(CAPACITY), transactions: 0 }
    }

    pub(crate) fn contains(&self, hash: &B256) -> bool {
        self.blocks.contains(hash)
    }

    pub(crate) fn insert(&mut self, block: RecoveredBlock) {
        self.transactions += block.senders.len();
        if let Some((_, old)) = self.blocks.push(block.hash(), block) {
            self.transactions -= old.senders.len();
        }
        while self.transactions > MAX_TRANSACTIONS {
            let Some((_, old)) = self.blocks.pop_lru() else { break };
            self.transactions -= old.senders.len();
        }
    }

    /// Takes out the blocks that wait for `parent`.
    pub(crate) fn take_children(&mut self, parent: &B256) -> VecDeque<RecoveredBlock> {
        let waiting = self.blocks.iter().filter(|(_, block)| block.header.parent_hash == *parent);
        let hashes: Vec<B256> = waiting.map(|(hash, _)| *hash).collect();
        let children: VecDeque<_> =
            hashes.iter().filter_map(|hash| self.blocks.pop(hash)).collect();
        self.transactions -= children.iter().map(|block| block.senders.len()).sum::<usize>();
        children
    }
}

#[cfg(test)]
mod tests {
    use banyan_primitives::{Block, Header, SealedBlock};

    use super::*;

    fn block(parent: B256, number: u64) -> RecoveredBlock {
        let header = Header { parent_hash: parent, number, ..Default::default() };
        let block = Block { header, body: Default::default() };
        RecoveredBlock::new(SealedBlock::seal(block), Vec::new())
    }

    #[test]
    fn gives_back_the_children_of_a_parent_once() {
        let mut buffer = OrphanBuffer::new();
        let child = block(B256::repeat_byte(1), 5);
        let other = block(B256::repeat_byte(2), 5);
        buffer.insert(child.clone());
        buffer.insert(other.clone());
        assert!(buffer.contains(&child.hash()));
        assert_eq!(buffer.take_children(&B256::repeat_byte(1)), vec![child.clone()]);
        assert!(!buffer.contains(&child.hash()) && buffer.contains(&other.hash()));
        assert!(buffer.take_children(&B256::repeat_byte(1)).is_empty());
    }

    #[test]
    fn the_oldest_block_goes_when_the_buffer_is_full() {
        let mut buffer = OrphanBuffer::new();
        let first = block(B256::ZERO, 0);
        buffer.insert(first.clone());
        for number in 1..=CAPACITY.get() as u64 {
            buffer.insert(block(B256::ZERO, number));
        }
        assert!(!buffer.contains(&first.hash()));
    }
}
