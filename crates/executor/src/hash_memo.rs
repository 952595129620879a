//! Remembers hashes of 64 bytes. Nearly all of them are places of mapping entries, and most of these
//! occur again: a fifth of a token transfer is spent on them.

use banyan_primitives::{U256, keccak256};

/// Entries; each preimage has one place.
const ENTRIES: usize = 512;

/// A memo for one thread and block.
#[derive(Debug, Default)]
pub(crate) struct HashMemo {
    /// Empty until something is hashed; a hash of zero marks a free entry.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    preimage: [u8; 64],
    hash: U256,
}

impl HashMemo {
    /// keccak256 of `preimage`.
    pub(crate) fn hash(&mut self, preimage: &[u8; 64]) -> U256 {
        if self.entries.is_empty() {
            self.entries = vec![Entry { preimage: [0; 64], hash: U256::ZERO }; ENTRIES];
        }
        let entry = &mut self.entries[place(preimage)];
        if entry.preimage != *preimage || entry.hash.is_zero() {
            *entry = Entry { preimage: *preimage, hash: keccak256(preimage).into() };
        }
        entry.hash
    }
}

/// Where a preimage is remembered. Keys are addresses, small numbers or hashes; slots are small
/// numbers or hashes. The low ends tell them apart.
fn place(preimage: &[u8; 64]) -> usize {
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&preimage[at..at + 8]);
        u64::from_be_bytes(bytes)
    };
    let mixed = word(24) ^ word(16).rotate_left(21) ^ word(56).rotate_left(42);
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % ENTRIES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_same_at_first_and_again_and_after_another_took_its_place() {
        let mut memo = HashMemo::default();
        let mut preimages = vec![[0; 64], [0xff; 64]];
        for n in 0..2000_u64 {
            let mut preimage = [0; 64];
            preimage[24..32].copy_from_slice(&n.to_be_bytes());
            preimage[0] = (n % 7) as u8;
            preimage[40] = (n % 3) as u8;
            preimages.push(preimage);
        }
        for _ in 0..2 {
            for preimage in &preimages {
                assert_eq!(memo.hash(preimage), U256::from_be_bytes(keccak256(preimage).0));
                assert_eq!(memo.hash(preimage), U256::from_be_bytes(keccak256(preimage).0));
            }
        }
    }
}
