//! The root of a block: storage tries first, then the accounts, whose leaves need their roots.

use std::mem;

use banyan_primitives::{
    B256, EMPTY_ROOT_HASH, U256,
    trie::{
        HashedDiff, HashedStorageDiff, NodeChanges, NodeDiff, StorageNodeDiff, TrieId, TrieSource,
    },
};
use rayon::prelude::*;

use super::{
    node::{Place, Trie},
    patch::TriePatch,
    update::{Change, Pass, Value},
};
use crate::{CommitmentError, RootOutput};

/// Storage tries with fewer changes together are one task, and are hashed together.
const CHANGES_PER_TASK: usize = 256;

/// What a block makes of the tree.
#[derive(Debug)]
pub(super) struct Patch {
    pub(super) accounts: TriePatch,
    pub(super) storage: Vec<TriePatch>,
}

type StorageChange<'a> = (&'a B256, &'a HashedStorageDiff);
type Changed = (NodeChanges, TriePatch);

/// Root and patch of `diff` on `source`, of which `accounts` is what is in memory.
pub(super) fn compute<S: TrieSource + Sync>(
    accounts: &Trie,
    source: &S,
    diff: &HashedDiff,
) -> Result<(RootOutput, Patch), CommitmentError> {
    if let Some(account) = diff.storage.keys().find(|key| !diff.accounts.contains_key(*key)) {
        return Err(CommitmentError::UnlistedAccount(*account));
    }
    let storage: Vec<StorageChange<'_>> = diff.storage.iter().collect();
    let tries = update_storage(accounts, source, &storage)?;
    let (nodes, patch) = update_accounts(accounts, source, diff, &tries)?;
    let mut output = RootOutput { root: patch.root, ..Default::default() };
    let mut storage_nodes = Vec::with_capacity(tries.len());
    let mut patches = Vec::with_capacity(tries.len());
    for ((account, change), (nodes, trie)) in storage.iter().zip(tries) {
        output.storage_roots.insert(**account, trie.root);
        if change.wiped || !nodes.is_empty() {
            let nodes = StorageNodeDiff { wiped: change.wiped, nodes };
            storage_nodes.push((**account, nodes));
        }
        patches.push(trie);
    }
    output.nodes = NodeDiff { accounts: nodes, storage: storage_nodes.into_iter().collect() };
    Ok((output, Patch { accounts: patch, storage: patches }))
}

/// The storage tries of a block, in order. Small ones are done together, large ones by themselves.
fn update_storage<S: TrieSource + Sync>(
    accounts: &Trie,
    source: &S,
    storage: &[StorageChange<'_>],
) -> Result<Vec<Changed>, CommitmentError> {
    let mut tasks = Vec::new();
    let mut rest = storage;
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
    let done = tasks.into_par_iter().map(|task| storage_task(accounts, source, task));
    Ok(done.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn storage_task<S: TrieSource + Sync>(
    accounts: &Trie,
    source: &S,
    task: &[StorageChange<'_>],
) -> Result<Vec<Changed>, CommitmentError> {
    let mut pass = Pass::new(source);
    let mut tops = Vec::with_capacity(task.len());
    let empty = Trie::unloaded(EMPTY_ROOT_HASH);
    for (account, change) in task {
        let trie = if change.wiped { Some(&empty) } else { storage_of(accounts, account, &empty) };
        let slots = change.slots.iter().map(|(key, value)| {
            let value = (*value != U256::ZERO).then_some(Value::Slot(value));
            Change { key, value }
        });
        let changes: Vec<_> = slots.collect();
        tops.push(pass.update(TrieId::Storage(**account), trie, &changes)?);
    }
    pass.hash();
    let mut nodes: Vec<Vec<_>> = Vec::new();
    nodes.resize_with(task.len(), Vec::new);
    for (trie, path, node) in mem::take(&mut pass.nodes) {
        nodes[trie].push((path.nibbles(), node));
    }
    let tries = task.iter().zip(tops).zip(nodes);
    let closed = tries.map(|(((account, change), (new, old_root)), nodes)| {
        let trie = TrieId::Storage(**account);
        let (nodes, patch) = pass.close(trie, old_root, new, nodes.into_iter().collect())?;
        Ok((nodes, TriePatch { wiped: change.wiped, ..patch }))
    });
    closed.collect()
}

/// The storage trie of an account, if something is known of it.
fn storage_of<'a>(accounts: &'a Trie, account: &B256, empty: &'a Trie) -> Option<&'a Trie> {
    match accounts.leaf(account)? {
        Place::Account { storage, .. } => Some(storage.as_deref().unwrap_or(empty)),
        _ => None,
    }
}

fn update_accounts<S: TrieSource + Sync>(
    accounts: &Trie,
    source: &S,
    diff: &HashedDiff,
    tries: &[Changed],
) -> Result<Changed, CommitmentError> {
    let mut storage = diff.storage.keys().zip(tries).enumerate().peekable();
    let mut changes = Vec::with_capacity(diff.accounts.len());
    for (key, account) in &diff.accounts {
        let storage = storage.next_if(|(_, (own, _))| *own == key);
        let trie = storage.map(|(index, (_, (_, patch)))| (index as u32, patch.root));
        let value = account.as_ref().map(|account| Value::Account(account, trie));
        changes.push(Change { key, value });
    }
    let mut pass = Pass::new(source);
    let (new, old_root) = pass.update(TrieId::Accounts, Some(accounts), &changes)?;
    pass.hash();
    let nodes = mem::take(&mut pass.nodes).into_iter();
    let nodes = nodes.map(|(_, path, node)| (path.nibbles(), node)).collect();
    pass.close(TrieId::Accounts, old_root, new, nodes)
}
