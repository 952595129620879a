use std::collections::BTreeMap;

use banyan_primitives::{
    Account, B256, Bytes, SourceError, U256,
    trie::{HashedDiff, Leaf, Nibbles, NodeChanges, NodeDiff, SlotKey, TrieId, TrieSource},
};

use crate::{CommitmentError, RootOutput, rebuild};

/// Stored nodes of one trie, by path.
pub type StoredNodes = BTreeMap<Nibbles, Bytes>;

/// Flat state and trie nodes in ordered maps: a [`TrieSource`] for genesis, tests and benches, and
/// the plain model of what the database must hold after a block.
///
/// Two of them are equal exactly if they hold the same state and the same nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryTrie {
    accounts: BTreeMap<B256, Account>,
    storage: BTreeMap<B256, BTreeMap<B256, U256>>,
    account_nodes: StoredNodes,
    storage_nodes: BTreeMap<B256, StoredNodes>,
}

impl MemoryTrie {
    /// The state that `alloc` makes of nothing, with its nodes, and its root.
    pub fn genesis(alloc: &HashedDiff) -> Result<(Self, RootOutput), CommitmentError> {
        let mut state = Self::default();
        state.apply(alloc, &NodeDiff::default());
        let output = rebuild(&state)?;
        state.apply_nodes(&output.nodes);
        Ok((state, output))
    }

    /// Applies the state and node changes of one block.
    pub fn apply(&mut self, diff: &HashedDiff, nodes: &NodeDiff) {
        for (address, account) in &diff.accounts {
            match account {
                Some(account) => self.accounts.insert(*address, *account),
                None => self.accounts.remove(address),
            };
        }
        for (address, change) in &diff.storage {
            let slots = self.storage.entry(*address).or_default();
            if change.wiped {
                slots.clear();
            }
            for (slot, value) in &change.slots {
                if value.is_zero() {
                    slots.remove(slot)
                } else {
                    slots.insert(*slot, *value)
                };
            }
            if slots.is_empty() {
                self.storage.remove(address);
            }
        }
        self.apply_nodes(nodes);
    }

    fn apply_nodes(&mut self, diff: &NodeDiff) {
        apply_changes(&mut self.account_nodes, &diff.accounts);
        for (address, change) in &diff.storage {
            let nodes = self.storage_nodes.entry(*address).or_default();
            if change.wiped {
                nodes.clear();
            }
            apply_changes(nodes, &change.nodes);
            if nodes.is_empty() {
                self.storage_nodes.remove(address);
            }
        }
    }

    /// The account with this hashed address.
    pub fn account(&self, hashed_address: &B256) -> Option<Account> {
        self.accounts.get(hashed_address).copied()
    }

    /// All accounts by hashed address.
    pub fn accounts(&self) -> &BTreeMap<B256, Account> {
        &self.accounts
    }

    /// Non-zero slots of an account by hashed slot; `None` if there are none.
    pub fn slots(&self, hashed_address: &B256) -> Option<&BTreeMap<B256, U256>> {
        self.storage.get(hashed_address)
    }

    /// Stored nodes of a trie; `None` if it is empty.
    pub fn nodes(&self, trie: TrieId) -> Option<&StoredNodes> {
        match trie {
            TrieId::Accounts => Some(&self.account_nodes).filter(|nodes| !nodes.is_empty()),
            TrieId::Storage(address) => self.storage_nodes.get(&address),
        }
    }
}

fn apply_changes(nodes: &mut StoredNodes, changes: &NodeChanges) {
    for (path, node) in changes {
        match node {
            Some(node) => nodes.insert(*path, node.clone()),
            None => nodes.remove(path),
        };
    }
}

/// The part of `map` that `leaves` asks for.
fn scan<T: Copy>(
    map: &BTreeMap<B256, T>,
    prefix: &Nibbles,
    from: B256,
    limit: usize,
    leaf: fn(T) -> Leaf,
) -> Vec<(B256, Leaf)> {
    map.range(from..)
        .take_while(|(key, _)| Nibbles::unpack(key).starts_with(prefix))
        .take(limit)
        .map(|(key, value)| (*key, leaf(*value)))
        .collect()
}

impl TrieSource for MemoryTrie {
    fn first_node(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
    ) -> Result<Option<(Nibbles, Bytes)>, SourceError> {
        let first = self.nodes(trie).and_then(|nodes| nodes.range(prefix..).next());
        let below = first.filter(|(path, _)| path.starts_with(prefix));
        Ok(below.map(|(path, node)| (*path, node.clone())))
    }

    fn leaves(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
        from: B256,
        limit: usize,
    ) -> Result<Vec<(B256, Leaf)>, SourceError> {
        Ok(match trie {
            TrieId::Accounts => scan(&self.accounts, prefix, from, limit, Leaf::Account),
            TrieId::Storage(address) => match self.storage.get(&address) {
                Some(slots) => scan(slots, prefix, from, limit, Leaf::Slot),
                None => Vec::new(),
            },
        })
    }

    fn visit_accounts(
        &self,
        (first, last): (&B256, &B256),
        limit: usize,
        visit: &mut dyn FnMut(B256, Account),
    ) -> Result<(), SourceError> {
        let accounts = self.accounts.range(*first..=*last).take(limit);
        accounts.for_each(|(key, account)| visit(*key, *account));
        Ok(())
    }

    fn visit_slots(
        &self,
        (first, last): (&SlotKey, &SlotKey),
        limit: usize,
        visit: &mut dyn FnMut(SlotKey, U256),
    ) -> Result<(), SourceError> {
        let accounts = self.storage.range(first.0..=last.0);
        let slots = accounts.flat_map(|(account, slots)| {
            let from = if *account == first.0 { first.1 } else { B256::ZERO };
            slots.range(from..).map(|(slot, value)| ((*account, *slot), *value))
        });
        let inside = slots.take_while(|(key, _)| key <= last).take(limit);
        inside.for_each(|(key, value)| visit(key, value));
        Ok(())
    }
}
