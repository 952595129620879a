//! A subtree whose paths are spread evenly: a heap of hashes above small buckets of leaves.

use std::mem;

use banyan_wide_proof::Hash;
use rayon::prelude::*;

use super::{
    bucket::{Bucket, Leaf},
    jobs::{Jobs, Path},
    piece::{Pair, Piece, join},
    warm,
};

/// With more leaves to a bucket than this there are twice as many buckets.
const FULL: usize = 8;
/// Most levels of a heap: 2^28 buckets.
const LEVELS: usize = 28;
/// So many changes to one heap, and no fewer, are worth a task of their own.
const TASK: usize = 256;
/// So many changes to one heap are divided among tasks.
pub(super) const MANY: usize = 2 * TASK;
/// A heap is divided among at most 2^4 tasks.
const TASK_BITS: usize = 4;

/// A leaf after a change; `None` if it is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) path: Path,
    pub(super) hash: Option<Hash>,
}

/// Which bits of a path say where a leaf is in a heap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// The word of the path that they are in, eight bytes each.
    word: usize,
    /// How many bits of the word all paths have in common.
    skip: usize,
}

impl Span {
    /// Of a part of the whole tree that is chosen by the first `skip` bits.
    pub(super) fn part(skip: usize) -> Self {
        Self { word: 0, skip }
    }

    /// Of leaves that agree in the first word.
    pub(super) const CLUSTER: Self = Self { word: 1, skip: 0 };

    fn depth(&self) -> usize {
        self.word * 64 + self.skip
    }

    fn bits(&self, path: &Path) -> u64 {
        u64::from_be_bytes(path.as_chunks::<8>().0[self.word]) << self.skip
    }
}

/// Where the buckets are that paths belong to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Map {
    span: Span,
    /// Below the top of the heap.
    levels: usize,
}

impl Map {
    fn place(&self, path: &Path) -> usize {
        match self.levels {
            0 => 0,
            levels => (self.span.bits(path) >> (64 - levels)) as usize,
        }
    }

    /// Changes in order of path by the place, among `places` of them, that they belong to.
    pub(super) fn groups(
        self,
        changes: &[Change],
        places: usize,
    ) -> impl Iterator<Item = (usize, &[Change])> {
        let place = move |change: &Change| self.place(&change.path) % places;
        let groups = changes.chunk_by(move |a, b| place(a) == place(b));
        groups.filter_map(move |group| Some((place(group.first()?), group)))
    }

    /// Whether a bucket has leaves of many contracts.
    pub(super) fn may_cluster(&self) -> bool {
        self.span.word == 0
    }
}

/// The subtree.
#[derive(Debug)]
pub(super) struct Dense {
    span: Span,
    levels: usize,
    /// The children of node number `n`, which are the nodes `2n` and `2n + 1`; those of the last
    /// level are the buckets. The top is number 1.
    pairs: Vec<Pair>,
    buckets: Vec<Bucket>,
    /// Buckets that have changed since they were hashed, in order.
    dirty: Vec<u32>,
    leaves: usize,
}

/// What a task has done to a piece.
struct Done {
    undo: Vec<Change>,
    /// How many leaves there are more, and how many fewer.
    count: [usize; 2],
    /// Hash of its topmost node, if it was computed.
    root: Option<Hash>,
}

impl Dense {
    pub(super) fn new(span: Span) -> Self {
        let buckets = vec![Bucket::default()];
        Self { span, levels: 0, pairs: vec![Pair::EMPTY], buckets, dirty: Vec::new(), leaves: 0 }
    }

    pub(super) fn root(&self) -> Hash {
        self.pairs[0].odd()
    }

    pub(super) fn set_root(&mut self, root: &Hash) {
        self.set(1, root);
    }

    fn set(&mut self, node: usize, hash: &Hash) {
        self.pairs[node / 2].set(node, hash);
    }

    pub(super) fn leaves(&self) -> usize {
        self.leaves
    }

    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    fn map(&self) -> Map {
        Map { span: self.span, levels: self.levels }
    }

