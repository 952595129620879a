//! Following the head.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use banyan_chainspec::ChainSpec;
use banyan_executor::L1Fees;
use banyan_primitives::{
    Account, Address, B256, B256Map, Encodable2718, StateSource, Transaction, TransactionTrait,
    U256,
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
    /// The head's L1 fees, if they differ from those before, and what they come to.
    l1_fees: Option<(Arc<L1Fees>, B256Map<U256>)>,
}

/// Senders whose account may have changed in a way that matters.
pub(crate) fn touched(state: &State, update: &CanonicalUpdate) -> HashSet<Address> {
    let reverted = update.reverted.iter().filter(|(tx, _)| !tx.is_deposit());
    let included = update.included.iter().map(|(sender, _)| *sender);
    let pooled = |address: &&Address| state.sender(address).is_some();
    let mut touched: HashSet<Address> = included
        .chain(reverted.map(|(_, sender)| *sender))
        .chain(state.recheck.iter().copied())
        .collect();
    match &update.changed {
        Some(changed) => touched.extend(changed.iter().filter(pooled)),
        None => touched.extend(state.senders().map(|(address, _)| *address)),
    }
    touched
}

/// Blob transactions that left the chain, with the sidecars that they had in the pool.
pub(crate) fn lost_blobs(
    state: &State,
    update: &CanonicalUpdate,
) -> HashMap<B256, Arc<PooledTransaction>> {
    let hashes = update.reverted.iter().map(|(tx, _)| *tx.hash());
    hashes.filter_map(|hash| Some((hash, state.recent.blob_transaction(&hash)?))).collect()
}

/// What the pool itself adds to a reading.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    pub(crate) spec: &'a ChainSpec,
    /// Blob transactions with their sidecars, from [`lost_blobs`].
    pub(crate) lost_blobs: HashMap<B256, Arc<PooledTransaction>>,
    pub(crate) arrivals: &'a AtomicU64,
    /// L1 fees before the change.
    pub(crate) l1_fees: Option<Arc<L1Fees>>,
    /// What is in the pool.
    pub(crate) pooled: Vec<Arc<PooledTransaction>>,
}

impl Reading {
    /// Reads the accounts of `touched` senders, the L1 fees, and the costs of transactions.
    pub(crate) fn new<S: StateSource>(
        update: &CanonicalUpdate,
        touched: HashSet<Address>,
        known: &Known<'_>,
        source: &S,
    ) -> Self {
        let mut reading = Self {
            head: Head::new(known.spec, &update.head),
            accounts: HashMap::with_capacity(touched.len()),
            unread: HashSet::new(),
            reverted: Vec::new(),
            l1_fees: None,
        };
        reading.read_l1_fees(known, source);
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
        let fees = reading.l1_fees.as_ref().map(|(fees, _)| fees).or(known.l1_fees.as_ref());
        let left = update.reverted.iter().filter(|(tx, _)| !included.contains(tx.hash()));
        reading.reverted =
            left.filter_map(|(tx, sender)| known.revive(tx, *sender, fees)).collect();
        reading
    }

    fn read_l1_fees<S: StateSource>(&mut self, known: &Known<'_>, source: &S) {
        match L1Fees::read(known.spec, self.head.timestamp, source) {
            Ok(Some(fees)) if known.l1_fees.as_deref() != Some(&fees) => {
                let costs = known.pooled.iter().map(|tx| (tx.hash(), tx.l1_cost(&fees)));
                let costs = costs.collect();
                self.l1_fees = Some((Arc::new(fees), costs));
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "pool keeps the L1 fees of an earlier head"),
        }
    }
}

impl Known<'_> {
    /// Makes a reverted transaction ready for the pool; `None` for deposits, and for blobs that are
    /// gone.
    fn revive(
        &self,
        tx: &Transaction,
        sender: Address,
        fees: Option<&Arc<L1Fees>>,
    ) -> Option<Entry> {
        let sidecar = self.lost_blobs.get(tx.hash()).and_then(|tx| tx.sidecar.clone());
        if tx.is_deposit() || (sidecar.is_none() && tx.blob_count().is_some()) {
            return None;
        }
        let sequence = self.arrivals.fetch_add(1, Ordering::Relaxed);
        let (encoded, is_op) = (tx.encoded_2718(), self.spec.is_op());
        let cost = fees.map_or(U256::ZERO, |fees| fees.cost(&encoded, tx.gas_limit()));
        let tx = PooledTransaction::new(tx.clone(), &encoded, sender, sidecar, is_op, sequence);
        Some(Entry::new(tx, cost))
    }
}

/// Brings the pool to the new head. Returns the transactions taken back in.
pub(crate) fn apply(
    state: &mut State,
    config: &PoolConfig,
    update: &CanonicalUpdate,
    reading: Reading,
) -> Vec<Arc<PooledTransaction>> {
    let Reading { head, accounts, unread, reverted, l1_fees } = reading;
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
    if let Some((fees, costs)) = l1_fees {
        state.set_l1_fees(fees, &costs);
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
