//! Hashing many nodes at once.

use banyan_primitives::keccak256;

use super::node::Reference;

/// Nodes to be hashed, one after the other in one buffer.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    rlp: Vec<u8>,
    ends: Vec<usize>,
}

impl Hashes {
    /// Adds the node that `encode` appends.
    pub(super) fn add(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(&mut self.rlp);
        self.ends.push(self.rlp.len());
    }

    /// The references of all nodes, in order; nothing is left.
    pub(super) fn take(&mut self, out: &mut Vec<Reference>) {
        out.clear();
        let mut start = 0;
        for end in self.ends.drain(..) {
            let rlp = &self.rlp[start..end];
            out.push(reference(rlp));
            start = end;
        }
        self.rlp.clear();
    }
}

/// The reference of one node.
pub(super) fn reference(rlp: &[u8]) -> Reference {
    Reference::inline(rlp).unwrap_or_else(|| Reference::hash(keccak256(rlp).0))
}
