//! The way down: what a sorted batch makes of a trie, all but the hashes.

use std::sync::Arc;

use alloy_rlp::Encodable;
use alloy_trie::TrieAccount;
use banyan_primitives::{
    Account, B256, Bytes, EMPTY_ROOT_HASH, U256,
    trie::{Leaf, TrieId, TrieSource},
};
use rayon::prelude::*;

use super::{
    hash::hang,
    load::Loaded,
    node::{Branch, Place, Trie},
    patch::{Base, Entry, LeafStorage, New, NewLeaf, Patch, Work},
    path::{Path, common, nibble},
    reads::Reader,
    warm,
};
use crate::{CommitmentError, node::ChildKind};

/// From how many changes on a trie is split by its first nibble.
const SPLIT: usize = 256;
/// From how many changes on the parts are split again.
const SPLIT_AGAIN: usize = 4096;

/// Of so many changes at a time the nodes are brought into the caches: into the smaller ones.
const WARM: usize = 256;

/// One changed key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub(super) key: B256,
    /// `None` deletes the leaf.
    pub(super) value: Option<Value<'a>>,
    /// It is known that there was a leaf.
    pub(super) existed: bool,
}

/// What a changed key holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// Not zero.
    Slot(&'a U256),
    /// An account and, if its storage changed, the number and root of its storage trie.
    Account(&'a Account, Option<(u32, B256)>),
}

/// A part of a batch that one thread does: the changes of some small tries or of a part of a large
/// one. All its nodes of one level are hashed together.
#[derive(Debug)]
pub(super) struct Pass<'a, S> {
    source: &'a S,
    reads: Reader<'a>,
    /// Its tries; those before the last are done but for the hashes.
    pub(super) tries: Vec<TrieId>,
    pub(super) patch: Patch,
    /// RLP values of new leaves.
    pub(super) values: Vec<u8>,
    /// Changed stored nodes, with the number of their trie; those that are gone, and those of other
    /// passes.
    pub(super) nodes: Vec<(u32, Path, Option<Bytes>)>,
    /// Changed stored nodes and where their stored form is among the encoded.
    pub(super) stored: Vec<(u32, Path, (usize, usize))>,
    pub(super) encoded: Vec<u8>,
    /// Changes of branches on the way from the top to where the pass is.
    open: Vec<Entry>,
    /// What is below was brought into the caches.
    warm: bool,
}

impl<'a, S: TrieSource + Sync> Pass<'a, S> {
    pub(super) fn new(source: &'a S, reads: Reader<'a>) -> Self {
        Self {
            source,
            reads,
            tries: Vec::new(),
            patch: Patch::default(),
            values: Vec::new(),
            nodes: Vec::new(),
            stored: Vec::new(),
            encoded: Vec::new(),
            open: Vec::new(),
            warm: false,
        }
    }

    /// Makes room for what so many changes mostly come to.
    pub(super) fn expect(&mut self, changes: usize) {
        let value = if self.trie() == TrieId::Accounts { 80 } else { 33 };
        self.values.reserve(changes * value);
        self.patch.leaves.reserve(changes + changes / 8);
        self.patch.works.reserve(changes * 2);
        self.patch.entries.reserve(changes * 3);
    }

    fn trie(&self) -> TrieId {
        self.tries.last().copied().unwrap_or(TrieId::Accounts)
    }

