use banyan_primitives::{
    B256,
    trie::{Nibbles, TrieSource},
};

use super::{
    forest::Forest,
    leaves::{Limit, damage, read_leaves},
    path::Prefix,
    tree::{Bucket, MANY, Tree},
    update::Task,
};
use crate::CommitmentError;

/// What is stored of a `wide` tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WideStats {
    /// Accounts and slots.
    pub leaves: u64,
    /// Buckets.
    pub buckets: u64,
    /// Places of the rows, in order.
    pub rows: Vec<Nibbles>,
}

/// Reads all rows and all leaves and checks that they agree: every hash, every count, the root.
pub fn wide_check<S: TrieSource>(source: &S) -> Result<WideStats, CommitmentError> {
    let mut stats = WideStats::default();
    let mut task = Task::new(source);
    let (root, tree) = task.open_root()?;
    if tree == Tree::Empty {
        return Ok(stats);
    }
    stats.rows.push(Nibbles::new());
    let hash = check_row(source, task, Prefix::ROOT, tree, &mut stats)?;
    if hash != root {
        return Err(damage(&Prefix::ROOT, "the root is another"));
    }
    stats.rows.sort_unstable();
    Ok(stats)
}

/// Checks what is below the tree at `prefix`; returns its hash.
fn check_row<S: TrieSource>(
    source: &S,
    mut task: Task<'_, S>,
    prefix: Prefix,
    tree: Tree,
    stats: &mut WideStats,
) -> Result<B256, CommitmentError> {
    let mut entries = vec![(prefix, tree)];
    while let Some((prefix, tree)) = entries.pop() {
        match tree {
            Tree::Empty => {}
            Tree::Inner(index) => {
                let [left, right] = task.trees.pair(index);
                entries.extend([(prefix.child(false), left), (prefix.child(true), right)]);
            }
            Tree::Bucket(bucket) => {
                let hash = check_bucket(source, &prefix, &bucket, stats)?;
                if hash != B256::from(*task.forest.hash(bucket.hash)) {
                    return Err(damage(&prefix, "a bucket has another hash"));
                }
            }
            Tree::Row(hash) => {
                let mut below = Task::new(source);
                let (place, tree) = below.open_row(&prefix)?;
                stats.rows.extend(place.nibbles());
                let tree = below.hang(tree, &place, prefix.depth());
                let found = check_row(source, below, prefix, tree, stats)?;
                if found != B256::from(*task.forest.hash(hash)) {
                    return Err(damage(&prefix, "a row has another hash"));
                }
            }
        }
    }
    let hash = task.trees.hash(&mut task.forest, tree, prefix.depth());
    task.forest.run();
    Ok(B256::from(*task.forest.hash(hash)))
}

fn check_bucket<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
    bucket: &Bucket,
    stats: &mut WideStats,
) -> Result<B256, CommitmentError> {
    let all = Limit { accounts: usize::MAX, slots: usize::MAX };
    let leaves = read_leaves(source, prefix, all)?;
    stats.leaves += leaves.len() as u64;
    stats.buckets += 1;
    let slots = leaves.iter().filter(|(spot, _)| spot.is_slot()).count();
    let is = |count: u8, found| found == usize::from(count) || count == MANY && found >= 255;
    if leaves.is_empty() || !is(bucket.slots, slots) || !is(bucket.accounts, leaves.len() - slots) {
        return Err(damage(prefix, "a bucket has other leaves"));
    }
    let mut forest = Forest::default();
    let leaf = |(spot, leaf): &_| (*spot, forest.leaf(spot, leaf));
    let leaves: Vec<_> = leaves.iter().map(leaf).collect();
    let hash = forest.subtree(&leaves);
    forest.run();
    Ok(B256::from(*forest.hash(hash)))
}
