//! All nodes that a block needs of the state before it: a proof of many keys at once.

use std::collections::BTreeMap;

use alloy_trie::nodes::RlpNode;
use banyan_primitives::{
    B256, B256Map, Bytes, keccak256,
    trie::{Nibbles, TrieId, TrieSource},
};

use crate::{
    CommitmentError,
    node::{BranchNode, extension_rlp, leaf_rlp},
    reader::{Opened, Reader},
    subtree::{Subtree, TrieLeaf},
};

/// What a block touched: hashed keys, and whether their leaves are gone afterwards.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// Accounts by hashed address.
    pub accounts: BTreeMap<B256, TouchedAccount>,
}

/// An account that a block touched.
#[derive(Clone, Debug, Default)]
pub struct TouchedAccount {
    /// It existed and does not any more.
    pub deleted: bool,
    /// Slots by their hash; true: not zero before, and zero afterwards.
    pub slots: BTreeMap<B256, bool>,
}

/// The trie nodes of `source` (RLP, each once) with which everything that was touched can be read
/// and, in whatever order, be changed: those on the way to each key, and those that take the place of
/// a branch when all of its other children are deleted. Cost follows the keys and their depth.
pub fn witness<S: TrieSource>(
    source: &S,
    touched: &Touched,
) -> Result<Vec<Bytes>, CommitmentError> {
    let mut nodes = Nodes::default();
    let keys: Vec<Key> = touched
        .accounts
        .iter()
        .map(|(key, account)| (Nibbles::unpack(key), account.deleted))
        .collect();
    nodes.collect(&Reader { source, trie: TrieId::Accounts }, &keys)?;
    for (account, TouchedAccount { slots, .. }) in &touched.accounts {
        let keys: Vec<Key> =
            slots.iter().map(|(slot, deleted)| (Nibbles::unpack(slot), *deleted)).collect();
        nodes.collect(&Reader { source, trie: TrieId::Storage(*account) }, &keys)?;
    }
    Ok(nodes.list)
}

/// A key, and whether its leaf is deleted.
type Key = (Nibbles, bool);

#[derive(Default)]
struct Nodes {
    list: Vec<Bytes>,
    known: B256Map<()>,
}

impl Nodes {
    /// Adds the nodes of one trie for keys in order.
    fn collect<S: TrieSource>(
        &mut self,
        reader: &Reader<'_, S>,
        keys: &[Key],
    ) -> Result<(), CommitmentError> {
        if keys.is_empty() {
            return Ok(());
        }
        let opened = reader.open_root(reader.root_entry()?)?;
        self.visit(reader, opened, 0, keys).map(drop)
    }

    /// Adds a node, unless it is inside its parent. A root is listed however short.
    fn add(&mut self, rlp: Vec<u8>, depth: usize) {
        if (rlp.len() >= 32 || depth == 0) && self.known.insert(keccak256(&rlp), ()).is_none() {
            self.list.push(rlp.into());
        }
    }

    /// Adds what is `opened` below `depth` nibbles, and what is below it on the way of `keys`. True if
    /// anything of it is left after the deletions.
    fn visit<S: TrieSource>(
        &mut self,
        reader: &Reader<'_, S>,
        opened: Opened,
        depth: usize,
        keys: &[Key],
    ) -> Result<bool, CommitmentError> {
        let (path, node) = match opened {
            Opened::Leaves(leaves) => return Ok(self.visit_leaves(&leaves, depth, keys)),
            Opened::Branch(path, node) => (path, node),
        };
        self.add_branch(&path, &node, depth);
        let open = |nibble, kind| {
            let mut prefix = path;
            prefix.push(nibble);
            reader.open_child(&prefix, kind)
        };
        let (mut left, mut gone) = (Vec::new(), false);
        for nibble in 0..16 {
            let Some((_, kind)) = node.child(nibble) else { continue };
            let group = below(keys, &path, nibble);
            let stays = group.is_empty()
                || self.visit(reader, open(nibble, kind)?, path.len() + 1, group)?;
            match stays {
                true => left.push((nibble, kind)),
                false => gone = true,
            }
        }
        if let ([(nibble, kind)], true) = (&left[..], gone) {
            self.visit(reader, open(*nibble, *kind)?, path.len() + 1, &[])?;
        }
        Ok(!left.is_empty())
    }

    /// As [`Self::visit`], of a leaf or a branch of leaves.
    fn visit_leaves(&mut self, leaves: &[TrieLeaf], depth: usize, keys: &[Key]) -> bool {
        let is_left = |leaf: &&TrieLeaf| {
            let own = keys.binary_search_by(|(key, _)| key.cmp(&leaf.key));
            !own.is_ok_and(|index| keys[index].1)
        };
        let (Some(first), Some(last)) = (leaves.first(), leaves.last()) else { return false };
        if leaves.len() == 1 {
            self.add(leaf_rlp(&first.key.slice(depth..), &first.value), depth);
            return is_left(&first);
        }
        let path = first.key.slice(..first.key.common_prefix_length(&last.key));
        let mut node = BranchNode::default();
        for leaf in leaves {
            let nibble = leaf.key.get_unchecked(path.len());
            if let Some((reference, kind)) = Subtree::Leaf(leaf.clone()).as_child(path.len() + 1) {
                node.push(nibble, reference, kind);
            }
        }
        self.add_branch(&path, &node, depth);
        let left = leaves.iter().filter(is_left).count();
        for leaf in leaves {
            let nibble = leaf.key.get_unchecked(path.len());
            let takes_over = left == 1 && left < leaves.len() && is_left(&leaf);
            if takes_over || !below(keys, &path, nibble).is_empty() {
                self.add(leaf_rlp(&leaf.key.slice(path.len() + 1..), &leaf.value), path.len() + 1);
            }
        }
        left > 0
    }

    /// Adds a branch and the extension above it.
    fn add_branch(&mut self, path: &Nibbles, node: &BranchNode, depth: usize) {
        let rlp = node.rlp();
        if path.len() > depth {
            self.add(extension_rlp(&path.slice(depth..), &RlpNode::from_rlp(&rlp)), depth);
        }
        self.add(rlp, path.len());
    }
}

/// Those of the keys, which are in order, that go on with `nibble` after `path`.
fn below<'k>(keys: &'k [Key], path: &Nibbles, nibble: u8) -> &'k [Key] {
    let mut prefix = *path;
    prefix.push(nibble);
    let start = keys.partition_point(|(key, _)| *key < prefix);
    let end = start + keys[start..].partition_point(|(key, _)| key.starts_with(&prefix));
    &keys[start..end]
}
