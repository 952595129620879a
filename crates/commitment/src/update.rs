//! Incremental update of one trie: reads only along the changed keys.

use alloy_trie::nodes::RlpNode;
use banyan_primitives::trie::{Nibbles, TrieSource};
use rayon::prelude::*;

use crate::{
    CommitmentError,
    node::{BranchNode, ChildKind},
    reader::{Opened, Reader},
    subtree::{ChangedNodes, Subtree, TrieLeaf, TrieOutput, build, finish, join},
};

/// From how many changes on the children of a branch are updated in parallel.
const PARALLEL_CHANGES: usize = 256;

/// One changed key.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// All 64 nibbles of the hashed key.
    pub(crate) key: Nibbles,
    /// New leaf value, `None` to delete the leaf.
    pub(crate) value: Option<Vec<u8>>,
}

/// A child of a branch after an update.
enum Child {
    /// Changed.
    New(Subtree),
    /// As in the parent state, so not read.
    Kept(RlpNode, ChildKind),
}

/// Applies `changes`, ascending by key, to the trie of `reader`; with `wiped`, to an empty trie.
pub(crate) fn update_trie<S: TrieSource + Sync>(
    reader: &Reader<'_, S>,
    wiped: bool,
    changes: &[Change],
) -> Result<TrieOutput, CommitmentError> {
    let entry = if wiped { None } else { reader.root_entry()? };
    let old_root = entry.as_ref().map(|entry| entry.hash);
    let mut nodes = Vec::new();
    let opened = match changes {
        [] => return Ok(TrieOutput::unchanged(old_root)),
        _ => reader.open_root(entry)?,
    };
    let top = reader.update(opened, changes, &mut nodes)?;
    finish(reader.trie, old_root, &top, nodes)
}

