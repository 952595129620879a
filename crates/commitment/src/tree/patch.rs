//! What a batch makes of a trie: new leaves and branches, as a patch to be applied later.

use std::{mem, sync::Arc};

use banyan_primitives::B256;

use super::{
    node::{Branch, Reference, Trie},
    path::Path,
};
use crate::node::ChildKind;

/// New leaves and branches, each named by its number.
#[derive(Debug, Default)]
pub(super) struct Patch {
    pub(super) leaves: Vec<NewLeaf>,
    pub(super) works: Vec<Work>,
    /// What changes in the branches.
    pub(super) entries: Vec<Entry>,
    /// Done by other threads, with the number of their topmost branch.
    pub(super) parts: Vec<(Patch, u32)>,
}

/// What is below some slot after the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum New {
    /// As before.
    Same,
    /// Nothing.
    Empty,
    /// A leaf.
    Leaf(u32),
    /// A branch.
    Work(u32),
    /// The topmost branch of another thread's part.
    Part(u32),
}

/// The change of one child of a branch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) nibble: u8,
    pub(super) new: New,
}

/// A leaf after the batch.
#[derive(Clone, Debug, Default)]
pub(super) struct NewLeaf {
    pub(super) key: B256,
    /// Where its RLP value is among the values of its pass.
    pub(super) value: (u32, u32),
    pub(super) storage: LeafStorage,
    pub(super) reference: Reference,
}

/// What hangs on a leaf.
#[derive(Clone, Debug, Default)]
pub(super) enum LeafStorage {
    /// It is a slot.
    #[default]
    Slot,
    /// An account without storage.
    Empty,
    /// An account whose storage stays as it is.
    Kept(Arc<Trie>),
    /// An account whose storage is that of the batch's storage trie with this number.
    Changed(u32),
}

/// A branch after the batch.
#[derive(Debug)]
pub(super) struct Work {
    /// Which trie of the pass.
    pub(super) trie: u32,
    /// The branch above, among those of this patch.
    pub(super) parent: Option<u32>,
    pub(super) path: Path,
    pub(super) base: Base,
    /// Its changes, by nibble: a range of entries.
    pub(super) entries: (u32, u32),
    /// As its parent names it; without an extension if there is none above.
    pub(super) reference: Reference,
    pub(super) stored: bool,
}

/// What a changed branch is made from.
#[derive(Clone, Debug, Default)]
pub(super) enum Base {
    /// Nothing.
    #[default]
    New,
    /// The branch that stands in its place, this one.
    Here(Arc<Branch>),
    /// The branch that stands in its place.
    Kept,
    /// A branch from elsewhere: just loaded, or hung under another parent.
    From(Arc<Branch>),
}

impl Base {
    pub(super) fn branch(&self) -> Option<&Branch> {
        match self {
            Self::Here(branch) | Self::From(branch) => Some(branch),
            Self::New | Self::Kept => None,
        }
    }

    /// It gets another parent than it had.
    pub(super) fn move_away(&mut self) {
        *self = match mem::take(self) {
            Self::Here(branch) => Self::From(branch),
            other => other,
        };
    }

    /// Its parent is the one it had, so whoever applies the patch will find it. Without another
    /// owner the branch can be changed in place.
    pub(super) fn settle(&mut self) {
        if matches!(self, Self::Here(_)) {
            *self = Self::Kept;
        }
    }
}

impl Work {
    pub(super) fn kind(&self) -> ChildKind {
        if self.stored { ChildKind::StoredBranch } else { ChildKind::LeafBranch }
    }
}

impl Patch {
    /// The branch that `new` is.
    pub(super) fn work_mut(&mut self, new: New) -> Option<&mut Work> {
        match new {
            New::Work(index) => self.works.get_mut(index as usize),
            New::Part(index) => {
                let (part, top) = self.parts.get_mut(index as usize)?;
                part.works.get_mut(*top as usize)
            }
            _ => None,
        }
    }

    /// Reference and kind of `new`, once it is hashed; `None` if it is nothing.
    pub(super) fn child(&self, new: New) -> Option<(&Reference, ChildKind)> {
        let work = match new {
            New::Leaf(index) => {
                return Some((&self.leaves.get(index as usize)?.reference, ChildKind::Leaf));
            }
            New::Work(index) => self.works.get(index as usize)?,
            New::Part(index) => {
                let (part, top) = self.parts.get(index as usize)?;
                part.works.get(*top as usize)?
            }
            New::Same | New::Empty => return None,
        };
        Some((&work.reference, work.kind()))
    }

    /// The changes of a branch.
    pub(super) fn entries(&self, work: &Work) -> &[Entry] {
        &self.entries[work.entries.0 as usize..work.entries.1 as usize]
    }
}

/// What a batch makes of one trie of a pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct TriePatch {
    /// Its new root hash.
    pub(super) root: B256,
    /// Its topmost node.
    pub(super) top: New,
    /// It was emptied before.
    pub(super) wiped: bool,
}
