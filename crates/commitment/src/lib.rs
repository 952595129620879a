//! State roots: the keccak Merkle-Patricia trie, incremental, and its proofs.
//!
//! [`state_root`] takes the parent state (a [`TrieSource`](banyan_primitives::trie::TrieSource))
//! and a block's hashed diff, and returns the new root with the trie nodes to store; it reads only
//! along the changed keys. [`rebuild`] computes the same from the flat state alone and is its
//! oracle. [`Trees`] computes the same with the tries kept in memory from block to block.
//! [`account_proof`] answers `eth_getProof`, [`witness`] proves all that a block needs. This crate
//! stores nothing: nodes go out as a `NodeDiff`, and whoever keeps the state keeps them with it.
//!
//! Chains with `wide` commitment have another tree: [`wide`].
//!
//! How it works: a trie is opened from its root entry, one stored branch after the other along the
//! changed keys, and from the flat leaves where no branch is stored (`reader`). Changed parts
//! are hashed bottom up (`update`), unchanged children are taken over by reference. Every hashed
//! part names its absolute place (`subtree`), so an insertion above it or the collapse of a branch
//! only re-hangs it.

mod error;
mod memory;
mod node;
mod proof;
mod reader;
mod rebuild;
mod root;
mod subtree;
mod tree;
mod update;
mod walk;
pub mod wide;
mod witness;

pub use error::CommitmentError;
pub use memory::{MemoryTrie, StoredNodes};
pub use proof::{AccountProof, StorageProof, account_proof};
pub use rebuild::{rebuild, rebuild_storage};
pub use root::{RootOutput, StorageRoot, state_root, storage_root, storage_root_after};
pub use tree::{Filled, Trees};
pub use walk::Walk;
pub use witness::{Touched, TouchedAccount, witness};
