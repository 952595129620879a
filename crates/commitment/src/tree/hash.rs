//! The way up: all branches of a level are hashed together, the deepest first.

use std::{cmp::Reverse, mem};

use arrayvec::ArrayVec;
use banyan_primitives::{
    B256, EMPTY_ROOT_HASH, keccak256,
    trie::{NodeChanges, TrieId, TrieSource},
};

use super::{
    hashes::{Hashes, reference},
    node::{Branch, Reference},
    patch::{BranchPatch, Entry, TriePatch},
    path::Path,
    rlp::{self, Child},
    update::{New, Pass, Work},
};
use crate::{
    CommitmentError,
    error::damaged,
    node::{ChildKind, RootEntry, Top},
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

impl Work {
    /// The children of the branch, by nibble.
    fn children(&self) -> ArrayVec<Child<'_>, 16> {
        let mut children = ArrayVec::new();
        let mut changed = self.changed.iter().peekable();
        let base = self.base.branch();
        let mut old = base.map_or(&[][..], |base| &base.cells).iter();
        let present = base.map_or(0, |base| base.present);
        for nibble in 0..16 {
            let old = if present & (1 << nibble) != 0 { old.next() } else { None };
            let child = match changed.next_if(|(changed, _)| *changed == nibble) {
                Some((_, entry)) => entry.reference().map(|it| (it, entry.kind())),
                None => old.map(|cell| (&cell.reference, cell.kind())),
            };
            children.extend(child.map(|(reference, kind)| Child { nibble, reference, kind }));
        }
        children
    }

    /// True if the stored form of the branch would be another than that of its base.
    fn differs(&self, base: &Branch) -> bool {
        self.changed.iter().any(|(nibble, entry)| {
            let old = base.cell(*nibble).map(|cell| (&cell.reference, cell.kind()));
            old != entry.reference().map(|reference| (reference, entry.kind()))
        })
    }
}

impl<S: TrieSource + Sync> Pass<'_, S> {
    /// Hashes everything there is to be hashed but a lone leaf at the top.
    pub(super) fn hash(&mut self) {
        let (mut hashes, mut references) = (Hashes::default(), Vec::new());
        self.hash_leaves(&mut hashes, &mut references);
        let mut order: Vec<usize> = (0..self.works.len()).collect();
        order.sort_by_key(|index| Reverse(self.works[*index].path.len));
        let depth = |index: &usize| self.works[*index].path.len;
        let levels: Vec<usize> =
            order.chunk_by(|a, b| depth(a) == depth(b)).map(<[usize]>::len).collect();
        let mut rest = &order[..];
        for level in levels {
            let (level, deeper) = rest.split_at(level);
            rest = deeper;
            let stored: Vec<bool> =
                level.iter().map(|index| self.encode(*index, &mut hashes)).collect();
            hashes.take(&mut references);
            for ((index, stored), own) in level.iter().zip(stored).zip(&references) {
                self.deliver(*index, stored, *own);
            }
        }
    }

    fn hash_leaves(&mut self, hashes: &mut Hashes, references: &mut Vec<Reference>) {
        let values = &self.values;
        for work in &self.works {
            let depth = work.path.len() + 1;
            for (_, entry) in &work.changed {
                if let Entry::Leaf(leaf) = entry {
                    let value = &values[leaf.value.0 as usize..leaf.value.1 as usize];
                    hashes.add(|out| rlp::leaf(out, &leaf.key, depth, value));
                }
            }
        }
        hashes.take(references);
        let mut references = references.iter();
        for (_, entry) in self.works.iter_mut().flat_map(|work| &mut work.changed) {
            if let Entry::Leaf(leaf) = entry {
                leaf.reference = references.next().copied().unwrap_or_default();
            }
        }
    }

    /// Encodes a branch, for hashing and, if that changed, for the store. True if it belongs there.
    fn encode(&mut self, index: usize, hashes: &mut Hashes) -> bool {
        let work = &self.works[index];
        let children = work.children();
        hashes.add(|out| rlp::branch(out, &children));
        let stored = children.iter().any(|child| child.kind != ChildKind::Leaf);
        let base = work.base.branch();
        let was_stored = base.is_some_and(Branch::is_stored);
        if stored && base.is_none_or(|base| !was_stored || work.differs(base)) {
            self.nodes.push((work.trie, work.path, Some(rlp::stored(&children).into())));
        } else if was_stored && !stored {
            self.nodes.push((work.trie, work.path, None));
        }
        stored
    }

    /// Puts a hashed branch into the work above.
    fn deliver(&mut self, index: usize, stored: bool, own: Reference) {
        let work = &mut self.works[index];
        let changed = mem::take(&mut work.changed);
        let (path, base) = (work.path, mem::take(&mut work.base));
        let mut branch = BranchPatch { path, reference: own, stored, base, changed };
        let Some((parent, position)) = work.parent else {
            work.done = Some(branch);
            return;
        };
        let parent = &mut self.works[parent];
        branch.reference = hang(&path, parent.path.len() + 1, own);
        branch.base.settle();
        if let Some((_, entry)) = parent.changed.get_mut(position) {
            *entry = Entry::Branch(branch);
        }
    }

    /// `new` with its hash, once all are hashed.
    pub(super) fn resolve(&mut self, new: New) -> New {
        match new {
            New::Work(index) => self.works[index].done.take().map_or(New::Same, New::Done),
            new => new,
        }
    }

    /// Closes the trie that has `new` at its top, and had the root `old_root`.
    pub(super) fn close(
        &mut self,
        trie: TrieId,
        old_root: B256,
        new: New,
        nodes: NodeChanges,
    ) -> Result<(NodeChanges, TriePatch), CommitmentError> {
        let new = self.resolve(new);
        let (top, stored) = match new {
            New::Same | New::Work(_) => {
                return Ok((nodes, TriePatch { root: old_root, top: None, wiped: false }));
            }
            New::Empty => (Entry::Removed, None),
            New::Leaf(mut leaf) => {
                let value = &self.values[leaf.value.0 as usize..leaf.value.1 as usize];
                let mut rlp = Vec::with_capacity(160);
                rlp::leaf(&mut rlp, &leaf.key, 0, value);
                leaf.reference = root_reference(reference(&rlp));
                (Entry::Leaf(leaf), None)
            }
            New::Done(mut branch) => {
                branch.reference = root_reference(hang(&branch.path, 0, branch.reference));
                branch.base.settle();
                let stored = branch.stored.then_some(branch.path);
                (Entry::Branch(branch), stored)
            }
        };
        let hash = |reference: &Reference| B256::from_slice(reference.as_slice());
        let root = top.reference().map_or(EMPTY_ROOT_HASH, hash);
        let nodes = if root == old_root { nodes } else { with_root(trie, root, stored, nodes)? };
        Ok((nodes, TriePatch { root, top: Some(top), wiped: false }))
    }
}

/// A root is hashed however short it is.
fn root_reference(reference: Reference) -> Reference {
    match reference.is_hash() {
        true => reference,
        false => Reference::hash(keccak256(reference.as_slice()).0),
    }
}

/// Adds the root entry. `stored` is the path of the topmost stored branch.
fn with_root(
    trie: TrieId,
    root: B256,
    stored: Option<Path>,
    mut nodes: NodeChanges,
) -> Result<NodeChanges, CommitmentError> {
    let empty_path = banyan_primitives::trie::Nibbles::new();
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
