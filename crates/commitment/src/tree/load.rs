//! Reading what is not in memory.

use std::sync::Arc;

use arrayvec::ArrayVec;
use banyan_primitives::{
    B256, Bytes, EMPTY_ROOT_HASH,
    trie::{Leaf, Nibbles, TrieId, TrieSource},
};

use super::{
    node::{Branch, Trie},
    path::{KEY_NIBBLES, Path},
};
use crate::{
    CommitmentError,
    error::damaged,
    node::{BranchNode, ChildKind, MAX_BRANCH_DEPTH, RootEntry, Top},
    reader::{MAX_UNSTORED_LEAVES, Reader, read_leaves},
};

/// What the flat state and the stored nodes hold below some prefix.
#[derive(Clone, Debug)]
pub(super) enum Loaded {
    /// Leaves; nothing stored.
    Leaves(Vec<(B256, Leaf)>),
    /// The topmost branch, stored.
    Branch(Arc<Branch>),
}

/// All of a trie that is not empty.
pub(super) fn load_top<S: TrieSource>(
    source: &S,
    trie: TrieId,
) -> Result<(B256, Loaded), CommitmentError> {
    let Some(entry) = (Reader { source, trie }).root_entry()? else {
        return Ok((EMPTY_ROOT_HASH, Loaded::Leaves(Vec::new())));
    };
    let loaded = match entry.top {
        Top::Leaves => load(source, trie, &Path::default(), ChildKind::LeafBranch)?,
        Top::Here(bytes) => decode(trie, Path::default(), &bytes)?,
        Top::Below(path) => load(source, trie, &Path::from(&path), ChildKind::StoredBranch)?,
    };
    Ok((entry.hash, loaded))
}

/// What is below `prefix`, where a parent has a child of the given kind.
pub(super) fn load<S: TrieSource>(
    source: &S,
    trie: TrieId,
    prefix: &Path,
    kind: ChildKind,
) -> Result<Loaded, CommitmentError> {
    let nibbles = prefix.nibbles();
    if kind == ChildKind::StoredBranch {
        return match source.first_node(trie, &nibbles)? {
            Some((path, bytes)) if path.starts_with(&nibbles) => {
                decode(trie, Path::from(&path), &bytes)
            }
            _ => Err(damaged(trie, &nibbles, "a stored branch is missing")),
        };
    }
    let leaves = read_leaves(source, trie, &nibbles, MAX_UNSTORED_LEAVES + 1)?;
    match leaves.len() {
        0 => Err(damaged(trie, &nibbles, "leaves are missing")),
        1..=MAX_UNSTORED_LEAVES => Ok(Loaded::Leaves(leaves)),
        _ => Err(damaged(trie, &nibbles, "a branch should be stored and is not")),
    }
}

/// As [`load`], whatever is there, if anything. The kind does not matter.
pub(super) fn load_any<S: TrieSource>(
    source: &S,
    trie: TrieId,
    prefix: &Path,
    _: ChildKind,
) -> Result<Loaded, CommitmentError> {
    let nibbles = prefix.nibbles();
    let is_key = prefix.len() == KEY_NIBBLES;
    let stored = if is_key { None } else { source.first_node(trie, &nibbles)? };
    match stored {
        Some((path, bytes)) if path.starts_with(&nibbles) => {
            decode(trie, Path::from(&path), &bytes)
        }
        _ => read_leaves(source, trie, &nibbles, MAX_UNSTORED_LEAVES).map(Loaded::Leaves),
    }
}

fn decode(trie: TrieId, path: Path, bytes: &[u8]) -> Result<Loaded, CommitmentError> {
    match BranchNode::decode(bytes) {
        Some(node) if path.len() <= MAX_BRANCH_DEPTH => {
            Ok(Loaded::Branch(Arc::new(Branch::from_stored(path, &node))))
        }
        _ => Err(damaged(trie, &path.nibbles(), "malformed branch")),
    }
}

/// The storage of an account, nothing of it loaded but its root; `None` if there is none.
pub(super) fn load_storage<S: TrieSource>(
    source: &S,
    account: &B256,
) -> Result<Option<Arc<Trie>>, CommitmentError> {
    let root = Reader { source, trie: TrieId::Storage(*account) }.root_hash()?;
    Ok((root != EMPTY_ROOT_HASH).then(|| Arc::new(Trie::unloaded(root))))
}

/// As [`load_storage`], of accounts in order.
pub(super) fn load_storages<S: TrieSource>(
    source: &S,
    accounts: &[(B256, Leaf)],
) -> Result<Vec<Option<Arc<Trie>>>, CommitmentError> {
    let keys: ArrayVec<B256, MAX_UNSTORED_LEAVES> =
        accounts.iter().map(|(key, _)| *key).take(MAX_UNSTORED_LEAVES).collect();
    let entries = source.storage_roots(&keys)?;
    let storage = |(account, entry): (&B256, Option<Bytes>)| {
        let Some(entry) = entry else { return Ok(None) };
        let trie = TrieId::Storage(*account);
        let malformed = || damaged(trie, &Nibbles::new(), "malformed root entry");
        let root = RootEntry::decode_hash(&entry).ok_or_else(malformed)?;
        Ok((root != EMPTY_ROOT_HASH).then(|| Arc::new(Trie::unloaded(root))))
    };
    keys.iter().zip(entries).map(storage).collect()
}
