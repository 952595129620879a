//! The torture's own copy of the block tree: what a consensus client would know.

use std::{collections::HashMap, rc::Rc};

use banyan_primitives::B256;
use serde_json::Value;

use crate::wallet::State;

/// A block that the client built.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Its hash.
    pub(crate) hash: B256,
    /// Its parent's hash.
    pub(crate) parent: B256,
    /// Its number.
    pub(crate) number: u64,
    /// Its timestamp.
    pub(crate) timestamp: u64,
    /// Parameters of its newPayload request; `Null` for genesis.
    pub(crate) new_payload: Value,
    /// The state after it.
    pub(crate) state: Rc<State>,
}

/// What forkchoiceUpdated says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Labels {
    /// The head.
    pub(crate) head: B256,
    /// The safe block, if there is one yet.
    pub(crate) safe: Option<B256>,
    /// The finalized block, if there is one yet.
    pub(crate) finalized: Option<B256>,
}

/// All blocks that were ever built.
pub(crate) struct Book {
    blocks: HashMap<B256, Block>,
}

impl Book {
    /// A tree of genesis alone.
    pub(crate) fn new(genesis: Block) -> Self {
        Self { blocks: HashMap::from([(genesis.hash, genesis)]) }
    }

    /// Adds a block whose parent is there.
    pub(crate) fn add(&mut self, block: Block) {
        self.blocks.insert(block.hash, block);
    }

    /// How many blocks there are.
    pub(crate) fn len(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// A block that may be unknown.
    pub(crate) fn get(&self, hash: B256) -> Option<&Block> {
        self.blocks.get(&hash)
    }

    /// A block of the tree.
    pub(crate) fn block(&self, hash: B256) -> &Block {
        self.blocks.get(&hash).expect("hashes that are asked for were added")
    }

    /// The ancestor `depth` blocks below `hash`; genesis if there are not as many.
    pub(crate) fn below(&self, hash: B256, depth: u64) -> &Block {
        let mut block = self.block(hash);
        for _ in 0..depth.min(block.number) {
            block = self.block(block.parent);
        }
        block
    }

    /// The block of that number on the chain that ends with `hash`.
    pub(crate) fn at(&self, hash: B256, number: u64) -> &Block {
        self.below(hash, self.block(hash).number.saturating_sub(number))
    }

    /// Newest block that both chains share.
    pub(crate) fn common(&self, one: B256, other: B256) -> &Block {
        let number = self.block(one).number.min(self.block(other).number);
        let (mut one, mut other) = (self.at(one, number), self.at(other, number));
        while one.hash != other.hash {
            (one, other) = (self.block(one.parent), self.block(other.parent));
        }
        one
    }

    /// Blocks of the chain that ends with `hash` above the block number `number`, oldest first.
    pub(crate) fn chain_above(&self, number: u64, hash: B256) -> Vec<B256> {
        let mut chain = Vec::new();
        let mut block = self.block(hash);
        while block.number > number {
            chain.push(block.hash);
            block = self.block(block.parent);
        }
        chain.reverse();
        chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Genesis 0, a chain 1 to 5, and a branch 13, 14 on block 2.
    fn book() -> Book {
        let block = |hash: u8, parent: u8, number| Block {
            hash: B256::with_last_byte(hash),
            parent: B256::with_last_byte(parent),
            number,
            timestamp: number,
            new_payload: Value::Null,
            state: Rc::new(State::genesis()),
        };
        let mut book = Book::new(block(0, 0, 0));
        (1..=5).for_each(|n| book.add(block(n, n - 1, n.into())));
        book.add(block(13, 2, 3));
        book.add(block(14, 13, 4));
        book
    }

    fn hash(n: u8) -> B256 {
        B256::with_last_byte(n)
    }

    #[test]
    fn ancestors_are_found_on_the_right_branch() {
        let book = book();
        assert_eq!(book.below(hash(5), 2).hash, hash(3));
        assert_eq!(book.below(hash(5), 99).hash, hash(0));
        assert_eq!(book.at(hash(14), 3).hash, hash(13));
        assert_eq!(book.common(hash(14), hash(5)).hash, hash(2));
        assert_eq!(book.common(hash(5), hash(3)).hash, hash(3));
        assert_eq!(book.chain_above(2, hash(14)), [hash(13), hash(14)]);
        assert!(book.chain_above(5, hash(5)).is_empty());
    }
}
