//! A subtree whose paths are spread evenly: a heap of hashes above small buckets of leaves.

use std::mem;

use banyan_wide_proof::{EMPTY, Hash};

use super::jobs::{Jobs, Path};

/// With more leaves to a bucket than this there are twice as many buckets.
const FULL: usize = 8;
/// A bucket with more leaves is looked through for some that should have a heap of their own.
const CROWDED: usize = 48;
/// So many leaves that agree in the first 64 bits, as the slots of a contract do, get one.
const CLUSTER: usize = 24;
/// A heap of their own with fewer leaves is given up.
const SMALL: usize = 8;
/// Most levels of a heap: 2^28 buckets.
const LEVELS: usize = 28;

/// A leaf after a change; `None` if it is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) path: Path,
    pub(super) hash: Option<Hash>,
}

/// A leaf.
type Leaf = (Path, Hash);

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
    const CLUSTER: Self = Self { word: 1, skip: 0 };

    fn depth(&self) -> usize {
        self.word * 64 + self.skip
    }

    fn bits(&self, path: &Path) -> u64 {
        u64::from_be_bytes(path.as_chunks::<8>().0[self.word]) << self.skip
    }
}

/// The subtree. Its node number `n` in the heap has the children `2n` and `2n + 1`; the last level
/// are the buckets.
#[derive(Debug)]
pub(super) struct Dense {
    span: Span,
    levels: usize,
    heap: Vec<Hash>,
    buckets: Vec<Bucket>,
    leaves: usize,
}

#[derive(Debug, Default)]
struct Bucket {
    /// In order of path.
    leaves: Vec<Leaf>,
    /// By the first word of their paths.
    clusters: Vec<(u64, Box<Dense>)>,
}

impl Dense {
    pub(super) fn new(span: Span) -> Self {
        let buckets = vec![Bucket::default()];
        Self { span, levels: 0, heap: vec![EMPTY; 2], buckets, leaves: 0 }
    }

    pub(super) fn root(&self) -> Hash {
        self.heap[1]
    }

    pub(super) fn leaves(&self) -> usize {
        self.leaves
    }

    fn bucket(&self, path: &Path) -> usize {
        match self.levels {
            0 => 0,
            levels => (self.span.bits(path) >> (64 - levels)) as usize,
        }
    }

    /// Applies changes in order of path; what undoes them is added to `undo`.
    pub(super) fn update(&mut self, changes: &[Change], undo: &mut Vec<Change>, jobs: &mut Jobs) {
        let mut dirty = Vec::with_capacity(changes.len());
        let mut rest = changes;
        while let Some(first) = rest.first() {
            let index = self.bucket(&first.path);
            let same = rest.iter().take_while(|change| self.bucket(&change.path) == index).count();
            let (group, later) = rest.split_at(same);
            let bucket = &mut self.buckets[index];
            self.leaves -= bucket.count();
            bucket.update(group, undo, jobs, self.span.word == 0);
            self.leaves += bucket.count();
            dirty.push(index as u32);
            rest = later;
        }
        let mut grown = false;
        while self.leaves > FULL << self.levels && self.levels < LEVELS {
            self.grow();
            grown = true;
        }
        if grown {
            dirty = (0..self.buckets.len() as u32).collect();
        }
        self.hash(dirty, jobs);
    }

    /// Divides every bucket.
    fn grow(&mut self) {
        let shift = 63 - self.levels;
        self.levels += 1;
        let mut buckets = Vec::with_capacity(2 * self.buckets.len());
        for mut bucket in self.buckets.drain(..) {
            let left = |bits: u64| bits >> shift & 1 == 0;
            let middle = bucket.leaves.partition_point(|(path, _)| left(self.span.bits(path)));
            let leaves = bucket.leaves.split_off(middle);
            let middle = bucket.clusters.partition_point(|(word, _)| left(word << self.span.skip));
            let clusters = bucket.clusters.split_off(middle);
            bucket.leaves.shrink_to_fit();
            buckets.extend([bucket, Bucket { leaves, clusters }]);
        }
        self.buckets = buckets;
        self.heap.resize(2 << self.levels, EMPTY);
    }

    /// Computes the hashes of these buckets and of all above.
    fn hash(&mut self, mut dirty: Vec<u32>, jobs: &mut Jobs) {
        jobs.clear();
        let mut items = Vec::new();
        let nodes: Vec<u32> = dirty
            .iter()
            .map(|index| self.buckets[*index as usize].lay_out(&mut items, jobs))
            .collect();
        jobs.run();
        for (index, node) in dirty.iter_mut().zip(nodes) {
            *index += 1 << self.levels;
            self.heap[*index as usize] = *jobs.hash(node);
        }
        for level in (0..self.levels).rev() {
            dirty.iter_mut().for_each(|at| *at /= 2);
            dirty.dedup();
            jobs.heap(&mut self.heap, &dirty, self.span.depth() + level);
        }
    }

