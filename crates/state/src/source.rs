//! Ordered reads for `commitment`: leaves and stored nodes of layers over the database.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use banyan_primitives::{
    Account, B256, Bytes, SourceError, U256,
    trie::{Leaf, Nibbles, NodeChanges, SlotKey, TrieId, TrieSource, root_entry},
};
use banyan_storage::{Read, StateRead};

use crate::{
    Layer,
    merge::{Entries, merge},
};

/// The state in the database, as one transaction sees it, without layers. Over a write
/// transaction it sees what was written there, so that genesis can be hashed before it commits.
pub struct FlatState<'a> {
    txn: &'a dyn Read,
}

impl std::fmt::Debug for FlatState<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlatState").finish_non_exhaustive()
    }
}

impl<'a> FlatState<'a> {
    /// The state as `txn` sees it.
    pub fn new(txn: &'a dyn Read) -> Self {
        Self { txn }
    }
}

impl TrieSource for FlatState<'_> {
    fn first_node(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
    ) -> Result<Option<(Nibbles, Bytes)>, SourceError> {
        Ok(self.txn.first_trie_node(trie, prefix)?)
    }

    fn leaves(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
        from: B256,
        limit: usize,
    ) -> Result<Vec<(B256, Leaf)>, SourceError> {
        leaves(self.txn, &[], trie, &KeyRange::new(prefix, from), limit)
    }

    fn visit_accounts(
        &self,
        range: (&B256, &B256),
        limit: usize,
        visit: &mut dyn FnMut(B256, Account),
    ) -> Result<(), SourceError> {
        Ok(self.txn.visit_accounts(range, limit, visit)?)
    }

    fn visit_slots(
        &self,
        range: (&SlotKey, &SlotKey),
        limit: usize,
        visit: &mut dyn FnMut(SlotKey, U256),
    ) -> Result<(), SourceError> {
        Ok(self.txn.visit_slots(range, limit, visit)?)
    }
}

/// The hashed keys ≥ `from` that start with a prefix: `from` ≤ key < `end`.
pub(crate) struct KeyRange {
    from: B256,
    /// `None`: up to the last key.
    end: Option<B256>,
}

impl KeyRange {
    pub(crate) fn new(prefix: &Nibbles, from: B256) -> Self {
        Self { from: from.max(padded(prefix)), end: after(prefix) }
    }

    /// The entries of a layer in this range.
    fn of<'m, V>(&self, map: &'m BTreeMap<B256, V>) -> impl Iterator<Item = (&'m B256, &'m V)> {
        let end = self.end.map_or(Bound::Unbounded, Bound::Excluded);
        // `range` panics on an empty range that is written backwards.
        let empty = self.end.is_some_and(|end| end <= self.from);
        (!empty).then(|| map.range((Bound::Included(self.from), end))).into_iter().flatten()
    }
}

/// The first key that starts with `prefix`.
fn padded(prefix: &Nibbles) -> B256 {
    let mut key = B256::ZERO;
    for (byte, pair) in key.iter_mut().zip(prefix.to_vec().chunks(2)) {
        *byte = pair.first().unwrap_or(&0) << 4 | pair.get(1).unwrap_or(&0);
    }
    key
}

/// The first key above all that start with `prefix`.
fn after(prefix: &Nibbles) -> Option<B256> {
    let mut nibbles = prefix.to_vec();
    let last = nibbles.iter().rposition(|nibble| *nibble != 15)?;
    nibbles.truncate(last + 1);
    *nibbles.last_mut()? += 1;
    Some(padded(&Nibbles::from_nibbles_unchecked(nibbles)))
}

/// Leaves of `trie`, layers (newest first) over the database.
pub(crate) fn leaves(
    txn: &dyn Read,
    layers: &[&Layer],
    trie: TrieId,
    range: &KeyRange,
    limit: usize,
) -> Result<Vec<(B256, Leaf)>, SourceError> {
    match trie {
        TrieId::Accounts => {
            let mut sources: Vec<Entries<'_, B256, Leaf>> = Vec::new();
            for layer in layers {
                let entries = range.of(&layer.state.accounts);
                push(&mut sources, entries.map(|(k, v)| Ok((*k, v.map(Leaf::Account)))));
            }
            let read = move |from: &B256, end: Option<&B256>, limit| {
                let found = txn.accounts(from, end, limit)?;
                Ok(found.into_iter().map(|(k, v)| (k, Leaf::Account(v))).collect())
            };
            if sources.is_empty() && limit <= CHUNK {
                return read(&range.from, range.end.as_ref(), limit);
            }
            sources.push(Box::new(Chunks::new(range, limit, read)));
            merge(sources, limit)
        }
        TrieId::Storage(address) => storage_leaves(txn, layers, address, range, limit),
    }
}

