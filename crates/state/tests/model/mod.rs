//! The model: plain maps per block, nothing shared, nothing clever.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::{collections::BTreeMap, sync::Arc};

use banyan_primitives::{
    Account, AccountDiff, Address, B256, BlockRef, Bytes, KeyRule, StateDiff, StateSource, U256,
    keccak256,
    trie::{Leaf, Nibbles, NodeChanges, NodeDiff, StorageNodeDiff, TrieId, TrieSource},
};
use banyan_state::{GenesisAccount, Layer, StateView, write_genesis, write_nodes};
use banyan_storage::{Database, DatabaseOptions, Read, Table};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Few accounts and slots, so that blocks meet each other's changes.
pub(crate) const ADDRESSES: [Address; 5] = [
    Address::repeat_byte(1),
    Address::repeat_byte(2),
    Address::repeat_byte(3),
    Address::repeat_byte(4),
    Address::repeat_byte(5),
];
const SLOTS: u64 = 6;
const CODES: u8 = 4;

pub(crate) type Nodes = BTreeMap<(TrieId, Nibbles), Bytes>;

/// The whole state after one block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) accounts: BTreeMap<Address, Account>,
    pub(crate) storage: BTreeMap<(Address, U256), U256>,
    pub(crate) nodes: Nodes,
}

/// A block with its state and its change.
#[derive(Debug)]
pub(crate) struct ModelBlock {
    pub(crate) block: BlockRef,
    pub(crate) parent: usize,
    pub(crate) state: State,
    pub(crate) layer: Arc<Layer>,
}

/// A tree of blocks; the first is genesis.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) blocks: Vec<ModelBlock>,
}

pub(crate) fn open() -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let options = DatabaseOptions { max_size: 1 << 30, growth_step: 1 << 20, ..Default::default() };
    let db = Database::open(dir.path(), options).unwrap();
    (dir, db)
}

pub(crate) fn pick(rng: &mut ChaCha8Rng, list: &[usize]) -> Option<usize> {
    (!list.is_empty()).then(|| list[rng.random_range(0..list.len())])
}

/// Every entry of every table.
pub(crate) fn dump(db: &Database) -> BTreeMap<(Table, Vec<u8>), Vec<u8>> {
    let txn = db.read().unwrap();
    let mut entries = BTreeMap::new();
    for table in Table::ALL {
        txn.scan(table, &[], &mut |key, value| {
            entries.insert((table, key.to_vec()), value.to_vec());
            Ok(std::ops::ControlFlow::Continue(()))
        })
        .unwrap();
    }
    entries
}

impl Model {
    pub(crate) fn genesis(rng: &mut ChaCha8Rng) -> Self {
        let mut state = State::default();
        for address in &ADDRESSES[..3] {
            state.accounts.insert(*address, random_account(rng));
            state.storage.insert((*address, U256::from(1)), U256::from(rng.random::<u128>() | 1));
        }
        state.nodes.insert((TrieId::Accounts, Nibbles::new()), Bytes::from_static(b"root"));
        let block = BlockRef::new(0, B256::repeat_byte(0xee));
        let layer = Arc::default();
        Self { blocks: vec![ModelBlock { block, parent: 0, state, layer }] }
    }

    pub(crate) fn write_genesis(&self, db: &Database) {
        let genesis = &self.blocks[0];
        let accounts = genesis.state.accounts.iter().map(|(address, account)| GenesisAccount {
            address: *address,
            nonce: account.nonce,
            balance: account.balance,
            code: if account.has_code() { code_of(account.code_hash) } else { Bytes::new() },
            storage: slots_of(&genesis.state, *address).collect(),
        });
        let txn = db.write().unwrap();
        write_genesis(&txn, genesis.block, accounts).unwrap();
        write_nodes(&txn, &node_diff(&Nodes::new(), &genesis.state.nodes)).unwrap();
        txn.put(Table::Canonical, &0u64.to_be_bytes(), genesis.block.hash.as_slice()).unwrap();
        txn.commit().unwrap();
    }

