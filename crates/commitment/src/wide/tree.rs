use banyan_wide_proof::Hash;

use super::forest::{Forest, Node};

/// A part of the tree as a row holds it: inner nodes down to buckets and to other rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    /// Nothing.
    Empty,
    /// A few leaves, which are read from the flat state when they are needed.
    Bucket(Bucket),
    /// The subtree with this hash is in rows of its own; the topmost is the first one at or below
    /// this place, which is between two nibbles.
    Row(Node),
    /// Two halves, in [`Trees`]; at least two leaves.
    Inner(u32),
}

/// A subtree of which only the hash is stored, and how many leaves it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) hash: Node,
    /// Accounts in it; [`MANY`] or more count as so many.
    pub(crate) accounts: u8,
    /// Slots in it, likewise.
    pub(crate) slots: u8,
}

/// A bucket so large is only met where 256 bits of many paths agree: never.
pub(crate) const MANY: u8 = u8::MAX;

impl Bucket {
    pub(crate) fn leaves(&self) -> usize {
        usize::from(self.accounts) + usize::from(self.slots)
    }

    /// Both together, with the hash of the parent.
    pub(crate) fn join(&self, other: &Self, hash: Node) -> Self {
        let accounts = self.accounts.saturating_add(other.accounts);
        Self { hash, accounts, slots: self.slots.saturating_add(other.slots) }
    }
}

/// The inner nodes of some [`Tree`]s.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trees {
    pairs: Vec<[Tree; 2]>,
}

/// Tags of the encoding, two bits each.
const EMPTY: u8 = 0;
const BUCKET: u8 = 1;
const ROW: u8 = 2;
const INNER: u8 = 3;

/// Longest path of bits.
const MAX_DEPTH: usize = 320;

impl Trees {
    pub(crate) fn inner(&mut self, left: Tree, right: Tree) -> Tree {
        let index = u32::try_from(self.pairs.len()).expect("fewer than 2^32 nodes in a batch");
        self.pairs.push([left, right]);
        Tree::Inner(index)
    }

    /// Forgets everything, but for the memory it took.
    pub(crate) fn clear(&mut self) {
        self.pairs.clear();
    }

    pub(crate) fn pair(&self, index: u32) -> [Tree; 2] {
        self.pairs[index as usize]
    }

    /// Number of buckets and rows in a tree.
    pub(crate) fn entries(&self, tree: Tree) -> usize {
        match tree {
            Tree::Empty => 0,
            Tree::Bucket(_) | Tree::Row(_) => 1,
            Tree::Inner(index) => self.pair(index).map(|half| self.entries(half)).iter().sum(),
        }
    }

    /// If one half is empty: the other, and whether that is the right one.
    pub(crate) fn only_child(&self, tree: Tree) -> Option<(Tree, bool)> {
        let Tree::Inner(index) = tree else { return None };
        match self.pair(index) {
            [Tree::Empty, right] => Some((right, true)),
            [left, Tree::Empty] => Some((left, false)),
            _ => None,
        }
    }

    /// Hash of a tree that stands at `depth`.
    pub(crate) fn hash(&self, forest: &mut Forest, tree: Tree, depth: usize) -> Node {
        match tree {
            Tree::Empty => Node::EMPTY,
            Tree::Bucket(Bucket { hash, .. }) | Tree::Row(hash) => hash,
            Tree::Inner(index) => {
                let [left, right] = self.pair(index);
                let left = self.hash(forest, left, depth + 1);
                let right = self.hash(forest, right, depth + 1);
                forest.inner(depth, left, right)
            }
        }
    }

    /// The tree with hashes that are known, for another [`Forest`].
    pub(crate) fn moved(&self, tree: Tree, from: &Forest, to: (&mut Self, &mut Forest)) -> Tree {
        let (trees, forest) = to;
        match tree {
            Tree::Empty => Tree::Empty,
            Tree::Row(hash) => Tree::Row(forest.known(*from.hash(hash))),
            Tree::Bucket(bucket) => {
                let hash = forest.known(*from.hash(bucket.hash));
                Tree::Bucket(Bucket { hash, ..bucket })
            }
            Tree::Inner(index) => {
                let halves = self.pair(index);
                let [left, right] = halves.map(|half| self.moved(half, from, (trees, forest)));
                trees.inner(left, right)
            }
        }
    }

    /// Bytes of a row: number of tags (2, big-endian) ‖ tags in preorder, four a byte from the
    /// highest bits ‖ accounts and slots (1 each) of every bucket ‖ hashes of buckets and rows.
    pub(crate) fn encode(&self, forest: &Forest, tree: Tree) -> Vec<u8> {
        let (counts, hashes) = (Vec::with_capacity(2 * 32), Vec::with_capacity(32 * 32));
        let mut row = Row { tags: 0, packed: Vec::with_capacity(64), counts, hashes };
        self.encode_into(forest, tree, &mut row);
        let count = u16::try_from(row.tags).expect("a row has few entries, and they few levels");
        [&count.to_be_bytes(), &*row.packed, &row.counts, &row.hashes].concat()
    }

    fn encode_into(&self, forest: &Forest, tree: Tree, row: &mut Row) {
        match tree {
            Tree::Empty => row.tag(EMPTY),
            Tree::Row(hash) => {
                row.tag(ROW);
                row.hashes.extend(forest.hash(hash));
            }
            Tree::Bucket(Bucket { hash, accounts, slots }) => {
                row.tag(BUCKET);
                row.counts.extend([accounts, slots]);
                row.hashes.extend(forest.hash(hash));
            }
            Tree::Inner(index) => {
                row.tag(INNER);
                for half in self.pair(index) {
                    self.encode_into(forest, half, row);
                }
            }
        }
    }

