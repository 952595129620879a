//! A few leaves, and the heaps of those of them that agree in the first word of their paths.

use std::mem;

use banyan_wide_proof::Hash;

use super::{
    dense::{Change, Dense, Span},
    jobs::{Jobs, Path},
};

/// A bucket with more leaves is looked through for some that should have a heap of their own.
const CROWDED: usize = 48;
/// So many leaves that agree in the first 64 bits, as the slots of a contract do, get one.
const CLUSTER: usize = 24;
/// A heap of their own with fewer leaves is given up.
const SMALL: usize = 8;

/// A leaf.
pub(super) type Leaf = (Path, Hash);

#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// In order of path.
    pub(super) leaves: Vec<Leaf>,
    /// By the first word of their paths.
    pub(super) clusters: Vec<(u64, Box<Dense>)>,
}

/// The first word of a path.
pub(super) fn word(path: &Path) -> u64 {
    u64::from_be_bytes(path.as_chunks::<8>().0[0])
}

impl Bucket {
    pub(super) fn count(&self) -> usize {
        let clusters = self.clusters.iter().map(|(_, cluster)| cluster.leaves());
        self.leaves.len() + clusters.sum::<usize>()
    }

    /// Applies changes in order of path; false if they change nothing.
    pub(super) fn update(
        &mut self,
        mut changes: &[Change],
        undo: &mut Vec<Change>,
        may_cluster: bool,
    ) -> bool {
        let before = undo.len();
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
                true => self.update_cluster(index, group, undo),
                false => self.merge(group, undo),
            }
        }
        let changed = undo.len() > before;
        if changed && may_cluster && self.leaves.len() > CROWDED {
            self.cluster();
        }
        changed
    }

    fn update_cluster(&mut self, index: usize, changes: &[Change], undo: &mut Vec<Change>) {
        let (_, cluster) = &mut self.clusters[index];
        cluster.change(changes, undo);
        if cluster.leaves() < SMALL {
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
                (Ok(index), Some(hash)) if self.leaves[index].1 == *hash => continue,
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
            if before != *hash {
                undo.push(Change { path: *path, hash: before });
            }
            self.leaves.extend(hash.map(|hash| (*path, hash)));
        }
        self.leaves.extend(old);
    }

    /// Takes out leaves that agree in the first word, if there are many.
    fn cluster(&mut self) {
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
            cluster.change(&changes, &mut Vec::new());
            let at = self.clusters.partition_point(|(word, _)| *word < own);
            self.clusters.insert(at, (own, cluster));
        }
    }

    /// The heaps that have changed since they were hashed.
    pub(super) fn dirty_clusters(&mut self) -> impl Iterator<Item = &mut Dense> {
        let all = self.clusters.iter_mut().map(|(_, cluster)| &mut **cluster);
        all.filter(|cluster| cluster.is_dirty())
    }

    /// The heap that a path belongs to.
    pub(super) fn cluster_of(&self, path: &Path) -> Option<&Dense> {
        let own = word(path);
        let index = self.clusters.binary_search_by_key(&own, |(word, _)| *word).ok()?;
        self.clusters.get(index).map(|(_, cluster)| &**cluster)
    }

    /// Divides it in two by what is left.
    pub(super) fn divide(
        mut self,
        left: impl Fn(&Path) -> bool,
        left_word: impl Fn(u64) -> bool,
    ) -> [Self; 2] {
        let middle = self.leaves.partition_point(|(path, _)| left(path));
        let leaves = self.leaves.split_off(middle);
        let middle = self.clusters.partition_point(|(word, _)| left_word(*word));
        let clusters = self.clusters.split_off(middle);
        self.leaves.shrink_to_fit();
        [self, Self { leaves, clusters }]
    }

    /// Lays out the subtree for hashing.
    pub(super) fn lay_out(&self, jobs: &mut Jobs) -> u32 {
        let mut leaves = &*self.leaves;
        for (word, cluster) in &self.clusters {
            let mut path = [0; 40];
            path[..8].copy_from_slice(&word.to_be_bytes());
            let (before, rest) =
                leaves.split_at(leaves.partition_point(|(other, _)| *other < path));
            before.iter().for_each(|(path, hash)| jobs.leaf(path, hash));
            jobs.leaf(&path, &cluster.root());
            leaves = rest;
        }
        leaves.iter().for_each(|(path, hash)| jobs.leaf(path, hash));
        jobs.subtree()
    }
}
