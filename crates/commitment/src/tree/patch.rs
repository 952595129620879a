//! What a batch makes of a trie: new leaves and branches, as a patch to be applied later.

use std::sync::Arc;

use banyan_primitives::B256;

use super::{
    node::{Branch, Reference, Trie},
    path::Path,
};
use crate::node::ChildKind;

/// The new content of one cell.
#[derive(Debug)]
pub(super) enum Entry {
    /// Nothing.
    Removed,
    /// A leaf.
    Leaf(NewLeaf),
    /// A branch, new or changed.
    Branch(BranchPatch),
}

impl Entry {
    pub(super) fn kind(&self) -> ChildKind {
        match self {
            Self::Removed | Self::Leaf(_) => ChildKind::Leaf,
            Self::Branch(branch) => Self::kind_of_branch(branch.stored),
        }
    }

    pub(super) fn kind_of_branch(stored: bool) -> ChildKind {
        if stored { ChildKind::StoredBranch } else { ChildKind::LeafBranch }
    }

    pub(super) fn reference(&self) -> Option<&Reference> {
        match self {
            Self::Removed => None,
            Self::Leaf(leaf) => Some(&leaf.reference),
            Self::Branch(branch) => Some(&branch.reference),
        }
    }
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
pub(super) struct BranchPatch {
    pub(super) path: Path,
    /// As its parent names it.
    pub(super) reference: Reference,
    pub(super) stored: bool,
    pub(super) base: Base,
    /// By nibble.
    pub(super) changed: Vec<(u8, Entry)>,
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
        if let Self::Here(branch) = self {
            *self = Self::From(Arc::clone(branch));
        }
    }

    /// Its parent is the one it had, so whoever applies the patch will find it. Without another
    /// owner the branch can be changed in place.
    pub(super) fn settle(&mut self) {
        if matches!(self, Self::Here(_)) {
            *self = Self::Kept;
        }
    }
}

/// What a batch makes of one trie.
#[derive(Debug)]
pub(super) struct TriePatch {
    /// Its new root hash.
    pub(super) root: B256,
    /// Its topmost node; `None` if nothing changed.
    pub(super) top: Option<Entry>,
    /// It was emptied before.
    pub(super) wiped: bool,
}