fn storage_leaves(
    txn: &dyn Read,
    layers: &[&Layer],
    address: B256,
    range: &KeyRange,
    limit: usize,
) -> Result<Vec<(B256, Leaf)>, SourceError> {
    let slot = |value: &U256| (!value.is_zero()).then_some(Leaf::Slot(*value));
    let mut sources: Vec<Entries<'_, B256, Leaf>> = Vec::new();
    for layer in layers {
        let Some(storage) = layer.storage(&address) else { continue };
        let entries = range.of(&storage.slots);
        push(&mut sources, entries.map(move |(k, v)| Ok((*k, slot(v)))));
        if storage.wiped {
            return merge(sources, limit);
        }
    }
    let read = move |from: &B256, end: Option<&B256>, limit| {
        let found = txn.slots(&address, from, end, limit)?;
        Ok(found.into_iter().map(|(k, v)| (k, Leaf::Slot(v))).collect())
    };
    if sources.is_empty() && limit <= CHUNK {
        return read(&range.from, range.end.as_ref(), limit);
    }
    sources.push(Box::new(Chunks::new(range, limit, read)));
    merge(sources, limit)
}

/// The first stored node of `trie` under `prefix`, layers (newest first) over the database.
pub(crate) fn first_node(
    txn: &dyn Read,
    layers: &[&Layer],
    trie: TrieId,
    prefix: &Nibbles,
) -> Result<Option<(Nibbles, Bytes)>, SourceError> {
    let mut sources: Vec<Entries<'_, Nibbles, Bytes>> = Vec::new();
    let mut wiped = false;
    for layer in layers {
        let nodes = match trie {
            TrieId::Accounts => Some((&layer.nodes.accounts, false)),
            TrieId::Storage(address) => {
                layer.nodes.storage.get(&address).map(|diff| (&diff.nodes, diff.wiped))
            }
        };
        let Some((nodes, wipes)) = nodes else { continue };
        push(&mut sources, under(nodes, prefix).map(|(k, v)| Ok((*k, v.clone()))));
        wiped = wipes;
        if wiped {
            break;
        }
    }
    if sources.is_empty() && !wiped {
        return Ok(txn.first_trie_node(trie, prefix)?);
    }
    if !wiped {
        sources.push(Box::new(Nodes { txn, trie, prefix: *prefix, next: Some(*prefix) }));
    }
    Ok(merge(sources, 1)?.pop())
}

/// Root entries of the storage tries of accounts in order.
pub(crate) fn storage_roots(
    txn: &dyn Read,
    layers: &[&Layer],
    accounts: &[B256],
) -> Result<Vec<Option<Bytes>>, SourceError> {
    let (Some(first), Some(last)) = (accounts.first(), accounts.last()) else {
        return Ok(Vec::new());
    };
    let none = |layer: &&Layer| layer.nodes.storage.range(*first..=*last).next().is_none();
    if layers.iter().all(none) {
        return Ok(txn.storage_roots(accounts)?);
    }
    let first = |trie| first_node(txn, layers, trie, &Nibbles::new());
    accounts.iter().map(|account| root_entry(account, first)).collect()
}

/// The nodes of a layer whose path starts with `prefix`.
fn under<'a>(
    nodes: &'a NodeChanges,
    prefix: &Nibbles,
) -> impl Iterator<Item = (&'a Nibbles, &'a Option<Bytes>)> {
    let prefix = *prefix;
    nodes.range(prefix..).take_while(move |(path, _)| path.starts_with(&prefix))
}

/// Adds a layer's entries, if it has any: most layers say nothing about a small range.
fn push<'a, K: 'a, V: 'a>(
    sources: &mut Vec<Entries<'a, K, V>>,
    entries: impl Iterator<Item = Result<(K, Option<V>), SourceError>> + 'a,
) {
    let mut entries = entries.peekable();
    if entries.peek().is_some() {
        sources.push(Box::new(entries));
    }
}

