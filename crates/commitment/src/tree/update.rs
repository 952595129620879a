//! The way down: what a sorted batch makes of a trie, all but the hashes.

use std::{mem, sync::Arc};

use alloy_trie::TrieAccount;
use banyan_primitives::{
    Account, B256, Bytes, EMPTY_ROOT_HASH, U256,
    trie::{Leaf, TrieId, TrieSource},
};
use rayon::prelude::*;

use super::{
    hash::hang,
    load::{Loaded, load, load_leaf, load_storage, load_top},
    node::{Branch, Cell, Place, Trie},
    patch::{Base, BranchPatch, Entry, LeafStorage, NewLeaf},
    path::{Path, common, nibble},
};
use crate::CommitmentError;

/// From how many changes on a trie is split by its first nibble.
const SPLIT: usize = 256;
/// From how many changes on the parts are split again.
const SPLIT_AGAIN: usize = 4096;

/// One changed key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub(super) key: &'a B256,
    /// `None` deletes the leaf.
    pub(super) value: Option<Value<'a>>,
}

/// What a changed key holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// Not zero.
    Slot(&'a U256),
    /// An account and, if its storage changed, the number and root of its storage trie.
    Account(&'a Account, Option<(u32, B256)>),
}

/// What is below a cell after the batch.
#[derive(Debug)]
pub(super) enum New {
    /// As before.
    Same,
    /// Nothing.
    Empty,
    /// A leaf, not hashed.
    Leaf(NewLeaf),
    /// A branch of this pass, not hashed.
    Work(usize),
    /// A branch, hashed.
    Done(BranchPatch),
}

/// A branch that is to be hashed.
#[derive(Debug)]
pub(super) struct Work {
    /// Which trie of the pass.
    pub(super) trie: usize,
    pub(super) path: Path,
    pub(super) base: Base,
    /// By nibble.
    pub(super) changed: Vec<(u8, Entry)>,
    /// The work above and the place among its changes.
    pub(super) parent: Option<(usize, usize)>,
    /// Filled by hashing if there is no work above.
    pub(super) done: Option<BranchPatch>,
}

/// A part of a batch that one thread does: the changes of some small tries or of a part of a large
/// one. All its nodes of one level are hashed together.
#[derive(Debug)]
pub(super) struct Pass<'a, S> {
    source: &'a S,
    /// Its tries; those before the last are done but for the hashes.
    pub(super) tries: Vec<TrieId>,
    pub(super) works: Vec<Work>,
    /// RLP values of new leaves.
    pub(super) values: Vec<u8>,
    /// Changed stored nodes with the number of their trie.
    pub(super) nodes: Vec<(usize, Path, Option<Bytes>)>,
}

impl<'a, S: TrieSource + Sync> Pass<'a, S> {
    pub(super) fn new(source: &'a S) -> Self {
        let (tries, works, values, nodes) = Default::default();
        Self { source, tries, works, values, nodes }
    }

    fn trie(&self) -> TrieId {
        self.tries.last().copied().unwrap_or(TrieId::Accounts)
    }

