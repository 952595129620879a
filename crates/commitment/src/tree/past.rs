//! The way back: what undoes the last batches. And forth again: siblings come and go.

use std::{
    collections::VecDeque,
    mem::{self, size_of},
};

use banyan_primitives::{
    Account, B256, SourceError, U256,
    trie::{HashedDiff, HashedStorageDiff, TrieSource},
};

/// Batches that can be undone: reorgs seldom go deeper.
const MAX_BATCHES: usize = 64;

/// What undoes the batches that led to where the tree stands, the last at the end.
#[derive(Debug)]
pub(super) struct Past {
    batches: VecDeque<Batch>,
    /// Those that were undone since the last batch was added, the last at the beginning.
    ahead: Vec<Batch>,
    bytes: usize,
    budget: usize,
}

#[derive(Debug)]
struct Batch {
    /// The root before it; if it was undone, the root after it.
    root: B256,
    undo: HashedDiff,
    bytes: usize,
}

impl Past {
    pub(super) fn new(budget: usize) -> Self {
        Self { batches: VecDeque::new(), ahead: Vec::new(), bytes: 0, budget }
    }

    /// A batch left the state with this root; `None` if it cannot be undone.
    pub(super) fn add(&mut self, root: B256, undo: Option<HashedDiff>) {
        self.bytes -= self.ahead.drain(..).map(|batch| batch.bytes).sum::<usize>();
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

    /// The keys of what leads forth to the state with this root, if that is one of those that were
    /// gone back from; the values are those of [`values`] there.
    pub(super) fn forth_to(&self, root: B256) -> Option<HashedDiff> {
        let index = self.ahead.iter().rposition(|batch| batch.root == root)?;
        let mut keys = HashedDiff::default();
        for batch in self.ahead[index..].iter().rev() {
            keys.extend(&batch.undo);
        }
        Some(keys)
    }

    /// The tree went back from one state to another.
    pub(super) fn went_back(&mut self, from: B256, to: B256) {
        let mut after = from;
        while after != to
            && let Some(mut batch) = self.batches.pop_back()
        {
            after = mem::replace(&mut batch.root, after);
            self.ahead.push(batch);
        }
    }

    /// The tree went forth from one state to another.
    pub(super) fn went_forth(&mut self, from: B256, to: B256) {
        let mut before = from;
        while before != to
            && let Some(mut batch) = self.ahead.pop()
        {
            before = mem::replace(&mut batch.root, before);
            self.batches.push_back(batch);
        }
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
