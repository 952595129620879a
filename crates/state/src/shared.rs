use std::{
    hash::Hash,
    sync::{OnceLock, PoisonError, RwLock},
};

use banyan_primitives::{
    Account, Address, B256, Bytes, HashMap, SourceError, StateSource, U256,
    trie::{Leaf, Nibbles, SlotKey, TrieId, TrieSource},
};

use crate::StateView;

/// Parts of the memory: so many threads seldom meet in one.
const SHARDS: usize = 64;

/// A [`StateView`] for the threads that execute one block and compute its root. MDBX lets one
/// thread at a time use a transaction, so each thread of a rayon pool gets its own; and what one
/// of them has read the others find in memory. That never changes, being the state before the
/// block, and is given back with the view: the block's gas bounds it.
#[derive(Debug)]
pub struct SharedView<'a> {
    view: &'a StateView,
    /// By the thread's index in its pool; `None` if it could not be opened.
    own: Vec<OnceLock<Option<StateView>>>,
    /// `None` if one thread alone executes, which does not ask twice.
    memory: Option<Memory>,
}

#[derive(Debug)]
struct Memory {
    accounts: Shards<Address, Option<Account>>,
    slots: Shards<(Address, U256), U256>,
}

impl<'a> SharedView<'a> {
    /// For so many threads that execute.
    pub fn new(view: &'a StateView, workers: usize) -> Self {
        // An index means one thread of each pool; that two share a view costs time only.
        let threads = workers.max(rayon::current_num_threads());
        let memory = || Memory { accounts: Shards::new(), slots: Shards::new() };
        Self {
            view,
            own: (0..threads).map(|_| OnceLock::new()).collect(),
            memory: (workers > 1).then(memory),
        }
    }

    /// What all of it is about, without anything remembered.
    pub fn alone(&self) -> &StateView {
        self.view
    }

    /// The calling thread's view.
    fn view(&self) -> &StateView {
        let own = rayon::current_thread_index().and_then(|index| self.own.get(index));
        // If the database has moved on meanwhile, the one that is open still answers.
        own.and_then(|own| own.get_or_init(|| self.view.another().ok()).as_ref())
            .unwrap_or(self.view)
    }
}

impl StateSource for SharedView<'_> {
    fn remembers(&self) -> bool {
        self.memory.is_some()
    }

    fn account(&self, address: &Address) -> Result<Option<Account>, SourceError> {
        let read = || self.view().account(address);
        match &self.memory {
            Some(memory) => memory.accounts.get(address.0[19], *address, read),
            None => read(),
        }
    }

    fn storage(&self, address: &Address, slot: U256) -> Result<U256, SourceError> {
        let read = || self.view().storage(address, slot);
        match &self.memory {
            Some(memory) => {
                let mark = slot.as_limbs()[0] as u8 ^ address.0[19];
                memory.slots.get(mark, (*address, slot), read)
            }
            None => read(),
        }
    }

    fn code(&self, hash: &B256) -> Result<Bytes, SourceError> {
        self.view().code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        self.view().block_hash(number)
    }
}

impl TrieSource for SharedView<'_> {
    fn first_node(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
    ) -> Result<Option<(Nibbles, Bytes)>, SourceError> {
        self.view().first_node(trie, prefix)
    }

    fn storage_roots(&self, accounts: &[B256]) -> Result<Vec<Option<Bytes>>, SourceError> {
        self.view().storage_roots(accounts)
    }

    fn leaves(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
        from: B256,
        limit: usize,
    ) -> Result<Vec<(B256, Leaf)>, SourceError> {
        self.view().leaves(trie, prefix, from, limit)
    }

    fn visit_slots(
        &self,
        range: (&SlotKey, &SlotKey),
        limit: usize,
        visit: &mut dyn FnMut(SlotKey, U256),
    ) -> Result<(), SourceError> {
        self.view().visit_slots(range, limit, visit)
    }
}

/// A map in parts, each with a lock of its own.
#[derive(Debug)]
struct Shards<K, V>(Vec<RwLock<HashMap<K, V>>>);

impl<K: Eq + Hash, V: Copy> Shards<K, V> {
    fn new() -> Self {
        Self((0..SHARDS).map(|_| RwLock::default()).collect())
    }

    /// The value of a key, read only if nobody has before. `mark` decides the part.
    fn get(
        &self,
        mark: u8,
        key: K,
        read: impl FnOnce() -> Result<V, SourceError>,
    ) -> Result<V, SourceError> {
        let shard = &self.0[usize::from(mark) % SHARDS];
        if let Some(value) = shard.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(*value);
        }
        let value = read()?;
        shard.write().unwrap_or_else(PoisonError::into_inner).insert(key, value);
        Ok(value)
    }
}
