use std::{mem::take, sync::LazyLock};

use banyan_primitives::{Account, trie::Leaf};
use banyan_wide_proof::{Context, EMPTY, Hash, inner_key};

use super::{
    batch::{BatchHasher, Lanes, Mode},
    path::Spot,
};

/// A hash in a [`Forest`], known or still to be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node(u32);

impl Node {
    /// The empty subtree.
    pub(crate) const EMPTY: Self = Self(0);

    /// Marks leaves, whose hashes lie apart.
    const LEAF: u32 = 1 << 31;

    fn new(index: usize, mark: u32) -> Self {
        let index = u32::try_from(index).ok().filter(|index| *index < Self::LEAF);
        Self(index.expect("fewer than 2^31 nodes in a batch") | mark)
    }

    /// Its index among the leaves.
    fn leaf(self) -> Option<usize> {
        (self.0 & Self::LEAF != 0).then_some((self.0 & !Self::LEAF) as usize)
    }
}

/// An inner node that waits for its children.
#[derive(Clone, Copy, Debug)]
struct Job {
    left: Node,
    right: Node,
    out: Node,
}

/// The keys of inner nodes by depth: as many as a path has bits.
pub(crate) static INNER_KEYS: LazyLock<[Hash; 320]> =
    LazyLock::new(|| std::array::from_fn(inner_key));

/// Hashes to be computed together: first what is to be hashed is laid out, then [`Forest::run`] does
/// it level by level, so that every level is one batch.
#[derive(Debug)]
pub(crate) struct Forest {
    /// Of inner nodes, and those that are known; the first is empty.
    hashes: Vec<Hash>,
    /// Inner nodes by depth.
    levels: Vec<Vec<Job>>,
    /// What is hashed to leaves, and their hashes as far as they are computed.
    leaves: Vec<[u8; 64]>,
    leaf_hashes: Vec<Hash>,
    /// Account records, and the leaves that wait for their hashes.
    records: Vec<[u8; 128]>,
    record_leaves: Vec<usize>,
    /// What [`Forest::subtree`] has on its way: left halves whose right ones are to come, and where
    /// the two part. Empty between two calls.
    edge: Vec<(usize, Node)>,
    /// What is hashed of one level, and the hashes.
    blocks: Vec<[u8; 64]>,
    fresh: Vec<Hash>,
}

impl Default for Forest {
    fn default() -> Self {
        Self {
            hashes: vec![EMPTY],
            levels: Vec::new(),
            leaves: Vec::new(),
            leaf_hashes: Vec::new(),
            records: Vec::new(),
            record_leaves: Vec::new(),
            edge: Vec::new(),
            blocks: Vec::new(),
            fresh: Vec::new(),
        }
    }
}

impl Forest {
    /// Forgets everything, but for the memory it took.
    pub(crate) fn clear(&mut self) {
        self.hashes.truncate(1);
        self.levels.iter_mut().for_each(Vec::clear);
        self.leaves.clear();
        self.leaf_hashes.clear();
        self.records.clear();
        self.record_leaves.clear();
    }

    /// A hash that is known.
    pub(crate) fn known(&mut self, hash: Hash) -> Node {
        let node = Node::new(self.hashes.len(), 0);
        self.hashes.push(hash);
        node
    }

    /// A leaf.
    pub(crate) fn leaf(&mut self, spot: &Spot, leaf: &Leaf) -> Node {
        let node = Node::new(self.leaves.len(), Node::LEAF);
        let value = match leaf {
            Leaf::Slot(value) => value.to_be_bytes(),
            Leaf::Account(account) => {
                self.records.push(record(account));
                self.record_leaves.push(self.leaves.len());
                EMPTY
            }
        };
        self.leaves.push(words(spot.id(), &value));
        node
    }

