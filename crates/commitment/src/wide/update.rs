use std::sync::{Arc, Mutex, PoisonError};

use banyan_primitives::{
    B256, Bytes,
    trie::{HashedDiff, Nibbles, NodeDiff, TrieId, TrieSource},
};

use super::{
    change::{Change, Leaves, apply, changes, is_idle},
    forest::{Forest, Node, halves},
    leaves::{damage, distinct, visit_bucket},
    path::{Prefix, SHARED_BITS, Spot},
    tree::{Bucket, MANY, Tree, Trees},
};
use crate::{CommitmentError, RootOutput};

/// A bucket with more leaves is divided.
const SPLIT: usize = 24;
/// Two buckets with no more leaves become one. Far below half of [`SPLIT`], so that one leaf coming
/// and going does not make a bucket come and go.
const MERGE: usize = 10;
/// A row with more entries is cut into several: it stays far below half a page of the database.
const ROW: usize = 32;
/// A part with fewer entries stays where it is when a row is cut.
const CUT: usize = 4;
/// Deepest place of a row, and deepest bucket that is divided.
const DEEPEST: usize = 256;
/// From so many changes on a part is a task of its own. What it works on then fits the caches.
const TASK: usize = 64;

/// Root of the `wide` tree after `diff` on the state of `parent`, and the rows to store. They stand
/// where the nodes of the account trie stand on other chains.
pub fn wide_root<S: TrieSource + Sync>(
    parent: &S,
    diff: &HashedDiff,
) -> Result<RootOutput, CommitmentError> {
    let changes = changes(parent, diff)?;
    let mut task = Task::new(parent);
    let (root, before) = task.open_root()?;
    let after = task.update(before, Prefix::ROOT, &changes)?;
    if after == before {
        return Ok(RootOutput { root, ..Default::default() });
    }
    let after = task.cut(after, Prefix::ROOT);
    let root = task.trees.hash(&mut task.forest, after, 0);
    task.finish();
    let root = *task.forest.hash(root);
    let row = (after != Tree::Empty).then(|| {
        let row = task.trees.encode(&task.forest, after);
        Bytes::from([root.as_slice(), &row].concat())
    });
    let mut nodes = NodeDiff::default();
    // Of two entries with one path the last counts.
    let removed = task.removed.into_iter().map(|path| (path, None));
    let written = task.written.into_iter().map(|(path, row)| (path, Some(row)));
    nodes.accounts = removed.chain(written).chain([(Nibbles::new(), row)]).collect();
    Ok(RootOutput { root: B256::from(root), nodes, ..Default::default() })
}

/// The root that is stored with the rows of a state: one read.
pub fn wide_stored_root<S: TrieSource>(source: &S) -> Result<B256, CommitmentError> {
    Ok(Task::new(source).open_root()?.0)
}

/// A part of the update. It is laid out first, in `trees` and `forest`, and hashed when it is done.
pub(crate) struct Task<'a, S> {
    source: &'a S,
    pub(crate) trees: Trees,
    pub(crate) forest: Forest,
    /// Rows that were opened, and changed.
    removed: Vec<Nibbles>,
    /// Rows to be written when the hashes are there.
    sealed: Vec<(Nibbles, Tree)>,
    /// Rows of the parts that are done.
    written: Vec<(Nibbles, Bytes)>,
    /// The leaves of a bucket before and after, kept for the next one.
    leaves: Leaves,
    after: Leaves,
    spare: Arc<Spare>,
}

/// Memory of parts that are done, for the next ones: to have it grow anew for each costs more than
/// what is written there.
type Spare = Mutex<Vec<(Trees, Forest, [Leaves; 2])>>;

impl<'a, S: TrieSource> Task<'a, S> {
    pub(crate) fn new(source: &'a S) -> Self {
        Self::with(source, Arc::default())
    }