    /// Adds a block with random changes; returns its index.
    pub(crate) fn extend(&mut self, parent: usize, rng: &mut ChaCha8Rng) -> usize {
        let before = &self.blocks[parent];
        let block = BlockRef::new(before.block.number + 1, B256::from(rng.random::<[u8; 32]>()));
        let mut state = before.state.clone();
        let mut diff = StateDiff::default();
        for address in ADDRESSES {
            if rng.random_bool(0.5) {
                diff.accounts.insert(address, change_account(&mut state, address, rng));
            }
        }
        for account in diff.accounts.values().filter_map(|diff| diff.after) {
            if account.has_code() {
                diff.codes.insert(account.code_hash, code_of(account.code_hash));
            }
        }
        change_nodes(&mut state, &diff, rng);
        let mut nodes = node_diff(&before.state.nodes, &state.nodes);
        for (address, account) in &diff.accounts {
            let storage = nodes.storage.entry(keccak256(address)).or_default();
            storage.wiped = account.wiped;
            if account.wiped {
                // As the real one does: a wiped trie is written anew.
                storage.nodes.retain(|_, node| node.is_some());
                let trie = TrieId::Storage(keccak256(address));
                let after = state.nodes.iter().filter(|((id, _), _)| *id == trie);
                storage.nodes.extend(after.map(|((_, path), node)| (*path, Some(node.clone()))));
            }
        }
        let layer =
            Arc::new(Layer::new(KeyRule::Keccak, block, before.block, &diff).with_nodes(nodes));
        self.blocks.push(ModelBlock { block, parent, state, layer });
        self.blocks.len() - 1
    }

    /// From genesis to `block`, both included; the index in it is the height.
    pub(crate) fn path(&self, block: usize) -> Vec<usize> {
        let mut path = vec![block];
        while path.last() != Some(&0) {
            path.push(self.blocks[*path.last().unwrap()].parent);
        }
        path.reverse();
        path
    }

    pub(crate) fn layer(&self, block: usize) -> Arc<Layer> {
        self.blocks[block].layer.clone()
    }

    /// Layers of `block` down to, and without, its ancestor at height `base`.
    pub(crate) fn layers(&self, block: usize, base: usize) -> Vec<Arc<Layer>> {
        self.path(block).into_iter().skip(base + 1).rev().map(|b| self.layer(b)).collect()
    }
}

fn slots_of(state: &State, address: Address) -> impl Iterator<Item = (U256, U256)> {
    state.storage.iter().filter(move |((a, _), _)| *a == address).map(|((_, s), v)| (*s, *v))
}

fn codes() -> impl Iterator<Item = Bytes> {
    (1..=CODES).map(|n| Bytes::from(vec![n; usize::from(n)]))
}

fn code_of(hash: B256) -> Bytes {
    codes().find(|code| keccak256(code) == hash).unwrap()
}

fn random_account(rng: &mut ChaCha8Rng) -> Account {
    let mut account = Account {
        nonce: rng.random::<u64>() >> rng.random_range(0..64),
        balance: U256::from(rng.random::<u128>() >> rng.random_range(0..128)),
        ..Default::default()
    };
    if rng.random_bool(0.4) {
        account.code_hash = keccak256(codes().nth(rng.random_range(0..CODES as usize)).unwrap());
    }
    account
}

/// Changes one account in `state` at random and says how.
fn change_account(state: &mut State, address: Address, rng: &mut ChaCha8Rng) -> AccountDiff {
    let before = state.accounts.get(&address).copied();
    let old: BTreeMap<U256, U256> = slots_of(state, address).collect();
    let wiped = before.is_some() && rng.random_bool(0.3);
    let after = match (wiped && rng.random_bool(0.6), before) {
        (true, _) => None,
        (false, Some(account)) if rng.random_bool(0.4) => Some(account),
        (false, _) => Some(random_account(rng)),
    };
    let mut diff = AccountDiff { before, after, wiped, ..Default::default() };
    if wiped {
        state.storage.retain(|(a, _), _| *a != address);
    }
    if after.is_some() {
        for slot in (0..SLOTS).map(U256::from) {
            if rng.random_bool(0.6) {
                continue;
            }
            let zero = rng.random_bool(0.4);
            let value = if zero { U256::ZERO } else { U256::from(rng.random_range(1..4u64)) };
            diff.storage.insert(slot, (old.get(&slot).copied().unwrap_or_default(), value));
            state.storage.remove(&(address, slot));
            if !zero {
                state.storage.insert((address, slot), value);
            }
        }
    }
    match after {
        Some(account) => state.accounts.insert(address, account),
        None => state.accounts.remove(&address),
    };
    diff
}

