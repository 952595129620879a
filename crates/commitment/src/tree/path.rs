//! Keys and paths, nibble by nibble.

use banyan_primitives::{B256, trie::Nibbles};

/// Nibbles of a whole key.
pub(super) const KEY_NIBBLES: usize = 64;

/// Nibble `index` of a key.
pub(super) fn nibble(key: &B256, index: usize) -> u8 {
    let byte = key[index / 2];
    if index.is_multiple_of(2) { byte >> 4 } else { byte & 15 }
}

/// How many nibbles two keys have in common at their beginning.
pub(super) fn common(a: &B256, b: &B256) -> usize {
    let (a, b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    for (index, (a, b)) in a.iter().zip(b).enumerate() {
        let differing = u64::from_be_bytes(*a) ^ u64::from_be_bytes(*b);
        if differing != 0 {
            return index * 16 + differing.leading_zeros() as usize / 4;
        }
    }
    KEY_NIBBLES
}

/// The beginning of a key; what comes after it is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Path {
    pub(super) key: B256,
    pub(super) len: u8, // at most 64
}

impl Path {
    /// The first `len` nibbles of `key`.
    pub(super) fn of(key: &B256, len: usize) -> Self {
        let mut start = B256::ZERO;
        let bytes = len / 2;
        start[..bytes].copy_from_slice(&key[..bytes]);
        if !len.is_multiple_of(2) {
            start[bytes] = key[bytes] & 0xf0;
        }
        Self { key: start, len: len as u8 } // at most 64
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// The path one nibble below.
    pub(super) fn below(&self, nibble: u8) -> Self {
        let mut path = *self;
        let index = self.len() / 2;
        path.key[index] |= if self.len().is_multiple_of(2) { nibble << 4 } else { nibble };
        path.len += 1;
        path
    }

    /// True if `key` begins with this path.
    pub(super) fn holds(&self, key: &B256) -> bool {
        common(&self.key, key) >= self.len()
    }

    pub(super) fn nibbles(&self) -> Nibbles {
        Nibbles::unpack(self.key).slice(..self.len())
    }
}

impl From<&Nibbles> for Path {
    fn from(nibbles: &Nibbles) -> Self {
        let mut key = B256::ZERO;
        nibbles.pack_to(&mut key[..nibbles.byte_len()]);
        Self { key, len: nibbles.len() as u8 } // at most 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_agree_with_nibbles() {
        let key = B256::from_slice(&(100..132).collect::<Vec<u8>>());
        let nibbles = Nibbles::unpack(key);
        for len in 0..=KEY_NIBBLES {
            let path = Path::of(&key, len);
            assert_eq!(path.nibbles(), nibbles.slice(..len));
            assert_eq!(Path::from(&path.nibbles()), path);
            assert!(path.holds(&key));
            if len < KEY_NIBBLES {
                assert_eq!(nibble(&key, len), nibbles.get_unchecked(len));
                assert_eq!(path.below(nibble(&key, len)), Path::of(&key, len + 1));
                let mut other = key;
                other[len / 2] ^= if len.is_multiple_of(2) { 0x10 } else { 1 };
                assert_eq!(common(&key, &other), len);
                assert!(!Path::of(&key, len + 1).holds(&other));
            }
        }
        assert_eq!(common(&key, &key), KEY_NIBBLES);
    }
}
