//! The way from one state to another: what the last batches changed, and what had been there.

use std::{collections::VecDeque, mem::size_of};

use banyan_primitives::{
    Account, B256, SourceError, U256,
    trie::{HashedDiff, HashedStorageDiff, TrieSource},
};

/// Batches that are kept, those of siblings among them.
const MAX_BATCHES: usize = 128;

/// Most batches on a way: reorgs seldom go deeper.
const LONGEST: usize = 64;

/// What lies between states: where the tree has been, and where it could have gone.
#[derive(Debug)]
pub(super) struct Past {
    batches: VecDeque<Batch>,
    bytes: usize,
    budget: usize,
}

/// Leads from one state to another.
#[derive(Debug)]
struct Batch {
    from: B256,
    to: B256,
    /// The values that its keys have in `from`.
    undo: HashedDiff,
    bytes: usize,
}

/// From one state to another.
#[derive(Debug)]
pub(super) struct Way {
    /// Its keys, each with some value that it had.
    pub(super) keys: HashedDiff,
    /// It leads back only: the values are those in the other state.
    pub(super) is_back: bool,
}

impl Past {
    pub(super) fn new(budget: usize) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, budget }
    }

    /// A batch leads from one state to another; `undo` are the values that its keys have in `from`.
    pub(super) fn add(&mut self, from: B256, to: B256, undo: HashedDiff) {
        if self.batches.iter().any(|batch| batch.from == from && batch.to == to) {
            return;
        }
        let bytes = weight(&undo);
        self.bytes += bytes;
        self.batches.push_back(Batch { from, to, undo, bytes });
        while self.batches.len() > MAX_BATCHES || self.bytes > self.budget {
            let Some(oldest) = self.batches.pop_front() else { return };
            self.bytes -= oldest.bytes;
        }
    }

    /// Nobody will go this way.
    pub(super) fn forget(&mut self, from: B256, to: B256) {
        let index = self.batches.iter().position(|batch| batch.from == from && batch.to == to);
        if let Some(batch) = index.and_then(|index| self.batches.remove(index)) {
            self.bytes -= batch.bytes;
        }
    }

    /// The shortest way from one state to another, if there is one.
    pub(super) fn way(&self, from: B256, to: B256) -> Option<Way> {
        // States with the step that led there: where from in this list, and the batch.
        let mut found = vec![(from, 0, 0, 0)];
        let mut next = 0;
        while let Some(&(here, length, ..)) = found.get(next) {
            if here == to {
                return Some(self.along(&found, next));
            }
            for (index, batch) in self.batches.iter().enumerate() {
                let there = match (batch.from == here, batch.to == here) {
                    (true, _) => batch.to,
                    (_, true) => batch.from,
                    _ => continue,
                };
                if length < LONGEST && found.iter().all(|(known, ..)| *known != there) {
                    found.push((there, length + 1, next, index));
                }
            }
            next += 1;
        }
        None
    }

    /// The way to the last of these steps.
    fn along(&self, steps: &[(B256, usize, usize, usize)], last: usize) -> Way {
        let mut batches = Vec::new();
        let mut is_back = true;
        let mut at = last;
        while let Some(&(there, 1.., before, index)) = steps.get(at) {
            let batch = &self.batches[index];
            is_back &= batch.from == there;
            batches.push(&batch.undo);
            at = before;
        }
        let mut keys = HashedDiff::default();
        batches.into_iter().rev().for_each(|undo| keys.extend(undo));
        Way { keys, is_back }
    }
}

/// These keys with their values in `state`. Storage that is `wiped` had been empty, so that it is
/// nothing but what its keys say.
pub(super) fn values<S: TrieSource>(
    mut keys: HashedDiff,
    state: &S,
) -> Result<HashedDiff, SourceError> {
    for (key, value) in &mut keys.accounts {
        *value = None;
        state.visit_accounts((key, key), 1, &mut |_, account| *value = Some(account))?;
    }
    for (account, storage) in &mut keys.storage {
        for (slot, value) in &mut storage.slots {
            *value = U256::ZERO;
            let key = (*account, *slot);
            state.visit_slots((&key, &key), 1, &mut |_, found| *value = found)?;
        }
    }
    Ok(keys)
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
