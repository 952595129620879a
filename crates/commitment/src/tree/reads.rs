//! What was revealed of the state where the tree stands, and is not in the tree yet.

use std::{
    mem::size_of,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use banyan_primitives::{
    B256, HashMap,
    trie::{Leaf, TrieId, TrieSource},
};

use super::{
    load::{Loaded, load, load_any, load_storage, load_storages, load_top},
    node::{Branch, Place, Trie},
    path::{KEY_NIBBLES, Path},
};
use crate::{CommitmentError, error::damaged, node::ChildKind};

/// Locks: a power of two, more than there are threads.
const SHARDS: usize = 64;

/// Something read.
#[derive(Clone, Debug)]
enum Read {
    /// What is below a prefix; or all of a trie, with its root.
    Part(B256, Loaded),
    /// The storage of an account.
    Storage(Option<Arc<Trie>>),
}

/// Where it was read; no path stands for all of a trie, or for the storage of an account.
type Key = (TrieId, Option<Path>);

/// Reads of one state. What one that keeps them has read is not read again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) reads: &'a Reads,
    pub(super) keeps: bool,
    /// What is read may be of another state than the tree, and of another kind than the tree says.
    pub(super) elsewhere: bool,
}

/// What was read of one state.
#[derive(Debug)]
pub(super) struct Reads {
    shards: [Mutex<HashMap<Key, Read>>; SHARDS],
    bytes: AtomicUsize,
    /// Bytes from which on nothing more is kept.
    limit: usize,
}

impl Reads {
    pub(super) fn new(limit: usize) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, bytes: AtomicUsize::new(0), limit }
    }

    /// Forgets everything: the tree moves to another state.
    pub(super) fn clear(&mut self) {
        if std::mem::take(self.bytes.get_mut()) > 0 {
            for shard in &mut self.shards {
                *shard.get_mut().unwrap_or_else(PoisonError::into_inner) = HashMap::default();
            }
        }
    }
}

impl Reader<'_> {
    fn get(
        &self,
        key: Key,
        read: impl FnOnce() -> Result<Read, CommitmentError>,
    ) -> Result<Read, CommitmentError> {
        let Reads { shards, bytes, limit } = self.reads;
        if bytes.load(Relaxed) == 0 && !self.keeps {
            return read();
        }
        let shard = &shards[spread(&key) as usize % SHARDS];
        if let Some(known) = shard.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        let read = read()?;
        if self.keeps && bytes.load(Relaxed) < *limit {
            bytes.fetch_add(size_of::<(Key, Read)>() + 16 + read.weight(), Relaxed);
            shard.lock().unwrap_or_else(PoisonError::into_inner).insert(key, read.clone());
        }
        Ok(read)
    }

    /// See [`load_top`].
    pub(super) fn top<S: TrieSource>(
        &self,
        source: &S,
        trie: TrieId,
    ) -> Result<(B256, Loaded), CommitmentError> {
        let read = || load_top(source, trie).map(|(root, loaded)| Read::Part(root, loaded));
        part(trie, self.get((trie, Some(Path::default())), read)?)
    }

    /// See [`load`]. The prefix is not empty.
    pub(super) fn below<S: TrieSource>(
        &self,
        source: &S,
        trie: TrieId,
        prefix: Path,
        kind: ChildKind,
    ) -> Result<Loaded, CommitmentError> {
        let load = if self.elsewhere { load_any } else { load };
        let read =
            || load(source, trie, &prefix, kind).map(|loaded| Read::Part(B256::ZERO, loaded));
        Ok(part(trie, self.get((trie, Some(prefix)), read)?)?.1)
    }

    /// The leaf of `key`, which must be there.
    pub(super) fn leaf<S: TrieSource>(
        &self,
        source: &S,
        trie: TrieId,
        key: &B256,
    ) -> Result<Leaf, CommitmentError> {
        let path = Path::of(key, KEY_NIBBLES);
        match self.below(source, trie, path, ChildKind::Leaf)? {
            Loaded::Leaves(leaves) if leaves.len() == 1 => Ok(leaves[0].1),
            _ => Err(damaged(trie, &path.nibbles(), "a leaf is missing")),
        }
    }

    /// The storage of accounts in order, of each as [`Self::storage`].
    pub(super) fn storages<S: TrieSource>(
        &self,
        source: &S,
        accounts: &[(B256, Leaf)],
    ) -> Result<Vec<Option<Arc<Trie>>>, CommitmentError> {
        if self.reads.bytes.load(Relaxed) == 0 && !self.keeps {
            return load_storages(source, accounts);
        }
        accounts.iter().map(|(account, _)| self.storage(source, account)).collect()
    }

    /// See [`load_storage`].
    pub(super) fn storage<S: TrieSource>(
        &self,
        source: &S,
        account: &B256,
    ) -> Result<Option<Arc<Trie>>, CommitmentError> {
        let trie = TrieId::Storage(*account);
        let read = || load_storage(source, account).map(Read::Storage);
        match self.get((trie, None), read)? {
            Read::Storage(storage) => Ok(storage),
            Read::Part(..) => load_storage(source, account),
        }
    }
}

