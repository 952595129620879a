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
