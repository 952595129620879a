//! Inner nodes that are hashed together.

use banyan_wide_proof::{EMPTY, Hash};

use super::{
    super::{
        batch::{BatchHasher, Lanes, Mode},
        forest::INNER_KEYS,
    },
    piece::Pair,
};

/// A path in the tree, filled up with zeros.
pub(super) type Path = [u8; 40];

/// How many bits two paths have in common at their beginning.
fn common(a: &Path, b: &Path) -> usize {
    let (a, b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    for (index, (a, b)) in a.iter().zip(b).enumerate() {
        let differing = u64::from_be_bytes(*a) ^ u64::from_be_bytes(*b);
        if differing != 0 {
            return index * 64 + differing.leading_zeros() as usize;
        }
    }
    320
}

/// Subtrees to be hashed, level by level.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// Known, or still to be computed.
    hashes: Vec<Hash>,
    /// Left, right and the node itself, by depth.
    levels: Vec<Vec<[u32; 3]>>,
    /// Of the subtree being laid out: what stands left of its last node, each with the depth where
    /// it parts from what follows.
    lefts: Vec<(u32, usize)>,
    /// The last node, and the path of its last leaf.
    last: Option<(u32, Path)>,
    blocks: Vec<[u8; 64]>,
    out: Vec<Hash>,
    lanes: Lanes,
}

impl Jobs {
    fn known(&mut self, hash: Hash) -> u32 {
        self.hashes.push(hash);
        self.hashes.len() as u32 - 1
    }

    /// The next leaf, in order of path, of the subtree being laid out.
    pub(super) fn leaf(&mut self, path: &Path, hash: &Hash) {
        let leaf = self.known(*hash);
        if let Some((last, before)) = self.last.replace((leaf, *path)) {
            let depth = common(&before, path);
            let left = self.close(last, depth + 1);
            self.lefts.push((left, depth));
        }
    }

    /// The subtree of the leaves that were given.
    pub(super) fn subtree(&mut self) -> u32 {
        match self.last.take() {
            Some((last, _)) => self.close(last, 0),
            None => self.known(EMPTY),
        }
    }

    /// Joins `node` with what stands left of it and parts from it at `depth` or below.
    fn close(&mut self, mut node: u32, depth: usize) -> u32 {
        while let Some((left, parts)) = self.lefts.pop_if(|(_, parts)| *parts >= depth) {
            let inner = self.known(EMPTY);
            if self.levels.len() <= parts {
                self.levels.resize_with(parts + 1, Vec::new);
            }
            self.levels[parts].push([left, node, inner]);
            node = inner;
        }
        node
    }

    /// Computes all, the deepest first.
    pub(super) fn run(&mut self) {
        for (depth, jobs) in self.levels.iter_mut().enumerate().rev() {
            if jobs.is_empty() {
                continue;
            }
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

    /// The hashes of nodes at `depth` from their children.
    pub(super) fn pairs<'a>(
        &mut self,
        depth: usize,
        pairs: impl Iterator<Item = &'a Pair>,
    ) -> &[Hash] {
        self.blocks.clear();
        self.blocks.extend(pairs.map(Pair::block));
        self.out.resize(self.blocks.len(), EMPTY);
        self.lanes.hash(Mode::Keyed(&INNER_KEYS[depth]), &self.blocks, &mut self.out);
        for (block, hash) in self.blocks.iter().zip(&mut self.out) {
            // A half alone stands for both.
            if let [EMPTY, other] | [other, EMPTY] = block.as_chunks::<32>().0 {
                *hash = *other;
            }
        }
        &self.out
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
