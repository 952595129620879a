//! Applying a patch to the tree in memory, and letting go of what was not used for long.

use std::{mem, sync::Arc};

use banyan_primitives::B256;

use super::{
    compute::StoragePatches,
    node::{Branch, Place, Reference, Trie},
    patch::{Base, LeafStorage, New, NewLeaf, Patch, TriePatch, Work},
    warm,
};
use crate::node::ChildKind;

/// Applies the patches of one batch.
#[derive(Debug)]
pub(super) struct Applier {
    /// The batch's number.
    pub(super) epoch: u32,
    /// What was last used before this batch is let go where it is met.
    pub(super) oldest: u32,
    /// Storage tries of the batch.
    pub(super) storage: StoragePatches,
    /// Bytes that the trie at hand takes more than before.
    pub(super) grown: isize,
    /// What the patch at hand changes was brought into the caches.
    pub(super) warm: bool,
}

/// A child that a patch makes.
type Child = (Reference, ChildKind, Place);

impl Applier {
    pub(super) fn trie(&mut self, trie: &mut Trie, patch: &mut Patch, change: TriePatch) {
        let outside = (mem::take(&mut self.grown), mem::take(&mut self.warm));
        trie.root = change.root;
        if change.wiped {
            self.shrink(trie.top.take().as_ref());
        }
        if change.top != New::Same {
            let old = trie.top.take();
            let top = self.child(patch, change.top, old).map(|(.., place)| place);
            trie.top = top.filter(|place| !matches!(place, Place::Unloaded));
        }
        let grown = mem::replace(&mut self.grown, outside.0);
        self.warm = outside.1;
        trie.bytes = trie.bytes.saturating_add_signed(grown);
    }

    fn shrink(&mut self, gone: Option<&Place>) {
        self.grown -= gone.map_or(0, Place::weight) as isize;
    }

    /// The child that `new` is, where `old` was, which still counts.
    fn child(&mut self, patch: &mut Patch, new: New, old: Option<Place>) -> Option<Child> {
        match new {
            New::Same | New::Empty => {
                self.shrink(old.as_ref());
                None
            }
            New::Leaf(index) => {
                self.shrink(old.as_ref());
                let leaf = mem::take(patch.leaves.get_mut(index as usize)?);
                let (reference, place) = self.leaf(leaf, old);
                self.grown += place.weight() as isize;
                Some((reference, ChildKind::Leaf, place))
            }
            New::Work(index) => self.branch(patch, index, old),
            New::Part(index) => {
                let (mut part, top) = mem::take(patch.parts.get_mut(index as usize)?);
                let outside = mem::replace(&mut self.warm, false);
                let branch = self.branch(&mut part, top, old);
                self.warm = outside;
                branch
            }
        }
    }

    fn leaf(&mut self, leaf: NewLeaf, old: Option<Place>) -> (Reference, Place) {
        let NewLeaf { key, storage, reference, .. } = leaf;
        let storage = match storage {
            LeafStorage::Slot => return (reference, Place::Leaf(key)),
            LeafStorage::Empty => None,
            LeafStorage::Kept(trie) => Some(trie),
            LeafStorage::Changed(number) => self.changed_storage(&key, number, old),
        };
        (reference, Place::Account { key, epoch: self.epoch, storage })
    }

    /// The storage of an account after the batch; `old` is where it may be as it was before.
    fn changed_storage(
        &mut self,
        account: &B256,
        number: u32,
        old: Option<Place>,
    ) -> Option<Arc<Trie>> {
        let (task, change) = *self.storage.tries.get(number as usize)?;
        let mut patch = mem::take(self.storage.patches.get_mut(task as usize)?);
        let before = match old {
            Some(Place::Account { key, storage, .. }) if key == *account => storage,
            _ => None,
        };
        let mut trie = before.unwrap_or_else(|| Arc::new(Trie::unloaded(change.root)));
        self.trie(Arc::make_mut(&mut trie), &mut patch, change);
        if let Some(place) = self.storage.patches.get_mut(task as usize) {
            *place = patch;
        }
        Some(trie)
    }

    /// The branch with number `index`, where `old` was, which still counts.
    fn branch(&mut self, patch: &mut Patch, index: u32, old: Option<Place>) -> Option<Child> {
        let work = patch.works.get_mut(index as usize)?;
        let (reference, kind, entries) = (work.reference, work.kind(), work.entries);
        let Some(mut node) = self.base(work, old) else {
            return Some((reference, kind, Place::Unloaded));
        };
        let is_first = !std::mem::replace(&mut self.warm, true);
        if is_first {
            warm::for_apply(&node, patch, index);
        }
        let branch = Arc::make_mut(&mut node);
        for entry in entries.0..entries.1 {
            let entry = patch.entries[entry as usize];
            self.change(patch, branch, entry.nibble, entry.new);
        }
        if self.oldest > 0 {
            branch.places.iter_mut().for_each(|place| self.let_go(place));
        }
        self.warm = !is_first;
        Some((reference, kind, Place::Branch { node, epoch: self.epoch }))
    }

    /// The branch to be changed. `None` if what the patch was made for is not here: the leaf of the
    /// account whose storage this is has moved. It can be read again.
    fn base(&mut self, work: &mut Work, old: Option<Place>) -> Option<Arc<Branch>> {
        match (mem::take(&mut work.base), old) {
            (Base::Kept | Base::Here(_), Some(Place::Branch { node, .. }))
                if node.path == work.path =>
            {
                Some(node)
            }
            (Base::Kept | Base::Here(_), old) => {
                self.shrink(old.as_ref());
                None
            }
            (Base::From(node), old) => {
                self.shrink(old.as_ref());
                self.grown += node.weight() as isize;
                Some(node)
            }
            (Base::New, old) => {
                self.shrink(old.as_ref());
                self.grown += Branch::OWN_WEIGHT as isize;
                let children = (work.entries.1 - work.entries.0) as usize;
                Some(Arc::new(Branch::new(work.path, children)))
            }
        }
    }

    fn change(&mut self, patch: &mut Patch, branch: &mut Branch, nibble: u8, new: New) {
        let index = branch.masks.index(nibble);
        let there = branch.masks.has(nibble);
        let old = if there {
            branch.places.get_mut(index).map(|place| mem::replace(place, Place::Unloaded))
        } else {
            None
        };
        match self.child(patch, new, old) {
            Some((reference, kind, place)) => {
                branch.masks.set(nibble, kind, reference.inline);
                if there {
                    branch.references[index] = reference.bytes;
                    branch.places[index] = place;
                } else {
                    branch.references.insert(index, reference.bytes);
                    branch.places.insert(index, place);
                    self.grown += Branch::CHILD_WEIGHT as isize;
                }
            }
            None if there => {
                branch.masks.clear(nibble);
                branch.references.remove(index);
                branch.places.remove(index);
                self.grown -= Branch::CHILD_WEIGHT as isize;
            }
            None => {}
        }
    }

    /// Forgets what is below a child if it was not used for long.
    fn let_go(&mut self, place: &mut Place) {
        match place {
            Place::Branch { node, epoch } if *epoch < self.oldest => {
                self.grown -= node.weight() as isize;
                *place = Place::Unloaded;
            }
            Place::Account { storage: Some(trie), epoch, .. }
                if *epoch < self.oldest && trie.top.is_some() =>
            {
                let stub = Arc::new(Trie::unloaded(trie.root));
                self.grown -= trie.bytes as isize - stub.bytes as isize;
                *trie = stub;
            }
            _ => {}
        }
    }
}