    fn with(source: &'a S, spare: Arc<Spare>) -> Self {
        let used = spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (trees, forest, [leaves, after]) = used.unwrap_or_default();
        let (removed, sealed, written) = (Vec::new(), Vec::new(), Vec::new());
        Self { source, trees, forest, removed, sealed, written, leaves, after, spare }
    }

    /// The root, and the row that stands there.
    pub(crate) fn open_root(&mut self) -> Result<(B256, Tree), CommitmentError> {
        let Some((path, bytes)) = self.source.first_node(TrieId::Accounts, &Nibbles::new())? else {
            return Ok((B256::ZERO, Tree::Empty));
        };
        let row = bytes.split_first_chunk::<32>().filter(|_| path.is_empty());
        let tree = row.and_then(|(root, row)| {
            Some((B256::from(*root), self.trees.decode(&mut self.forest, row, 0)?))
        });
        match tree {
            Some((root, tree)) if !matches!(tree, Tree::Row(_)) => Ok((root, tree)),
            _ => Err(damage(&Prefix::ROOT, "the root row is missing or malformed")),
        }
    }

    /// The topmost row at or below `prefix`, and its place.
    pub(crate) fn open_row(&mut self, prefix: &Prefix) -> Result<(Prefix, Tree), CommitmentError> {
        let missing = || damage(prefix, "a row is missing");
        let nibbles = prefix.nibbles().ok_or_else(missing)?;
        let found = self.source.first_node(TrieId::Accounts, &nibbles)?;
        let found = found.filter(|(path, _)| path.starts_with(&nibbles));
        let (path, bytes) = found.ok_or_else(missing)?;
        let place = Prefix::of_nibbles(&path);
        let row = self.trees.decode(&mut self.forest, &bytes, place.depth());
        let row = row.filter(|tree| matches!(tree, Tree::Inner(_)));
        Ok((place, row.ok_or_else(|| damage(&place, "malformed row"))?))
    }

    /// The tree at `depth` above a tree at `place`: levels with one child.
    pub(crate) fn hang(&mut self, mut tree: Tree, place: &Prefix, depth: usize) -> Tree {
        for depth in (depth..place.depth()).rev() {
            tree = match place.bit(depth) {
                true => self.trees.inner(Tree::Empty, tree),
                false => self.trees.inner(tree, Tree::Empty),
            };
        }
        tree
    }

    /// Computes the hashes and writes the rows.
    fn finish(&mut self) {
        self.forest.run();
        for (path, tree) in std::mem::take(&mut self.sealed) {
            self.written.push((path, self.trees.encode(&self.forest, tree).into()));
        }
    }

    /// Puts the tree at `place` in a row, which hangs at `depth`, at or above; both are between two
    /// nibbles. The row stands below the levels of one child. A tree of one entry has no row, but
    /// goes to the row above.
    fn seal(&mut self, tree: Tree, mut place: Prefix, depth: usize) -> Tree {
        if self.trees.entries(tree) <= 1 {
            return (depth..place.depth()).rev().fold(tree, |tree, depth| match place.bit(depth) {
                true => self.join(place.first(depth), Tree::Empty, tree),
                false => self.join(place.first(depth), tree, Tree::Empty),
            });
        }
        let mut top = tree;
        while let Some((below, next)) = self.skip(top, place) {
            (top, place) = (below, next);
        }
        let top = self.cut(top, place);
        let hash = self.trees.hash(&mut self.forest, top, place.depth());
        let path = place.nibbles().expect("rows stand between nibbles, above the deepest");
        self.sealed.push((path, top));
        Tree::Row(hash)
    }

    /// What is four levels below, if they have one child each and a row may stand there.
    fn skip(&self, tree: Tree, prefix: Prefix) -> Option<(Tree, Prefix)> {
        let step = |(tree, prefix): (Tree, Prefix), _| {
            let (child, right) = self.trees.only_child(tree)?;
            Some((child, prefix.child(right)))
        };
        let deeper = (0..4).try_fold((tree, prefix), step)?;
        (deeper.1.depth() <= DEEPEST).then_some(deeper)
    }

