use core::fmt;

use crate::{EMPTY, Hash, Key, inner, leaf};

/// What stands where a proof ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End<'a> {
    /// Nothing: the key is absent.
    Empty,
    /// The leaf of the key, with this value.
    Found(&'a Hash),
    /// The leaf of another id, alone in its subtree: the key is absent.
    Other {
        /// Id of the leaf.
        id: &'a Hash,
        /// Its value.
        value: &'a Hash,
    },
}

/// The way from the root towards a key, read from bytes without copying them.
///
/// Bytes: kind of the end (0, 1, 2) ‖ depth `d` (2, big-endian) ‖ bitmap of `⌈d / 8⌉` bytes (bit `i`,
/// counted from the highest of the first byte: the sibling at depth `i` is not empty; bits beyond
/// `d` are zero) ‖ those siblings, deepest first ‖ the end: nothing, or value, or id ‖ value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof<'a> {
    /// What stands at its end.
    pub end: End<'a>,
    /// Depth of the end.
    pub depth: usize,
    /// Which siblings are not empty.
    pub bitmap: &'a [u8],
    /// The siblings that are not empty, deepest first.
    pub siblings: &'a [Hash],
}

/// Deepest end: that of a slot's path.
const MAX_DEPTH: usize = 320;

/// No encoded proof is longer, bytes.
pub const MAX_ENCODED: usize = 3 + MAX_DEPTH / 8 + MAX_DEPTH * 32 + 64;

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// The bytes are no proof for a key of this kind.
    Malformed,
    /// The proof leads to another root.
    OtherRoot,
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed proof",
            Self::OtherRoot => "the proof leads to another root",
        })
    }
}

impl core::error::Error for ProofError {}

/// Checks an encoded proof: `Some` with the value under `key` in the state with this `root`, `None`
/// if there is none.
pub fn verify(root: &Hash, key: &Key, proof: &[u8]) -> Result<Option<Hash>, ProofError> {
    Proof::decode(proof)?.verify(root, key)
}

impl<'a> Proof<'a> {
    /// Reads a proof. Each proof has one encoding.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, ProofError> {
        Self::parse(bytes).ok_or(ProofError::Malformed)
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let ([kind, high, low], rest) = bytes.split_first_chunk::<3>()?;
        let depth = usize::from(u16::from_be_bytes([*high, *low]));
        if depth > MAX_DEPTH {
            return None;
        }
        let (bitmap, rest) = rest.split_at_checked(depth.div_ceil(8))?;
        let beyond = !depth % 8 + 1;
        if beyond < 8 && bitmap.last()? << (8 - beyond) != 0 {
            return None;
        }
        let count: u32 = bitmap.iter().map(|byte| byte.count_ones()).sum();
        let (siblings, end) = rest.split_at_checked(usize::try_from(count).ok()? * 32)?;
        let (siblings, _) = siblings.as_chunks::<32>();
        let (end, []) = end.as_chunks::<32>() else { return None };
        let end = match (kind, end) {
            (0, []) => End::Empty,
            (1, [value]) => End::Found(value),
            (2, [id, value]) => End::Other { id, value },
            _ => return None,
        };
        (!siblings.contains(&EMPTY)).then_some(Self { end, depth, bitmap, siblings })
    }

    /// As [`verify`].
    pub fn verify(&self, root: &Hash, key: &Key) -> Result<Option<Hash>, ProofError> {
        if self.depth > key.bits() {
            return Err(ProofError::Malformed);
        }
        let mut hash = match self.end {
            End::Empty => EMPTY,
            End::Found(value) => leaf(key.id(), value),
            End::Other { id, .. } if id == key.id() => return Err(ProofError::Malformed),
            End::Other { id, value } => leaf(id, value),
        };
        let mut siblings = self.siblings.iter();
        for depth in (0..self.depth).rev() {
            let present = self.bitmap.get(depth / 8).is_some_and(|b| b >> (7 - depth % 8) & 1 == 1);
            let sibling = match present {
                true => siblings.next().ok_or(ProofError::Malformed)?,
                false => &EMPTY,
            };
            hash = if key.bit(depth) { inner(sibling, &hash) } else { inner(&hash, sibling) };
        }
        match self.end {
            _ if hash != *root => Err(ProofError::OtherRoot),
            End::Found(value) => Ok(Some(*value)),
            End::Empty | End::Other { .. } => Ok(None),
        }
    }
}
