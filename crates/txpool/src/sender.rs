use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use banyan_primitives::{Account, Address, TransactionTrait, U256};

use crate::{PooledTransaction, entry::Entry};

/// The transactions of one account, by nonce.
///
/// The first of them, from the account's nonce up to `ready_end`, are executable: no gap, fee
/// caps of at least the base fee, together affordable. Every change keeps that prefix as long as
/// it can be; its cost is proportional to the part of the prefix behind the change.
#[derive(Debug)]
pub(crate) struct Sender {
    /// The account as last read.
    account: Account,
    /// Number of the head ([`crate::state::State::heads`]) at which that was.
    pub(crate) read_at: u64,
    txs: BTreeMap<u64, Entry>,
    /// Most that all transactions can cost together, wei.
    cost: U256,
    bytes: usize,
    ready_end: u64,
    ready_cost: U256,
    ready_bytes: usize,
}

/// A candidate for eviction: the lowest tip first, the latest arrival first among equals.
pub(crate) type Tail = (u128, Reverse<u64>, Address, u64);

/// A sender's part in one of the two subpools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) count: usize,
    pub(crate) bytes: usize,
    /// The last transaction, which can go without making another one wait.
    pub(crate) tail: Option<Tail>,
}

impl Sender {
    pub(crate) fn new(account: Account) -> Self {
        Self {
            account,
            read_at: 0,
            txs: BTreeMap::new(),
            cost: U256::ZERO,
            bytes: 0,
            ready_end: account.nonce,
            ready_cost: U256::ZERO,
            ready_bytes: 0,
        }
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    pub(crate) fn txs(&self) -> &BTreeMap<u64, Entry> {
        &self.txs
    }

    /// Most that all transactions can cost together, wei.
    pub(crate) fn cost(&self) -> U256 {
        self.cost
    }

    /// First nonce that is not executable.
    pub(crate) fn ready_end(&self) -> u64 {
        self.ready_end
    }

    /// First nonce from the account's on that no transaction has.
    pub(crate) fn first_gap(&self) -> u64 {
        let mut next = self.ready_end;
        for nonce in self.txs.range(next..).map(|(nonce, _)| *nonce) {
            if nonce != next {
                break;
            }
            next += 1;
        }
        next
    }

    /// Puts a transaction in; returns the one it replaces.
    pub(crate) fn insert(&mut self, entry: Entry, base_fee: u64) -> Option<Entry> {
        let nonce = entry.nonce();
        self.shorten(nonce);
        self.cost = self.cost.saturating_add(entry.cost);
        self.bytes += entry.tx.size;
        let old = self.txs.insert(nonce, entry);
        self.subtract(old.as_ref());
        self.extend(base_fee);
        old
    }

    /// Takes a transaction out; those behind it wait from now on.
    pub(crate) fn remove(&mut self, nonce: u64) -> Option<Entry> {
        self.shorten(nonce);
        let old = self.txs.remove(&nonce);
        self.subtract(old.as_ref());
        old
    }

    /// Takes the account's new nonce and balance. Returns what can never be executed any more
    /// (nonce used up) and what alone costs more than the balance.
    pub(crate) fn set_account(&mut self, account: Account, base_fee: u64) -> Vec<Entry> {
        let dead: Vec<u64> = self
            .txs
            .iter()
            .filter(|(nonce, entry)| **nonce < account.nonce || entry.cost > account.balance)
            .map(|(nonce, _)| *nonce)
            .collect();
        let removed = dead.into_iter().filter_map(|nonce| self.remove(nonce)).collect();
        self.account = account;
        self.refresh(base_fee);
        removed
    }

    /// Takes other L1 costs; returns what alone costs more than the balance now.
    pub(crate) fn reprice(
        &mut self,
        l1_cost: impl Fn(&PooledTransaction) -> U256,
        base_fee: u64,
    ) -> Vec<Entry> {
        self.cost = U256::ZERO;
        for entry in self.txs.values_mut() {
            entry.reprice(l1_cost(&entry.tx));
            self.cost = self.cost.saturating_add(entry.cost);
        }
        self.set_account(self.account, base_fee)
    }

    /// Nonces of what has waited for `lifetime` or longer. The wait begins when it is first seen
    /// here, and ends when the transaction is executable.
    pub(crate) fn expired(&mut self, now: Duration, lifetime: Duration) -> Vec<u64> {
        let ready = self.account.nonce..self.ready_end;
        let mut expired = Vec::new();
        for (nonce, entry) in &mut self.txs {
            if ready.contains(nonce) {
                entry.waits_since = None;
            } else if now.saturating_sub(*entry.waits_since.get_or_insert(now)) >= lifetime {
                expired.push(*nonce);
            }
        }
        expired
    }

    /// Finds the executable prefix anew, for another base fee.
    pub(crate) fn refresh(&mut self, base_fee: u64) {
        self.ready_end = self.account.nonce;
        self.ready_cost = U256::ZERO;
        self.ready_bytes = 0;
        self.extend(base_fee);
    }

    /// Executable transactions at this base fee and blob base fee (wei), in order.
    pub(crate) fn executable(
        &self,
        base_fee: u64,
        blob_base_fee: u128,
    ) -> impl Iterator<Item = &Entry> {
        let (mut next, mut cost) = (self.account.nonce, U256::ZERO);
        self.txs.range(self.account.nonce..).map(|(_, entry)| entry).take_while(move |entry| {
            cost = cost.saturating_add(entry.cost);
            let in_order = entry.nonce() == next;
            next = next.saturating_add(1);
            let blob_fee_cap = entry.tx.tx.max_fee_per_blob_gas().unwrap_or(u128::MAX);
            in_order
                && entry.pays(base_fee)
                && blob_fee_cap >= blob_base_fee
                && cost <= self.account.balance
        })
    }

    /// Share of the executable transactions.
    pub(crate) fn pending(&self, base_fee: u64) -> Share {
        let count = self.ready_count();
        let last = self.ready_end.checked_sub(1).filter(|_| count > 0);
        let tail = last.and_then(|nonce| self.txs.get(&nonce)).map(|last| tail(&last.tx, base_fee));
        Share { count, bytes: self.ready_bytes, tail }
    }

    /// Share of the waiting transactions.
    pub(crate) fn queued(&self, base_fee: u64) -> Share {
        let count = self.txs.len() - self.ready_count();
        let last = self.txs.last_key_value().filter(|_| count > 0);
        let tail = last.map(|(_, last)| tail(&last.tx, base_fee));
        Share { count, bytes: self.bytes - self.ready_bytes, tail }
    }

    fn ready_count(&self) -> usize {
        (self.ready_end - self.account.nonce) as usize
    }

    /// Ends the executable prefix before `nonce`.
    fn shorten(&mut self, nonce: u64) {
        let start = nonce.max(self.account.nonce);
        if start >= self.ready_end {
            return;
        }
        for (_, entry) in self.txs.range(start..self.ready_end) {
            self.ready_cost = self.ready_cost.saturating_sub(entry.cost);
            self.ready_bytes -= entry.tx.size;
        }
        self.ready_end = start;
    }

    /// Makes the executable prefix as long as it can be.
    fn extend(&mut self, base_fee: u64) {
        for (nonce, entry) in self.txs.range(self.ready_end..) {
            let cost = self.ready_cost.saturating_add(entry.cost);
            let in_order = *nonce == self.ready_end;
            if !in_order || !entry.pays(base_fee) || cost > self.account.balance {
                break;
            }
            self.ready_cost = cost;
            self.ready_bytes += entry.tx.size;
            self.ready_end += 1;
        }
    }

    fn subtract(&mut self, gone: Option<&Entry>) {
        if let Some(entry) = gone {
            self.cost = self.cost.saturating_sub(entry.cost);
            self.bytes -= entry.tx.size;
        }
    }
}

fn tail(tx: &PooledTransaction, base_fee: u64) -> Tail {
    (tx.effective_tip(base_fee), Reverse(tx.sequence), tx.sender, tx.nonce())
}
