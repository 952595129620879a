use std::collections::BTreeMap;

use banyan_primitives::{
    B256,
    trie::{Leaf, Nibbles, StorageNodeDiff, TrieId, TrieSource},
};
use rayon::prelude::*;

use crate::{
    CommitmentError, RootOutput, StorageRoot,
    reader::{account_rlp, read_leaves},
    subtree::{ChangedNodes, Subtree, TrieLeaf, TrieOutput, build, finish, join},
};

/// Leaves held at once by one task. A subtree with as many or more is built child by child.
const CHUNK: usize = 4096;

/// Root computed from the flat state alone, with every node that should be stored: for genesis,
/// and the oracle of [`crate::state_root`].
///
/// Holds the nodes and, per thread, a few thousand leaves, but never all leaves; hashed keys being
/// uniform, a leaf is read about twice at most. Stored nodes are not read, so `source` need not
/// have any, and old ones are not listed as deleted.
pub fn rebuild<S: TrieSource + Sync>(source: &S) -> Result<RootOutput, CommitmentError> {
    let (state, tries) = rebuild_trie(source, TrieId::Accounts)?;
    let mut output = RootOutput { root: state.root, ..Default::default() };
    output.nodes.accounts = state.nodes;
    for (account, TrieOutput { root, nodes }) in tries {
        output.storage_roots.insert(account, root);
        output.nodes.storage.insert(account, StorageNodeDiff { wiped: false, nodes });
    }
    Ok(output)
}

/// As [`rebuild`], of one storage trie alone.
pub fn rebuild_storage<S: TrieSource + Sync>(
    source: &S,
    hashed_address: B256,
) -> Result<StorageRoot, CommitmentError> {
    let (TrieOutput { root, nodes }, _) = rebuild_trie(source, TrieId::Storage(hashed_address))?;
    Ok(StorageRoot { root, nodes: StorageNodeDiff { wiped: false, nodes } })
}

/// What the parts of a trie add up to besides their hashes.
#[derive(Default)]
struct Parts {
    nodes: ChangedNodes,
    /// Non-empty storage tries by hashed address.
    storage: BTreeMap<B256, TrieOutput>,
}

fn rebuild_trie<S: TrieSource + Sync>(
    source: &S,
    trie: TrieId,
) -> Result<(TrieOutput, BTreeMap<B256, TrieOutput>), CommitmentError> {
    let mut parts = Parts::default();
    let top = rebuild_below(source, trie, Nibbles::new(), &mut parts)?;
    Ok((finish(trie, None, &top, parts.nodes)?, parts.storage))
}

/// Builds what is below `prefix`. Recursion is bounded by the 64 nibbles of a key.
fn rebuild_below<S: TrieSource + Sync>(
    source: &S,
    trie: TrieId,
    prefix: Nibbles,
    parts: &mut Parts,
) -> Result<Subtree, CommitmentError> {
    let leaves = read_leaves(source, trie, &prefix, CHUNK)?;
    if leaves.len() < CHUNK {
        let mut leaves = encode_leaves(source, leaves, parts)?;
        return Ok(build(&mut leaves, &mut parts.nodes));
    }
    drop(leaves);
    let children = (0..16u8).into_par_iter().map(|nibble| {
        let mut path = prefix;
        path.push(nibble);
        let mut parts = Parts::default();
        let child = rebuild_below(source, trie, path, &mut parts)?;
        Ok((nibble, child, parts))
    });
    let mut subtrees = Vec::with_capacity(16);
    for (nibble, child, mut child_parts) in children.collect::<Result<Vec<_>, CommitmentError>>()? {
        subtrees.push((nibble, child));
        parts.nodes.append(&mut child_parts.nodes);
        parts.storage.append(&mut child_parts.storage);
    }
    Ok(join(prefix, subtrees, &mut parts.nodes))
}

/// Trie leaves of flat leaves; the storage tries of accounts are rebuilt on the way.
fn encode_leaves<S: TrieSource + Sync>(
    source: &S,
    leaves: Vec<(B256, Leaf)>,
    parts: &mut Parts,
) -> Result<Vec<TrieLeaf>, CommitmentError> {
    let mut encoded = Vec::with_capacity(leaves.len());
    for (key, leaf) in leaves {
        let value = match leaf {
            Leaf::Slot(value) => alloy_rlp::encode(value),
            Leaf::Account(account) => {
                let (storage, _) = rebuild_trie(source, TrieId::Storage(key))?;
                let value = account_rlp(&account, storage.root);
                if !storage.nodes.is_empty() {
                    parts.storage.insert(key, storage);
                }
                value
            }
        };
        encoded.push(TrieLeaf { key: Nibbles::unpack(key), value });
    }
    Ok(encoded)
}