    fn trie_number(&self) -> u32 {
        self.tries.len().saturating_sub(1) as u32
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
                // A top that is in memory says itself what it is.
                _ => self.visit(0, trie.top.as_ref().map(|top| (top, ChildKind::Leaf)), changes)?,
            };
            return Ok((new, trie.root));
        }
        let (root, loaded) = self.reads.top(self.source, id)?;
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
        old: Option<(&Place, ChildKind)>,
        changes: &[Change<'_>],
    ) -> Result<New, CommitmentError> {
        let Some((first, (place, kind))) = changes.first().zip(old) else {
            return self.visit_leaves(&[], changes);
        };
        match place {
            Place::Leaf(key) => self.visit_leaf(key, None, changes),
            Place::Account { key, storage, .. } => {
                self.visit_leaf(key, Some(storage.as_ref()), changes)
            }
            Place::Branch { node, .. } => {
                self.visit_branch(&Base::Here(Arc::clone(node)), node, changes)
            }
            Place::Unloaded if kind == ChildKind::Leaf && first.existed && changes.len() == 1 => {
                self.known_leaf(first)
            }
            Place::Unloaded => {
                let prefix = Path::of(&first.key, depth);
                let loaded = self.reads.below(self.source, self.trie(), prefix, kind)?;
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
            Loaded::Branch(node) => {
                let new = self.visit_branch(&Base::From(Arc::clone(&node)), &node, changes)?;
                match new {
                    // As it was read, which may not be what the tree has.
                    New::Same if self.reads.elsewhere => {
                        Ok(self.add_work(node.path, Base::From(node), self.open.len()))
                    }
                    new => Ok(new),
                }
            }
        }
    }

    /// The one leaf there is, which is the changed one.
    fn known_leaf(&mut self, change: &Change<'_>) -> Result<New, CommitmentError> {
        let start = self.patch.leaves.len();
        self.new_leaf(change, None)?;
        Ok(self.grow(start, self.patch.leaves.len()))
    }

    /// Leaves with their values, and nothing else.
    fn visit_leaves(
        &mut self,
        old: &[(B256, Leaf)],
        changes: &[Change<'_>],
    ) -> Result<New, CommitmentError> {
        let start = self.patch.leaves.len();
        let storages = match self.trie() {
            TrieId::Accounts if !old.is_empty() => self.reads.storages(self.source, old)?,
            _ => Vec::new(),
        };
        let storage = |index: usize| storages.get(index).map(Option::as_ref);
        let mut next = 0;
        for change in changes {
            let before = next + old[next..].partition_point(|(key, _)| *key < change.key);
            for (index, (key, leaf)) in (next..).zip(&old[next..before]) {
                self.old_leaf(key, leaf, storage(index))?;
            }
            let same = old.get(before).is_some_and(|(key, _)| *key == change.key);
            self.new_leaf(change, if same { storage(before) } else { Some(None) })?;
            next = before + usize::from(same);
        }
        for (index, (key, leaf)) in (next..).zip(&old[next..]) {
            self.old_leaf(key, leaf, storage(index))?;
        }
        Ok(self.grow(start, self.patch.leaves.len()))
    }

    /// One leaf whose value is not in memory. `storage`: see [`Self::storage_of`].
    fn visit_leaf(
        &mut self,
        key: &B256,
        storage: Option<Option<&Arc<Trie>>>,
        changes: &[Change<'_>],
    ) -> Result<New, CommitmentError> {
        let index = changes.partition_point(|change| change.key < *key);
        let (before, rest) = changes.split_at(index);
        let start = self.patch.leaves.len();
        for change in before {
            self.new_leaf(change, Some(None))?;
        }
        let (own, after) = match rest.split_first() {
            Some((own, after)) if own.key == *key => (Some(own), after),
            _ => (None, rest),
        };
        match own {
            Some(own) => self.new_leaf(own, storage)?,
            None if changes.iter().all(|change| change.value.is_none()) => return Ok(New::Same),
            None => {
                let leaf = self.reads.leaf(self.source, self.trie(), key)?;
                self.old_leaf(key, &leaf, storage)?;
            }
        }
        for change in after {
            self.new_leaf(change, Some(None))?;
        }
        Ok(self.grow(start, self.patch.leaves.len()))
    }

    fn visit_branch(
        &mut self,
        base: &Base,
        node: &Branch,
        changes: &[Change<'_>],
    ) -> Result<New, CommitmentError> {
        // All changes share the prefix of the outermost two.
        let outermost = [changes.first(), changes.last()].into_iter().flatten();
        let shared = outermost.map(|change| common(&change.key, &node.path.key)).min();
        match shared {
            Some(depth) if depth < node.path.len() => self.fork(depth, base, node, changes),
            _ => self.visit_children(base, node, changes),
        }
    }

    /// Some changes leave the extension above `node` after `depth` nibbles.
    fn fork(
        &mut self,
        depth: usize,
        base: &Base,
        node: &Branch,
        changes: &[Change<'_>],
    ) -> Result<New, CommitmentError> {
        let own = nibble(&node.path.key, depth);
        let mut inside = New::Same;
        let mut children = Vec::with_capacity(16);
        for (nibble, group) in groups(changes, depth) {
            if nibble == own {
                inside = self.visit_branch(base, node, group)?;
            } else {
                children.push(Entry { nibble, new: self.visit_leaves(&[], group)? });
            }
        }
        children.retain(|entry| entry.new != New::Empty);
        if children.is_empty() {
            return Ok(inside);
        }
        if inside == New::Same {
            inside = self.add_work(node.path, base.clone(), self.open.len());
        }
        if inside != New::Empty {
            let index = children.partition_point(|entry| entry.nibble < own);
            children.insert(index, Entry { nibble: own, new: self.move_away(inside) });
        }
        if let [only] = children[..] {
            return Ok(only.new);
        }
        let start = self.open.len();
        self.open.append(&mut children);
        Ok(self.add_work(Path::of(&node.path.key, depth), Base::New, start))
    }

    /// All changes are below `node`.
    fn visit_children(
        &mut self,
        base: &Base,
        node: &Branch,
        changes: &[Change<'_>],
    ) -> Result<New, CommitmentError> {
        let start = self.open.len();
        self.visit_groups(node, changes)?;
        let changed = &self.open[start..];
        let mut present = node.masks.present;
        for Entry { nibble, new } in changed {
            let bit = 1 << nibble;
            present = if *new == New::Empty { present & !bit } else { present | bit };
        }
        if changed.is_empty() {
            return Ok(New::Same);
        }
        if present.count_ones() >= 2 {
            return Ok(self.add_work(node.path, base.clone(), start));
        }
        let last = present.trailing_zeros() as u8;
        let left = changed.iter().find(|entry| entry.nibble == last).map(|entry| entry.new);
        self.open.truncate(start);
        if node.masks.is_stored() {
            self.nodes.push((self.trie_number(), node.path, None));
        }
        match left {
            _ if present == 0 => Ok(New::Empty),
            Some(new) => Ok(self.move_away(new)),
            None => self.lone_child(node, last),
        }
    }

    /// The child under `nibble`, which is all that is left of `node`.
    fn lone_child(&mut self, node: &Branch, nibble: u8) -> Result<New, CommitmentError> {
        let start = self.open.len();
        match node.place(nibble) {
            None => return Ok(New::Empty),
            Some(Place::Unloaded) => {}
            Some(Place::Branch { node, .. }) => {
                return Ok(self.add_work(node.path, Base::From(Arc::clone(node)), start));
            }
            Some(Place::Leaf(key)) => return self.moved_leaf(key, None),
            Some(Place::Account { key, storage, .. }) => {
                return self.moved_leaf(key, Some(storage.as_ref()));
            }
        }
        let kind = node.masks.kind(nibble);
        let prefix = node.path.below(nibble);
        match self.reads.below(self.source, self.trie(), prefix, kind)? {
            Loaded::Leaves(leaves) => self.visit_leaves(&leaves, &[]),
            Loaded::Branch(node) => Ok(self.add_work(node.path, Base::From(node), start)),
        }
    }

    fn moved_leaf(
        &mut self,
        key: &B256,
        storage: Option<Option<&Arc<Trie>>>,
    ) -> Result<New, CommitmentError> {
        let leaf = self.reads.leaf(self.source, self.trie(), key)?;
        self.old_leaf(key, &leaf, storage)?;
        Ok(New::Leaf(self.patch.leaves.len() as u32 - 1))
    }

    /// Opens what changes among the children of `node`, by nibble.
    fn visit_groups(
        &mut self,
        node: &Branch,
        changes: &[Change<'_>],
    ) -> Result<(), CommitmentError> {
        let depth = node.path.len();
        let split = if depth == 0 { SPLIT } else { SPLIT_AGAIN };
        let old = |nibble| node.place(nibble).map(|place| (place, node.masks.kind(nibble)));
        if changes.len() < split {
            let is_first = changes.len() <= WARM && !std::mem::replace(&mut self.warm, true);
            if is_first {
                warm::for_update(node, changes);
            }
            for (nibble, group) in groups(changes, depth) {
                let new = self.visit(depth + 1, old(nibble), group)?;
                self.note(node, nibble, new);
            }
            if is_first {
                self.warm = false;
            }
            return Ok(());
        }
        let (source, reads, trie) = (self.source, self.reads, self.trie());
        let groups: Vec<_> = groups(changes, depth).collect();
        let parts = groups.into_par_iter().map(|(nibble, group)| {
            let mut pass = Pass::new(source, reads);
            pass.tries.push(trie);
            pass.expect(group.len());
            let new = pass.visit(depth + 1, old(nibble), group)?;
            pass.hash();
            Ok((nibble, new, pass))
        });
        for (nibble, new, pass) in parts.collect::<Result<Vec<_>, CommitmentError>>()? {
            let new = self.adopt(new, pass);
            self.note(node, nibble, new);
        }
        Ok(())
    }

    fn note(&mut self, node: &Branch, nibble: u8, new: New) {
        if new != New::Same && (new != New::Empty || node.masks.has(nibble)) {
            self.open.push(Entry { nibble, new });
        }
    }

    /// Takes over what another pass did for the last trie of this one.
    fn adopt(&mut self, new: New, mut pass: Self) -> New {
        let trie = self.trie_number();
        self.nodes.extend(pass.nodes.into_iter().map(|(_, path, node)| (trie, path, node)));
        match new {
            New::Leaf(index) => {
                let leaf = std::mem::take(&mut pass.patch.leaves[index as usize]);
                let value = &pass.values[leaf.value.0 as usize..leaf.value.1 as usize];
                let start = self.values.len() as u32;
                self.values.extend_from_slice(value);
                let value = (start, self.values.len() as u32);
                self.patch.leaves.push(NewLeaf { value, ..leaf });
                New::Leaf(self.patch.leaves.len() as u32 - 1)
            }
            New::Work(top) => {
                self.patch.parts.push((pass.patch, top));
                New::Part(self.patch.parts.len() as u32 - 1)
            }
            new => new,
        }
    }

    /// The subtree of the leaves from `start` to `end`. Recursion is bounded by 64 nibbles.
    fn grow(&mut self, start: usize, end: usize) -> New {
        let (first, last) = match &self.patch.leaves[start..end] {
            [] => return New::Empty,
            [_] => return New::Leaf(start as u32),
            [first, .., last] => (first.key, last.key),
        };
        let depth = common(&first, &last);
        let open = self.open.len();
        let mut next = start;
        while next < end {
            let rest = &self.patch.leaves[next..end];
            let own = nibble(&rest[0].key, depth);
            let after = next + rest.partition_point(|leaf| nibble(&leaf.key, depth) == own);
            let new = self.grow(next, after);
            self.open.push(Entry { nibble: own, new });
            next = after;
        }
        self.add_work(Path::of(&first, depth), Base::New, open)
    }

    /// Adds a branch to be hashed, with the changes that are open from `start` on.
    fn add_work(&mut self, path: Path, base: Base, start: usize) -> New {
        let index = self.patch.works.len() as u32;
        for Entry { new, .. } in &self.open[start..] {
            match new {
                New::Work(child) => self.patch.works[*child as usize].parent = Some(index),
                New::Part(_) => {
                    if let Some(child) = self.patch.work_mut(*new) {
                        child.reference = hang(&child.path, path.len() + 1, child.reference);
                        child.base.settle();
                    }
                }
                _ => {}
            }
        }
        let first = self.patch.entries.len() as u32;
        self.patch.entries.extend(self.open.drain(start..));
        self.patch.works.push(Work {
            trie: self.trie_number(),
            parent: None,
            path,
            base,
            entries: (first, self.patch.entries.len() as u32),
            reference: Default::default(),
            stored: false,
        });
        New::Work(index)
    }

    /// `new` gets another parent than it had.
    fn move_away(&mut self, new: New) -> New {
        if let Some(work) = self.patch.work_mut(new) {
            work.base.move_away();
        }
        new
    }

    /// Adds the leaf after its change, if there is one then; `storage`: see [`Self::storage_of`].
    fn new_leaf(
        &mut self,
        change: &Change<'_>,
        storage: Option<Option<&Arc<Trie>>>,
    ) -> Result<(), CommitmentError> {
        match change.value {
            None => {}
            Some(Value::Slot(value)) => {
                self.add_leaf(change.key, &Leaf::Slot(*value), B256::ZERO, LeafStorage::Slot);
            }
            Some(Value::Account(account, changed)) => {
                let (root, storage) = match changed {
                    Some((_, EMPTY_ROOT_HASH)) => (EMPTY_ROOT_HASH, LeafStorage::Empty),
                    Some((trie, root)) => (root, LeafStorage::Changed(trie)),
                    None => self.storage_of(&change.key, storage)?,
                };
                self.add_leaf(change.key, &Leaf::Account(*account), root, storage);
            }
        }
        Ok(())
    }

    /// Adds a leaf that stays as it is in another place; `storage`: see [`Self::storage_of`].
    fn old_leaf(
        &mut self,
        key: &B256,
        leaf: &Leaf,
        storage: Option<Option<&Arc<Trie>>>,
    ) -> Result<(), CommitmentError> {
        let (root, storage) = match leaf {
            Leaf::Slot(_) => (B256::ZERO, LeafStorage::Slot),
            Leaf::Account(_) => self.storage_of(key, storage)?,
        };
        self.add_leaf(*key, leaf, root, storage);
        Ok(())
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
            None => self.reads.storage(self.source, key)?,
        };
        Ok(match storage {
            Some(storage) => (storage.root, LeafStorage::Kept(storage)),
            None => (EMPTY_ROOT_HASH, LeafStorage::Empty),
        })
    }

    fn add_leaf(&mut self, key: B256, leaf: &Leaf, storage_root: B256, storage: LeafStorage) {
        let start = self.values.len() as u32; // 110 bytes a leaf
        match leaf {
            Leaf::Slot(value) => value.encode(&mut self.values),
            Leaf::Account(Account { nonce, balance, code_hash }) => {
                TrieAccount::new(*nonce, *balance, storage_root, *code_hash)
                    .encode(&mut self.values);
            }
        }
        let value = (start, self.values.len() as u32);
        self.patch.leaves.push(NewLeaf { key, value, storage, reference: Default::default() });
    }
}

/// The changes below each nibble after `depth` nibbles, which they have in common; none is empty.
pub(super) fn groups<'c, 'a>(
    mut changes: &'c [Change<'a>],
    depth: usize,
) -> impl Iterator<Item = (u8, &'c [Change<'a>])> {
    std::iter::from_fn(move || {
        let own = nibble(&changes.first()?.key, depth);
        let same = |change: &Change<'_>| nibble(&change.key, depth) == own;
        let end = match changes.len() {
            0..32 => changes.iter().take_while(|change| same(change)).count(),
            _ => changes.partition_point(same),
        };
        let (group, rest) = changes.split_at(end);
        changes = rest;
        Some((own, group))
    })
}
