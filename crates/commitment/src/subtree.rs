//! Tries from sorted leaves: the pure part, without reads.

use alloy_trie::nodes::RlpNode;
use banyan_primitives::{
    B256, Bytes, EMPTY_ROOT_HASH, keccak256,
    trie::{Nibbles, NodeChanges, TrieId},
};

use crate::{
    CommitmentError,
    error::damaged,
    node::{BranchNode, ChildKind, RootEntry, Top, extension_rlp, leaf_rlp},
};

/// A leaf: full hashed key and RLP value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrieLeaf {
    /// All 64 nibbles of the hashed key.
    pub(crate) key: Nibbles,
    /// RLP of the account or slot value.
    pub(crate) value: Vec<u8>,
}

/// Stored nodes that changed, in the order they were met; no path occurs twice.
pub(crate) type ChangedNodes = Vec<(Nibbles, Option<Bytes>)>;

/// The part of a trie below some prefix, hashed.
///
/// It names its place absolutely (the full key of a leaf, the full path of a branch), so it can be
/// hung under any ancestor: the ancestor adds the extension, and a branch that is left with one
/// child is simply replaced by that child.
#[derive(Clone, Debug)]
pub(crate) enum Subtree {
    /// No leaf.
    Empty,
    /// One leaf.
    Leaf(TrieLeaf),
    /// A branch.
    Branch {
        /// Its path.
        path: Nibbles,
        /// Reference to the branch itself, without an extension above.
        reference: RlpNode,
        /// True if it belongs in the store.
        stored: bool,
    },
}

impl Subtree {
    /// The branch `node` at `path`.
    pub(crate) fn branch(path: Nibbles, node: &BranchNode) -> Self {
        let reference = RlpNode::from_rlp(&node.rlp());
        Self::Branch { path, reference, stored: node.is_stored() }
    }

    /// The reference and kind that a parent holds, whose slot for this child has a path of
    /// `depth` nibbles. `None` if there is nothing.
    pub(crate) fn as_child(&self, depth: usize) -> Option<(RlpNode, ChildKind)> {
        match self {
            Self::Empty => None,
            Self::Leaf(leaf) => {
                let rlp = leaf_rlp(&leaf.key.slice(depth..), &leaf.value);
                Some((RlpNode::from_rlp(&rlp), ChildKind::Leaf))
            }
            Self::Branch { path, reference, stored } => {
                let kind = if *stored { ChildKind::StoredBranch } else { ChildKind::LeafBranch };
                if path.len() == depth {
                    return Some((reference.clone(), kind));
                }
                let rlp = extension_rlp(&path.slice(depth..), reference);
                Some((RlpNode::from_rlp(&rlp), kind))
            }
        }
    }

    /// Hash of the trie that this is all of. A root is hashed however short it is.
    pub(crate) fn root_hash(&self) -> B256 {
        match self.as_child(0) {
            None => EMPTY_ROOT_HASH,
            Some((reference, _)) => reference.as_hash().unwrap_or_else(|| keccak256(&reference)),
        }
    }
}

/// Builds the subtree of sorted `leaves` (their values are taken out) and adds the nodes to store.
/// Recursion is bounded by the 64 nibbles of a key.
pub(crate) fn build(leaves: &mut [TrieLeaf], out: &mut ChangedNodes) -> Subtree {
    let (first, last) = match leaves {
        [] => return Subtree::Empty,
        [leaf] => {
            let value = std::mem::take(&mut leaf.value);
            return Subtree::Leaf(TrieLeaf { key: leaf.key, value });
        }
        [first, .., last] => (first.key, last.key),
    };
    let depth = first.common_prefix_length(&last);
    let mut children = Vec::with_capacity(16);
    let mut rest = leaves;
    while let Some(leaf) = rest.first() {
        let nibble = leaf.key.get_unchecked(depth);
        let end = rest.partition_point(|leaf| leaf.key.get_unchecked(depth) == nibble);
        let (group, tail) = rest.split_at_mut(end);
        children.push((nibble, build(group, out)));
        rest = tail;
    }
    join(first.slice(..depth), children, out)
}

