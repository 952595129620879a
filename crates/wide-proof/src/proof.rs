use core::fmt;

use crate::{EMPTY, Hash, Key, inner, leaf};

/// What stands where a proof ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End<'a> {
    /// Nothing: the whole state is empty.
    Empty,
    /// The leaf of the key, with this value.
    Found(&'a Hash),
    /// The leaf of another id. Where the path of the key turns at every branch there is this leaf, so
    /// the key is absent.
    Other {
        /// Id of the leaf.
        id: &'a Hash,
        /// Its value.
        value: &'a Hash,
    },
}

/// The way from the root towards a key, read from bytes without copying them.
///
/// Bytes: kind of the end (0, 1, 2) ‖ length `n` of the bitmap in bits (2, big-endian) ‖ bitmap of
/// `⌈n / 8⌉` bytes (bit `i`, counted from the highest of the first byte: paths part at depth `i`; the
/// last of the `n` is set, those beyond are not) ‖ the other half at each of these depths, deepest
/// first ‖ the end: nothing, or value, or id ‖ value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof<'a> {
    /// What stands at its end.
    pub end: End<'a>,
    /// Length of the bitmap, bits.
    pub bits: usize,
    /// At which depths there is a branch.
    pub bitmap: &'a [u8],
    /// The other half at each branch, deepest first.
    pub siblings: &'a [Hash],
}

/// Of a path.
const MAX_BITS: usize = 320;

/// No encoded proof is longer, bytes.
pub const MAX_ENCODED: usize = 3 + MAX_BITS / 8 + MAX_BITS * 32 + 64;

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// The bytes are no proof.
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
        let bits = usize::from(u16::from_be_bytes([*high, *low]));
        if bits > MAX_BITS {
            return None;
        }
        let (bitmap, rest) = rest.split_at_checked(bits.div_ceil(8))?;
        let unused = bitmap.len() * 8 - bits;
        if bitmap.last().is_some_and(|last| last.trailing_zeros() as usize != unused) {
            return None;
        }
        let count: u32 = bitmap.iter().map(|byte| byte.count_ones()).sum();
        let (siblings, end) = rest.split_at_checked(usize::try_from(count).ok()? * 32)?;
        let (siblings, _) = siblings.as_chunks::<32>();
        let (end, []) = end.as_chunks::<32>() else { return None };
        let end = match (kind, end) {
            (0, []) if bits == 0 => End::Empty,
            (1, [value]) => End::Found(value),
            (2, [id, value]) => End::Other { id, value },
            _ => return None,
        };
        Some(Self { end, bits, bitmap, siblings })
    }

    /// As [`verify`].
    pub fn verify(&self, root: &Hash, key: &Key) -> Result<Option<Hash>, ProofError> {
        let mut hash = match self.end {
            End::Empty => EMPTY,
            End::Found(value) => leaf(key.id(), value),
            End::Other { id, .. } if id == key.id() => return Err(ProofError::Malformed),
            End::Other { id, value } => leaf(id, value),
        };
        let mut siblings = self.siblings.iter();
        for depth in (0..self.bits).rev() {
            if self.bitmap.get(depth / 8).is_some_and(|byte| byte >> (7 - depth % 8) & 1 == 1) {
                let sibling = siblings.next().ok_or(ProofError::Malformed)?;
                hash = match key.bit(depth) {
                    true => inner(depth, sibling, &hash),
                    false => inner(depth, &hash, sibling),
                };
            }
        }
        match self.end {
            _ if hash != *root => Err(ProofError::OtherRoot),
            End::Found(value) => Ok(Some(*value)),
            End::Empty | End::Other { .. } => Ok(None),
        }
    }
}
