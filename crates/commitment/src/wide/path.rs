use std::cmp::Ordering;

use banyan_primitives::{B256, trie::Nibbles};
use banyan_wide_proof::{Hash, Key};

/// Bytes of the longest path.
const LONGEST: usize = 40;
/// Bytes of its account's id that the path of a slot begins with.
const SHARED: usize = 8;
/// The same in bits.
pub(crate) const SHARED_BITS: usize = 8 * SHARED;

/// A place in the tree, ordered by path: that of an account (whose path is filled up with zeros), or
/// of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    path: [u8; LONGEST],
    /// Of a slot: what follows of its account's id.
    tail: Option<[u8; 32 - SHARED]>,
}

impl Spot {
    pub(crate) fn account(id: &B256) -> Self {
        Self { path: *Key::of_account_id(id.0).path(), tail: None }
    }

    #[inline]
    pub(crate) fn slot(account: &B256, slot: &B256) -> Self {
        let (_, tail) = account.split_last_chunk().expect("an id has 32 bytes");
        Self { path: *Key::of_slot_id(&account.0, slot.0).path(), tail: Some(*tail) }
    }

    pub(crate) fn path(&self) -> &[u8; LONGEST] {
        &self.path
    }

    /// Id of the account or slot.
    pub(crate) fn id(&self) -> &Hash {
        let from = if self.tail.is_some() { SHARED } else { 0 };
        self.path[from..].first_chunk().expect("an id has 32 bytes")
    }

    /// Id of the account, or of the account whose slot it is.
    pub(crate) fn account_id(&self) -> B256 {
        let mut id = B256::ZERO;
        id.copy_from_slice(&self.path[..32]);
        if let Some(tail) = &self.tail {
            id[SHARED..].copy_from_slice(tail);
        }
        id
    }

    /// The first bit in which the paths differ; past the end if they do not.
    pub(crate) fn parts_from(&self, other: &Self) -> usize {
        let words = self.words().zip(other.words()).enumerate();
        let mut differing = words.filter(|(_, (a, b))| a != b);
        differing
            .next()
            .map_or(LONGEST * 8, |(at, (a, b))| at * 64 + (a ^ b).leading_zeros() as usize)
    }

    /// The path, eight bytes a word: comparing words is much faster than comparing bytes.
    fn words(&self) -> impl Iterator<Item = u64> {
        let (words, _) = self.path.as_chunks::<8>();
        words.iter().map(|word| u64::from_be_bytes(*word))
    }

    /// True only of ids that collide.
    pub(crate) fn same_path(&self, other: &Self) -> bool {
        self.path == other.path
    }

    pub(crate) fn is_slot(&self) -> bool {
        self.tail.is_some()
    }

    pub(crate) fn bit(&self, depth: usize) -> bool {
        bit(&self.path, depth)
    }
}

impl Ord for Spot {
    fn cmp(&self, other: &Self) -> Ordering {
        let mut words = self.words().zip(other.words());
        let order = words.find_map(|(a, b)| Some(a.cmp(&b)).filter(|order| order.is_ne()));
        order.unwrap_or_else(|| self.tail.cmp(&other.tail))
    }
}

impl PartialOrd for Spot {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl AsRef<Spot> for Spot {
    fn as_ref(&self) -> &Spot {
        self
    }
}

impl<T> AsRef<Spot> for (Spot, T) {
    fn as_ref(&self) -> &Spot {
        &self.0
    }
}

/// The first bits of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// Zero after the prefix.
    path: [u8; LONGEST],
    bits: usize,
}

impl Prefix {
    /// The root.
    pub(crate) const ROOT: Self = Self { path: [0; LONGEST], bits: 0 };

    /// Its length.
    pub(crate) fn depth(&self) -> usize {
        self.bits
    }

    /// Its first `bits`, which are no more than it has.
    pub(crate) fn first(&self, bits: usize) -> Self {
        let mut path = self.path;
        if let Some(byte) = path.get_mut(bits / 8) {
            *byte &= !(0xff >> (bits % 8));
        }
        if let Some(rest) = path.get_mut(bits / 8 + 1..) {
            rest.fill(0);
        }
        Self { path, bits }
    }

    /// The prefix one bit longer.
    pub(crate) fn child(&self, right: bool) -> Self {
        let mut child = Self { path: self.path, bits: self.bits + 1 };
        if right && let Some(byte) = child.path.get_mut(self.bits / 8) {
            *byte |= 0x80 >> (self.bits % 8);
        }
        child
    }

