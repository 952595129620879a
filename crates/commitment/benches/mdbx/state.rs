//! States of many keys, and blocks that change them.

use std::str::FromStr;

use banyan_primitives::{
    Account, B256, U256,
    trie::{HashedDiff, HashedStorageDiff},
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// How keys are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Accounts without storage.
    Flat,
    /// Two fifths accounts, three fifths slots of contracts: one account in ten is a contract, and
    /// a few have a great part of all slots.
    Nested,
    /// The same, but every slot at a place of its own in the tree, away from its account: what keys
    /// without the account's prefix would be.
    Uniform,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "flat" => Ok(Self::Flat),
            "nested" => Ok(Self::Nested),
            "uniform" => Ok(Self::Uniform),
            other => Err(format!("unknown shape {other}")),
        }
    }
}

/// Every key of a state, in no order.
pub(crate) struct Keys {
    shape: Shape,
    pub(crate) accounts: Vec<B256>,
    /// Index of the contract, and slot.
    pub(crate) slots: Vec<(u32, B256)>,
    /// Contracts are the first accounts; so many.
    contracts: usize,
}

impl Keys {
    pub(crate) fn new(rng: &mut ChaCha8Rng, shape: Shape, count: usize) -> Self {
        let accounts = if shape == Shape::Flat { count } else { count * 2 / 5 };
        let mut keys = Self {
            shape,
            accounts: (0..accounts).map(|_| key(rng)).collect(),
            slots: Vec::new(),
            contracts: accounts / 10,
        };
        for _ in accounts..count {
            let slot = keys.new_slot(rng);
            keys.slots.push(slot);
        }
        keys
    }

    /// A slot of some contract: of the first ones mostly (the index falls off as a power).
    fn new_slot(&self, rng: &mut ChaCha8Rng) -> (u32, B256) {
        let place: f64 = rng.random();
        let contract = (place.powi(4) * self.contracts as f64) as u32;
        (contract, key(rng))
    }

    /// Where a slot is listed: under its contract, or alone.
    pub(crate) fn place(&self, (contract, slot): &(u32, B256)) -> (B256, B256) {
        match self.shape {
            Shape::Uniform => (*slot, *slot),
            _ => (self.accounts[*contract as usize], *slot),
        }
    }

    /// A block of `count` keys: 75 % change, 20 % are new, 5 % go.
    pub(crate) fn block(&mut self, rng: &mut ChaCha8Rng, count: usize) -> HashedDiff {
        let mut diff = HashedDiff::default();
        for index in 0..count {
            let all = self.accounts.len() + self.slots.len();
            let picked = rng.random_range(0..all);
            match picked.checked_sub(self.accounts.len()) {
                None => self.account(rng, &mut diff, picked, index),
                Some(slot) => self.slot(rng, &mut diff, slot, index),
            }
        }
        diff
    }

    fn account(
        &mut self,
        rng: &mut ChaCha8Rng,
        diff: &mut HashedDiff,
        picked: usize,
        index: usize,
    ) {
        let (key, after) = match index % 20 {
            0..4 => (key(rng), Some(record(rng))),
            // Contracts stay: in the list they are found by their place.
            4 if picked >= self.contracts => (self.accounts.swap_remove(picked), None),
            _ => (self.accounts[picked], Some(record(rng))),
        };
        if index % 20 < 4 {
            self.accounts.push(key);
        }
        diff.accounts.insert(key, after);
    }

    fn slot(&mut self, rng: &mut ChaCha8Rng, diff: &mut HashedDiff, picked: usize, index: usize) {
        let (slot, after) = match index % 20 {
            0..4 => (self.new_slot(rng), value(rng)),
            4 => (self.slots.swap_remove(picked), U256::ZERO),
            _ => (self.slots[picked], value(rng)),
        };
        if index % 20 < 4 {
            self.slots.push(slot);
        }
        let (account, key) = self.place(&slot);
        if self.shape != Shape::Uniform {
            let listed = diff.accounts.entry(account);
            listed.or_insert_with(|| Some(contract(&account)));
        }
        diff.storage.entry(account).or_default().slots.insert(key, after);
    }

    /// The whole state in parts by the first byte of the account's key.
    pub(crate) fn parts(&self, seed: &mut ChaCha8Rng) -> impl Iterator<Item = HashedDiff> {
        let mut parts: Vec<HashedDiff> = vec![HashedDiff::default(); 256];
        for (index, key) in self.accounts.iter().enumerate() {
            let account = if index < self.contracts { contract(key) } else { record(seed) };
            parts[usize::from(key[0])].accounts.insert(*key, Some(account));
        }
        for slot in &self.slots {
            let (account, slot) = self.place(slot);
            let storage = &mut parts[usize::from(account[0])].storage;
            let storage: &mut HashedStorageDiff = storage.entry(account).or_default();
            storage.slots.insert(slot, value(seed));
        }
        parts.into_iter()
    }
}

fn key(rng: &mut ChaCha8Rng) -> B256 {
    B256::from(rng.random::<[u8; 32]>())
}

fn record(rng: &mut ChaCha8Rng) -> Account {
    let balance = U256::from(rng.random::<u128>() >> 40);
    Account { nonce: rng.random_range(1..1000), balance, ..Default::default() }
}

/// The record of a contract, which stays as it is when its slots change.
fn contract(key: &B256) -> Account {
    Account { nonce: 1, balance: U256::ZERO, code_hash: *key }
}

fn value(rng: &mut ChaCha8Rng) -> U256 {
    U256::from(rng.random::<u128>() >> rng.random_range(0..120u32)) + U256::from(1)
}
