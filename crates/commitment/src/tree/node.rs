//! The nodes in memory.

use std::{mem::size_of, sync::Arc};

use alloy_trie::nodes::RlpNode;
use banyan_primitives::{B256, EMPTY_ROOT_HASH};

use super::path::{Path, nibble};
use crate::node::{BranchNode, ChildKind};

/// How a parent names a child: by its hash, or by its RLP if that is shorter than a hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reference {
    /// The hash; or the RLP, a list whose first byte tells its length, and zeros.
    pub(super) bytes: [u8; 32],
    pub(super) inline: bool,
}

impl Reference {
    pub(super) fn hash(hash: [u8; 32]) -> Self {
        Self { bytes: hash, inline: false }
    }

    /// The RLP itself; `None` if it is too long for that.
    pub(super) fn inline(rlp: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        if rlp.len() >= bytes.len() {
            return None;
        }
        bytes[..rlp.len()].copy_from_slice(rlp);
        Some(Self { bytes, inline: true })
    }

    /// The hash or the RLP.
    pub(super) fn as_slice(&self) -> &[u8] {
        if self.inline { inline_rlp(&self.bytes) } else { &self.bytes }
    }
}

/// The RLP in the bytes of a reference.
pub(super) fn inline_rlp(bytes: &[u8; 32]) -> &[u8] {
    let len = usize::from(bytes[0].saturating_sub(0xc0)) + 1;
    &bytes[..len.min(bytes.len())]
}

impl From<&RlpNode> for Reference {
    fn from(node: &RlpNode) -> Self {
        match node.as_hash() {
            Some(hash) => Self::hash(hash.0),
            None => Self::inline(node).unwrap_or_default(),
        }
    }
}

/// Which nibbles of a branch have a child, and of what kind. Bit `n` stands for nibble `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Masks {
    pub(super) present: u16,
    /// Children that are branches.
    pub(super) branches: u16,
    /// Branches that are stored.
    pub(super) stored: u16,
    /// Children that the branch holds in full.
    pub(super) inline: u16,
}

impl Masks {
    pub(super) fn set(&mut self, nibble: u8, kind: ChildKind, inline: bool) {
        let bit = 1 << nibble;
        self.clear(nibble);
        self.present |= bit;
        self.branches |= if kind == ChildKind::Leaf { 0 } else { bit };
        self.stored |= if kind == ChildKind::StoredBranch { bit } else { 0 };
        self.inline |= if inline { bit } else { 0 };
    }

    pub(super) fn clear(&mut self, nibble: u8) {
        let rest = !(1 << nibble);
        self.present &= rest;
        self.branches &= rest;
        self.stored &= rest;
        self.inline &= rest;
    }

    pub(super) fn has(&self, nibble: u8) -> bool {
        self.present & (1 << nibble) != 0
    }

    pub(super) fn kind(&self, nibble: u8) -> ChildKind {
        let bit = 1 << nibble;
        match (self.branches & bit, self.stored & bit) {
            (0, _) => ChildKind::Leaf,
            (_, 0) => ChildKind::LeafBranch,
            _ => ChildKind::StoredBranch,
        }
    }

    /// Where the child under `nibble` is or would be among those that are there.
    pub(super) fn index(&self, nibble: u8) -> usize {
        (self.present & ((1 << nibble) - 1)).count_ones() as usize
    }

    /// True if the branch belongs in the store.
    pub(super) fn is_stored(&self) -> bool {
        self.branches != 0
    }
}

/// A child, as far as it is in memory.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// No more than its parent says.
    Unloaded,
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
        /// When it was last changed or loaded.
        epoch: u32,
    },
}

impl Place {
    /// Bytes that this and all below it take. It walks there, but not into storage tries.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Unloaded | Self::Leaf(_) | Self::Account { storage: None, .. } => 0,
            Self::Account { storage: Some(trie), .. } => trie.bytes,
            Self::Branch { node, .. } => node.weight(),
        }
    }
}

/// A branch with at least two children. To hash it after a change, the references of all others are
/// needed, and nothing else of them: so they lie together.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) path: Path,
    pub(super) masks: Masks,
    /// Of the children, by nibble; which are no hashes, `masks` tells.
    pub(super) references: Vec<[u8; 32]>,
    /// The children, by nibble.
    pub(super) places: Vec<Place>,
}

impl Branch {
    pub(super) fn new(path: Path, children: usize) -> Self {
        Self {
            path,
            masks: Masks::default(),
            references: Vec::with_capacity(children),
            places: Vec::with_capacity(children),
        }
    }

    /// The branch of a stored form.
    pub(super) fn from_stored(path: Path, node: &BranchNode) -> Self {
        let mut branch = Self::new(path, 16);
        for nibble in 0..16 {
            if let Some((reference, kind)) = node.child(nibble) {
                let Reference { bytes, inline } = reference.into();
                branch.masks.set(nibble, kind, inline);
                branch.references.push(bytes);
                branch.places.push(Place::Unloaded);
            }
        }
        branch
    }

    pub(super) fn place(&self, nibble: u8) -> Option<&Place> {
        let index = self.masks.has(nibble).then(|| self.masks.index(nibble))?;
        self.places.get(index)
    }

    pub(super) fn weight(&self) -> usize {
        let below: usize = self.places.iter().map(Place::weight).sum();
        Self::OWN_WEIGHT + self.places.len() * Self::CHILD_WEIGHT + below
    }

    /// Bytes of a branch without its children: itself, and what three allocations cost besides.
    pub(super) const OWN_WEIGHT: usize = size_of::<Self>() + 64;
    /// Bytes of a child in its parent.
    pub(super) const CHILD_WEIGHT: usize = size_of::<Place>() + 32;
}

/// The trie of all accounts, or of the slots of one.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    /// Its root hash.
    pub(super) root: B256,
    /// The topmost node; `None` if it is not in memory or there is none.
    pub(super) top: Option<Place>,
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
        let mut place = self.top.as_ref()?;
        loop {
            match place {
                Place::Branch { node, .. } if node.path.holds(key) => {
                    place = node.place(nibble(key, node.path.len()))?;
                }
                Place::Leaf(own) | Place::Account { key: own, .. } if own == key => {
                    return Some(place);
                }
                _ => return None,
            }
        }
    }
}
