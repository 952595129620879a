//! Following the head.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use banyan_chainspec::ChainSpec;
use banyan_executor::l1_cost;
use banyan_primitives::{
    Account, Address, B256, SourceError, StateSource, Transaction, TransactionTrait, U256,
};

use crate::{
    CanonicalUpdate, PoolConfig, PooledTransaction, blobs,
    entry::Entry,
    state::State,
    validate::{Head, protocol_gas_cap},
};

/// Senders short of funds that are looked at again with every head, at most.
const MAX_RECHECK: usize = 1_024;

/// What was read for a head, outside the lock.
#[derive(Debug)]
pub(crate) struct Reading {
    head: Head,
    accounts: HashMap<Address, Account>,
    /// Senders whose account could not be read.
    unread: HashSet<Address>,
    /// Transactions that left the chain and are not in it again.
    reverted: Vec<Entry>,
}

/// Senders whose account may have changed in a way that matters.
pub(crate) fn touched(state: &State, update: &CanonicalUpdate) -> HashSet<Address> {
    let reverted = update.reverted.iter().filter(|(tx, _)| !tx.is_deposit());
    let included = update.included.iter().map(|(sender, _)| *sender);
    included
        .chain(reverted.map(|(_, sender)| *sender))
        .chain(state.recheck.iter().copied())
        .collect()
}

/// Blob transactions that left the chain, with the sidecars that they had in the pool.
pub(crate) fn lost_blobs(
    state: &State,
    update: &CanonicalUpdate,
) -> HashMap<B256, Arc<PooledTransaction>> {
    let hashes = update.reverted.iter().map(|(tx, _)| *tx.hash());
    hashes.filter_map(|hash| Some((hash, state.recent.blob_transaction(&hash)?))).collect()
}

/// What it takes to make reverted transactions ready for the pool.
#[derive(Debug)]
pub(crate) struct Revive<'a> {
    pub(crate) spec: &'a ChainSpec,
    /// Blob transactions with their sidecars, from [`lost_blobs`].
    pub(crate) lost_blobs: HashMap<B256, Arc<PooledTransaction>>,
    pub(crate) arrivals: &'a AtomicU64,
}

impl Reading {
    /// Reads the accounts of `touched` senders and the costs of reverted transactions.
    pub(crate) fn new<S: StateSource>(
        update: &CanonicalUpdate,
        touched: HashSet<Address>,
        revive: &Revive<'_>,
        source: &S,
    ) -> Self {
        let mut reading = Self {
            head: Head::new(revive.spec, &update.head),
            accounts: HashMap::with_capacity(touched.len()),
            unread: HashSet::new(),
            reverted: Vec::new(),
        };
        for sender in touched {
            match source.account(&sender) {
                Ok(account) => {
                    reading.accounts.insert(sender, account.unwrap_or_default());
                }
                Err(error) => {
                    tracing::warn!(%sender, %error, "pool could not re-check an account");
                    reading.unread.insert(sender);
                }
            }
        }
        let included: HashSet<_> = update.included.iter().map(|(_, hash)| hash).collect();
        for (tx, sender) in &update.reverted {
            if tx.is_deposit() || included.contains(tx.hash()) {
                continue;
            }
            match revive.entry(tx, *sender, reading.head.timestamp, source) {
                Ok(entry) => reading.reverted.extend(entry),
                Err(error) => tracing::warn!(hash = %tx.hash(), %error, "pool lost a transaction"),
            }
        }
        reading
    }
}

impl Revive<'_> {
    /// Makes a reverted transaction ready for the pool; `None` for blobs that are gone.
    fn entry<S: StateSource>(
        &self,
        tx: &Transaction,
        sender: Address,
        timestamp: u64,
        source: &S,
    ) -> Result<Option<Entry>, SourceError> {
        let sidecar = self.lost_blobs.get(tx.hash()).and_then(|tx| tx.sidecar.clone());
        if sidecar.is_none() && tx.blob_count().is_some() {
            return Ok(None);
        }
        let cost = extra_cost(self.spec, timestamp, source, tx)?;
        let sequence = self.arrivals.fetch_add(1, Ordering::Relaxed);
        let is_op = self.spec.is_op();
        let tx = PooledTransaction::new(tx.clone(), sender, sidecar, is_op, sequence);
        Ok(Some(Entry::new(tx, cost)))
    }
}

/// L1 and operator fee of a transaction, wei; zero on Ethereum chains.
pub(crate) fn extra_cost<S: StateSource>(
    spec: &ChainSpec,
    timestamp: u64,
    source: &S,
    tx: &Transaction,
) -> Result<U256, SourceError> {
    match spec.is_op() {
        true => l1_cost(spec, timestamp, source, tx),
        false => Ok(U256::ZERO),
    }
}

/// Brings the pool to the new head. Returns the transactions taken back in.
pub(crate) fn apply(
    state: &mut State,
    config: &PoolConfig,
    update: &CanonicalUpdate,
    reading: Reading,
) -> Vec<Arc<PooledTransaction>> {
    let Reading { head, accounts, unread, reverted } = reading;
    for (_, hash) in &update.included {
        if let Some(tx) = state.get(hash).cloned() {
            state.recent.included(&tx);
        }
    }
    for (sender, account) in &accounts {
        state.set_account(*sender, *account);
    }
    // Those of senders that could not be read.
    for (_, hash) in &update.included {
        state.take(hash);
    }
    let changed = (state.head.rules, state.head.gas_limit) != (head.rules, head.gas_limit);
    state.set_head(head);
    if changed {
        drop_outdated(state);
    }
    let mut revived = Vec::new();
    for entry in reverted {
        let Some(account) = accounts.get(&entry.tx.sender) else { continue };
        revived.extend(take_back(state, entry, *account));
    }
    state.evict(config);
    revived.retain(|tx: &Arc<PooledTransaction>| state.get(&tx.hash()).is_some());
    state.touched = accounts;
    let short = state.senders().filter(|(_, sender)| sender.cost() > sender.account().balance);
    state.recheck = short.map(|(address, _)| *address).take(MAX_RECHECK).chain(unread).collect();
    revived
}

/// Puts a reverted transaction in again, unless its nonce is taken or it cannot be paid any more.
/// It passed all other checks when it was included.
fn take_back(state: &mut State, entry: Entry, account: Account) -> Option<Arc<PooledTransaction>> {
    let (nonce, sender) = (entry.nonce(), state.sender(&entry.tx.sender));
    let taken = sender.is_some_and(|sender| sender.txs().contains_key(&nonce));
    if taken || nonce < account.nonce || entry.cost > account.balance {
        return None;
    }
    let tx = Arc::clone(&entry.tx);
    state.put(entry, account);
    Some(tx)
}

/// Drops what the new rules or the new gas limit make impossible for good.
fn drop_outdated(state: &mut State) {
    let outdated: Vec<B256> = state
        .transactions()
        .filter(|tx| {
            let head = &state.head;
            let cap = protocol_gas_cap(&head.rules).unwrap_or(u64::MAX).min(head.gas_limit);
            let sidecar = tx.sidecar.as_ref();
            let fits = sidecar.is_none_or(|it| blobs::version(it) == blobs::wanted(&head.rules));
            tx.tx.gas_limit() > cap || !fits
        })
        .map(|tx| tx.hash())
        .collect();
    for hash in outdated {
        state.take(&hash);
    }
}
