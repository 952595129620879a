//! The way back: what undoes the last batches.

use std::{collections::VecDeque, mem::size_of};

use banyan_primitives::{
    Account, B256, U256,
    trie::{HashedDiff, HashedStorageDiff},
};

/// Batches that can be undone: reorgs seldom go deeper.
const MAX_BATCHES: usize = 64;

/// What undoes the batches that led to where the tree stands, the last at the end.
#[derive(Debug)]
pub(super) struct Past {
    batches: VecDeque<Batch>,
    bytes: usize,
    budget: usize,
}

#[derive(Debug)]
struct Batch {
    /// The root before it.
    root: B256,
    undo: HashedDiff,
    bytes: usize,
}

impl Past {
    pub(super) fn new(budget: usize) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, budget }
    }

    /// A batch left the state with this root; `None` if it cannot be undone.
    pub(super) fn add(&mut self, root: B256, undo: Option<HashedDiff>) {
        let Some(undo) = undo else {
            self.batches.clear();
            self.bytes = 0;
            return;
        };
        let bytes = weight(&undo);
        self.bytes += bytes;
        self.batches.push_back(Batch { root, undo, bytes });
        while self.batches.len() > MAX_BATCHES || self.bytes > self.budget {
            let Some(oldest) = self.batches.pop_front() else { return };
            self.bytes -= oldest.bytes;
        }
    }

    /// What leads back to the state with this root, if it is one of those passed.
    pub(super) fn back_to(&self, root: B256) -> Option<HashedDiff> {
        let index = self.batches.iter().rposition(|batch| batch.root == root)?;
        let mut undo = HashedDiff::default();
        for batch in self.batches.range(index..).rev() {
            undo.extend(&batch.undo);
        }
        Some(undo)
    }

    /// The tree went back to this state.
    pub(super) fn cut(&mut self, root: B256) {
        while let Some(last) = self.batches.pop_back() {
            self.bytes -= last.bytes;
            if last.root == root {
                return;
            }
        }
    }
}

/// What undoes `diff`, whose keys had the values `before`. Not known if these are not those of all its
/// keys, or if storage was wiped and nobody says what had been in it.
pub(super) fn undo_of(diff: &HashedDiff, before: HashedDiff) -> Option<HashedDiff> {
    let is_known = |(account, change): (&B256, &HashedStorageDiff)| {
        let before = before.storage.get(account);
        before.is_some_and(|before| {
            before.wiped == change.wiped && before.slots.len() == change.slots.len()
        })
    };
    let all = before.accounts.len() == diff.accounts.len() && diff.storage.iter().all(is_known);
    all.then_some(before)
}

fn weight(diff: &HashedDiff) -> usize {
    let slots: usize = diff.storage.values().map(|storage| storage.slots.len()).sum();
    // Maps are about two thirds full.
    let storages = diff.storage.len() * size_of::<(B256, HashedStorageDiff)>();
    let accounts = diff.accounts.len() * size_of::<(B256, Option<Account>)>();
    (accounts + storages + slots * size_of::<(B256, U256)>()) / 2 * 3 + 256
}
