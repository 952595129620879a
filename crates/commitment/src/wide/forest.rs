use banyan_primitives::{Account, trie::Leaf};
use banyan_wide_proof::{Context, EMPTY, Hash};

use super::{
    batch::{BatchHasher, Lanes},
    path::Spot,
};

/// A hash in a [`Forest`], known or still to be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node(u32);

impl Node {
    /// The empty subtree.
    pub(crate) const EMPTY: Self = Self(0);
}

/// An inner node that waits for its children.
#[derive(Clone, Copy, Debug)]
struct Job {
    left: Node,
    right: Node,
    out: Node,
}

/// Hashes to be computed together: first what is to be hashed is laid out, then [`Forest::run`] does
/// it level by level, so that every level is one batch.
#[derive(Debug)]
pub(crate) struct Forest {
    hashes: Vec<Hash>,
    leaves: Vec<([u8; 64], Node)>,
    /// Account records, and which of `leaves` waits for the hash.
    records: Vec<([u8; 128], usize)>,
    /// Inner nodes by depth.
    levels: Vec<Vec<Job>>,
}

impl Default for Forest {
    fn default() -> Self {
        Self { hashes: vec![EMPTY], leaves: Vec::new(), records: Vec::new(), levels: Vec::new() }
    }
}

impl Forest {
    /// A hash that is known.
    pub(crate) fn known(&mut self, hash: Hash) -> Node {
        let node =
            Node(u32::try_from(self.hashes.len()).expect("fewer than 2^32 nodes in a batch"));
        self.hashes.push(hash);
        node
    }

    /// A leaf.
    pub(crate) fn leaf(&mut self, spot: &Spot, leaf: &Leaf) -> Node {
        let node = self.known(EMPTY);
        let mut block = [0; 64];
        block[..32].copy_from_slice(spot.id());
        match leaf {
            Leaf::Slot(value) => block[32..].copy_from_slice(&value.to_be_bytes::<32>()),
            Leaf::Account(account) => self.records.push((record(account), self.leaves.len())),
        }
        self.leaves.push((block, node));
        node
    }

    /// The inner node at `depth` (0: the root) over two halves, not both of them empty.
    pub(crate) fn inner(&mut self, depth: usize, left: Node, right: Node) -> Node {
        let out = self.known(EMPTY);
        if self.levels.len() <= depth {
            self.levels.resize_with(depth + 1, Vec::new);
        }
        self.levels[depth].push(Job { left, right, out });
        out
    }

    /// The subtree at `depth` that holds `leaves`, which are in order and agree on the bits above.
    pub(crate) fn subtree(&mut self, depth: usize, leaves: &[(Spot, Node)]) -> Node {
        match leaves {
            [] => Node::EMPTY,
            [(_, leaf)] => *leaf,
            _ => {
                let (left, right) = halves(depth, leaves);
                let (left, right) = (self.subtree(depth + 1, left), self.subtree(depth + 1, right));
                self.inner(depth, left, right)
            }
        }
    }

    /// Computes everything that was laid out.
    pub(crate) fn run(&mut self) {
        self.run_with(&Lanes::default());
    }

    fn run_with(&mut self, hasher: &impl BatchHasher) {
        let records: Vec<_> = self.records.iter().map(|(record, _)| *record).collect();
        let mut out = vec![EMPTY; records.len()];
        hasher.hash(&Context::RECORD, &records, &mut out);
        for ((_, leaf), value) in self.records.drain(..).zip(&out) {
            self.leaves[leaf].0[32..].copy_from_slice(value);
        }
        let blocks: Vec<_> = self.leaves.iter().map(|(block, _)| *block).collect();
        out.resize(blocks.len(), EMPTY);
        hasher.hash(&Context::LEAF, &blocks, &mut out);
        for ((_, node), hash) in self.leaves.drain(..).zip(&out) {
            self.hashes[node.0 as usize] = *hash;
        }
        let mut blocks = blocks;
        while let Some(jobs) = self.levels.pop() {
            blocks.clear();
            blocks.extend(jobs.iter().map(|job| self.block(job)));
            out.resize(jobs.len(), EMPTY);
            hasher.hash(&Context::INNER, &blocks, &mut out);
            for (job, hash) in jobs.iter().zip(&out) {
                self.hashes[job.out.0 as usize] = *hash;
            }
        }
    }

    fn block(&self, job: &Job) -> [u8; 64] {
        let mut block = [0; 64];
        block[..32].copy_from_slice(self.hash(job.left));
        block[32..].copy_from_slice(self.hash(job.right));
        block
    }

    /// A hash, known from the beginning or since [`Forest::run`].
    pub(crate) fn hash(&self, node: Node) -> &Hash {
        &self.hashes[node.0 as usize]
    }
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
