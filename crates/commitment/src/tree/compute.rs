//! The root of a block: storage tries first, then the accounts, whose leaves need their roots.

use banyan_primitives::{
    B256, EMPTY_ROOT_HASH, U256,
    trie::{
        HashedDiff, HashedStorageDiff, NodeChanges, NodeDiff, StorageNodeDiff, TrieId, TrieSource,
    },
};
use rayon::prelude::*;

use super::{
    node::{Place, Trie},
    patch::{Patch, TriePatch},
    reads::Reader,
    update::{Change, Pass, Value},
};
use crate::{CommitmentError, RootOutput};

/// Storage tries with fewer changes together are one task, and are hashed together.
const CHANGES_PER_TASK: usize = 256;

/// What a block makes of the tree.
#[derive(Debug)]
pub(super) struct BlockPatch {
    pub(super) accounts: (Patch, TriePatch),
    pub(super) storage: StoragePatches,
}

/// What a block makes of storage tries.
#[derive(Debug, Default)]
pub(super) struct StoragePatches {
    /// One for each task.
    pub(super) patches: Vec<Patch>,
    /// The tries, in order, with the number of their task.
    pub(super) tries: Vec<(u32, TriePatch)>,
}

/// What is in memory: the tree, and what was read besides.
pub(super) type Known<'a> = (&'a Trie, Reader<'a>);
type StorageChange<'a> = (&'a B256, &'a HashedStorageDiff);
type Changed = (NodeChanges, TriePatch);

/// Root and patch of `diff` on `source`; `before` are values of the same keys there, or nothing.
pub(super) fn compute<S: TrieSource + Sync>(
    (accounts, reads): Known<'_>,
    source: &S,
    (diff, before): (&HashedDiff, &HashedDiff),
) -> Result<(RootOutput, BlockPatch), CommitmentError> {
    if let Some(account) = diff.storage.keys().find(|key| !diff.accounts.contains_key(*key)) {
        return Err(CommitmentError::UnlistedAccount(*account));
    }
    let changes: Vec<StorageChange<'_>> = diff.storage.iter().collect();
    let tasks = tasks(&changes)
        .into_par_iter()
        .map(|task| storage_task((accounts, reads), source, task, before));
    let mut output = RootOutput::default();
    let (mut storage, mut nodes) = (StoragePatches::default(), Vec::with_capacity(changes.len()));
    let mut changes = changes.iter();
    for (number, task) in tasks.collect::<Vec<_>>().into_iter().enumerate() {
        let (tries, patch) = task?;
        storage.patches.push(patch);
        for ((changed, trie), (account, change)) in tries.into_iter().zip(changes.by_ref()) {
            output.storage_roots.insert(**account, trie.root);
            if change.wiped || !changed.is_empty() {
                let changed = StorageNodeDiff { wiped: change.wiped, nodes: changed };
                nodes.push((**account, changed));
            }
            storage.tries.push((number as u32, trie));
        }
    }
    let ((accounts, trie), patch) =
        update_accounts((accounts, reads), source, (diff, before), &storage)?;
    output.root = trie.root;
    output.nodes = NodeDiff { accounts, storage: nodes.into_iter().collect() };
    Ok((output, BlockPatch { accounts: (patch, trie), storage }))
}

/// Small storage tries are done together, large ones by themselves.
fn tasks<'c, 'a>(mut rest: &'c [StorageChange<'a>]) -> Vec<&'c [StorageChange<'a>]> {
    let mut tasks = Vec::new();
    while !rest.is_empty() {
        let mut changes = 0;
        let fits = |(_, change): &&StorageChange<'_>| {
            changes += 1 + change.slots.len();
            changes <= CHANGES_PER_TASK
        };
        let (task, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        tasks.push(task);
        rest = later;
    }
    tasks
}

fn storage_task<S: TrieSource + Sync>(
    (accounts, reads): Known<'_>,
    source: &S,
    task: &[StorageChange<'_>],
    before: &HashedDiff,
) -> Result<(Vec<Changed>, Patch), CommitmentError> {
    let mut pass = Pass::new(source, reads);
    let mut tops = Vec::with_capacity(task.len());
    let empty = Trie::unloaded(EMPTY_ROOT_HASH);
    for (account, change) in task {
        let trie = if change.wiped { Some(&empty) } else { storage_of(accounts, account, &empty) };
        let before = before.storage.get(*account).filter(|_| !change.wiped);
        let mut before = before.into_iter().flat_map(|before| &before.slots).peekable();
        let slots = change.slots.iter().map(|(key, value)| {
            let value = (*value != U256::ZERO).then_some(Value::Slot(value));
            let before = before.next_if(|(own, _)| *own == key);
            Change { key: *key, value, existed: before.is_some_and(|(_, value)| !value.is_zero()) }
        });
        let changes: Vec<_> = slots.collect();
        tops.push(pass.update(TrieId::Storage(**account), trie, &changes)?);
    }
    pass.hash();
    let nodes = pass.take_nodes();
    let tries = task.iter().zip(tops).zip(nodes);
    let closed = tries.map(|(((account, change), (new, old_root)), nodes)| {
        let trie = TrieId::Storage(**account);
        let (nodes, patch) = pass.close(trie, old_root, new, nodes)?;
        Ok((nodes, TriePatch { wiped: change.wiped, ..patch }))
    });
    Ok((closed.collect::<Result<_, CommitmentError>>()?, pass.patch))
}

/// The storage trie of an account, if something is known of it.
pub(super) fn storage_of<'a>(
    accounts: &'a Trie,
    account: &B256,
    empty: &'a Trie,
) -> Option<&'a Trie> {
    match accounts.leaf(account)? {
        Place::Account { storage, .. } => Some(storage.as_deref().unwrap_or(empty)),
        _ => None,
    }
}

fn update_accounts<S: TrieSource + Sync>(
    (accounts, reads): Known<'_>,
    source: &S,
    (diff, before): (&HashedDiff, &HashedDiff),
    storage: &StoragePatches,
) -> Result<(Changed, Patch), CommitmentError> {
    let mut storage = diff.storage.keys().zip(&storage.tries).enumerate().peekable();
    let mut changes = Vec::with_capacity(diff.accounts.len());
    let mut before = before.accounts.iter().peekable();
    for (key, account) in &diff.accounts {
        let storage = storage.next_if(|(_, (own, _))| *own == key);
        let trie = storage.map(|(index, (_, (_, patch)))| (index as u32, patch.root));
        let value = account.as_ref().map(|account| Value::Account(account, trie));
        let before = before.next_if(|(own, _)| *own == key);
        let existed = before.is_some_and(|(_, account)| account.is_some());
        changes.push(Change { key: *key, value, existed });
    }
    let mut pass = Pass::new(source, reads);
    let (new, old_root) = pass.update(TrieId::Accounts, Some(accounts), &changes)?;
    pass.hash();
    let nodes = pass.take_nodes().into_iter().flatten().collect();
    let changed = pass.close(TrieId::Accounts, old_root, new, nodes)?;
    Ok((changed, pass.patch))
}
