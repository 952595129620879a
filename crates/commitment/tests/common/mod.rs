//! Generated blocks, their undo, and roots computed by `alloy-trie`.
#![allow(dead_code, unreachable_pub, reason = "shared by several test binaries")]

use std::collections::BTreeMap;

use alloy_trie::{HashBuilder, TrieAccount};
use banyan_commitment::MemoryTrie;
use banyan_primitives::{
    Account, B256, U256,
    trie::{HashedDiff, HashedStorageDiff, Nibbles},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How the hashed keys of a pool lie to each other.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Uniform, as real hashed keys.
    Uniform,
    /// Each shares a prefix of any length with some key before it: deep tries, long extensions.
    Shared,
    /// They differ in the last four nibbles only: inline nodes.
    Tail,
}

pub const SHAPES: [Shape; 3] = [Shape::Uniform, Shape::Shared, Shape::Tail];

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// At most `count` different keys.
pub fn keys(rng: &mut ChaCha8Rng, shape: Shape, count: usize) -> Vec<B256> {
    let mut keys: Vec<B256> = vec![B256::from(rng.random::<[u8; 32]>())];
    while keys.len() < count {
        let mut key = keys[rng.random_range(0..keys.len())];
        let fresh: [u8; 32] = rng.random();
        let cut = match shape {
            Shape::Uniform => 0,
            Shape::Shared => rng.random_range(0..64),
            Shape::Tail => 60,
        };
        let shared = Nibbles::unpack(key).slice(..cut);
        key = B256::from_slice(&shared.join(&Nibbles::unpack(fresh).slice(cut..)).pack());
        keys.push(key);
    }
    keys.sort();
    keys.dedup();
    keys
}

pub fn random_account(rng: &mut ChaCha8Rng) -> Account {
    let code_hash = if rng.random() {
        Account::default().code_hash
    } else {
        B256::from(rng.random::<[u8; 32]>())
    };
    Account { nonce: rng.random_range(0..300), balance: U256::from(rng.random::<u64>()), code_hash }
}

fn random_value(rng: &mut ChaCha8Rng) -> U256 {
    match rng.random_range(0..4) {
        0 => U256::ZERO,
        1 => U256::from(rng.random_range(1..200)),
        _ => U256::from_be_bytes(rng.random::<[u8; 32]>()),
    }
}

/// The keys that the blocks of one run touch.
pub struct Pool {
    pub accounts: Vec<B256>,
    pub slots: Vec<B256>,
}

impl Pool {
    pub fn new(rng: &mut ChaCha8Rng, shape: Shape, size: usize) -> Self {
        Self { accounts: keys(rng, shape, size), slots: keys(rng, shape, size) }
    }

    /// A block of about `count` changes on `state`: accounts set and deleted, slots set, cleared
    /// and wiped, and some changes that change nothing.
    pub fn block(&self, rng: &mut ChaCha8Rng, state: &MemoryTrie, count: usize) -> HashedDiff {
        let mut diff = HashedDiff::default();
        for _ in 0..count {
            let key = self.accounts[rng.random_range(0..self.accounts.len())];
            let wiped = || HashedStorageDiff { wiped: true, ..Default::default() };
            match rng.random_range(0..10) {
                0..3 => {
                    diff.accounts.insert(key, None);
                    diff.storage.remove(&key);
                    if state.slots(&key).is_some() || rng.random() {
                        diff.storage.insert(key, wiped());
                    }
                }
                3..6 => {
                    diff.accounts.insert(key, Some(random_account(rng)));
                }
                kind => {
                    let listed = diff.accounts.get(&key).copied().flatten();
                    let account = listed.or(state.account(&key));
                    diff.accounts.insert(key, account.or_else(|| Some(random_account(rng))));
                    if kind == 6 {
                        diff.storage.insert(key, wiped());
                    }
                    let slots = &mut diff.storage.entry(key).or_default().slots;
                    for _ in 0..rng.random_range(1..=count) {
                        let slot = self.slots[rng.random_range(0..self.slots.len())];
                        slots.insert(slot, random_value(rng));
                    }
                }
            }
        }
        diff
    }
}

/// The whole state as a diff on nothing.
pub fn as_alloc(state: &MemoryTrie) -> HashedDiff {
    let accounts = state.accounts().iter().map(|(key, account)| (*key, Some(*account)));
    let storage = state.accounts().keys().filter_map(|key| {
        Some((*key, HashedStorageDiff { wiped: false, slots: state.slots(key)?.clone() }))
    });
    HashedDiff { accounts: accounts.collect(), storage: storage.collect() }
}

/// The diff that takes the state after `diff` back to `before`.
pub fn undo(before: &MemoryTrie, diff: &HashedDiff) -> HashedDiff {
    let accounts = diff.accounts.keys().map(|key| (*key, before.account(key)));
    let storage = diff.storage.iter().map(|(key, change)| {
        let old = before.slots(key).cloned().unwrap_or_default();
        let slots = if change.wiped {
            old
        } else {
            let old = |slot: &B256| old.get(slot).copied().unwrap_or_default();
            change.slots.keys().map(|slot| (*slot, old(slot))).collect()
        };
        (*key, HashedStorageDiff { wiped: change.wiped, slots })
    });
    HashedDiff { accounts: accounts.collect(), storage: storage.collect() }
}

/// Storage root by `alloy-trie`.
pub fn alloy_storage_root(slots: Option<&BTreeMap<B256, U256>>) -> B256 {
    let mut builder = HashBuilder::default();
    for (slot, value) in slots.into_iter().flatten() {
        builder.add_leaf(Nibbles::unpack(slot), &alloy_rlp::encode(value));
    }
    builder.root()
}

/// State root by `alloy-trie`.
pub fn alloy_state_root(state: &MemoryTrie) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, account) in state.accounts() {
        let storage_root = alloy_storage_root(state.slots(key));
        let Account { nonce, balance, code_hash } = *account;
        let leaf = TrieAccount::new(nonce, balance, storage_root, code_hash);
        builder.add_leaf(Nibbles::unpack(key), &alloy_rlp::encode(leaf));
    }
    builder.root()
}
