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

    /// The root entries of the storage tries of these accounts, hashed and in order; `None` for those
    /// without storage.
    ///
    /// As provided it asks for one after the other; neighbours are mostly found out about at once.
    fn storage_roots(&self, accounts: &[B256]) -> Result<Vec<Option<Bytes>>, SourceError> {
        let entry = |account| root_entry(account, |trie| self.first_node(trie, &Nibbles::new()));
        accounts.iter().map(entry).collect()
    }

    /// Leaves in key order, beginning with the first key ≥ `from`, as long as the key starts with
    /// `prefix`; at most `limit` of them.
    fn leaves(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
        from: B256,
        limit: usize,
    ) -> Result<Vec<(B256, Leaf)>, SourceError>;

    /// Visits accounts in order of key, `first` ≤ key ≤ `last`, at most `limit`.
    fn visit_accounts(
        &self,
        (first, last): (&B256, &B256),
        limit: usize,
        visit: &mut dyn FnMut(B256, Account),
    ) -> Result<(), SourceError> {
        for (key, leaf) in between(self, TrieId::Accounts, (first, last), limit)? {
            if let Leaf::Account(account) = leaf {
                visit(key, account);
            }
        }
        Ok(())
    }

    /// Visits slots of all accounts in order of (account, slot), `first` ≤ key ≤ `last`, at most
    /// `limit`.
    ///
    /// As provided it asks account by account; where slots lie in one table, one range is better.
    fn visit_slots(
        &self,
        (first, last): (&SlotKey, &SlotKey),
        limit: usize,
        visit: &mut dyn FnMut(SlotKey, U256),
    ) -> Result<(), SourceError> {
        visit_slots_by_account(self, (first, last), limit, visit)
    }
}

/// The root entry of one account's storage, of whose trie `first` gives the first stored node.
pub fn root_entry(
    account: &B256,
    first: impl FnOnce(TrieId) -> Result<Option<(Nibbles, Bytes)>, SourceError>,
) -> Result<Option<Bytes>, SourceError> {
    match first(TrieId::Storage(*account))? {
        None => Ok(None),
        Some((path, entry)) if path.is_empty() => Ok(Some(entry)),
        Some(_) => Err(SourceError::Fault(format!("storage trie of {account} without root entry"))),
    }
}

/// Account and slot, hashed.
pub type SlotKey = (B256, B256);

/// [`TrieSource::visit_slots`], account by account.
pub fn visit_slots_by_account<S: TrieSource + ?Sized>(
    source: &S,
    (first, last): (&SlotKey, &SlotKey),
    mut limit: usize,
    visit: &mut dyn FnMut(SlotKey, U256),
) -> Result<(), SourceError> {
    let mut accounts = Vec::new();
    source.visit_accounts((&first.0, &last.0), usize::MAX, &mut |key, _| accounts.push(key))?;
    for account in accounts {
        let from = if account == first.0 { first.1 } else { B256::ZERO };
        let to = if account == last.0 { last.1 } else { B256::repeat_byte(0xff) };
        for (slot, leaf) in between(source, TrieId::Storage(account), (&from, &to), limit)? {
            if let Leaf::Slot(value) = leaf {
                visit((account, slot), value);
                limit -= 1;
            }
        }
    }
    Ok(())
}

/// At most `limit` leaves with `first` ≤ key ≤ `last`.
fn between<S: TrieSource + ?Sized>(
    source: &S,
    trie: TrieId,
    (first, last): (&B256, &B256),
    limit: usize,
) -> Result<Vec<(B256, Leaf)>, SourceError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let (low, high) = (Nibbles::unpack(first), Nibbles::unpack(last));
    let prefix = low.slice(..low.common_prefix_length(&high));
    let mut leaves = source.leaves(trie, &prefix, *first, limit)?;
    leaves.truncate(leaves.partition_point(|(key, _)| key <= last));
    Ok(leaves)
}
