//! The nodes in memory.

use std::{mem::size_of, sync::Arc};

use alloy_trie::nodes::RlpNode;
use banyan_primitives::{B256, EMPTY_ROOT_HASH};

use super::path::Path;
use crate::node::{BranchNode, ChildKind};

/// How a parent names a child: by its hash, or by its RLP if that is shorter than a hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reference {
    /// The hash, or the RLP and zeros.
    bytes: [u8; 32],
    /// Bytes used: 32 for a hash, fewer for an RLP.
    len: u8,
}

impl Reference {
    pub(super) fn hash(hash: [u8; 32]) -> Self {
        Self { bytes: hash, len: 32 }
    }

    /// The RLP itself; `None` if it is too long for that.
    pub(super) fn inline(rlp: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        if rlp.len() >= bytes.len() {
            return None;
        }
        bytes[..rlp.len()].copy_from_slice(rlp);
        Some(Self { bytes, len: rlp.len() as u8 })
    }

    pub(super) fn is_hash(&self) -> bool {
        self.len == 32
    }

    /// The hash or the RLP.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl From<&RlpNode> for Reference {
    fn from(node: &RlpNode) -> Self {
        match node.as_hash() {
            Some(hash) => Self::hash(hash.0),
            None => Self::inline(node).unwrap_or(Self { bytes: [0; 32], len: 0 }),
        }
    }
}

/// What is under one nibble of a branch.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) reference: Reference,
    pub(super) place: Place,
}

/// The child itself, as far as it is in memory.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Only what its parent's stored form says.
    Unloaded(ChildKind),
    /// A slot.
    Leaf(B256),
    /// An account with its storage, `None` if it has none.
    Account {
        /// Hashed address.
        key: B256,
        /// When it was last changed.
        epoch: u32,
        /// Its storage trie.
        storage: Option<Arc<Trie>>,
    },
    /// A branch, behind an extension or not.
    Branch {
        /// The branch.
        node: Arc<Branch>,
        /// It belongs in the store: one of its children is a branch.
        stored: bool,
        /// When it was last changed or loaded.
        epoch: u32,
    },
}

impl Cell {
    pub(super) fn kind(&self) -> ChildKind {
        match &self.place {
            Place::Unloaded(kind) => *kind,
            Place::Leaf(_) | Place::Account { .. } => ChildKind::Leaf,
            Place::Branch { stored: true, .. } => ChildKind::StoredBranch,
            Place::Branch { stored: false, .. } => ChildKind::LeafBranch,
        }
    }

    /// Bytes that this cell and all below it take. It walks there, but not into storage tries.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>()
            + match &self.place {
                Place::Unloaded(_) | Place::Leaf(_) => 0,
                Place::Account { storage, .. } => storage.as_ref().map_or(0, |trie| trie.bytes),
                Place::Branch { node, .. } => node.weight(),
            }
    }
}

/// A branch with at least two children.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) path: Path,
    /// Bit `n` is set if there is a child under nibble `n`.
    pub(super) present: u16,
    /// The children, by nibble.
    pub(super) cells: Vec<Cell>,
}

impl Branch {
    pub(super) fn new(path: Path) -> Self {
        Self { path, present: 0, cells: Vec::new() }
    }

    /// The branch of a stored form.
    pub(super) fn from_stored(path: Path, node: &BranchNode) -> Self {
        let mut branch = Self::new(path);
        for nibble in 0..16 {
            if let Some((reference, kind)) = node.child(nibble) {
                branch.present |= 1 << nibble;
                let place = Place::Unloaded(kind);
                branch.cells.push(Cell { reference: reference.into(), place });
            }
        }
        branch
    }

    /// Where the child under `nibble` is or would be in `cells`.
    pub(super) fn index(&self, nibble: u8) -> usize {
        (self.present & ((1 << nibble) - 1)).count_ones() as usize
    }

    pub(super) fn cell(&self, nibble: u8) -> Option<&Cell> {
        let present = self.present & (1 << nibble) != 0;
        present.then(|| self.cells.get(self.index(nibble))).flatten()
    }

    /// True if it belongs in the store.
    pub(super) fn is_stored(&self) -> bool {
        self.cells.iter().any(|cell| cell.kind() != ChildKind::Leaf)
    }

    pub(super) fn weight(&self) -> usize {
        Self::OWN_WEIGHT + self.cells.iter().map(Cell::weight).sum::<usize>()
    }

    /// Bytes of a branch without its cells: itself, and what two allocations cost besides.
    pub(super) const OWN_WEIGHT: usize = size_of::<Self>() + 48;
}

/// The trie of all accounts, or of the slots of one.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    /// Its root hash.
    pub(super) root: B256,
    /// The topmost node; `None` if it is not in memory or there is none.
    pub(super) top: Option<Cell>,
    /// Bytes that it takes, so that nobody needs to walk it for them.
    pub(super) bytes: usize,
}

impl Trie {
    /// The trie with this root, nothing of it in memory.
    pub(super) fn unloaded(root: B256) -> Self {
        Self { root, top: None, bytes: size_of::<Self>() + 32 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.root == EMPTY_ROOT_HASH
    }

    /// The leaf of `key`, if it is in memory.
    pub(super) fn leaf(&self, key: &B256) -> Option<&Place> {
        let mut cell = self.top.as_ref()?;
        loop {
            match &cell.place {
                Place::Branch { node, .. } if node.path.holds(key) => {
                    cell = node.cell(super::path::nibble(key, node.path.len()))?;
                }
                Place::Leaf(own) | Place::Account { key: own, .. } if own == key => {
                    return Some(&cell.place);
                }
                _ => return None,
            }
        }
    }
}