    /// The tree of a row at `prefix`; if it has too many entries, its parts get rows of their own.
    fn cut(&mut self, tree: Tree, prefix: Prefix) -> Tree {
        if self.trees.entries(tree) <= ROW || prefix.depth() + 4 > DEEPEST {
            return tree;
        }
        self.cut_at(tree, prefix, prefix.depth() + 4)
    }

    fn cut_at(&mut self, tree: Tree, prefix: Prefix, depth: usize) -> Tree {
        let Tree::Inner(index) = tree else { return tree };
        if prefix.depth() == depth {
            let small = self.trees.entries(tree) < CUT;
            return if small { tree } else { self.seal(tree, prefix, depth) };
        }
        let [left, right] = self.trees.pair(index);
        let left = self.cut_at(left, prefix.child(false), depth);
        let right = self.cut_at(right, prefix.child(true), depth);
        self.trees.inner(left, right)
    }

    /// The tree over two halves: small buckets are joined, and what is below several levels of one
    /// child gets a row, which is named at the top of them. Those levels would fill the row above.
    fn join(&mut self, prefix: Prefix, left: Tree, right: Tree) -> Tree {
        let depth = prefix.depth();
        match (left, right) {
            (Tree::Empty, Tree::Empty) => return Tree::Empty,
            (Tree::Bucket(one), Tree::Bucket(two)) if one.leaves() + two.leaves() <= MERGE => {
                let hash = self.forest.inner(depth, one.hash, two.hash);
                return Tree::Bucket(one.join(&two, hash));
            }
            (only @ Tree::Bucket(bucket), Tree::Empty)
            | (Tree::Empty, only @ Tree::Bucket(bucket))
                if bucket.leaves() <= SPLIT =>
            {
                return only;
            }
            _ => {}
        }
        let tree = self.trees.inner(left, right);
        // Not at the root: that row is always there, and would be found in its place.
        if depth == 0 || !depth.is_multiple_of(4) {
            return tree;
        }
        match self.skip(tree, prefix) {
            Some((row @ Tree::Row(_), _)) => row,
            Some((below, place)) if self.trees.entries(below) > 1 => self.seal(below, place, depth),
            _ => tree,
        }
    }

    /// The tree at `prefix` of these leaves: divided until no bucket is too large.
    fn build(&mut self, prefix: Prefix, leaves: &[(Spot, Node)]) -> Tree {
        if leaves.is_empty() {
            return Tree::Empty;
        }
        if leaves.len() > SPLIT && prefix.depth() < DEEPEST {
            let (left, right) = halves(prefix.depth(), leaves);
            let left = self.build(prefix.child(false), left);
            let right = self.build(prefix.child(true), right);
            return self.join(prefix, left, right);
        }
        let slots = leaves.iter().filter(|(spot, _)| spot.is_slot()).count();
        let count = |leaves: usize| u8::try_from(leaves).unwrap_or(MANY);
        let (accounts, slots) = (count(leaves.len() - slots), count(slots));
        let hash = self.forest.subtree(leaves);
        Tree::Bucket(Bucket { hash, accounts, slots })
    }
}

