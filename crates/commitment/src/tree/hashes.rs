//! Hashing many nodes at once.

use banyan_primitives::{Messages, keccak256};

use super::node::Reference;

/// Nodes to be hashed.
#[derive(Debug, Default)]
pub(super) struct Hashes(Messages);

impl Hashes {
    /// With room for one level of so many nodes.
    pub(super) fn for_nodes(count: usize) -> Self {
        Self(Messages::with_capacity(count, count * 250))
    }

    /// Adds the node that `encode` appends.
    pub(super) fn add(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        self.0.add(encode);
    }

    /// The references of all nodes, in order; nothing is left.
    pub(super) fn take(&mut self, out: &mut Vec<Reference>) {
        out.clear();
        out.extend(self.0.iter().map(|rlp| Reference::inline(rlp).unwrap_or_default()));
        self.0.hash_from(32, |index, hash| out[index] = Reference::hash(hash.0));
        self.0.clear();
    }
}

/// The reference of one node.
pub(super) fn reference(rlp: &[u8]) -> Reference {
    Reference::inline(rlp).unwrap_or_else(|| Reference::hash(keccak256(rlp).0))
}