    /// All leaves, in order; only for small ones.
    fn into_leaves(self) -> impl Iterator<Item = Leaf> {
        self.buckets.into_iter().flat_map(|bucket| bucket.leaves)
    }
}

/// The first word of a path.
fn word(path: &Path) -> u64 {
    u64::from_be_bytes(path.as_chunks::<8>().0[0])
}

impl Bucket {
    fn count(&self) -> usize {
        let clusters = self.clusters.iter().map(|(_, cluster)| cluster.leaves);
        self.leaves.len() + clusters.sum::<usize>()
    }

    fn update(
        &mut self,
        mut changes: &[Change],
        undo: &mut Vec<Change>,
        jobs: &mut Jobs,
        may_cluster: bool,
    ) {
        while let Some(first) = changes.first() {
            let own = word(&first.path);
            let index = self.clusters.partition_point(|(word, _)| *word < own);
            let next = self.clusters.get(index).map(|(word, _)| *word);
            let group = match next {
                Some(next) if next == own => changes.partition_point(|c| word(&c.path) == own),
                Some(next) => changes.partition_point(|c| word(&c.path) < next),
                None => changes.len(),
            };
            let (group, rest) = changes.split_at(group);
            changes = rest;
            match next == Some(own) {
                true => self.update_cluster(index, group, undo, jobs),
                false => self.merge(group, undo),
            }
        }
        if may_cluster && self.leaves.len() > CROWDED {
            self.cluster(jobs);
        }
    }

    fn update_cluster(
        &mut self,
        index: usize,
        changes: &[Change],
        undo: &mut Vec<Change>,
        jobs: &mut Jobs,
    ) {
        let (_, cluster) = &mut self.clusters[index];
        cluster.update(changes, undo, jobs);
        if cluster.leaves < SMALL {
            let (word, cluster) = self.clusters.remove(index);
            let at = self.leaves.partition_point(|(path, _)| self::word(path) < word);
            self.leaves.splice(at..at, cluster.into_leaves());
        }
    }

    /// Applies changes to the leaves.
    fn merge(&mut self, changes: &[Change], undo: &mut Vec<Change>) {
        if changes.len() > 16 && changes.len() > self.leaves.len() / 8 {
            return self.merge_many(changes, undo);
        }
        for Change { path, hash } in changes {
            let at = self.leaves.binary_search_by(|(other, _)| other.cmp(path));
            let before = match (at, hash) {
                (Ok(index), Some(hash)) => Some(mem::replace(&mut self.leaves[index].1, *hash)),
                (Ok(index), None) => Some(self.leaves.remove(index).1),
                (Err(index), Some(hash)) => {
                    self.leaves.insert(index, (*path, *hash));
                    None
                }
                (Err(_), None) => continue,
            };
            undo.push(Change { path: *path, hash: before });
        }
    }

    fn merge_many(&mut self, changes: &[Change], undo: &mut Vec<Change>) {
        let mut old = mem::take(&mut self.leaves).into_iter().peekable();
        for Change { path, hash } in changes {
            while let Some(leaf) = old.next_if(|(other, _)| other < path) {
                self.leaves.push(leaf);
            }
            let before = old.next_if(|(other, _)| other == path).map(|(_, hash)| hash);
            if before.is_some() || hash.is_some() {
                undo.push(Change { path: *path, hash: before });
            }
            self.leaves.extend(hash.map(|hash| (*path, hash)));
        }
        self.leaves.extend(old);
    }

    /// Takes out leaves that agree in the first word, if there are many.
    fn cluster(&mut self, jobs: &mut Jobs) {
        let leaves = mem::take(&mut self.leaves);
        for group in leaves.chunk_by(|(a, _), (b, _)| word(a) == word(b)) {
            let [(first, _), ..] = group else { continue };
            if group.len() < CLUSTER {
                self.leaves.extend_from_slice(group);
                continue;
            }
            let own = word(first);
            let change = |(path, hash): &Leaf| Change { path: *path, hash: Some(*hash) };
            let changes: Vec<_> = group.iter().map(change).collect();
            let mut cluster = Box::new(Dense::new(Span::CLUSTER));
            cluster.update(&changes, &mut Vec::new(), jobs);
            let at = self.clusters.partition_point(|(word, _)| *word < own);
            self.clusters.insert(at, (own, cluster));
        }
    }

    /// Lays out the subtree for hashing.
    fn lay_out(&self, items: &mut Vec<(Path, u32)>, jobs: &mut Jobs) -> u32 {
        items.clear();
        items.extend(self.leaves.iter().map(|(path, hash)| (*path, jobs.known(*hash))));
        for (word, cluster) in &self.clusters {
            let mut path = [0; 40];
            path[..8].copy_from_slice(&word.to_be_bytes());
            let at = items.partition_point(|(other, _)| *other < path);
            items.insert(at, (path, jobs.known(cluster.root())));
        }
        jobs.subtree(items)
    }
}
