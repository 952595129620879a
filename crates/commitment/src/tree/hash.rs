//! The way up: all branches of a level are hashed together, the deepest first.

use std::cmp::Reverse;

use banyan_primitives::{
    B256, Bytes, EMPTY_ROOT_HASH, keccak256,
    trie::{Nibbles, NodeChanges, TrieId, TrieSource},
};

use super::{
    hashes::{Hashes, reference},
    node::Reference,
    patch::{New, NewLeaf, Patch, TriePatch, Work},
    path::Path,
    rlp::{self, Children},
    update::Pass,
};
use crate::{
    CommitmentError,
    error::damaged,
    node::{RootEntry, Top},
};

/// The reference of a branch as a parent holds it whose slot for it has a path of `depth` nibbles.
/// `own` is its reference without an extension above.
pub(super) fn hang(path: &Path, depth: usize, own: Reference) -> Reference {
    if path.len() == depth {
        return own;
    }
    let mut rlp = Vec::with_capacity(70);
    rlp::extension(&mut rlp, path, depth, &own);
    reference(&rlp)
}

/// The children of a branch after the batch; and whether it is another than its base.
fn children<'p>(patch: &'p Patch, work: &'p Work) -> (Children<'p>, bool) {
    let mut children = Children::default();
    let mut differs = false;
    let mut entries = patch.entries(work).iter().peekable();
    let base = work.base.branch();
    let before = base.map(|base| base.masks).unwrap_or_default();
    children.masks = before;
    let mut old = base.map_or(&[][..], |base| &base.references).iter();
    for nibble in 0..16 {
        let old = if before.has(nibble) { old.next() } else { None };
        let Some(entry) = entries.next_if(|entry| entry.nibble == nibble) else {
            children.references.extend(old);
            continue;
        };
        match patch.child(entry.new) {
            Some((reference, kind)) => {
                children.masks.set(nibble, kind, reference.inline);
                children.references.push(&reference.bytes);
                differs |= old != Some(&reference.bytes);
            }
            None => children.masks.clear(nibble),
        }
    }
    let differs = differs || children.masks != before;
    (children, differs)
}

