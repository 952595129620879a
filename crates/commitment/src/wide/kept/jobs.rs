//! Inner nodes that are hashed together.

use banyan_wide_proof::{EMPTY, Hash};

use super::super::{
    batch::{BatchHasher, Lanes, Mode},
    forest::INNER_KEYS,
};

/// A path in the tree, filled up with zeros.
pub(super) type Path = [u8; 40];

/// How many bits two paths have in common at their beginning.
pub(super) fn common(a: &Path, b: &Path) -> usize {
    let (a, b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    for (index, (a, b)) in a.iter().zip(b).enumerate() {
        let differing = u64::from_be_bytes(*a) ^ u64::from_be_bytes(*b);
        if differing != 0 {
            return index * 64 + differing.leading_zeros() as usize;
        }
    }
    320
}

fn bit(path: &Path, depth: usize) -> bool {
    path.get(depth / 8).is_some_and(|byte| byte >> (7 - depth % 8) & 1 == 1)
}

/// Subtrees to be hashed, level by level.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// Known, or still to be computed.
    hashes: Vec<Hash>,
    /// Left, right and the node itself, by depth.
    levels: Vec<Vec<[u32; 3]>>,
    blocks: Vec<[u8; 64]>,
    out: Vec<Hash>,
    lanes: Lanes,
}

impl Jobs {
    pub(super) fn known(&mut self, hash: Hash) -> u32 {
        self.hashes.push(hash);
        self.hashes.len() as u32 - 1
    }

    /// The tree of `leaves`, in order of path and at least one.
    pub(super) fn subtree(&mut self, leaves: &[(Path, u32)]) -> u32 {
        let (first, last) = match leaves {
            [] => return self.known(EMPTY),
            [(_, leaf)] => return *leaf,
            [(first, _), .., (last, _)] => (first, last),
        };
        let depth = common(first, last);
        let middle = match leaves {
            [_, _] => 1,
            _ => leaves.partition_point(|(path, _)| !bit(path, depth)),
        };
        let (left, right) = leaves.split_at(middle);
        let (left, right) = (self.subtree(left), self.subtree(right));
        let node = self.known(EMPTY);
        if self.levels.len() <= depth {
            self.levels.resize_with(depth + 1, Vec::new);
        }
        self.levels[depth].push([left, right, node]);
        node
    }

    /// Computes all, the deepest first.
    pub(super) fn run(&mut self) {
        for (depth, jobs) in self.levels.iter_mut().enumerate().rev() {
            let hash = |node: u32| &self.hashes[node as usize];
            self.blocks.clear();
            self.blocks
                .extend(jobs.iter().map(|[left, right, _]| words(hash(*left), hash(*right))));
            self.out.resize(jobs.len(), EMPTY);
            self.lanes.hash(Mode::Keyed(&INNER_KEYS[depth]), &self.blocks, &mut self.out);
            for ([.., node], hash) in jobs.drain(..).zip(&self.out) {
                self.hashes[node as usize] = *hash;
            }
        }
    }

    pub(super) fn hash(&self, node: u32) -> &Hash {
        &self.hashes[node as usize]
    }

    /// Hashes the nodes `dirty` of one level of a heap, whose nodes are at `depth`, from their
    /// children.
    pub(super) fn heap(&mut self, heap: &mut [Hash], dirty: &[u32], depth: usize) {
        self.blocks.clear();
        let both = |at: u32| {
            let children = &heap[2 * at as usize..2 * at as usize + 2];
            (children[0] != EMPTY && children[1] != EMPTY)
                .then(|| words(&children[0], &children[1]))
        };
        self.blocks.extend(dirty.iter().filter_map(|at| both(*at)));
        self.out.resize(self.blocks.len(), EMPTY);
        self.lanes.hash(Mode::Keyed(&INNER_KEYS[depth]), &self.blocks, &mut self.out);
        let mut hashes = self.out.iter();
        for at in dirty {
            let [left, right] = [heap[2 * *at as usize], heap[2 * *at as usize + 1]];
            heap[*at as usize] = match (left == EMPTY, right == EMPTY) {
                (true, _) => right,
                (_, true) => left,
                _ => hashes.next().copied().unwrap_or(EMPTY),
            };
        }
    }

    /// Forgets the subtrees.
    pub(super) fn clear(&mut self) {
        self.hashes.clear();
    }
}

fn words(first: &Hash, second: &Hash) -> [u8; 64] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(first);
    block[32..].copy_from_slice(second);
    block
}