    /// Takes up `trie` with its changes, ascending by key. `old` is it in memory; `None` if nothing
    /// is known of it. Besides gives its root before.
    pub(super) fn update(
        &mut self,
        id: TrieId,
        old: Option<&Trie>,
        changes: &[Change<'_>],
    ) -> Result<(New, B256), CommitmentError> {
        self.tries.push(id);
        if let Some(trie) = old.filter(|trie| trie.is_empty() || trie.top.is_some()) {
            let new = match changes {
                [] => New::Same,
                _ => self.visit(0, trie.top.as_ref(), changes)?,
            };
            return Ok((new, trie.root));
        }
        let (root, loaded) = load_top(self.source, id)?;
        let new = match changes {
            [] => New::Same,
            _ => self.visit_loaded(loaded, changes)?,
        };
        Ok((new, root))
    }

    /// What is in the slot after `depth` nibbles, where `old` is.
    fn visit(
        &mut self,
        depth: usize,
        old: Option<&Cell>,
        changes: &[Change<'_>],
    ) -> Result<New, CommitmentError> {
        let Some((first, cell)) = changes.first().zip(old) else {
            return self.visit_leaves(&[], changes);
        };
        match &cell.place {
            Place::Leaf(key) => self.visit_leaf(key, None, changes),
            Place::Account { key, storage, .. } => {
                self.visit_leaf(key, Some(storage.as_ref()), changes)
            }
            Place::Branch { node, .. } => {
                self.visit_branch(Base::Here(Arc::clone(node)), node, changes)
            }
            Place::Unloaded(kind) => {
                let prefix = Path::of(first.key, depth);
                let loaded = load(self.source, self.trie(), &prefix, *kind)?;
                self.visit_loaded(loaded, changes)
            }
        }
    }

    fn visit_loaded(
        &mut self,
        loaded: Loaded,
        changes: &[Change<'_>],
    ) -> Result<New, CommitmentError> {
        match loaded {
            Loaded::Leaves(leaves) => self.visit_leaves(&leaves, changes),
            Loaded::Branch(node) => self.visit_branch(Base::From(Arc::clone(&node)), &node, changes),
        }
    }

    /// Leaves with their values, and nothing else.
    fn visit_leaves(
        &mut self,
        old: &[(B256, Leaf)],
        changes: &[Change<'_>],
    ) -> Result<New, CommitmentError> {
        let mut leaves = Vec::with_capacity(old.len() + changes.len());
        let mut rest = old;
        for change in changes {
            let before = rest.partition_point(|(key, _)| key < change.key);
            for (key, leaf) in &rest[..before] {
                leaves.push(self.old_leaf(key, leaf, None)?);
            }
            rest = &rest[before..];
            let same = rest.first().is_some_and(|(key, _)| key == change.key);
            rest = &rest[usize::from(same)..];
            leaves.extend(self.new_leaf(change, if same { None } else { Some(None) })?);
        }
        for (key, leaf) in rest {
            leaves.push(self.old_leaf(key, leaf, None)?);
        }
        Ok(self.grow(&mut leaves))
    }

    /// One leaf whose value is not in memory. `storage`: see [`Self::storage_of`].
    fn visit_leaf(
        &mut self,
        key: &B256,
        storage: Option<Option<&Arc<Trie>>>,
        changes: &[Change<'_>],
    ) -> Result<New, CommitmentError> {
        if let [change] = changes
            && change.key == key
        {
            return Ok(self.new_leaf(change, storage)?.map_or(New::Empty, New::Leaf));
        }
        let listed = changes.iter().any(|change| change.key == key);
        if !listed && changes.iter().all(|change| change.value.is_none()) {
            return Ok(New::Same);
        }
        let mut leaves = Vec::with_capacity(changes.len() + 1);
        for change in changes {
            let known = if change.key == key { storage } else { Some(None) };
            leaves.extend(self.new_leaf(change, known)?);
        }
        if !listed {
            let leaf = load_leaf(self.source, self.trie(), key)?;
            let index = leaves.partition_point(|leaf| leaf.key < *key);
            leaves.insert(index, self.old_leaf(key, &leaf, storage)?);
        }
        Ok(self.grow(&mut leaves))
    }

    fn visit_branch(
        &mut self,
        base: Base,
        node: &Branch,
        changes: &[Change<'_>],
    ) -> Result<New, CommitmentError> {
        // All changes share the prefix of the outermost two.
        let outermost = [changes.first(), changes.last()].into_iter().flatten();
        let shared = outermost.map(|change| common(change.key, &node.path.key)).min();
        match shared {
            Some(depth) if depth < node.path.len() => self.fork(depth, base, node, changes),
            _ => self.visit_children(base, node, changes),
        }
    }

    /// Some changes leave the extension above `node` after `depth` nibbles.
    fn fork(
        &mut self,
        depth: usize,
        base: Base,
        node: &Branch,
        changes: &[Change<'_>],
    ) -> Result<New, CommitmentError> {
        let own = nibble(&node.path.key, depth);
        let mut inside = New::Same;
        let mut children = Vec::with_capacity(16);
        for (nibble, group) in groups(changes, depth).filter(|(_, group)| !group.is_empty()) {
            if nibble == own {
                inside = self.visit_branch(base.clone(), node, group)?;
            } else {
                children.push((nibble, self.visit_leaves(&[], group)?));
            }
        }
        children.retain(|(_, child)| !matches!(child, New::Empty));
        if children.is_empty() {
            return Ok(inside);
        }
        if matches!(inside, New::Same) {
            inside = self.add_work(node.path, base, Vec::new());
        }
        let index = children.partition_point(|(nibble, _)| *nibble < own);
        children.insert(index, (own, self.move_away(inside)));
        Ok(self.join(Path::of(&node.path.key, depth), children))
    }

    /// All changes are below `node`.
    fn visit_children(
        &mut self,
        base: Base,
        node: &Branch,
        changes: &[Change<'_>],
    ) -> Result<New, CommitmentError> {
        let changed = self.visit_groups(node, changes)?;
        let mut present = node.present;
        for (nibble, new) in &changed {
            let bit = 1 << nibble;
            present = if matches!(new, New::Empty) { present & !bit } else { present | bit };
        }
        if changed.is_empty() {
            return Ok(New::Same);
        }
        if present.count_ones() >= 2 {
            return Ok(self.add_work(node.path, base, changed));
        }
        if node.is_stored() {
            self.nodes.push((self.tries.len() - 1, node.path, None));
        }
        let last = present.trailing_zeros() as u8;
        let left = changed.into_iter().find(|(nibble, _)| *nibble == last);
        match left {
            _ if present == 0 => Ok(New::Empty),
            Some((_, new)) => Ok(self.move_away(new)),
            None => self.lone_child(node, last),
        }
    }

    /// The child under `nibble`, which is all that is left of `node`.
    fn lone_child(&mut self, node: &Branch, nibble: u8) -> Result<New, CommitmentError> {
        let Some(cell) = node.cell(nibble) else { return Ok(New::Empty) };
        let kind = match &cell.place {
            Place::Branch { node, .. } => {
                return Ok(self.add_work(node.path, Base::From(Arc::clone(node)), Vec::new()));
            }
            Place::Leaf(key) | Place::Account { key, .. } => {
                let leaf = load_leaf(self.source, self.trie(), key)?;
                let storage = match &cell.place {
                    Place::Account { storage, .. } => Some(storage.as_ref()),
                    _ => None,
                };
                return Ok(New::Leaf(self.old_leaf(key, &leaf, storage)?));
            }
            Place::Unloaded(kind) => *kind,
        };
        match load(self.source, self.trie(), &node.path.below(nibble), kind)? {
            Loaded::Leaves(leaves) => self.visit_leaves(&leaves, &[]),
            Loaded::Branch(node) => Ok(self.add_work(node.path, Base::From(node), Vec::new())),
        }
    }

    /// What changes among the children of `node`, by nibble.
    fn visit_groups(
        &mut self,
        node: &Branch,
        changes: &[Change<'_>],
    ) -> Result<Vec<(u8, New)>, CommitmentError> {
        let depth = node.path.len();
        let split = if depth == 0 { SPLIT } else { SPLIT_AGAIN };
        let groups = groups(changes, depth).filter(|(_, group)| !group.is_empty());
        let mut changed = Vec::with_capacity(changes.len().min(16));
        if changes.len() < split {
            for (nibble, group) in groups {
                match self.visit(depth + 1, node.cell(nibble), group)? {
                    New::Same => {}
                    New::Empty if node.cell(nibble).is_none() => {}
                    new => changed.push((nibble, new)),
                }
            }
            return Ok(changed);
        }
        let parts = groups.collect::<Vec<_>>().into_par_iter().map(|(nibble, group)| {
            let mut pass = Pass::new(self.source);
            pass.tries.push(self.trie());
            let new = pass.visit(depth + 1, node.cell(nibble), group)?;
            pass.hash();
            let new = pass.resolve(new);
            Ok((nibble, new, pass))
        });
        for (nibble, new, pass) in parts.collect::<Result<Vec<_>, CommitmentError>>()? {
            let new = self.adopt(new, pass);
            match new {
                New::Same => {}
                New::Empty if node.cell(nibble).is_none() => {}
                new => changed.push((nibble, new)),
            }
        }
        Ok(changed)
    }

    /// Takes over what another pass did for the last trie of this one.
    fn adopt(&mut self, new: New, pass: Self) -> New {
        let trie = self.tries.len() - 1;
        self.nodes.extend(pass.nodes.into_iter().map(|(_, path, node)| (trie, path, node)));
        match new {
            New::Leaf(leaf) => {
                let (start, end) = leaf.value;
                let value = self.add_value(&pass.values[start as usize..end as usize]);
                New::Leaf(NewLeaf { value, ..leaf })
            }
            new => new,
        }
    }

    /// Joins what is below the nibbles after `path`: a new branch if there is more than one.
    fn join(&mut self, path: Path, mut children: Vec<(u8, New)>) -> New {
        children.retain(|(_, child)| !matches!(child, New::Empty));
        match children.len() {
            0 => New::Empty,
            1 => children.pop().map_or(New::Empty, |(_, child)| child),
            _ => self.add_work(path, Base::New, children),
        }
    }

    /// The subtree of sorted leaves, which are taken out. Recursion is bounded by 64 nibbles.
    fn grow(&mut self, leaves: &mut [NewLeaf]) -> New {
        let (first, last) = match leaves {
            [] => return New::Empty,
            [leaf] => return New::Leaf(mem::take(leaf)),
            [first, .., last] => (first.key, last.key),
        };
        let depth = common(&first, &last);
        let mut children = Vec::with_capacity(leaves.len().min(16));
        let mut rest = leaves;
        while let Some(leaf) = rest.first() {
            let own = nibble(&leaf.key, depth);
            let end = rest.partition_point(|leaf| nibble(&leaf.key, depth) == own);
            let (group, tail) = rest.split_at_mut(end);
            children.push((own, self.grow(group)));
            rest = tail;
        }
        self.add_work(Path::of(&first, depth), Base::New, children)
    }

    /// Adds a branch to be hashed.
    fn add_work(&mut self, path: Path, base: Base, changed: Vec<(u8, New)>) -> New {
        let index = self.works.len();
        let mut entries = Vec::with_capacity(changed.len());
        for (position, (nibble, new)) in changed.into_iter().enumerate() {
            let entry = match new {
                New::Same | New::Empty => Entry::Removed,
                New::Leaf(leaf) => Entry::Leaf(leaf),
                New::Work(child) => {
                    self.works[child].parent = Some((index, position));
                    Entry::Removed // until it is hashed
                }
                New::Done(mut branch) => {
                    branch.reference = hang(&branch.path, path.len() + 1, branch.reference);
                    branch.base.settle();
                    Entry::Branch(branch)
                }
            };
            entries.push((nibble, entry));
        }
        let trie = self.tries.len() - 1;
        self.works.push(Work { trie, path, base, changed: entries, parent: None, done: None });
        New::Work(index)
    }

    /// `new` gets another parent than it had.
    fn move_away(&mut self, mut new: New) -> New {
        match &mut new {
            New::Work(index) => self.works[*index].base.move_away(),
            New::Done(branch) => branch.base.move_away(),
            _ => {}
        }
        new
    }

    /// A leaf after its change; `storage`: see [`Self::storage_of`].
    fn new_leaf(
        &mut self,
        change: &Change<'_>,
        storage: Option<Option<&Arc<Trie>>>,
    ) -> Result<Option<NewLeaf>, CommitmentError> {
        let Some(value) = change.value else { return Ok(None) };
        let leaf = match value {
            Value::Slot(value) => self.leaf(*change.key, &Leaf::Slot(*value), B256::ZERO),
            Value::Account(account, changed) => {
                let (root, storage) = match changed {
                    Some((_, EMPTY_ROOT_HASH)) => (EMPTY_ROOT_HASH, LeafStorage::Empty),
                    Some((trie, root)) => (root, LeafStorage::Changed(trie)),
                    None => self.storage_of(change.key, storage)?,
                };
                let leaf = self.leaf(*change.key, &Leaf::Account(*account), root);
                NewLeaf { storage, ..leaf }
            }
        };
        Ok(Some(leaf))
    }

    /// A leaf that stays as it is in another place; `storage`: see [`Self::storage_of`].
    fn old_leaf(
        &mut self,
        key: &B256,
        leaf: &Leaf,
        storage: Option<Option<&Arc<Trie>>>,
    ) -> Result<NewLeaf, CommitmentError> {
        let (root, storage) = match leaf {
            Leaf::Slot(_) => (B256::ZERO, LeafStorage::Slot),
            Leaf::Account(_) => self.storage_of(key, storage)?,
        };
        Ok(NewLeaf { storage, ..self.leaf(*key, leaf, root) })
    }

    /// The storage of an account that the batch leaves as it is. `known` is it, if it is in memory:
    /// `Some(None)` if there is none.
    fn storage_of(
        &self,
        key: &B256,
        known: Option<Option<&Arc<Trie>>>,
    ) -> Result<(B256, LeafStorage), CommitmentError> {
        let storage = match known {
            Some(storage) => storage.cloned(),
            None => load_storage(self.source, key)?,
        };
        Ok(match storage {
            Some(storage) => (storage.root, LeafStorage::Kept(storage)),
            None => (EMPTY_ROOT_HASH, LeafStorage::Empty),
        })
    }

    fn leaf(&mut self, key: B256, leaf: &Leaf, storage_root: B256) -> NewLeaf {
        let start = self.values.len() as u32; // 110 bytes a leaf
        match leaf {
            Leaf::Slot(value) => alloy_rlp::Encodable::encode(value, &mut self.values),
            Leaf::Account(Account { nonce, balance, code_hash }) => {
                let account = TrieAccount::new(*nonce, *balance, storage_root, *code_hash);
                alloy_rlp::Encodable::encode(&account, &mut self.values);
            }
        }
        NewLeaf { key, value: (start, self.values.len() as u32), ..Default::default() }
    }

    fn add_value(&mut self, value: &[u8]) -> (u32, u32) {
        let start = self.values.len() as u32; // 110 bytes a leaf
        self.values.extend_from_slice(value);
        (start, self.values.len() as u32)
    }
}

/// The changes below each nibble after `depth` nibbles, which they have in common.
fn groups<'c, 'a>(
    mut changes: &'c [Change<'a>],
    depth: usize,
) -> impl Iterator<Item = (u8, &'c [Change<'a>])> {
    (0..16u8).map(move |own| {
        let end = match changes.first() {
            Some(first) if nibble(first.key, depth) == own => {
                changes.partition_point(|change| nibble(change.key, depth) <= own)
            }
            _ => 0,
        };
        let (group, rest) = changes.split_at(end);
        changes = rest;
        (own, group)
    })
}
