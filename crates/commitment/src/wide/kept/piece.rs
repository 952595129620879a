//! A range of a heap's buckets, and what is above these and no others.

use std::{hint::black_box, mem};

use banyan_wide_proof::Hash;

use super::{bucket::Bucket, jobs::Jobs};

/// The children of a node: one line of the processor's caches, and what its hash is made from.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Pair([u8; 64]);

impl Pair {
    pub(super) const EMPTY: Self = Self([0; 64]);

    /// Sets the child that has an odd or an even number.
    pub(super) fn set(&mut self, number: usize, hash: &Hash) {
        let at = number % 2 * 32;
        self.0[at..at + 32].copy_from_slice(hash);
    }

    /// The child with an odd number.
    pub(super) fn odd(&self) -> Hash {
        self.0.as_chunks::<32>().0[1]
    }

    pub(super) fn block(&self) -> [u8; 64] {
        self.0
    }
}

/// The range: a power of two of buckets, and one node at the top.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// Where the topmost node is.
    pub(super) depth: usize,
    /// The pairs of each level, the topmost first.
    pub(super) levels: Vec<&'a mut [Pair]>,
    pub(super) buckets: &'a mut [Bucket],
    /// Buckets that have changed, in order.
    pub(super) dirty: Vec<u32>,
    /// Hash of the topmost node, once it is computed.
    pub(super) root: Option<Hash>,
}

impl Piece<'_> {
    /// Computes all that is dirty, first the heaps in its buckets.
    pub(super) fn hash(&mut self, jobs: &mut Jobs) {
        let mut clusters = Vec::new();
        let (mut rest, mut from) = (&mut *self.buckets, 0);
        for &index in &self.dirty {
            let (until, others) = rest.split_at_mut(index as usize + 1 - from);
            (rest, from) = (others, index as usize + 1);
            if let Some(bucket) = until.last_mut() {
                clusters.extend(bucket.dirty_clusters());
            }
        }
        if !clusters.is_empty() {
            let pieces = clusters.iter_mut().filter_map(|cluster| cluster.dirty_piece());
            let mut pieces: Vec<_> = pieces.collect();
            hash_all(&mut pieces, jobs);
            let roots: Vec<_> = pieces.into_iter().map(|piece| piece.root).collect();
            for (cluster, root) in clusters.into_iter().zip(roots) {
                root.iter().for_each(|root| cluster.set_root(root));
            }
        }
        hash_all(std::slice::from_mut(self), jobs);
    }

    /// Sets the hash of a node, or of a bucket, `level` levels below the top.
    fn set(&mut self, level: usize, node: u32, hash: &Hash) {
        match level.checked_sub(1) {
            Some(above) => self.levels[above][node as usize / 2].set(node as usize, hash),
            None => self.root = Some(*hash),
        }
    }

    /// Reads all pairs that will be hashed, one right after the other, so that the processor waits
    /// for many at a time.
    fn touch(&self) {
        let (mut last, mut all) = (None, 0);
        for &index in &self.dirty {
            for (up, level) in self.levels.iter().rev().enumerate() {
                let own = index >> (up + 1);
                if last.is_some_and(|last: u32| last >> (up + 1) == own) {
                    break;
                }
                all ^= level[own as usize].0[0];
            }
            last = Some(index);
        }
        black_box(all);
    }
}

/// Computes all that is dirty in pieces that begin at the same depth, level by level together, so
/// that there is much to be hashed at a time.
fn hash_all(pieces: &mut [Piece<'_>], jobs: &mut Jobs) {
    jobs.clear();
    pieces.iter().for_each(Piece::touch);
    let mut nodes = Vec::with_capacity(pieces.iter().map(|piece| piece.dirty.len()).sum());
    for piece in &*pieces {
        let buckets = piece.dirty.iter().map(|index| &piece.buckets[*index as usize]);
        nodes.extend(buckets.map(|bucket| bucket.lay_out(jobs)));
    }
    jobs.run();
    let mut nodes = nodes.into_iter();
    for piece in &mut *pieces {
        let dirty = mem::take(&mut piece.dirty);
        for (index, node) in dirty.iter().zip(&mut nodes) {
            piece.set(piece.levels.len(), *index, jobs.hash(node));
        }
        piece.dirty = dirty;
    }
    let levels = pieces.iter().map(|piece| piece.levels.len()).max().unwrap_or(0);
    for level in (0..levels).rev() {
        hash_level(pieces, level, jobs);
    }
}

fn hash_level(pieces: &mut [Piece<'_>], level: usize, jobs: &mut Jobs) {
    let Some(depth) = pieces.first().map(|piece| piece.depth + level) else { return };
    let mut pieces: Vec<_> = pieces.iter_mut().filter(|piece| level < piece.levels.len()).collect();
    for piece in &mut pieces {
        piece.dirty.iter_mut().for_each(|at| *at /= 2);
        piece.dirty.dedup();
    }
    let pairs = pieces.iter().flat_map(|piece| {
        let pairs = &piece.levels[level];
        piece.dirty.iter().map(|at| &pairs[*at as usize])
    });
    let mut hashes = jobs.pairs(depth, pairs).iter();
    for piece in pieces {
        let dirty = mem::take(&mut piece.dirty);
        dirty.iter().zip(&mut hashes).for_each(|(at, hash)| piece.set(level, *at, hash));
        piece.dirty = dirty;
    }
}

/// Computes the hashes of the topmost `levels` levels of a heap that begins at `depth`.
pub(super) fn join(heap: &mut [Pair], levels: usize, depth: usize, jobs: &mut Jobs) {
    for level in (0..levels).rev() {
        let nodes = 1 << level..2 << level;
        let hashes = jobs.pairs(depth + level, heap[nodes.clone()].iter());
        nodes.zip(hashes).for_each(|(node, hash)| heap[node / 2].set(node, hash));
    }
}