impl<S: TrieSource + Sync> Reader<'_, S> {
    /// The subtree `opened` after `changes` (at least one, all below it).
    fn update(
        &self,
        opened: Opened,
        changes: &[Change],
        out: &mut ChangedNodes,
    ) -> Result<Subtree, CommitmentError> {
        let (path, node) = match opened {
            Opened::Leaves(leaves) => return Ok(build(&mut merge(leaves, changes), out)),
            Opened::Branch(path, node) => (path, node),
        };
        // All changes share the prefix of the outermost two.
        let outermost = [changes.first(), changes.last()].into_iter().flatten();
        let shared = outermost.map(|change| change.key.common_prefix_length(&path)).min();
        match shared {
            Some(depth) if depth < path.len() => self.fork(depth, path, node, changes, out),
            _ => self.update_branch(path, &node, changes, out),
        }
    }

    /// Some changes leave the extension above the branch `node` after `depth` nibbles.
    fn fork(
        &self,
        depth: usize,
        path: Nibbles,
        node: BranchNode,
        changes: &[Change],
        out: &mut ChangedNodes,
    ) -> Result<Subtree, CommitmentError> {
        let own = path.get_unchecked(depth);
        let mut opened = Some(Opened::Branch(path, node));
        let mut children = Vec::with_capacity(16);
        for (nibble, group) in groups(changes, depth) {
            let before = if nibble == own { opened.take() } else { None };
            let child = match before {
                Some(before) if group.is_empty() => before.into_subtree(),
                Some(before) => self.update(before, group, out)?,
                None => build(&mut merge(Vec::new(), group), out),
            };
            children.push((nibble, child));
        }
        Ok(join(path.slice(..depth), children, out))
    }

    /// All changes are below the branch `old` at `path`.
    fn update_branch(
        &self,
        path: Nibbles,
        old: &BranchNode,
        changes: &[Change],
        out: &mut ChangedNodes,
    ) -> Result<Subtree, CommitmentError> {
        let mut children = self.update_children(&path, old, changes, out)?;
        if children.len() < 2 {
            out.push((path, None));
            return match children.pop() {
                None => Ok(Subtree::Empty),
                Some((_, Child::New(subtree))) => Ok(subtree),
                Some((nibble, Child::Kept(_, kind))) => {
                    Ok(self.open_child(&below(&path, nibble), kind)?.into_subtree())
                }
            };
        }
        let mut node = BranchNode::default();
        for (nibble, child) in children {
            let child = match child {
                Child::New(subtree) => subtree.as_child(path.len() + 1),
                Child::Kept(reference, kind) => Some((reference, kind)),
            };
            if let Some((reference, kind)) = child {
                node.push(nibble, reference, kind);
            }
        }
        if !node.is_stored() {
            out.push((path, None));
        } else if node != *old {
            out.push((path, Some(node.encode())));
        }
        Ok(Subtree::branch(path, &node))
    }

    /// The children that are left of the branch `old`, by nibble.
    fn update_children(
        &self,
        path: &Nibbles,
        old: &BranchNode,
        changes: &[Change],
        out: &mut ChangedNodes,
    ) -> Result<Vec<(u8, Child)>, CommitmentError> {
        let groups = groups(changes, path.len());
        let mut children = Vec::with_capacity(16);
        if changes.len() < PARALLEL_CHANGES {
            for (nibble, group) in groups {
                let child = self.update_child(&below(path, nibble), old.child(nibble), group, out);
                children.extend(child?.map(|child| (nibble, child)));
            }
            return Ok(children);
        }
        let parts = groups.collect::<Vec<_>>().into_par_iter().map(|(nibble, group)| {
            let mut nodes = Vec::new();
            let prefix = below(path, nibble);
            let child = self.update_child(&prefix, old.child(nibble), group, &mut nodes)?;
            Ok((nibble, child, nodes))
        });
        for (nibble, child, nodes) in parts.collect::<Result<Vec<_>, CommitmentError>>()? {
            children.extend(child.map(|child| (nibble, child)));
            out.extend(nodes);
        }
        Ok(children)
    }

    /// One child of a branch after `changes`; `None` if nothing is left there.
    fn update_child(
        &self,
        prefix: &Nibbles,
        old: Option<(&RlpNode, ChildKind)>,
        changes: &[Change],
        out: &mut ChangedNodes,
    ) -> Result<Option<Child>, CommitmentError> {
        if changes.is_empty() {
            return Ok(old.map(|(reference, kind)| Child::Kept(reference.clone(), kind)));
        }
        let opened = match old {
            Some((_, kind)) => self.open_child(prefix, kind)?,
            None => Opened::Leaves(Vec::new()),
        };
        Ok(match self.update(opened, changes, out)? {
            Subtree::Empty => None,
            subtree => Some(Child::New(subtree)),
        })
    }
}

/// The changes below each nibble at `depth`; they agree on all nibbles before.
fn groups(mut changes: &[Change], depth: usize) -> impl Iterator<Item = (u8, &[Change])> {
    (0..16u8).map(move |nibble| {
        let end = changes.partition_point(|change| change.key.get_unchecked(depth) <= nibble);
        let (group, rest) = changes.split_at(end);
        changes = rest;
        (nibble, group)
    })
}

/// The path one nibble below.
fn below(path: &Nibbles, nibble: u8) -> Nibbles {
    let mut path = *path;
    path.push_unchecked(nibble);
    path
}

/// Leaves after `changes`; both ascend by key.
fn merge(leaves: Vec<TrieLeaf>, changes: &[Change]) -> Vec<TrieLeaf> {
    let mut merged = Vec::with_capacity(leaves.len() + changes.len());
    let mut leaves = leaves.into_iter().peekable();
    for change in changes {
        while let Some(leaf) = leaves.next_if(|leaf| leaf.key < change.key) {
            merged.push(leaf);
        }
        leaves.next_if(|leaf| leaf.key == change.key);
        let value = change.value.clone();
        merged.extend(value.map(|value| TrieLeaf { key: change.key, value }));
    }
    merged.extend(leaves);
    merged
}
