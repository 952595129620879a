//! Stored form of trie nodes, and the RLP of the nodes that are hashed.

use alloy_rlp::Encodable;
use alloy_trie::{
    TrieMask,
    nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode},
};
use banyan_primitives::{B256, Bytes, trie::Nibbles};

/// Longest path of a branch: its children need one more nibble of a 64-nibble key.
pub(crate) const MAX_BRANCH_DEPTH: usize = 63;

/// What hangs under one nibble of a branch, an extension above it not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildKind {
    /// A leaf.
    Leaf,
    /// A branch with leaves only: not stored, at most 16 leaves.
    LeafBranch,
    /// A stored branch.
    StoredBranch,
}

/// A branch node: its present children with their RLP references.
///
/// Encoding (integers big endian; bit `n` of a mask stands for nibble `n`):
///
/// ```text
/// present: u16 | branches: u16 | stored: u16 | inline: u16 | references, by nibble
/// ```
///
/// `branches` marks children that are branches (behind an extension or not), `stored` those of
/// them that are stored themselves. A reference is a 32-byte hash or, where `inline` is set, the
/// child's RLP (a list shorter than 32 bytes, so its first byte tells its length).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BranchNode {
    present: u16,
    branches: u16,
    stored: u16,
    references: Vec<RlpNode>,
}

impl BranchNode {
    /// Adds a child; children are added in order of their nibbles.
    pub(crate) fn push(&mut self, nibble: u8, reference: RlpNode, kind: ChildKind) {
        let bit = 1 << nibble;
        debug_assert!(self.present < bit, "children are added in order");
        self.present |= bit;
        if kind != ChildKind::Leaf {
            self.branches |= bit;
        }
        if kind == ChildKind::StoredBranch {
            self.stored |= bit;
        }
        self.references.push(reference);
    }

    /// The child under `nibble`.
    pub(crate) fn child(&self, nibble: u8) -> Option<(&RlpNode, ChildKind)> {
        let bit = 1 << nibble;
        if self.present & bit == 0 {
            return None;
        }
        let index = (self.present & (bit - 1)).count_ones() as usize;
        let kind = match (self.branches & bit, self.stored & bit) {
            (0, _) => ChildKind::Leaf,
            (_, 0) => ChildKind::LeafBranch,
            _ => ChildKind::StoredBranch,
        };
        self.references.get(index).map(|reference| (reference, kind))
    }

    /// True if the node belongs in the store: one of its children is a branch.
    pub(crate) fn is_stored(&self) -> bool {
        self.branches != 0
    }

    /// RLP of the branch.
    pub(crate) fn rlp(&self) -> Vec<u8> {
        rlp_of(&BranchNodeRef::new(&self.references, TrieMask::new(self.present)))
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(8 + 32 * self.references.len());
        let nibbles = (0..16u8).filter(|nibble| self.present & (1 << nibble) != 0);
        let inline = nibbles
            .zip(&self.references)
            .filter(|(_, reference)| !reference.is_hash())
            .fold(0u16, |mask, (nibble, _)| mask | 1 << nibble);
        for mask in [self.present, self.branches, self.stored, inline] {
            out.extend_from_slice(&mask.to_be_bytes());
        }
        for reference in &self.references {
            let skipped = usize::from(reference.is_hash());
            out.extend_from_slice(&reference.as_slice()[skipped..]);
        }
        out.into()
    }

    /// Reads the stored form; `None` if it is not one.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut mask = || -> Option<u16> {
            let (head, rest) = bytes.split_first_chunk::<2>()?;
            bytes = rest;
            Some(u16::from_be_bytes(*head))
        };
        let (present, branches, stored, inline) = (mask()?, mask()?, mask()?, mask()?);
        if branches == 0 || branches & !present != 0 || stored & !branches != 0 {
            return None;
        }
        if present.count_ones() < 2 || inline & !present != 0 {
            return None;
        }
        let mut references = Vec::with_capacity(present.count_ones() as usize);
        for nibble in (0..16).filter(|nibble| present & (1 << nibble) != 0) {
            let inline = inline & (1 << nibble) != 0;
            let (reference, rest) = split_reference(bytes, inline)?;
            references.push(reference);
            bytes = rest;
        }
        bytes.is_empty().then_some(Self { present, branches, stored, references })
    }
}

/// Takes one reference off the front of `bytes`.
fn split_reference(bytes: &[u8], inline: bool) -> Option<(RlpNode, &[u8])> {
    if !inline {
        let (hash, rest) = bytes.split_first_chunk::<32>()?;
        return Some((RlpNode::word_rlp(&B256::from(*hash)), rest));
    }
    let length = usize::from(bytes.first()?.checked_sub(0xc0)?) + 1;
    if length >= 32 {
        return None;
    }
    let (list, rest) = bytes.split_at_checked(length)?;
    Some((RlpNode::from_raw(list)?, rest))
}

