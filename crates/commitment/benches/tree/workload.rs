//! States and blocks.

use banyan_commitment::MemoryTrie;
use banyan_primitives::{
    Account, B256, U256,
    trie::{HashedDiff, HashedStorageDiff},
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::common::{Shape, keys, random_account, rng};

/// A state and what its blocks change.
pub struct Workload {
    pub name: &'static str,
    pub state: MemoryTrie,
    rng: ChaCha8Rng,
    /// Accounts without storage.
    accounts: Vec<B256>,
    /// Accounts with storage and their slots.
    contracts: Vec<(B256, Vec<B256>)>,
    /// All slots, as (contract, slot).
    slots: Vec<(usize, usize)>,
    /// Of 100 changes: insertions, deletions.
    mix: (u32, u32),
}

impl Workload {
    /// One storage trie; a block updates slots.
    pub fn uniform(count: usize) -> Self {
        let rng = &mut rng(1);
        let slots = keys(rng, Shape::Uniform, count);
        Self::new("uniform", Vec::new(), vec![(B256::repeat_byte(7), slots)], (0, 0))
    }

    /// 60 % accounts, 40 % slots of contracts of very different sizes; a block updates 75 %, inserts
    /// 20 %, deletes 5 %.
    pub fn nested(count: usize) -> Self {
        let rng = &mut rng(2);
        let accounts = keys(rng, Shape::Uniform, count * 6 / 10);
        let names = keys(rng, Shape::Uniform, (count / 500).max(1));
        let parts: f64 = (0..names.len()).map(|rank| 1.0 / (rank + 10) as f64).sum();
        let size = |rank: usize| (count as f64 * 0.4 / parts / (rank + 10) as f64) as usize;
        let contracts = names.into_iter().enumerate();
        let contracts: Vec<_> = contracts
            .map(|(rank, name)| (name, keys(rng, Shape::Uniform, size(rank).max(1))))
            .collect();
        Self::new("nested", accounts, contracts, (20, 5))
    }

    fn new(
        name: &'static str,
        accounts: Vec<B256>,
        contracts: Vec<(B256, Vec<B256>)>,
        mix: (u32, u32),
    ) -> Self {
        let all = contracts.iter().enumerate();
        let slots = all.flat_map(|(index, (_, slots))| (0..slots.len()).map(move |s| (index, s)));
        let slots = slots.collect();
        let state = MemoryTrie::default();
        let mut workload = Self { name, state, rng: rng(3), accounts, contracts, slots, mix };
        let alloc = workload.touch_all();
        workload.state = MemoryTrie::genesis(&alloc).expect("memory does not fail").0;
        workload
    }

    /// Accounts and slots in the state.
    pub fn keys(&self) -> usize {
        self.accounts.len() + self.contracts.len() + self.slots.len()
    }

    /// A block that sets every key.
    pub fn touch_all(&mut self) -> HashedDiff {
        let rng = &mut self.rng;
        let mut diff = HashedDiff::default();
        let contracts = self.contracts.iter().map(|(name, _)| name);
        for key in self.accounts.iter().chain(contracts) {
            diff.accounts.insert(*key, Some(random_account(rng)));
        }
        for (name, slots) in &self.contracts {
            let slots = slots.iter().map(|slot| (*slot, value(rng))).collect();
            diff.storage.insert(*name, HashedStorageDiff { wiped: false, slots });
        }
        diff
    }

    /// A block of `count` changes.
    pub fn block(&mut self, count: usize) -> HashedDiff {
        let mut diff = HashedDiff::default();
        let mut left = count;
        while left > 0 {
            let of_account = self.rng.random_range(0..self.accounts.len() + self.slots.len());
            let changed = match self.accounts.get(of_account) {
                Some(_) => self.change_account(&mut diff),
                None => self.change_slot(&mut diff),
            };
            left -= usize::from(changed);
        }
        diff
    }

    fn change_account(&mut self, diff: &mut HashedDiff) -> bool {
        let kind = self.rng.random_range(0..100);
        let account: Account = random_account(&mut self.rng);
        if kind < self.mix.0 {
            let key = B256::from(self.rng.random::<[u8; 32]>());
            self.accounts.push(key);
            return diff.accounts.insert(key, Some(account)).is_none();
        }
        let index = self.rng.random_range(0..self.accounts.len());
        let key = self.accounts[index];
        if diff.accounts.contains_key(&key) {
            return false;
        }
        let deleted = kind < self.mix.0 + self.mix.1;
        if deleted {
            self.accounts.swap_remove(index);
        }
        diff.accounts.insert(key, (!deleted).then_some(account)).is_none()
    }

    fn change_slot(&mut self, diff: &mut HashedDiff) -> bool {
        let kind = self.rng.random_range(0..100);
        let index = self.rng.random_range(0..self.slots.len());
        let (contract, slot) = self.slots[index];
        let (name, slots) = &mut self.contracts[contract];
        let key = if kind < self.mix.0 {
            let key = B256::from(self.rng.random::<[u8; 32]>());
            self.slots.push((contract, slots.len()));
            slots.push(key);
            key
        } else {
            slots[slot]
        };
        let changed = diff.storage.entry(*name).or_default();
        if changed.slots.contains_key(&key) {
            return false;
        }
        let deleted = (self.mix.0..self.mix.0 + self.mix.1).contains(&kind);
        if deleted {
            self.slots.swap_remove(index);
        }
        let value = if deleted { U256::ZERO } else { value(&mut self.rng) };
        changed.slots.insert(key, value);
        if !diff.accounts.contains_key(name) {
            diff.accounts.insert(*name, self.state.account(name));
        }
        true
    }
}

fn value(rng: &mut ChaCha8Rng) -> U256 {
    U256::from_be_bytes(rng.random::<[u8; 32]>())
}