/// Entries of the database, read in chunks.
struct Chunks<F> {
    read: F,
    /// Where the next chunk begins; `None` after the last one.
    next: Option<B256>,
    end: Option<B256>,
    size: usize,
    chunk: VecDeque<(B256, Leaf)>,
}

/// Largest number of entries read at a time.
const CHUNK: usize = 1024;

impl<F> Chunks<F>
where
    F: FnMut(&B256, Option<&B256>, usize) -> Result<Vec<(B256, Leaf)>, SourceError>,
{
    fn new(range: &KeyRange, limit: usize, read: F) -> Self {
        let size = limit.clamp(1, CHUNK);
        Self { read, next: Some(range.from), end: range.end, size, chunk: VecDeque::new() }
    }
}

impl<F> Iterator for Chunks<F>
where
    F: FnMut(&B256, Option<&B256>, usize) -> Result<Vec<(B256, Leaf)>, SourceError>,
{
    type Item = Result<(B256, Option<Leaf>), SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.chunk.is_empty() {
            let from = self.next.take()?;
            match (self.read)(&from, self.end.as_ref(), self.size) {
                Ok(chunk) => self.chunk = chunk.into(),
                Err(error) => return Some(Err(error)),
            }
            if self.chunk.len() == self.size {
                self.next = self.chunk.back().and_then(|(key, _)| successor(key));
            }
        }
        self.chunk.pop_front().map(|(key, leaf)| Ok((key, Some(leaf))))
    }
}

/// The next larger key.
fn successor(key: &B256) -> Option<B256> {
    let next = U256::from_be_bytes(key.0).checked_add(U256::from(1))?;
    Some(B256::from(next))
}

/// Stored nodes of the database, one look-up each: only those below deleted ones are ever asked
/// for beyond the first.
struct Nodes<'a> {
    txn: &'a dyn Read,
    trie: TrieId,
    prefix: Nibbles,
    next: Option<Nibbles>,
}

impl Iterator for Nodes<'_> {
    type Item = Result<(Nibbles, Option<Bytes>), SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.next.take()?;
        match self.txn.trie_nodes(self.trie, &from, &self.prefix, 1) {
            Err(error) => Some(Err(error.into())),
            Ok(found) => {
                let (path, node) = found.into_iter().next()?;
                self.next = path_successor(&path);
                Some(Ok((path, Some(node))))
            }
        }
    }
}

/// The next path in lexicographic order: the first child, or for a full path the next sibling up.
fn path_successor(path: &Nibbles) -> Option<Nibbles> {
    let mut nibbles = path.to_vec();
    if nibbles.len() < 64 {
        nibbles.push(0);
    } else {
        let last = nibbles.iter().rposition(|nibble| *nibble != 15)?;
        nibbles.truncate(last + 1);
        *nibbles.last_mut()? += 1;
    }
    Some(Nibbles::from_nibbles_unchecked(nibbles))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nibbles(list: &[u8]) -> Nibbles {
        Nibbles::from_nibbles(list)
    }

    #[test]
    fn a_prefix_is_a_range_of_keys() {
        let range = KeyRange::new(&nibbles(&[1, 2, 15]), B256::ZERO);
        let mut from = [0; 32];
        (from[0], from[1]) = (0x12, 0xf0);
        let mut end = [0; 32];
        end[0] = 0x13;
        assert_eq!((range.from, range.end), (B256::from(from), Some(B256::from(end))));
        let all = KeyRange::new(&nibbles(&[15, 15]), B256::repeat_byte(0xff));
        assert_eq!((all.from, all.end), (B256::repeat_byte(0xff), None));
    }

    #[test]
    fn a_start_beyond_the_prefix_is_an_empty_range() {
        let map: BTreeMap<_, _> = [(B256::repeat_byte(9), 1)].into_iter().collect();
        let range = KeyRange::new(&nibbles(&[1]), B256::repeat_byte(5));
        assert_eq!(range.of(&map).count(), 0);
    }

    #[test]
    fn path_successors_follow_each_other() {
        assert_eq!(path_successor(&nibbles(&[3, 4])), Some(nibbles(&[3, 4, 0])));
        let mut deep = vec![7; 64];
        deep[63] = 15;
        let mut next = vec![7; 63];
        next[62] = 8;
        assert_eq!(path_successor(&nibbles(&deep)), Some(nibbles(&next)));
        assert_eq!(path_successor(&nibbles(&[15; 64])), None);
    }
}