impl<S: TrieSource + Sync> Pass<'_, S> {
    /// Hashes everything there is to be hashed but a lone leaf at the top.
    pub(super) fn hash(&mut self) {
        let mut hashes = Hashes::for_nodes(self.patch.works.len());
        let mut references = Vec::new();
        self.hash_leaves(&mut hashes, &mut references);
        self.encoded.reserve(self.patch.works.len() * 300);
        let depth = |index: &u32| self.patch.works[*index as usize].path.len;
        let mut order: Vec<u32> = (0..self.patch.works.len() as u32).collect();
        order.sort_by_key(|index| Reverse(depth(index)));
        let levels: Vec<usize> =
            order.chunk_by(|a, b| depth(a) == depth(b)).map(<[u32]>::len).collect();
        let mut rest = &order[..];
        for level in levels {
            let (level, above) = rest.split_at(level);
            rest = above;
            for index in level {
                self.encode(*index, &mut hashes);
            }
            hashes.take(&mut references);
            for (index, own) in level.iter().zip(&references) {
                self.finish(*index, *own);
            }
        }
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.shrink_to_fit();
        let encoded = Bytes::from(encoded);
        self.nodes.reserve(self.stored.len());
        for (trie, path, (start, end)) in self.stored.drain(..) {
            self.nodes.push((trie, path, Some(encoded.slice(start..end))));
        }
    }

    fn hash_leaves(&mut self, hashes: &mut Hashes, references: &mut Vec<Reference>) {
        let Patch { works, entries, leaves, .. } = &mut self.patch;
        let places = works.iter().flat_map(|work| {
            let (start, end) = work.entries;
            let depth = work.path.len() + 1;
            entries[start as usize..end as usize].iter().filter_map(move |entry| match entry.new {
                New::Leaf(index) => Some((index as usize, depth)),
                _ => None,
            })
        });
        for (index, depth) in places.clone() {
            let NewLeaf { key, value: (start, end), .. } = &leaves[index];
            let value = &self.values[*start as usize..*end as usize];
            hashes.add(|out| rlp::leaf(out, key, depth, value));
        }
        hashes.take(references);
        for ((index, _), reference) in places.zip(references) {
            leaves[index].reference = *reference;
        }
    }

    /// Encodes a branch, for hashing and, if that changed, for the store.
    fn encode(&mut self, index: u32, hashes: &mut Hashes) {
        let work = &self.patch.works[index as usize];
        let (children, differs) = children(&self.patch, work);
        hashes.add(|out| rlp::branch(out, &children));
        let stored = children.masks.is_stored();
        let was_stored = work.base.branch().is_some_and(|base| base.masks.is_stored());
        if stored && (!was_stored || differs) {
            let start = self.encoded.len();
            rlp::stored(&mut self.encoded, &children);
            self.stored.push((work.trie, work.path, (start, self.encoded.len())));
        } else if was_stored && !stored {
            self.nodes.push((work.trie, work.path, None));
        }
        drop(children);
        self.patch.works[index as usize].stored = stored;
    }

    /// Takes note of the reference of a branch.
    fn finish(&mut self, index: u32, own: Reference) {
        let works = &mut self.patch.works;
        let parent = works[index as usize].parent;
        let depth = parent.map(|parent| works[parent as usize].path.len() + 1);
        let work = &mut works[index as usize];
        work.reference = own;
        if let Some(depth) = depth {
            work.reference = hang(&work.path, depth, own);
            work.base.settle();
        }
    }

    /// The changed stored nodes by trie of the pass.
    pub(super) fn take_nodes(&mut self) -> Vec<Vec<(Nibbles, Option<Bytes>)>> {
        // By path, which is much faster than to have the maps sort them.
        self.nodes.sort_unstable_by(|(_, a, _), (_, b, _)| {
            let start = |path: &Path| path.key.first_chunk::<8>().map(|it| u64::from_be_bytes(*it));
            let starts = start(a).cmp(&start(b));
            starts.then_with(|| a.key.cmp(&b.key)).then(a.len.cmp(&b.len))
        });
        let mut nodes = Vec::new();
        nodes.resize_with(self.tries.len(), Vec::new);
        for (trie, path, node) in self.nodes.drain(..) {
            nodes[trie as usize].push((path.nibbles(), node));
        }
        nodes
    }

    /// Closes the trie that has `new` at its top, and had the root `old_root`.
    pub(super) fn close(
        &mut self,
        trie: TrieId,
        old_root: B256,
        new: New,
        nodes: Vec<(Nibbles, Option<Bytes>)>,
    ) -> Result<(NodeChanges, TriePatch), CommitmentError> {
        let nodes: NodeChanges = nodes.into_iter().collect();
        let mut stored = None;
        let root = match new {
            New::Same => {
                return Ok((nodes, TriePatch { root: old_root, top: new, wiped: false }));
            }
            New::Empty => EMPTY_ROOT_HASH,
            New::Leaf(index) => {
                let NewLeaf { key, value: (start, end), .. } = &self.patch.leaves[index as usize];
                let mut rlp = Vec::with_capacity(160);
                rlp::leaf(&mut rlp, key, 0, &self.values[*start as usize..*end as usize]);
                keccak256(rlp)
            }
            New::Work(_) | New::Part(_) => match self.patch.work_mut(new) {
                Some(work) => {
                    work.base.settle();
                    stored = work.stored.then_some(work.path);
                    root_hash(hang(&work.path, 0, work.reference))
                }
                None => EMPTY_ROOT_HASH,
            },
        };
        let nodes = if root == old_root { nodes } else { with_root(trie, root, stored, nodes)? };
        Ok((nodes, TriePatch { root, top: new, wiped: false }))
    }
}

/// A root is hashed however short it is.
fn root_hash(reference: Reference) -> B256 {
    if reference.inline { keccak256(reference.as_slice()) } else { B256::new(reference.bytes) }
}

/// Adds the root entry. `stored` is the path of the topmost stored branch.
fn with_root(
    trie: TrieId,
    root: B256,
    stored: Option<Path>,
    mut nodes: NodeChanges,
) -> Result<NodeChanges, CommitmentError> {
    let empty_path = Nibbles::new();
    let branch = nodes.remove(&empty_path).flatten();
    let top = match stored {
        None => Top::Leaves,
        Some(path) if path.len > 0 => Top::Below(path.nibbles()),
        Some(_) => {
            let missing = || damaged(trie, &empty_path, "the root branch did not change");
            Top::Here(branch.ok_or_else(missing)?)
        }
    };
    let entry = (root != EMPTY_ROOT_HASH).then(|| RootEntry { hash: root, top }.encode());
    nodes.insert(empty_path, entry);
    Ok(nodes)
}