fn part(trie: TrieId, read: Read) -> Result<(B256, Loaded), CommitmentError> {
    match read {
        Read::Part(root, loaded) => Ok((root, loaded)),
        Read::Storage(_) => Err(damaged(trie, &Path::default().nibbles(), "read as storage")),
    }
}

impl Read {
    fn weight(&self) -> usize {
        match self {
            Self::Part(_, Loaded::Leaves(leaves)) => leaves.len() * size_of::<(B256, Leaf)>(),
            Self::Part(_, Loaded::Branch(branch)) => branch.weight(),
            Self::Storage(storage) => storage.as_ref().map_or(0, |trie| trie.bytes),
        }
    }
}

/// Any hash will do: it only spreads the locks.
fn spread(key: &Key) -> u64 {
    let mut bytes = [0; 8];
    let (trie, path) = key;
    if let TrieId::Storage(account) = trie {
        bytes.copy_from_slice(&account[..8]);
    }
    let path = path.unwrap_or_default();
    let path = u64::from_le_bytes(path.key[..8].try_into().unwrap_or_default());
    (u64::from_le_bytes(bytes) ^ path).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48
}

/// Reads what a change of `key` in `trie` will need, of which `top` is in memory.
pub(super) fn reveal<S: TrieSource>(
    reads: Reader<'_>,
    source: &S,
    trie: TrieId,
    known: Option<&Trie>,
    key: &B256,
) -> Result<(), CommitmentError> {
    let loaded;
    let mut place = match known.filter(|trie| trie.is_empty() || trie.top.is_some()) {
        Some(trie) => match &trie.top {
            Some(top) => top,
            None => return Ok(()),
        },
        None => {
            loaded = reads.top(source, trie)?.1;
            return reveal_loaded(reads, source, trie, loaded, key);
        }
    };
    loop {
        match place {
            Place::Unloaded => return Ok(()),
            Place::Leaf(own) | Place::Account { key: own, .. } => {
                if own != key {
                    reads.leaf(source, trie, own)?;
                }
                return Ok(());
            }
            Place::Branch { node, .. } => match step(node, key) {
                Some((prefix, kind, Place::Unloaded)) => {
                    let loaded = reads.below(source, trie, prefix, kind)?;
                    return reveal_loaded(reads, source, trie, loaded, key);
                }
                Some((_, _, next)) => place = next,
                None => return Ok(()),
            },
        }
    }
}

fn reveal_loaded<S: TrieSource>(
    reads: Reader<'_>,
    source: &S,
    trie: TrieId,
    mut loaded: Loaded,
    key: &B256,
) -> Result<(), CommitmentError> {
    loop {
        match loaded {
            Loaded::Leaves(leaves) => {
                for (account, leaf) in &leaves {
                    if matches!(leaf, Leaf::Account(_)) {
                        reads.storage(source, account)?;
                    }
                }
                return Ok(());
            }
            Loaded::Branch(node) => match step(&node, key) {
                Some((prefix, kind, _)) => loaded = reads.below(source, trie, prefix, kind)?,
                None => return Ok(()),
            },
        }
    }
}

/// The child of `node` towards `key`: its prefix, its kind and it.
fn step<'b>(node: &'b Branch, key: &B256) -> Option<(Path, ChildKind, &'b Place)> {
    if !node.path.holds(key) {
        return None;
    }
    let nibble = super::path::nibble(key, node.path.len());
    let place = node.place(nibble)?;
    Some((node.path.below(nibble), node.masks.kind(nibble), place))
}