    /// The first and the last path that begin so.
    pub(crate) fn ends(&self) -> ([u8; LONGEST], [u8; LONGEST]) {
        let mut last = self.path;
        if let Some(byte) = last.get_mut(self.bits / 8) {
            *byte |= 0xff >> (self.bits % 8);
        }
        if let Some(rest) = last.get_mut(self.bits / 8 + 1..) {
            rest.fill(0xff);
        }
        (self.path, last)
    }

    pub(crate) fn bit(&self, depth: usize) -> bool {
        bit(&self.path, depth)
    }

    pub(crate) fn contains(&self, spot: &Spot) -> bool {
        let (first, last) = self.ends();
        (first..=last).contains(&spot.path)
    }

    /// As nibbles, if it ends between two of them and is no longer than they can be.
    pub(crate) fn nibbles(&self) -> Option<Nibbles> {
        let short = self.bits.is_multiple_of(4) && self.bits <= 256;
        short.then(|| Nibbles::unpack(&self.path[..32]).slice(..self.bits / 4))
    }

    /// Inverse of [`Prefix::nibbles`].
    pub(crate) fn of_nibbles(nibbles: &Nibbles) -> Self {
        let mut path = [0; LONGEST];
        nibbles.pack_to(&mut path[..nibbles.byte_len()]);
        Self { path, bits: nibbles.len() * 4 }
    }
}

fn bit(path: &[u8; LONGEST], depth: usize) -> bool {
    path.get(depth / 8).is_some_and(|byte| byte >> (7 - depth % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_lies_under_its_account_and_keeps_both_ids() {
        let (account, slot) = (B256::repeat_byte(0xa5), B256::repeat_byte(0x3c));
        let spot = Spot::slot(&account, &slot);
        assert_eq!((spot.account_id(), spot.id()), (account, &slot.0));
        assert_eq!(Spot::account(&account).id(), &account.0);
        let mut prefix = Prefix::ROOT;
        while prefix.depth() < SHARED_BITS {
            prefix = prefix.child(spot.bit(prefix.depth()));
        }
        assert!(prefix.contains(&spot) && prefix.contains(&Spot::account(&account)));
        let other = prefix.child(!spot.bit(SHARED_BITS));
        assert!(!other.contains(&spot) && other.contains(&Spot::account(&account)));
    }

    #[test]
    fn spots_are_compared_as_their_bytes_are() {
        let places = [0, 7, 8, 15, 16, 31];
        let near = places.map(|at| {
            let mut id = B256::repeat_byte(0x42);
            id[at] ^= 1 << (at % 8);
            id
        });
        let slots = near.iter().flat_map(|a| near.iter().map(|b| Spot::slot(a, b)));
        let spots: Vec<_> = slots.chain(near.iter().map(Spot::account)).collect();
        for (one, two) in spots.iter().flat_map(|one| spots.iter().map(move |two| (one, two))) {
            let bytes = (one.path, one.tail).cmp(&(two.path, two.tail));
            assert_eq!(one.cmp(two), bytes, "{one:?} {two:?}");
            let parts = (0..LONGEST * 8).find(|depth| one.bit(*depth) != two.bit(*depth));
            assert_eq!(one.parts_from(two), parts.unwrap_or(LONGEST * 8));
        }
    }

    #[test]
    fn prefixes_have_ends_and_nibbles() {
        let prefix = Prefix::ROOT.child(true).child(false).child(true);
        let (first, last) = prefix.ends();
        assert_eq!((first[0], last[0], last[39]), (0xa0, 0xbf, 0xff));
        assert_eq!(prefix.nibbles(), None);
        assert_eq!(prefix.first(2), Prefix::ROOT.child(true).child(false));
        assert_eq!(prefix.first(3), prefix);
        let nibbles = Nibbles::from_nibbles([10, 1, 15]);
        assert_eq!(Prefix::of_nibbles(&nibbles).nibbles(), Some(nibbles));
        assert_eq!(Prefix::ROOT.nibbles(), Some(Nibbles::new()));
        let (first, last) = Prefix::of_nibbles(&Nibbles::from_nibbles([7; 64])).ends();
        assert_eq!((first[31], last[31], first[32], last[32]), (0x77, 0x77, 0, 0xff));
    }
}
