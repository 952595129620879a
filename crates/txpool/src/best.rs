use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
    vec::IntoIter,
};

use banyan_primitives::Address;

use crate::PooledTransaction;

/// Executable transactions, best effective tip first, each sender's in order of nonce. A snapshot:
/// later changes of the pool do not show.
#[derive(Debug)]
pub struct BestTransactions {
    base_fee: u64,
    /// The next transaction of each sender.
    heads: BinaryHeap<Head>,
    /// What each sender has after it.
    rest: HashMap<Address, IntoIter<Arc<PooledTransaction>>>,
}

/// Ordered by tip, then by arrival; no two are equal, since arrivals differ.
#[derive(Debug)]
struct Head {
    rank: (u128, Reverse<u64>),
    tx: Arc<PooledTransaction>,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Head {}

impl BestTransactions {
    /// `senders` holds each sender's executable transactions in order of nonce.
    pub fn new(
        base_fee: u64,
        senders: impl Iterator<Item = (Address, Vec<Arc<PooledTransaction>>)>,
    ) -> Self {
        let rest = senders.map(|(sender, txs)| (sender, txs.into_iter())).collect();
        let mut best = Self { base_fee, heads: BinaryHeap::new(), rest };
        best.heads = best.rest.values_mut().filter_map(|txs| head(txs, base_fee)).collect();
        best
    }

    /// Leaves out all further transactions of `sender` (its last one could not be executed).
    pub fn skip_sender(&mut self, sender: Address) {
        self.rest.remove(&sender);
    }
}

impl Iterator for BestTransactions {
    type Item = Arc<PooledTransaction>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let tx = self.heads.pop()?.tx;
            // A sender without a place here was skipped.
            if let Some(txs) = self.rest.get_mut(&tx.sender) {
                self.heads.extend(head(txs, self.base_fee));
                return Some(tx);
            }
        }
    }
}

fn head(txs: &mut IntoIter<Arc<PooledTransaction>>, base_fee: u64) -> Option<Head> {
    let tx = txs.next()?;
    Some(Head { rank: (tx.effective_tip(base_fee), Reverse(tx.sequence)), tx })
}
