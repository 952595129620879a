use std::sync::Arc;

use alloy_consensus::BlockHeader;

use crate::{Address, B256, Header, Sealable, Sealed, Transaction};

/// A header with its hash. `.hash()` is the block hash.
pub type SealedHeader = Sealed<Header>;
/// A block as it stands in RLP: header, transactions, ommers, withdrawals.
pub type Block = alloy_consensus::Block<Transaction>;
/// The body of a [`Block`].
pub type BlockBody = alloy_consensus::BlockBody<Transaction>;

/// Names one block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BlockRef {
    /// Height.
    pub number: u64,
    /// Block hash.
    pub hash: B256,
}

impl BlockRef {
    /// Names the block of `number` and `hash`.
    pub const fn new(number: u64, hash: B256) -> Self {
        Self { number, hash }
    }
}

impl From<&SealedHeader> for BlockRef {
    fn from(header: &SealedHeader) -> Self {
        Self { number: header.number(), hash: header.hash() }
    }
}

impl std::fmt::Display for BlockRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.number, self.hash)
    }
}

/// A block whose hash is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBlock {
    /// Header with hash.
    pub header: SealedHeader,
    /// Transactions, ommers, withdrawals.
    pub body: BlockBody,
}

impl SealedBlock {
    /// Hashes the header of `block`.
    pub fn seal(block: Block) -> Self {
        let (header, body) = (block.header, block.body);
        Self { header: header.seal_slow(), body }
    }

    /// Height and hash.
    pub fn block_ref(&self) -> BlockRef {
        (&self.header).into()
    }

    /// Block hash.
    pub fn hash(&self) -> B256 {
        self.header.hash()
    }

    /// Height.
    pub fn number(&self) -> u64 {
        self.header.number
    }

    /// Height and hash of the parent. Block 0 names itself as number 0.
    pub fn parent_ref(&self) -> BlockRef {
        BlockRef::new(self.header.number.saturating_sub(1), self.header.parent_hash)
    }

    /// The plain block, for RLP.
    pub fn to_block(&self) -> Block {
        Block { header: self.header.inner().clone(), body: self.body.clone() }
    }
}

/// A sealed block with the sender of each transaction.
///
/// `senders.len() == block.body.transactions.len()`, same order. Shared freely: the block is
/// behind an `Arc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredBlock {
    /// The block.
    pub block: Arc<SealedBlock>,
    /// Sender of each transaction, in order.
    pub senders: Arc<[Address]>,
}

impl RecoveredBlock {
    /// Joins a block with its senders; the caller vouches that they belong together.
    pub fn new(block: SealedBlock, senders: Vec<Address>) -> Self {
        debug_assert_eq!(block.body.transactions.len(), senders.len());
        Self { block: Arc::new(block), senders: senders.into() }
    }

    /// Transactions with their senders, in block order.
    pub fn transactions(&self) -> impl ExactSizeIterator<Item = (&Transaction, Address)> {
        self.block.body.transactions.iter().zip(self.senders.iter().copied())
    }
}

impl std::ops::Deref for RecoveredBlock {
    type Target = SealedBlock;

    fn deref(&self) -> &SealedBlock {
        &self.block
    }
}