    /// Inverse of [`Trees::encode`] for a row at `depth`; `None` if it is malformed.
    pub(crate) fn decode(
        &mut self,
        forest: &mut Forest,
        bytes: &[u8],
        depth: usize,
    ) -> Option<Tree> {
        let (count, rest) = bytes.split_first_chunk::<2>()?;
        let count = usize::from(u16::from_be_bytes(*count));
        let (packed, rest) = rest.split_at_checked(count.div_ceil(4))?;
        let tags = (0..count).map(|i| packed[i / 4] >> (6 - i % 4 * 2) & 3);
        let (mut buckets, mut hashes) = (0, 0);
        for tag in tags.clone() {
            buckets += usize::from(tag == BUCKET);
            hashes += usize::from(tag == BUCKET || tag == ROW);
        }
        let (counts, rest) = rest.split_at_checked(buckets * 2)?;
        let (rest, []) = rest.as_chunks::<32>() else { return None };
        if rest.len() != hashes {
            return None;
        }
        let (counts, _) = counts.as_chunks::<2>();
        let mut parts = Parts { tags, counts: counts.iter(), hashes: rest.iter() };
        let tree = self.decode_tree(forest, &mut parts, depth)?;
        parts.tags.next().is_none().then_some(tree)
    }

    /// Recursion is bounded by the length of a path.
    fn decode_tree<'a>(
        &mut self,
        forest: &mut Forest,
        parts: &mut Parts<'a, impl Iterator<Item = u8>>,
        depth: usize,
    ) -> Option<Tree> {
        Some(match parts.tags.next()? {
            EMPTY => Tree::Empty,
            ROW if depth.is_multiple_of(4) => Tree::Row(forest.known(*parts.hashes.next()?)),
            BUCKET => {
                let [accounts, slots] = *parts.counts.next()?;
                Tree::Bucket(Bucket { hash: forest.known(*parts.hashes.next()?), accounts, slots })
            }
            INNER if depth < MAX_DEPTH => {
                let left = self.decode_tree(forest, parts, depth + 1)?;
                let right = self.decode_tree(forest, parts, depth + 1)?;
                self.inner(left, right)
            }
            _ => return None,
        })
    }
}

/// A row being written.
struct Row {
    tags: usize,
    packed: Vec<u8>,
    counts: Vec<u8>,
    hashes: Vec<u8>,
}

impl Row {
    fn tag(&mut self, tag: u8) {
        if self.tags.is_multiple_of(4) {
            self.packed.push(0);
        }
        if let Some(byte) = self.packed.last_mut() {
            *byte |= tag << (6 - self.tags % 4 * 2);
        }
        self.tags += 1;
    }
}

/// A row being read.
struct Parts<'a, T> {
    tags: T,
    counts: std::slice::Iter<'a, [u8; 2]>,
    hashes: std::slice::Iter<'a, Hash>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(trees: &mut Trees, forest: &mut Forest) -> Tree {
        let bucket = |hash, accounts, slots| Tree::Bucket(Bucket { hash, accounts, slots });
        let low = bucket(forest.known([1; 32]), 3, 9);
        let high = bucket(forest.known([2; 32]), 0, 1);
        let mut deep = Tree::Row(forest.known([3; 32]));
        for _ in 0..3 {
            deep = trees.inner(Tree::Empty, deep);
        }
        let buckets = trees.inner(low, high);
        trees.inner(buckets, deep)
    }

    #[test]
    fn golden_encoding_of_a_row() {
        let (mut trees, mut forest) = (Trees::default(), Forest::default());
        let tree = sample(&mut trees, &mut forest);
        let bytes = trees.encode(&forest, tree);
        // Inner, inner, bucket, bucket, then three levels with an empty left half, then a row.
        assert_eq!(bytes[..2], [0, 11]);
        assert_eq!(bytes[2..5], [0b1111_0101, 0b1100_1100, 0b1100_1000]);
        assert_eq!(bytes[5..9], [3, 9, 0, 1]);
        assert_eq!(bytes[9..], [[1; 32], [2; 32], [3; 32]].concat());
        assert_eq!(trees.entries(tree), 3);
    }

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_shorter_or_longer() {
        let (mut trees, mut forest) = (Trees::default(), Forest::default());
        let tree = sample(&mut trees, &mut forest);
        let mut bytes = trees.encode(&forest, tree);
        let again = trees.decode(&mut forest, &bytes, 4).unwrap();
        assert_eq!(trees.encode(&forest, again), bytes);
        assert_eq!(trees.decode(&mut forest, &bytes, 5), None, "a row between two nibbles");
        for length in 0..bytes.len() {
            assert_eq!(trees.decode(&mut forest, &bytes[..length], 4), None);
        }
        bytes.push(0);
        assert_eq!(trees.decode(&mut forest, &bytes, 4), None);
    }

    #[test]
    fn a_row_deeper_than_a_path_is_refused() {
        let (mut trees, mut forest) = (Trees::default(), Forest::default());
        let mut tree = Tree::Empty;
        for _ in 0..MAX_DEPTH + 1 {
            tree = trees.inner(Tree::Empty, tree);
        }
        let bytes = trees.encode(&forest, tree);
        assert_eq!(trees.decode(&mut forest, &bytes, 0), None);
    }
}