    /// Whether `node`, a leaf that is laid out and not yet hashed, has the value of `leaf`.
    pub(crate) fn is_leaf(&self, node: Node, leaf: &Leaf) -> bool {
        let Some(index) = node.leaf() else { return false };
        match leaf {
            Leaf::Slot(value) => self.leaves[index][32..] == value.to_be_bytes::<32>(),
            Leaf::Account(account) => self
                .record_leaves
                .binary_search(&index)
                .is_ok_and(|at| self.records[at] == record(account)),
        }
    }

    /// The tree over two halves whose paths part at `depth`; one half alone stands for itself.
    pub(crate) fn inner(&mut self, depth: usize, left: Node, right: Node) -> Node {
        if left == Node::EMPTY {
            return right;
        }
        if right == Node::EMPTY {
            return left;
        }
        let out = self.known(EMPTY);
        if self.levels.len() <= depth {
            self.levels.resize_with(depth + 1, Vec::new);
        }
        self.levels[depth].push(Job { left, right, out });
        out
    }

    /// The tree of `leaves`, which are in order and have paths of their own.
    pub(crate) fn subtree(&mut self, leaves: &[(Spot, Node)]) -> Node {
        let Some((_, last)) = leaves.last() else { return Node::EMPTY };
        let mut edge = take(&mut self.edge);
        for ((spot, leaf), (next, _)) in leaves.iter().zip(&leaves[1..]) {
            let depth = spot.parts_from(next);
            let mut left = *leaf;
            while let Some((parts, node)) = edge.pop_if(|(parts, _)| *parts > depth) {
                left = self.inner(parts, node, left);
            }
            edge.push((depth, left));
        }
        let mut tree = *last;
        while let Some((parts, node)) = edge.pop() {
            tree = self.inner(parts, node, tree);
        }
        self.edge = edge;
        tree
    }

    /// Computes everything that was laid out.
    pub(crate) fn run(&mut self) {
        self.run_with(&Lanes::default());
    }

    fn run_with(&mut self, hasher: &impl BatchHasher) {
        let mut values = vec![EMPTY; self.records.len()];
        hasher.hash(Mode::Derive(&Context::RECORD), &self.records, &mut values);
        for (leaf, value) in self.record_leaves.iter().zip(values) {
            self.leaves[*leaf][32..].copy_from_slice(&value);
        }
        self.leaf_hashes.resize(self.leaves.len(), EMPTY);
        hasher.hash(Mode::Derive(&Context::LEAF), &self.leaves, &mut self.leaf_hashes);
        let (mut levels, mut blocks) = (take(&mut self.levels), take(&mut self.blocks));
        for (jobs, key) in levels.iter_mut().zip(&*INNER_KEYS).rev() {
            blocks.clear();
            blocks.extend(jobs.iter().map(|job| words(self.hash(job.left), self.hash(job.right))));
            self.fresh.resize(jobs.len(), EMPTY);
            hasher.hash(Mode::Keyed(key), &blocks, &mut self.fresh);
            for (job, hash) in jobs.drain(..).zip(&self.fresh) {
                self.hashes[job.out.0 as usize] = *hash;
            }
        }
        (self.levels, self.blocks) = (levels, blocks);
    }

    /// A hash, known from the beginning or since [`Forest::run`].
    pub(crate) fn hash(&self, node: Node) -> &Hash {
        match node.leaf() {
            Some(index) => &self.leaf_hashes[index],
            None => &self.hashes[node.0 as usize],
        }
    }
}

fn words(first: &Hash, second: &Hash) -> [u8; 64] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(first);
    block[32..].copy_from_slice(second);
    block
}

/// Where the right half of sorted `leaves` begins, at `depth`.
pub(crate) fn halves<T: AsRef<Spot>>(depth: usize, leaves: &[T]) -> (&[T], &[T]) {
    leaves.split_at(leaves.partition_point(|leaf| !leaf.as_ref().bit(depth)))
}

/// The record of an account, as [`banyan_wide_proof::account_value`] hashes it.
fn record(account: &Account) -> [u8; 128] {
    let Account { nonce, balance, code_hash } = account;
    banyan_wide_proof::account_record(*nonce, &balance.to_be_bytes::<32>(), &code_hash.0)
}