    /// Changes in order of path with the buckets that they belong to.
    pub(super) fn groups<'a>(
        &'a self,
        changes: &'a [Change],
    ) -> impl Iterator<Item = (&'a Bucket, &'a [Change])> {
        let groups = self.map().groups(changes, self.buckets.len());
        groups.map(|(index, group)| (&self.buckets[index], group))
    }

    /// Applies changes in order of path; what undoes them is added to `undo`. Many are divided
    /// among tasks, each of which hashes what it has changed while that is in the caches.
    pub(super) fn update(&mut self, changes: &[Change], undo: &mut Vec<Change>, jobs: &mut Jobs) {
        self.make_room(changes);
        let bits = (changes.len() / TASK).checked_ilog2().unwrap_or(0) as usize;
        let bits = bits.min(TASK_BITS).min(self.levels);
        let map = self.map();
        let mut pieces: Vec<_> = self.pieces(bits).into_iter().map(Some).collect();
        let groups = Map { levels: bits, ..map }.groups(changes, pieces.len());
        let tasks: Vec<_> = groups
            .filter_map(|(index, group)| Some((index, pieces[index].take()?, group)))
            .collect();
        let done: Vec<_> = if bits == 0 {
            let tasks = tasks.into_iter();
            tasks.map(|(index, piece, group)| (index, work(piece, group, map, jobs))).collect()
        } else {
            let work =
                |jobs: &mut Jobs, (index, piece, group)| (index, work(piece, group, map, jobs));
            tasks.into_par_iter().map_init(Jobs::default, work).collect()
        };
        for (index, Done { undo: own, count: [more, fewer], root }) in done {
            undo.extend(own);
            self.leaves = self.leaves + more - fewer;
            if let Some(root) = root {
                self.set(1 << bits | index, &root);
            }
        }
        join(&mut self.pairs, bits, self.span.depth(), jobs);
        if self.grow() {
            self.hash(jobs);
        }
    }

    /// As [`Self::update`], but leaves what few changes make dirty to be hashed together with others.
    pub(super) fn change(&mut self, changes: &[Change], undo: &mut Vec<Change>) {
        if changes.len() >= MANY {
            return self.update(changes, undo, &mut Jobs::default());
        }
        self.make_room(changes);
        let map = self.map();
        let [more, fewer] = change(&mut self.buckets, &mut self.dirty, changes, map, undo);
        self.leaves = self.leaves + more - fewer;
        self.grow();
    }

    /// Computes the hashes of all that is dirty.
    fn hash(&mut self, jobs: &mut Jobs) {
        let Some(mut piece) = self.dirty_piece() else { return };
        piece.hash(jobs);
        let root = piece.root;
        root.iter().for_each(|root| self.set_root(root));
    }

    /// All of it, with what is dirty: to be hashed at once.
    pub(super) fn dirty_piece(&mut self) -> Option<Piece<'_>> {
        let dirty = mem::take(&mut self.dirty);
        let piece = self.pieces(0).pop()?;
        Some(Piece { dirty, ..piece })
    }

    /// Divides the heap below 2^`bits` of its nodes.
    fn pieces(&mut self, bits: usize) -> Vec<Piece<'_>> {
        let (depth, levels) = (self.span.depth() + bits, self.levels - bits);
        let piece = |buckets| {
            let levels = Vec::with_capacity(levels);
            Piece { depth, levels, buckets, dirty: Vec::new(), root: None }
        };
        let mut pieces: Vec<_> = self.buckets.chunks_mut(1 << levels).map(piece).collect();
        let mut rest = self.pairs.get_mut(1 << bits..).unwrap_or_default();
        for level in 0..levels {
            let (own, below) = rest.split_at_mut(1 << (bits + level));
            rest = below;
            for (piece, pairs) in pieces.iter_mut().zip(own.chunks_mut(1 << level)) {
                piece.levels.push(pairs);
            }
        }
        pieces
    }

    /// Before the first leaves: for as many as there will be.
    fn make_room(&mut self, changes: &[Change]) {
        if self.leaves == 0 {
            let leaves = changes.iter().filter(|change| change.hash.is_some()).count();
            while leaves > FULL << self.levels && self.levels < LEVELS {
                self.divide();
            }
        }
    }

    /// If buckets have become too full there are more, and all are dirty.
    fn grow(&mut self) -> bool {
        let levels = self.levels;
        while self.leaves > FULL << self.levels && self.levels < LEVELS {
            self.divide();
        }
        let grown = self.levels > levels;
        if grown {
            self.dirty = (0..self.buckets.len() as u32).collect();
        }
        grown
    }

    /// Divides every bucket.
    fn divide(&mut self) {
        let shift = 63 - self.levels;
        self.levels += 1;
        let mut buckets = Vec::with_capacity(2 * self.buckets.len());
        for bucket in self.buckets.drain(..) {
            let left = |bits: u64| bits >> shift & 1 == 0;
            let span = self.span;
            buckets.extend(
                bucket.divide(|path| left(span.bits(path)), |word| left(word << span.skip)),
            );
        }
        self.buckets = buckets;
        self.pairs.resize(1 << self.levels, Pair::EMPTY);
    }

    /// All leaves, in order; only for small ones.
    pub(super) fn into_leaves(self) -> impl Iterator<Item = Leaf> {
        self.buckets.into_iter().flat_map(|bucket| bucket.leaves)
    }
}

/// Applies changes to a piece, and computes its hashes.
fn work(mut piece: Piece<'_>, changes: &[Change], map: Map, jobs: &mut Jobs) -> Done {
    let groups = map.groups(changes, piece.buckets.len());
    warm::for_update(groups.map(|(index, group)| (&piece.buckets[index], group)));
    let mut undo = Vec::with_capacity(changes.len());
    let count = change(piece.buckets, &mut piece.dirty, changes, map, &mut undo);
    if !piece.dirty.is_empty() {
        piece.hash(jobs);
    }
    Done { undo, count, root: piece.root }
}

/// Applies changes to buckets, and adds those that they change to `dirty`. Gives how many leaves
/// there are more, and how many fewer.
fn change(
    buckets: &mut [Bucket],
    dirty: &mut Vec<u32>,
    changes: &[Change],
    map: Map,
    undo: &mut Vec<Change>,
) -> [usize; 2] {
    let [mut more, mut fewer] = [0; 2];
    for (index, group) in map.groups(changes, buckets.len()) {
        let bucket = &mut buckets[index];
        fewer += bucket.count();
        if bucket.update(group, undo, map.may_cluster()) {
            dirty.push(index as u32);
        }
        more += bucket.count();
    }
    [more, fewer]
}