impl<S: TrieSource + Sync> Task<'_, S> {
    /// The tree at `prefix` after `changes`, all of them below it; the same tree if they change
    /// nothing. Recursion is bounded by the length of a path.
    fn update(
        &mut self,
        tree: Tree,
        prefix: Prefix,
        changes: &[Change],
    ) -> Result<Tree, CommitmentError> {
        let Some((near, _)) = changes.first() else { return Ok(tree) };
        match tree {
            Tree::Empty if changes.len() <= TASK => self.rebuild(tree, prefix, changes),
            Tree::Empty => self.update_halves(tree, [Tree::Empty; 2], prefix, changes),
            Tree::Inner(index) => {
                let pair = self.trees.pair(index);
                self.update_halves(tree, pair, prefix, changes)
            }
            Tree::Bucket(_) if prefix.depth() > SHARED_BITS && is_idle(self.source, changes)? => {
                Ok(tree)
            }
            Tree::Bucket(bucket) => {
                let (forest, leaves) = (&mut self.forest, &mut self.leaves);
                visit_bucket(self.source, &prefix, &bucket, near, &mut |spot, leaf| {
                    leaves.push((spot, forest.leaf(&spot, &leaf)));
                })?;
                if !leaves.is_sorted_by(|(a, _), (b, _)| a < b) {
                    leaves.sort_unstable_by_key(|(spot, _)| *spot);
                }
                self.rebuild(tree, prefix, changes)
            }
            Tree::Row(_) => {
                let (mut place, mut before) = self.open_row(&prefix)?;
                let path = place.nibbles();
                // They are in order.
                let ends = [changes.first(), changes.last()];
                if !ends.into_iter().flatten().all(|(spot, _)| place.contains(spot)) {
                    before = self.hang(before, &place, prefix.depth());
                    place = prefix;
                }
                let after = self.update(before, place, changes)?;
                if after == before {
                    return Ok(tree);
                }
                self.removed.extend(path);
                Ok(self.seal(after, place, prefix.depth()))
            }
        }
    }

    /// The tree of `self.leaves` after `changes`, instead of `tree`.
    fn rebuild(
        &mut self,
        tree: Tree,
        prefix: Prefix,
        changes: &[Change],
    ) -> Result<Tree, CommitmentError> {
        let mut after = std::mem::take(&mut self.after);
        after.clear();
        let differs = apply(&mut self.forest, &self.leaves, changes, &mut after);
        self.leaves.clear();
        distinct(&prefix, &after)?;
        let tree = if differs { self.build(prefix, &after) } else { tree };
        self.after = after;
        Ok(tree)
    }

    fn update_halves(
        &mut self,
        tree: Tree,
        before: [Tree; 2],
        prefix: Prefix,
        changes: &[Change],
    ) -> Result<Tree, CommitmentError> {
        let (left, right) = halves(prefix.depth(), changes);
        let prefixes = [prefix.child(false), prefix.child(true)];
        let after = if left.len().min(right.len()) >= TASK {
            let (left, right) = rayon::join(
                || self.part(before[0], prefixes[0], left),
                || self.part(before[1], prefixes[1], right),
            );
            [self.take_over(before[0], left?), self.take_over(before[1], right?)]
        } else {
            [
                self.update(before[0], prefixes[0], left)?,
                self.update(before[1], prefixes[1], right)?,
            ]
        };
        if after == before && tree != Tree::Empty {
            return Ok(tree);
        }
        Ok(self.join(prefix, after[0], after[1]))
    }

    /// Does a part of the update in a task of its own. `None` if nothing changes.
    fn part(
        &self,
        tree: Tree,
        prefix: Prefix,
        changes: &[Change],
    ) -> Result<Option<(Self, Tree)>, CommitmentError> {
        let mut task = Self::with(self.source, Arc::clone(&self.spare));
        let before = self.trees.moved(tree, &self.forest, (&mut task.trees, &mut task.forest));
        let after = task.update(before, prefix, changes)?;
        if after == before {
            return Ok(None);
        }
        task.finish();
        Ok(Some((task, after)))
    }

    /// The tree that a part of the update has come to, with its rows.
    fn take_over(&mut self, before: Tree, part: Option<(Self, Tree)>) -> Tree {
        let Some((mut task, after)) = part else { return before };
        self.removed.append(&mut task.removed);
        self.written.append(&mut task.written);
        let after = task.trees.moved(after, &task.forest, (&mut self.trees, &mut self.forest));
        task.trees.clear();
        task.forest.clear();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push((task.trees, task.forest, [task.leaves, task.after]));
        after
    }
}
