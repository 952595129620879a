use std::collections::BTreeMap;

use banyan_primitives::{
    Account, B256, B256Map,
    trie::{HashedDiff, HashedStorageDiff, Nibbles, NodeDiff, StorageNodeDiff, TrieId, TrieSource},
};
use rayon::prelude::*;

use crate::{
    CommitmentError,
    reader::{Reader, account_rlp, storage_hash},
    subtree::TrieOutput,
    update::{Change, update_trie},
};

/// How many accounts one task handles at least: below, handing work over costs more than it saves.
const ACCOUNTS_PER_TASK: usize = 32;

/// A state root with what must be stored for the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootOutput {
    /// Root of the account trie.
    pub root: B256,
    /// Changed nodes.
    pub nodes: NodeDiff,
    /// New storage roots of accounts whose storage changed, by hashed address.
    pub storage_roots: B256Map<B256>,
}

/// Root after `diff` on the state of `parent`. Cost follows the changed keys, not the state.
///
/// Storage tries are updated first, in parallel; the account trie, whose leaves need their roots,
/// last. A storage trie or account trie with many changes is itself split by nibble.
pub fn state_root<S: TrieSource + Sync>(
    parent: &S,
    diff: &HashedDiff,
) -> Result<RootOutput, CommitmentError> {
    if let Some(account) = diff.storage.keys().find(|key| !diff.accounts.contains_key(*key)) {
        return Err(CommitmentError::UnlistedAccount(*account));
    }
    let tries: BTreeMap<B256, TrieOutput> = diff
        .storage
        .par_iter()
        .map(|(account, change)| Ok((*account, update_storage(parent, *account, change)?)))
        .collect::<Result<_, CommitmentError>>()?;

    let accounts: Vec<(&B256, &Option<Account>)> = diff.accounts.iter().collect();
    let changes: Vec<Change> = accounts
        .par_iter()
        .with_min_len(ACCOUNTS_PER_TASK)
        .map(|(key, account)| account_change(parent, **key, account.as_ref(), tries.get(*key)))
        .collect::<Result<_, _>>()?;
    let reader = Reader { source: parent, trie: TrieId::Accounts };
    let state = update_trie(&reader, false, &changes)?;

    let mut output = RootOutput { root: state.root, ..Default::default() };
    output.nodes.accounts = state.nodes;
    for (account, TrieOutput { root, nodes }) in tries {
        output.storage_roots.insert(account, root);
        let wiped = diff.storage.get(&account).is_some_and(|change| change.wiped);
        if wiped || !nodes.is_empty() {
            output.nodes.storage.insert(account, StorageNodeDiff { wiped, nodes });
        }
    }
    Ok(output)
}

/// The storage trie of `account` after `change`.
fn update_storage<S: TrieSource + Sync>(
    parent: &S,
    account: B256,
    change: &HashedStorageDiff,
) -> Result<TrieOutput, CommitmentError> {
    let changes: Vec<Change> = change
        .slots
        .iter()
        .map(|(slot, value)| Change {
            key: Nibbles::unpack(slot),
            value: (!value.is_zero()).then(|| alloy_rlp::encode(value)),
        })
        .collect();
    let reader = Reader { source: parent, trie: TrieId::Storage(account) };
    update_trie(&reader, change.wiped, &changes)
}

/// The change of an account's leaf; `storage` is its storage trie if that was updated.
fn account_change<S: TrieSource>(
    parent: &S,
    key: B256,
    account: Option<&Account>,
    storage: Option<&TrieOutput>,
) -> Result<Change, CommitmentError> {
    let value = match account {
        None => None,
        Some(account) => {
            let storage_root =
                storage.map_or_else(|| storage_hash(parent, key), |trie| Ok(trie.root))?;
            Some(account_rlp(account, storage_root))
        }
    };
    Ok(Change { key: Nibbles::unpack(key), value })
}

/// Root of one storage trie, with what must be stored for the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageRoot {
    /// Root of the trie.
    pub root: B256,
    /// Changed nodes.
    pub nodes: StorageNodeDiff,
}

/// As [`state_root`], of one storage trie alone.
pub fn storage_root_after<S: TrieSource + Sync>(
    parent: &S,
    hashed_address: B256,
    change: &HashedStorageDiff,
) -> Result<StorageRoot, CommitmentError> {
    let TrieOutput { root, nodes } = update_storage(parent, hashed_address, change)?;
    Ok(StorageRoot { root, nodes: StorageNodeDiff { wiped: change.wiped, nodes } })
}

/// Storage root of one account, from stored nodes: one read.
pub fn storage_root<S: TrieSource>(
    source: &S,
    hashed_address: B256,
) -> Result<B256, CommitmentError> {
    storage_hash(source, hashed_address)
}