/// Random stored nodes: what they hold does not matter here, only that they are kept right.
fn change_nodes(state: &mut State, diff: &StateDiff, rng: &mut ChaCha8Rng) {
    for (address, account) in &diff.accounts {
        let trie = TrieId::Storage(keccak256(address));
        if account.wiped {
            state.nodes.retain(|(id, _), _| *id != trie);
        }
        for trie in [trie, TrieId::Accounts] {
            let depth = rng.random_range(0..4);
            let path: Vec<u8> = (0..depth).map(|_| rng.random_range(14..16)).collect();
            let key = (trie, Nibbles::from_nibbles(path));
            if rng.random_bool(0.4) {
                state.nodes.remove(&key);
            } else {
                state.nodes.insert(key, Bytes::from(rng.random::<[u8; 4]>().to_vec()));
            }
        }
    }
}

/// What leads from one set of stored nodes to another.
pub(crate) fn node_diff(from: &Nodes, to: &Nodes) -> NodeDiff {
    let mut diff = NodeDiff::default();
    for key in from.keys().chain(to.keys()) {
        if from.get(key) == to.get(key) {
            continue;
        }
        let changes: &mut NodeChanges = match key.0 {
            TrieId::Accounts => &mut diff.accounts,
            TrieId::Storage(address) => {
                let storage: &mut StorageNodeDiff = diff.storage.entry(address).or_default();
                &mut storage.nodes
            }
        };
        changes.insert(key.1, to.get(key).cloned());
    }
    diff
}

/// Every account, slot, code and ancestor hash of the model block.
pub(crate) fn check_reads(view: &impl StateSource, model: &Model, block: usize) {
    let expected = &model.blocks[block];
    for address in ADDRESSES {
        let account = view.account(&address).unwrap();
        assert_eq!(account, expected.state.accounts.get(&address).copied(), "{address}");
        if let Some(account) = account.filter(Account::has_code) {
            assert_eq!(view.code(&account.code_hash).unwrap(), code_of(account.code_hash));
        }
        for slot in (0..=SLOTS).map(U256::from) {
            let value = expected.state.storage.get(&(address, slot)).copied().unwrap_or_default();
            assert_eq!(view.storage(&address, slot).unwrap(), value, "{address} {slot}");
        }
    }
    let path = model.path(block);
    for (number, ancestor) in path.iter().enumerate() {
        let hash = model.blocks[*ancestor].block.hash;
        assert_eq!(view.block_hash(number as u64).unwrap(), hash, "ancestor {number}");
    }
    assert_eq!(view.block_hash(path.len() as u64).unwrap(), B256::ZERO);
}

/// Every leaf and stored node of the model block, in order, from random starts.
pub(crate) fn check_trie(view: &StateView, state: &State, rng: &mut ChaCha8Rng) {
    let accounts: BTreeMap<_, _> =
        state.accounts.iter().map(|(a, v)| (keccak256(a), Leaf::Account(*v))).collect();
    check_leaves(view, TrieId::Accounts, &accounts, rng);
    for address in ADDRESSES {
        let slots: BTreeMap<_, _> = slots_of(state, address)
            .map(|(slot, value)| (keccak256(slot.to_be_bytes::<32>()), Leaf::Slot(value)))
            .collect();
        check_leaves(view, TrieId::Storage(keccak256(address)), &slots, rng);
    }
    check_slot_range(view, state, rng);
    let storages = ADDRESSES.map(|address| TrieId::Storage(keccak256(address)));
    for trie in storages.into_iter().chain([TrieId::Accounts]) {
        for depth in 0..4 {
            let path: Vec<u8> = (0..depth).map(|_| rng.random_range(14..16)).collect();
            let prefix = Nibbles::from_nibbles(path);
            let expected = state
                .nodes
                .iter()
                .find(|((id, path), _)| *id == trie && path.starts_with(&prefix))
                .map(|((_, path), node)| (*path, node.clone()));
            assert_eq!(view.first_node(trie, &prefix).unwrap(), expected, "{trie:?} {prefix:?}");
        }
    }
    check_storage_roots(view, state);
}

