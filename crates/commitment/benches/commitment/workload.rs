//! States of many keys, and blocks that change them.

use std::{fmt, str::FromStr};

use banyan_primitives::{
    Account, Address, B256, U256, keccak256,
    trie::{HashedDiff, HashedStorageDiff},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// How keys are spread, and what blocks do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// The slots of one contract, which blocks update: the note's prototype.
    Uniform,
    /// Two fifths accounts, three fifths slots of contracts: one account in ten is a contract, and
    /// a few have a great part of all slots. Of a block 75 % change, 20 % are new, 5 % go.
    Nested,
    /// Accounts without storage; blocks as above.
    Flat,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Uniform => "uniform",
            Self::Nested => "nested",
            Self::Flat => "flat",
        })
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::Uniform, Self::Nested, Self::Flat];
        let named = all.into_iter().find(|shape| shape.to_string() == name);
        named.ok_or_else(|| format!("unknown shape {name}"))
    }
}

/// Every key of a state, in no order.
pub(crate) struct Keys {
    pub(crate) shape: Shape,
    rng: ChaCha8Rng,
    accounts: Vec<B256>,
    /// Index of the contract, and slot.
    slots: Vec<(u32, B256)>,
    /// Contracts are the first accounts; so many.
    contracts: usize,
}

/// A key of the first state, as a proof asks for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) address: Address,
    /// The address hashed.
    pub(crate) account: B256,
    /// The slot, and hashed.
    pub(crate) slot: Option<(U256, B256)>,
}

/// The first state comes in parts by the first byte of its keys.
const PARTS: usize = 256;

impl Keys {
    pub(crate) fn new(shape: Shape, count: usize) -> Self {
        let accounts = match shape {
            Shape::Uniform => 1,
            Shape::Nested => count * 2 / 5,
            Shape::Flat => count,
        };
        let contracts = if shape == Shape::Uniform { 1 } else { accounts / 10 };
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let homes: Vec<_> =
            (accounts..count.max(accounts)).map(|_| contract_of(&mut rng, contracts)).collect();
        let slots = homes.into_par_iter().enumerate();
        let slots = slots.map(|(index, home)| (home, keccak256(slot(index).to_be_bytes::<32>())));
        let all = (0..accounts).into_par_iter().map(|index| keccak256(address(index)));
        Self { shape, rng, accounts: all.collect(), slots: slots.collect(), contracts }
    }

    /// The first state, a part of it after the other in order of keys.
    pub(crate) fn parts(&mut self) -> Vec<HashedDiff> {
        let rng = &mut self.rng;
        let mut parts: Vec<HashedDiff> = vec![HashedDiff::default(); PARTS];
        for (index, key) in self.accounts.iter().enumerate() {
            let account = if index < self.contracts { contract(key) } else { record(rng) };
            parts[usize::from(key[0])].accounts.insert(*key, Some(account));
        }
        for (home, slot) in &self.slots {
            let account = self.accounts[*home as usize];
            let by = if self.shape == Shape::Uniform { slot } else { &account };
            let part = &mut parts[usize::from(by[0])];
            part.accounts.entry(account).or_insert_with(|| Some(contract(&account)));
            let storage: &mut HashedStorageDiff = part.storage.entry(account).or_default();
            storage.slots.insert(*slot, value(rng));
        }
        parts
    }

    /// So many keys of the first state.
    pub(crate) fn sample(&self, count: usize) -> Vec<Asked> {
        let rng = &mut ChaCha8Rng::seed_from_u64(9);
        let asked = |_| {
            let index = rng.random_range(0..self.accounts.len() + self.slots.len());
            let slot = index.checked_sub(self.accounts.len());
            let owner = slot.map_or(index, |slot| self.slots[slot].0 as usize);
            Asked {
                address: address(owner),
                account: self.accounts[owner],
                slot: slot.map(|index| (self::slot(index), self.slots[index].1)),
            }
        };
        (0..count).map(asked).collect()
    }

    /// A block that changes `count` keys.
    pub(crate) fn block(&mut self, count: usize) -> HashedDiff {
        let mut diff = HashedDiff::default();
        let mut left = count;
        while left > 0 {
            let kind = match left % 20 {
                _ if self.shape == Shape::Uniform => Kind::Update,
                0..4 => Kind::Insert,
                4 => Kind::Delete,
                _ => Kind::Update,
            };
            let picked = self.rng.random_range(0..self.accounts.len() + self.slots.len());
            let changed = match picked.checked_sub(self.accounts.len()) {
                None => self.account(&mut diff, picked, kind),
                Some(slot) => self.slot(&mut diff, slot, kind),
            };
            left -= usize::from(changed);
        }
        diff
    }

    fn account(&mut self, diff: &mut HashedDiff, picked: usize, kind: Kind) -> bool {
        let rng = &mut self.rng;
        // Contracts are found by their place, and keep their record.
        if picked < self.contracts {
            return false;
        }
        let (key, after) = match kind {
            Kind::Insert => (key(rng), Some(record(rng))),
            Kind::Delete => (self.accounts.swap_remove(picked), None),
            Kind::Update => (self.accounts[picked], Some(record(rng))),
        };
        if kind == Kind::Insert {
            self.accounts.push(key);
        }
        diff.accounts.insert(key, after).is_none()
    }

    fn slot(&mut self, diff: &mut HashedDiff, picked: usize, kind: Kind) -> bool {
        let rng = &mut self.rng;
        let ((home, key), after) = match kind {
            Kind::Insert => ((contract_of(rng, self.contracts), key(rng)), value(rng)),
            Kind::Delete => (self.slots.swap_remove(picked), U256::ZERO),
            Kind::Update => (self.slots[picked], value(rng)),
        };
        if kind == Kind::Insert {
            self.slots.push((home, key));
        }
        let account = self.accounts[home as usize];
        diff.accounts.entry(account).or_insert_with(|| Some(contract(&account)));
        diff.storage.entry(account).or_default().slots.insert(key, after).is_none()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Update,
    Insert,
    Delete,
}

/// The contract that a new slot belongs to: of the first ones mostly (the index falls off as a power).
fn contract_of(rng: &mut ChaCha8Rng, contracts: usize) -> u32 {
    let place: f64 = rng.random();
    (place.powi(4) * contracts as f64) as u32
}

fn address(index: usize) -> Address {
    Address::left_padding_from(&index.to_be_bytes())
}

fn slot(index: usize) -> U256 {
    U256::from(index)
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