/// The entry every non-empty trie has at the empty path: its root hash, and where its topmost
/// stored branch is.
///
/// Encoding: the 32-byte root hash, then
/// - nothing, if no branch of the trie is stored;
/// - `0x00` and the encoded branch, if it stands at the empty path itself;
/// - the length of its path in nibbles (1 to 63) and the path, packed two nibbles a byte (an odd
///   last one in the high half), if it stands behind an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RootEntry {
    /// Root hash of the trie.
    pub(crate) hash: B256,
    /// Where to go on reading.
    pub(crate) top: Top,
}

/// The topmost stored branch of a trie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Top {
    /// None: the trie is a leaf or a branch of leaves.
    Leaves,
    /// Stored under this path.
    Below(Nibbles),
    /// At the empty path: here it is, encoded.
    Here(Bytes),
}

impl RootEntry {
    /// The stored form.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = self.hash.to_vec();
        match &self.top {
            Top::Leaves => {}
            Top::Here(branch) => {
                out.push(0);
                out.extend_from_slice(branch);
            }
            Top::Below(path) => {
                out.push(path.len() as u8); // at most 63
                out.extend_from_slice(&path.pack());
            }
        }
        out.into()
    }

    /// Reads the stored form; `None` if it is not one.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let hash = Self::decode_hash(bytes)?;
        let top = match bytes.get(32..)?.split_first() {
            None => Top::Leaves,
            Some((0, _)) => Top::Here(bytes.slice(33..)),
            Some((&length, packed)) => {
                let length = usize::from(length);
                if length > MAX_BRANCH_DEPTH || packed.len() != length.div_ceil(2) {
                    return None;
                }
                Top::Below(Nibbles::unpack(packed).slice(..length))
            }
        };
        Some(Self { hash, top })
    }

    /// Only the root hash of an encoded entry.
    pub(crate) fn decode_hash(bytes: &[u8]) -> Option<B256> {
        bytes.first_chunk::<32>().map(B256::from)
    }
}

/// RLP of a leaf whose key continues with `suffix` below its parent.
pub(crate) fn leaf_rlp(suffix: &Nibbles, value: &[u8]) -> Vec<u8> {
    rlp_of(&LeafNodeRef::new(suffix, value))
}

/// RLP of an extension over `path` to `child`.
pub(crate) fn extension_rlp(path: &Nibbles, child: &RlpNode) -> Vec<u8> {
    rlp_of(&ExtensionNodeRef::new(path, child))
}

fn rlp_of(node: &impl Encodable) -> Vec<u8> {
    let mut out = Vec::with_capacity(node.length());
    node.encode(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch() -> BranchNode {
        let mut node = BranchNode::default();
        node.push(1, RlpNode::word_rlp(&B256::repeat_byte(0x11)), ChildKind::StoredBranch);
        node.push(4, RlpNode::from_raw(&[0xc2, 0x20, 0x07]).unwrap(), ChildKind::Leaf);
        node.push(15, RlpNode::word_rlp(&B256::repeat_byte(0xff)), ChildKind::LeafBranch);
        node
    }

    #[test]
    fn golden_encoding_of_a_branch() {
        let expected = format!("8012800200020010{}c22007{}", "11".repeat(32), "ff".repeat(32));
        assert_eq!(format!("{:x}", branch().encode()), format!("0x{expected}"));
        assert_eq!(BranchNode::decode(&branch().encode()), Some(branch()));
    }

    #[test]
    fn golden_encoding_of_root_entries() {
        let hash = B256::repeat_byte(0xab);
        let cases = [
            (Top::Leaves, String::new()),
            (Top::Below(Nibbles::from_nibbles([1, 2, 3])), "031230".into()),
            (Top::Here(branch().encode()), format!("00{:x}", branch().encode()).replace("0x", "")),
        ];
        for (top, tail) in cases {
            let entry = RootEntry { hash, top };
            assert_eq!(format!("{:x}", entry.encode()), format!("0x{}{tail}", "ab".repeat(32)));
            assert_eq!(RootEntry::decode(&entry.encode()), Some(entry));
        }
    }

    #[test]
    fn children_are_found_by_nibble() {
        let node = branch();
        let kinds = |nibble| node.child(nibble).map(|(_, kind)| kind);
        assert_eq!(kinds(1), Some(ChildKind::StoredBranch));
        assert_eq!(kinds(4), Some(ChildKind::Leaf));
        assert_eq!(kinds(15), Some(ChildKind::LeafBranch));
        assert_eq!(kinds(0), None);
        assert_eq!(node.child(4).unwrap().0.as_slice(), [0xc2, 0x20, 0x07]);
    }

    #[test]
    fn truncated_or_prolonged_or_contradictory_bytes_are_refused() {
        let good = branch().encode();
        for length in 0..good.len() {
            assert_eq!(BranchNode::decode(&good[..length]), None, "{length} bytes");
        }
        assert_eq!(BranchNode::decode(&[&good[..], &[0]].concat()), None);
        let mut stored_leaf = good.to_vec();
        stored_leaf[5] |= 1 << 4;
        assert_eq!(BranchNode::decode(&stored_leaf), None);
        let too_deep = [&[0xab; 32][..], &[64], &[0; 32]].concat();
        assert_eq!(RootEntry::decode(&too_deep.into()), None);
    }
}
