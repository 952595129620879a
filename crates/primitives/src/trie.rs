//! What crosses the wall between `state` (which stores) and `commitment` (which hashes).
//!
//! The stored form of the Merkle-Patricia trie: a branch node is stored under its path if at
//! least one of its children is itself a branch (possibly behind an extension). Leaves, and
//! branches whose children are all leaves, are recomputed from the flat state, which is ordered
//! by hashed key. Besides, every non-empty trie (of accounts or of storage) has a root entry under
//! the empty path: it begins with the 32-byte root hash, so that a root costs one look-up, and
//! says where the topmost stored branch is (or is followed by it, if that is the empty path).

use std::collections::BTreeMap;

pub use alloy_trie::Nibbles;

use crate::{Account, B256, Bytes, SourceError, StateDiff, U256, keccak256};

/// Which trie: the account trie, or the storage trie of the account with this hashed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrieId {
    /// The account trie.
    Accounts,
    /// The storage trie of the account with this hashed address.
    Storage(B256),
}

/// Changed stored nodes of one trie: path of the branch → encoded node, or `None` if deleted.
/// The encoding belongs to `commitment`; `state` and `storage` treat it as bytes.
pub type NodeChanges = BTreeMap<Nibbles, Option<Bytes>>;

/// Changed stored nodes after one block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeDiff {
    /// Changes in the account trie.
    pub accounts: NodeChanges,
    /// Changes per storage trie, by hashed address.
    pub storage: BTreeMap<B256, StorageNodeDiff>,
}

/// Changed stored nodes of one storage trie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageNodeDiff {
    /// All stored nodes of the parent state are gone before `nodes` applies.
    pub wiped: bool,
    /// Changes.
    pub nodes: NodeChanges,
}

/// A state diff in the order of the tries: keys hashed by keccak256 and sorted.
///
/// Same content as a [`crate::StateDiff`] without `before` values and codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashedDiff {
    /// Hashed address → account afterwards, `None` if deleted. Lists every account with any
    /// change, storage-only changes included.
    pub accounts: BTreeMap<B256, Option<Account>>,
    /// Hashed address → storage change.
    pub storage: BTreeMap<B256, HashedStorageDiff>,
}

impl HashedDiff {
    /// Hashes and sorts the keys of a diff.
    pub fn from_diff(diff: &StateDiff) -> Self {
        let mut hashed = Self::default();
        for (address, account) in &diff.accounts {
            let key = keccak256(address);
            hashed.accounts.insert(key, account.after);
            if account.wiped || !account.storage.is_empty() {
                let slots = account.storage.iter();
                let slots = slots.map(|(slot, (_, after))| (keccak256(B256::from(*slot)), *after));
                let storage = HashedStorageDiff { wiped: account.wiped, slots: slots.collect() };
                hashed.storage.insert(key, storage);
            }
        }
        hashed
    }
}

impl HashedDiff {
    /// Adds the change of a later block.
    pub fn extend(&mut self, later: &Self) {
        self.accounts.extend(&later.accounts);
        for (address, change) in &later.storage {
            self.storage.entry(*address).or_default().extend(change);
        }
    }
}

impl HashedStorageDiff {
    /// Adds the change of a later block.
    pub fn extend(&mut self, later: &Self) {
        if later.wiped {
            *self = later.clone();
        } else {
            self.slots.extend(&later.slots);
        }
    }
}

/// Storage change of one account, by hashed slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashedStorageDiff {
    /// All slots of the parent state are gone before `slots` applies.
    pub wiped: bool,
    /// Hashed slot → value afterwards; zero if deleted.
    pub slots: BTreeMap<B256, U256>,
}

/// A leaf of the flat state: an account or a non-zero slot value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Leaf of the account trie (its storage root is computed from its storage trie).
    Account(Account),
    /// Leaf of a storage trie; never zero.
    Slot(U256),
}

/// Ordered read access to the flat state and the stored trie nodes after one block.
///
/// Implemented by the node's layered database view and by maps in memory (oracles).
pub trait TrieSource {
    /// The first stored node, in order of path, whose path starts with `prefix`. Paths are
    /// ordered lexicographically, so an ancestor comes before its descendants.
    fn first_node(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
    ) -> Result<Option<(Nibbles, Bytes)>, SourceError>;

    /// Leaves in key order, beginning with the first key ≥ `from`, as long as the key starts with
    /// `prefix`; at most `limit` of them.
    fn leaves(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
        from: B256,
        limit: usize,
    ) -> Result<Vec<(B256, Leaf)>, SourceError>;

    /// Accounts in order of key, `first` ≤ key ≤ `last`, at most `limit`.
    fn accounts_between(
        &self,
        first: &B256,
        last: &B256,
        limit: usize,
    ) -> Result<Vec<(B256, Account)>, SourceError> {
        let leaves = between(self, TrieId::Accounts, first, last, limit)?;
        let account = |(key, leaf)| match leaf {
            Leaf::Account(account) => Some((key, account)),
            Leaf::Slot(_) => None,
        };
        Ok(leaves.into_iter().filter_map(account).collect())
    }

    /// Slots of all accounts in order of (account, slot), `first` ≤ key ≤ `last`, at most `limit`.
    ///
    /// As provided it asks account by account; where slots lie in one table, one range is better.
    fn slots_between(
        &self,
        first: &(B256, B256),
        last: &(B256, B256),
        limit: usize,
    ) -> Result<Vec<(B256, B256, U256)>, SourceError> {
        slots_by_account(self, first, last, limit)
    }
}

/// [`TrieSource::slots_between`], account by account.
pub fn slots_by_account<S: TrieSource + ?Sized>(
    source: &S,
    first: &(B256, B256),
    last: &(B256, B256),
    limit: usize,
) -> Result<Vec<(B256, B256, U256)>, SourceError> {
    let mut found = Vec::new();
    for (account, _) in source.accounts_between(&first.0, &last.0, usize::MAX)? {
        let from = if account == first.0 { first.1 } else { B256::ZERO };
        let to = if account == last.0 { last.1 } else { B256::repeat_byte(0xff) };
        let trie = TrieId::Storage(account);
        for (slot, leaf) in between(source, trie, &from, &to, limit - found.len())? {
            if let Leaf::Slot(value) = leaf {
                found.push((account, slot, value));
            }
        }
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

/// Leaves with `first` ≤ key ≤ `last`.
fn between<S: TrieSource + ?Sized>(
    source: &S,
    trie: TrieId,
    first: &B256,
    last: &B256,
    limit: usize,
) -> Result<Vec<(B256, Leaf)>, SourceError> {
    let (low, high) = (Nibbles::unpack(first), Nibbles::unpack(last));
    let prefix = low.slice(..low.common_prefix_length(&high));
    let mut leaves = source.leaves(trie, &prefix, *first, limit)?;
    leaves.truncate(leaves.partition_point(|(key, _)| key <= last));
    Ok(leaves)
}
