//! Applying a patch to the tree in memory, and letting go of what was not used for long.

use std::{mem, sync::Arc};

use super::{
    node::{Branch, Cell, Place, Trie},
    patch::{Base, BranchPatch, Entry, LeafStorage, NewLeaf, TriePatch},
};

/// Applies the patches of one batch.
#[derive(Debug)]
pub(super) struct Applier {
    /// The batch's number.
    pub(super) epoch: u32,
    /// What was last used before this batch is let go where it is met.
    pub(super) oldest: u32,
    /// Storage tries of the batch.
    pub(super) storage: Vec<TriePatch>,
    /// Bytes that the trie at hand takes more than before.
    pub(super) grown: isize,
}

impl Applier {
    pub(super) fn trie(&mut self, trie: &mut Trie, patch: TriePatch) {
        let outside = mem::take(&mut self.grown);
        self.change(trie, patch);
        let grown = mem::replace(&mut self.grown, outside);
        trie.bytes = trie.bytes.saturating_add_signed(grown);
    }

    fn change(&mut self, trie: &mut Trie, patch: TriePatch) {
        trie.root = patch.root;
        if patch.wiped {
            self.shrink(trie.top.take().as_ref());
        }
        let Some(entry) = patch.top else { return };
        let old = trie.top.take();
        self.shrink(old.as_ref().filter(|_| !matches!(entry, Entry::Branch(_))));
        let top = self.fresh(entry, old);
        let loaded = |cell: &Cell| !matches!(cell.place, Place::Unloaded(_));
        trie.top = top.filter(loaded);
    }

    fn shrink(&mut self, gone: Option<&Cell>) {
        self.grown -= gone.map_or(0, Cell::weight) as isize;
    }

    /// The cell of an entry that is not a branch; `old` was there and counts no more.
    fn fresh(&mut self, entry: Entry, old: Option<Cell>) -> Option<Cell> {
        let cell = match entry {
            Entry::Removed => return None,
            Entry::Leaf(leaf) => self.leaf(leaf, old),
            Entry::Branch(branch) => return Some(self.branch(old, branch)),
        };
        self.grown += cell.weight() as isize;
        Some(cell)
    }

    fn leaf(&mut self, leaf: NewLeaf, old: Option<Cell>) -> Cell {
        let NewLeaf { key, storage, reference, .. } = leaf;
        let storage = match storage {
            LeafStorage::Slot => return Cell { reference, place: Place::Leaf(key) },
            LeafStorage::Empty => None,
            LeafStorage::Kept(trie) => Some(trie),
            LeafStorage::Changed(number) => self.changed_storage(&leaf.key, number, old),
        };
        Cell { reference, place: Place::Account { key, epoch: self.epoch, storage } }
    }

    /// The storage of an account after the batch; `old` is where it may be as it was before.
    fn changed_storage(
        &mut self,
        account: &banyan_primitives::B256,
        number: u32,
        old: Option<Cell>,
    ) -> Option<Arc<Trie>> {
        let none = TriePatch { root: Default::default(), top: None, wiped: true };
        let patch = mem::replace(self.storage.get_mut(number as usize)?, none);
        let before = match old.map(|cell| cell.place) {
            Some(Place::Account { key, storage, .. }) if key == *account => storage,
            _ => None,
        };
        let mut trie = before.unwrap_or_else(|| Arc::new(Trie::unloaded(patch.root)));
        self.trie(Arc::make_mut(&mut trie), patch);
        Some(trie)
    }

    /// The cell of a branch; `old` was there and still counts.
    fn branch(&mut self, old: Option<Cell>, patch: BranchPatch) -> Cell {
        let BranchPatch { path, reference, stored, base, changed } = patch;
        let before = match (base, old) {
            (Base::Kept | Base::Here(_), Some(Cell { place: Place::Branch { node, .. }, .. }))
                if node.path == path =>
            {
                Some(node)
            }
            (Base::From(node), old) => {
                self.shrink(old.as_ref());
                self.grown += (node.weight() + size_of::<Cell>()) as isize;
                Some(node)
            }
            (Base::New, old) => {
                self.shrink(old.as_ref());
                self.grown += (Branch::OWN_WEIGHT + size_of::<Cell>()) as isize;
                Some(Arc::new(Branch::new(path)))
            }
            (_, old) => {
                self.shrink(old.as_ref());
                None
            }
        };
        let place = match before {
            Some(mut node) => {
                self.children(Arc::make_mut(&mut node), changed);
                Place::Branch { node, stored, epoch: self.epoch }
            }
            // What the patch was made for is not here: the leaf of the account whose storage this is
            // has moved. It can be read again.
            None => {
                self.grown += size_of::<Cell>() as isize;
                Place::Unloaded(Entry::kind_of_branch(stored))
            }
        };
        Cell { reference, place }
    }

    fn children(&mut self, node: &mut Branch, changed: Vec<(u8, Entry)>) {
        for (nibble, entry) in changed {
            let (index, bit) = (node.index(nibble), 1 << nibble);
            if node.present & bit == 0 {
                if let Some(cell) = self.fresh(entry, None) {
                    node.present |= bit;
                    node.cells.insert(index, cell);
                }
                continue;
            }
            let Some(cell) = node.cells.get_mut(index) else { continue };
            let nothing = Cell { reference: Default::default(), place: Place::Leaf(Default::default()) };
            let old = mem::replace(cell, nothing);
            if !matches!(entry, Entry::Branch(_)) {
                self.shrink(Some(&old));
            }
            match self.fresh(entry, Some(old)) {
                Some(new) => *cell = new,
                None => {
                    node.cells.remove(index);
                    node.present &= !bit;
                }
            }
        }
        if self.oldest > 0 {
            node.cells.iter_mut().for_each(|cell| self.let_go(cell));
        }
    }

    /// Forgets what is below a cell if it was not used for long.
    fn let_go(&mut self, cell: &mut Cell) {
        let kind = cell.kind();
        match &mut cell.place {
            Place::Branch { node, epoch, .. } if *epoch < self.oldest => {
                self.grown -= node.weight() as isize;
                cell.place = Place::Unloaded(kind);
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