/// Joins subtrees under `path`, by ascending nibble: a new branch, unless fewer than two of them
/// hold anything.
pub(crate) fn join(
    path: Nibbles,
    mut children: Vec<(u8, Subtree)>,
    out: &mut ChangedNodes,
) -> Subtree {
    children.retain(|(_, child)| !matches!(child, Subtree::Empty));
    if children.len() < 2 {
        return children.pop().map_or(Subtree::Empty, |(_, child)| child);
    }
    let mut node = BranchNode::default();
    for (nibble, child) in &children {
        if let Some((reference, kind)) = child.as_child(path.len() + 1) {
            node.push(*nibble, reference, kind);
        }
    }
    if node.is_stored() {
        out.push((path, Some(node.encode())));
    }
    Subtree::branch(path, &node)
}

/// A finished trie: its root and the changes to its stored nodes.
#[derive(Clone, Debug)]
pub(crate) struct TrieOutput {
    pub(crate) root: B256,
    pub(crate) nodes: NodeChanges,
}

impl TrieOutput {
    /// A trie that stays as it is; `None` stands for the empty trie.
    pub(crate) fn unchanged(root: Option<B256>) -> Self {
        Self { root: root.unwrap_or(EMPTY_ROOT_HASH), nodes: NodeChanges::new() }
    }
}

/// Closes a trie: adds the entry at the empty path if the root is not `old_root`.
pub(crate) fn finish(
    trie: TrieId,
    old_root: Option<B256>,
    top: &Subtree,
    nodes: ChangedNodes,
) -> Result<TrieOutput, CommitmentError> {
    let root = top.root_hash();
    let mut nodes: NodeChanges = nodes.into_iter().collect();
    if old_root.unwrap_or(EMPTY_ROOT_HASH) == root {
        return Ok(TrieOutput { root, nodes });
    }
    let empty_path = Nibbles::new();
    let root_branch = nodes.remove(&empty_path).flatten();
    let place = match top {
        Subtree::Branch { path, stored: true, .. } if path.is_empty() => {
            let missing = || damaged(trie, path, "the root hash is not that of the root branch");
            Top::Here(root_branch.ok_or_else(missing)?)
        }
        Subtree::Branch { path, stored: true, .. } => Top::Below(*path),
        _ => Top::Leaves,
    };
    let entry = match top {
        Subtree::Empty => None,
        _ => Some(RootEntry { hash: root, top: place }.encode()),
    };
    nodes.insert(empty_path, entry);
    Ok(TrieOutput { root, nodes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(key: [u8; 32], value: &[u8]) -> TrieLeaf {
        TrieLeaf { key: Nibbles::unpack(key), value: value.to_vec() }
    }

    #[test]
    fn a_branch_of_leaves_is_not_stored_and_one_above_it_is() {
        let (a, b, c) = ([0x11; 32], [0x12; 32], [0x22; 32]);
        let mut nodes = Vec::new();
        build(&mut [leaf(a, b"a"), leaf(b, b"b")], &mut nodes);
        assert_eq!(nodes, []);
        build(&mut [leaf(a, b"a"), leaf(b, b"b"), leaf(c, b"c")], &mut nodes);
        let paths: Vec<_> = nodes.iter().map(|(path, _)| *path).collect();
        assert_eq!(paths, [Nibbles::new()]);
    }

    #[test]
    fn joining_one_subtree_gives_that_subtree() {
        let mut nodes = Vec::new();
        let only = Subtree::Leaf(leaf([0x11; 32], b"a"));
        let hash = only.root_hash();
        let path = Nibbles::from_nibbles([1]);
        let joined = join(path, vec![(0, Subtree::Empty), (1, only)], &mut nodes);
        assert_eq!(joined.root_hash(), hash);
        assert!(matches!(join(path, vec![(3, Subtree::Empty)], &mut nodes), Subtree::Empty));
        assert_eq!(nodes, []);
    }

    #[test]
    fn the_root_of_nothing_is_the_empty_root() {
        assert_eq!(build(&mut [], &mut Vec::new()).root_hash(), EMPTY_ROOT_HASH);
    }
}
