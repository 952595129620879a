//! What changes will touch, brought into the processor's caches many lines at a time. One after the
//! other each would be waited for, which takes longer than all that is done with them.

use std::hint::black_box;

use super::{
    bucket::{Bucket, word},
    dense::{Change, MANY},
};

/// The buckets and their leaves, and those of the heaps in them but for heaps with many changes, whose
/// tasks do it themselves.
pub(super) fn for_update<'a>(groups: impl Iterator<Item = (&'a Bucket, &'a [Change])>) {
    let mut level: Vec<_> = groups.collect();
    while !level.is_empty() {
        black_box(level.iter().fold(0, |all, (bucket, _)| all ^ bucket.leaves.len()));
        let lines = |(bucket, _): &(&Bucket, &[Change])| {
            let leaves = bucket.leaves.iter().fold(0, |all, (path, _)| all ^ path[0]);
            let last = bucket.leaves.last().map_or(0, |(_, hash)| hash[31]);
            leaves ^ last ^ bucket.clusters.first().map_or(0, |(word, _)| *word as u8)
        };
        black_box(level.iter().map(lines).fold(0, |all, one| all ^ one));
        let with_clusters = level.into_iter().filter(|(bucket, _)| !bucket.clusters.is_empty());
        let clusters: Vec<_> = with_clusters
            .flat_map(|(bucket, changes)| {
                let groups = changes.chunk_by(|a, b| word(&a.path) == word(&b.path));
                let few = groups.filter(|group| group.len() < MANY);
                few.filter_map(|group| Some((bucket.cluster_of(&group.first()?.path)?, group)))
            })
            .collect();
        black_box(clusters.iter().fold(0, |all, (cluster, _)| all ^ cluster.leaves()));
        level = clusters.iter().flat_map(|(cluster, group)| cluster.groups(group)).collect();
    }
}
