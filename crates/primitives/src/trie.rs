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
}
