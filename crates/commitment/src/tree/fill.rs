//! Bringing all of a state into memory, part by part, while blocks go on.

use std::sync::Arc;

use banyan_primitives::{
    B256,
    trie::{HashedDiff, TrieId, TrieSource},
};

use super::{compute::compute, reads::Reader, trees::Trees};
use crate::{
    CommitmentError,
    error::damaged,
    reader,
    walk::{Part, Walk},
};

/// What [`Trees::fill`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// Another part is in memory.
    Some,
    /// Nothing was done: the tree is at another state. It may come here, or there is a newer one.
    Elsewhere,
    /// There is no more; or the tree may take no more memory.
    All,
}

impl Trees {
    /// Brings the next part of the state of `parent` into memory, and moves `walk` past it: a batch
    /// that changes nothing, but has been everywhere. While `parent` is the state on which the next
    /// block is built, that works out; of parts read of an earlier state later blocks have changed
    /// what they changed.
    pub fn fill<S: TrieSource + Sync>(
        &self,
        parent: &S,
        walk: &mut Walk,
    ) -> Result<Filled, CommitmentError> {
        let root = reader::Reader { source: parent, trie: TrieId::Accounts }.root_hash()?;
        let (accounts, reads) = {
            let mut state = self.lock();
            if !state.is_near(root) && !state.is_empty() {
                return Ok(Filled::Elsewhere);
            }
            state.at(root, self.budget)
        };
        let mut after = *walk;
        let room = accounts.bytes < self.budget / 8 * 7;
        let Some(part) = after.next(parent)?.filter(|_| room) else { return Ok(Filled::All) };
        let leaves = leaves(parent, part)?;
        let reads = Reader { reads: &reads, keeps: false, elsewhere: false };
        let (output, patch) = compute((&accounts, reads), parent, (&leaves, &leaves))?;
        if output.root != root {
            let what = format!("the flat state leads to {}", output.root);
            return Err(damaged(TrieId::Accounts, &Default::default(), &what));
        }
        let mut state = self.lock();
        if !Arc::ptr_eq(&state.accounts, &accounts) {
            return Ok(Filled::Elsewhere);
        }
        drop(accounts);
        // Patches that wait stay right: what they were made for has not changed.
        state.apply(patch, self.budget);
        *walk = after;
        Ok(Filled::Some)
    }
}

/// As a batch, which lists the accounts of all its slots.
fn leaves<S: TrieSource>(parent: &S, part: Part) -> Result<HashedDiff, CommitmentError> {
    let Part { mut accounts, slots } = part;
    let first = slots.first().map(|((account, _), _)| *account);
    if let Some(first) = first.filter(|first| accounts.first().is_none_or(|(id, _)| id > first)) {
        parent.visit_accounts((&first, &first), 1, &mut |id, it| accounts.insert(0, (id, it)))?;
    }
    let accounts = accounts.into_iter().map(|(id, account)| (id, Some(account)));
    let mut leaves = HashedDiff { accounts: accounts.collect(), ..Default::default() };
    for slots in slots.chunk_by(|((a, _), _), ((b, _), _)| a == b) {
        let account: B256 = slots[0].0.0;
        let storage = leaves.storage.entry(account).or_default();
        storage.slots = slots.iter().map(|((_, slot), value)| (*slot, *value)).collect();
    }
    Ok(leaves)
}