/// Root entries of all accounts at once, and of some that do not exist. A trie without one is noticed.
fn check_storage_roots(view: &StateView, state: &State) {
    let mut accounts: Vec<B256> = ADDRESSES.iter().map(keccak256).collect();
    accounts.extend([B256::ZERO, B256::repeat_byte(0x80), B256::repeat_byte(0xff)]);
    accounts.sort_unstable();
    let entry = |account: &B256| {
        let mut nodes = state.nodes.iter();
        match nodes.find(|((id, _), _)| *id == TrieId::Storage(*account)) {
            None => Ok(None),
            Some(((_, path), entry)) if path.is_empty() => Ok(Some(entry.clone())),
            Some(_) => Err(()),
        }
    };
    let expected: Result<Vec<_>, ()> = accounts.iter().map(entry).collect();
    assert_eq!(view.storage_roots(&accounts).map_err(drop), expected);
    for account in &accounts {
        let found = view.storage_roots(&[*account]).map_err(drop);
        assert_eq!(found, entry(account).map(|entry| vec![entry]));
    }
}

/// Slots of all accounts in a random range.
fn check_slot_range(view: &StateView, state: &State, rng: &mut ChaCha8Rng) {
    let mut slots: Vec<_> = ADDRESSES
        .into_iter()
        .flat_map(|address| {
            slots_of(state, address).map(move |(slot, value)| {
                (keccak256(address), keccak256(slot.to_be_bytes::<32>()), value)
            })
        })
        .collect();
    slots.sort_unstable();
    let end = |rng: &mut ChaCha8Rng| match slots.len() {
        0 => (B256::ZERO, B256::ZERO),
        count => {
            let (account, slot, _) = slots[rng.random_range(0..count)];
            (account, if rng.random() { slot } else { B256::from(rng.random::<[u8; 32]>()) })
        }
    };
    let (a, b) = (end(rng), end(rng));
    let (first, last) = (a.min(b), a.max(b));
    let limit = rng.random_range(0..6);
    let inside =
        |(account, slot, _): &(B256, B256, U256)| (first..=last).contains(&(*account, *slot));
    let expected: Vec<_> = slots.iter().copied().filter(inside).take(limit).collect();
    let mut found = Vec::new();
    let visit = &mut |(account, slot), value| found.push((account, slot, value));
    view.visit_slots((&first, &last), limit, visit).unwrap();
    assert_eq!(found, expected, "{first:?} {last:?}");
}

fn check_leaves(
    view: &StateView,
    trie: TrieId,
    expected: &BTreeMap<B256, Leaf>,
    rng: &mut ChaCha8Rng,
) {
    let from = if rng.random_bool(0.5) { B256::ZERO } else { B256::from(rng.random::<[u8; 32]>()) };
    let full: Nibbles = Nibbles::unpack(expected.keys().next().copied().unwrap_or_default());
    let prefix = full.slice(0..rng.random_range(0..3));
    let limit = rng.random_range(0..5);
    let expected: Vec<_> = expected
        .range(from..)
        .filter(|(key, _)| Nibbles::unpack(key).starts_with(&prefix))
        .take(limit)
        .map(|(key, leaf)| (*key, *leaf))
        .collect();
    assert_eq!(view.leaves(trie, &prefix, from, limit).unwrap(), expected, "{trie:?}");
}
