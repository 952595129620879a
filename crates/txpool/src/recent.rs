use std::{num::NonZeroUsize, sync::Arc};

use banyan_primitives::{Address, B256};
use lru::LruCache;

use crate::PooledTransaction;

/// Senders remembered after their transaction left the pool: a block with it comes a moment later.
const SENDERS: NonZeroUsize = NonZeroUsize::new(32_768).expect("not zero");
/// Blob transactions kept after their inclusion, since a reorg brings them back without blobs.
const BLOB_TRANSACTIONS: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// What the pool remembers of transactions that it has no more. Bounded.
#[derive(Debug)]
pub(crate) struct Recent {
    senders: LruCache<B256, Address>,
    blobs: LruCache<B256, Arc<PooledTransaction>>,
}

impl Recent {
    pub(crate) fn new() -> Self {
        Self { senders: LruCache::new(SENDERS), blobs: LruCache::new(BLOB_TRANSACTIONS) }
    }

    /// A transaction left the pool.
    pub(crate) fn left(&mut self, tx: &PooledTransaction) {
        self.senders.put(tx.hash(), tx.sender);
    }

    /// A transaction was included in a block.
    pub(crate) fn included(&mut self, tx: &Arc<PooledTransaction>) {
        if tx.sidecar.is_some() {
            self.blobs.put(tx.hash(), Arc::clone(tx));
        }
    }

    pub(crate) fn sender(&self, hash: &B256) -> Option<Address> {
        self.senders.peek(hash).copied()
    }

    /// A blob transaction that was included lately, with its sidecar.
    pub(crate) fn blob_transaction(&self, hash: &B256) -> Option<Arc<PooledTransaction>> {
        self.blobs.peek(hash).cloned()
    }
}
