use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use banyan_chainspec::ChainSpec;
use banyan_executor::L1Fees;
use banyan_primitives::{
    Account, Address, B256, Encodable2718, PooledSidecar, SealedHeader, SourceError, StateSource,
    Transaction, TransactionTrait, U256,
};

use crate::{
    BestTransactions, PoolConfig, PoolError, PooledTransaction,
    admit::admit,
    blobs,
    canonical::{self, Known, Reading},
    entry::Entry,
    state::State,
    validate::{Head, check_fee_cap, validate},
};

/// What moving the head means to the pool.
#[derive(Clone, Debug)]
pub struct CanonicalUpdate {
    /// The new head.
    pub head: SealedHeader,
    /// Transactions of blocks that left the canonical chain, with senders (deposits left out by the pool).
    pub reverted: Vec<(Transaction, Address)>,
    /// Transactions of blocks that joined it: (sender, hash).
    pub included: Vec<(Address, B256)>,
    /// Accounts that changed, senders or not: anybody may empty an account that has delegated its
    /// code. `None`: any may have.
    pub changed: Option<Vec<Address>>,
}

/// Numbers of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Executable.
    pub pending: usize,
    /// Waiting for an earlier nonce or a lower base fee.
    pub queued: usize,
}

/// All transactions by sender and nonce.
#[derive(Clone, Debug, Default)]
pub struct PoolContent {
    /// Executable.
    pub pending: BTreeMap<Address, BTreeMap<u64, Arc<PooledTransaction>>>,
    /// Waiting.
    pub queued: BTreeMap<Address, BTreeMap<u64, Arc<PooledTransaction>>>,
}

/// A transaction that passed all checks that need no state ([`PoolHandle::check`]).
#[derive(Clone, Debug)]
pub struct CheckedTransaction {
    entry: Entry,
    encoded: Vec<u8>,
}

/// Hears of every transaction taken in.
pub type PoolListener = Box<dyn Fn(&Arc<PooledTransaction>) + Send + Sync>;

/// Handle of the pool; cheap to clone, safe to share. Every call takes a short lock and returns;
/// signatures, blobs and state are checked and read outside the lock.
#[derive(Clone)]
pub struct PoolHandle {
    shared: Arc<Shared>,
}

struct Shared {
    spec: Arc<ChainSpec>,
    config: PoolConfig,
    state: RwLock<State>,
    /// Taken alone, never together with `state`.
    minimum_tip: RwLock<u128>,
    /// Taken alone, never together with `state`.
    listener: RwLock<Option<Arc<PoolListener>>>,
    generation: AtomicU64,
    /// Number of arrivals so far.
    arrivals: AtomicU64,
}

impl fmt::Debug for PoolHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolHandle").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl PoolHandle {
    /// An empty pool on `head`.
    pub fn new(spec: Arc<ChainSpec>, config: PoolConfig, head: SealedHeader) -> Self {
        let state = State::new(Head::new(&spec, &head));
        let shared = Shared {
            spec,
            minimum_tip: RwLock::new(config.minimum_priority_fee),
            config,
            state: RwLock::new(state),
            listener: RwLock::new(None),
            generation: AtomicU64::new(0),
            arrivals: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Checks a transaction against `state` (that of the head) and takes it in. Recovers the
    /// sender, verifies blobs. Returns its hash.
    pub fn add<S: StateSource>(
        &self,
        tx: Transaction,
        sidecar: Option<PooledSidecar>,
        state: S,
    ) -> Result<B256, PoolError> {
        self.insert(self.check(tx, sidecar)?, state)
    }

    /// First part of [`Self::add`]: all that needs no state.
    pub fn check(
        &self,
        tx: Transaction,
        sidecar: Option<PooledSidecar>,
    ) -> Result<CheckedTransaction, PoolError> {
        let Shared { spec, config, .. } = &*self.shared;
        let head = {
            let state = self.read();
            if state.get(tx.hash()).is_some() {
                return Err(PoolError::AlreadyKnown);
            }
            state.head
        };
        let minimum_tip = self.minimum_tip();
        let encoded = tx.encoded_2718();
        let size = encoded.len();
        let sender = validate(spec, config, minimum_tip, &head, &tx, size, sidecar.as_ref())?;
        let sequence = self.shared.arrivals.fetch_add(1, Ordering::Relaxed);
        let tx = PooledTransaction::new(tx, &encoded, sender, sidecar, spec.is_op(), sequence);
        Ok(CheckedTransaction { entry: Entry::new(tx, U256::ZERO), encoded })
    }

    /// Second part: takes it in, by `state` (that of the head). Returns its hash.
    pub fn insert<S: StateSource>(
        &self,
        mut checked: CheckedTransaction,
        state: S,
    ) -> Result<B256, PoolError> {
        let account = state.account(&checked.entry.tx.sender)?.unwrap_or_default();
        let (rules, known) = {
            let state = self.read();
            (state.head.rules, state.l1_fees.clone())
        };
        blobs::upgrade(&rules, &mut checked.entry, &account)?;
        let l1_fees = match known {
            None if self.shared.spec.is_op() => self.first_l1_fees(&state)?,
            known => known,
        };
        self.admit(&checked, account, l1_fees.as_deref())
    }

    /// The same by what the pool knows of the sender, without reading state; `None` if that is not
    /// enough to take it in.
    ///
    /// Only what was read at this head counts, and of accounts without code, which nobody else
    /// spends from.
    pub fn insert_known(&self, checked: &CheckedTransaction) -> Option<B256> {
        let (account, l1_fees) = {
            let state = self.read();
            (state.account(&checked.entry.tx.sender), state.l1_fees.clone())
        };
        let fees_known = l1_fees.is_some() || !self.shared.spec.is_op();
        let simple = fees_known && checked.entry.tx.sidecar.is_none();
        let account = account.filter(|account| !account.has_code() && simple)?;
        self.admit(checked, account, l1_fees.as_deref()).ok()
    }

    fn admit(
        &self,
        checked: &CheckedTransaction,
        account: Account,
        l1_fees: Option<&L1Fees>,
    ) -> Result<B256, PoolError> {
        let mut entry = checked.entry.clone();
        if let Some(fees) = l1_fees {
            entry.reprice(fees.cost(&checked.encoded, entry.tx.tx.gas_limit()));
        }
        let tx = admit(&mut self.write(), &self.shared.config, entry, account)?;
        self.changed();
        self.announce(std::slice::from_ref(&tx));
        Ok(tx.hash())
    }

    /// The total fee that RPC lets pass, for a transaction that is sent on instead of taken in.
    pub fn check_fee_cap(&self, tx: &Transaction) -> Result<(), PoolError> {
        check_fee_cap(&self.shared.config, tx)
    }

    /// Follows the head: drops included transactions, takes reverted ones back in, re-checks
    /// nonces and balances of touched senders against `state` (that of the new head), demotes and
    /// promotes by the new base fee.
    ///
    /// An account that cannot be read is tried again with the next head.
    pub fn on_canonical<S: StateSource>(&self, update: &CanonicalUpdate, state: S) {
        let Shared { spec, config, .. } = &*self.shared;
        let (touched, known) = {
            let state = self.read();
            let known = Known {
                spec,
                lost_blobs: canonical::lost_blobs(&state, update),
                arrivals: &self.shared.arrivals,
                l1_fees: state.l1_fees.clone(),
                pooled: match spec.is_op() {
                    true => state.transactions().cloned().collect(),
                    false => Vec::new(),
                },
            };
            (canonical::touched(&state, update), known)
        };
        let reading = Reading::new(update, touched, &known, &state);
        let revived = canonical::apply(&mut self.write(), config, update, reading);
        self.changed();
        self.announce(&revived);
    }

    /// Tells the pool the time since some fixed moment; to be called now and then. What has waited
    /// longer than its lifetime leaves; returns how many that were.
    pub fn tick(&self, now: Duration) -> usize {
        let expired = self.write().expire(now, self.shared.config.lifetime);
        if expired > 0 {
            self.changed();
        }
        expired
    }

    /// Executable transactions for a block with this base fee (and blob base fee, wei), as far as
    /// they pay the minimum tip.
    pub fn best(&self, base_fee: u64, blob_base_fee: u128) -> BestTransactions {
        let minimum_tip = self.minimum_tip();
        let state = self.read();
        let senders = state.senders().map(|(address, sender)| {
            let txs = sender.executable(base_fee, blob_base_fee);
            let txs = txs.take_while(|entry| entry.tx.effective_tip(base_fee) >= minimum_tip);
            (*address, txs.map(|entry| Arc::clone(&entry.tx)).collect())
        });
        BestTransactions::new(base_fee, senders)
    }

    /// A transaction by hash.
    pub fn get(&self, hash: &B256) -> Option<Arc<PooledTransaction>> {
        self.read().get(hash).cloned()
    }

    /// Sender of a transaction the pool has (or lately had), so that it need not be recovered again.
    pub fn known_sender(&self, hash: &B256) -> Option<Address> {
        let state = self.read();
        state.get(hash).map(|tx| tx.sender).or_else(|| state.recent.sender(hash))
    }

    /// First nonce of `sender` that neither its account nor its pooled transactions have used,
    /// without a gap; `None` if the pool has none that follows the account's nonce.
    pub fn next_nonce(&self, sender: &Address) -> Option<u64> {
        let state = self.read();
        let sender = state.sender(sender)?;
        Some(sender.first_gap()).filter(|next| *next > sender.account().nonce)
    }

    /// Drops transactions that cannot be executed (found while building). Those that come after
    /// them wait until the gap is filled.
    pub fn remove(&self, hashes: &[B256]) {
        let mut state = self.write();
        let removed = hashes.iter().filter_map(|hash| state.take(hash)).count();
        state.evict(&self.shared.config);
        drop(state);
        if removed > 0 {
            self.changed();
        }
    }

    /// Numbers of transactions.
    pub fn status(&self) -> PoolStatus {
        let state = self.read();
        PoolStatus { pending: state.pending().count, queued: state.queued().count }
    }

    /// All transactions.
    pub fn content(&self) -> PoolContent {
        let mut content = PoolContent::default();
        for (address, sender) in self.read().senders() {
            let (mut pending, mut queued) = (BTreeMap::new(), BTreeMap::new());
            for (nonce, entry) in sender.txs() {
                let place = if *nonce < sender.ready_end() { &mut pending } else { &mut queued };
                place.insert(*nonce, Arc::clone(&entry.tx));
            }
            for (place, txs) in [(&mut content.pending, pending), (&mut content.queued, queued)] {
                if !txs.is_empty() {
                    place.insert(*address, txs);
                }
            }
        }
        content
    }

    /// Sidecar entries for `engine_getBlobs`: for each versioned hash the sidecar that holds it and
    /// the index in it.
    pub fn blobs(&self, versioned_hashes: &[B256]) -> Vec<Option<(Arc<PooledTransaction>, usize)>> {
        let state = self.read();
        let find = |versioned_hash| {
            let (hash, index) = state.blobs.holder(versioned_hash)?;
            Some((Arc::clone(state.get(&hash)?), index))
        };
        versioned_hashes.iter().map(find).collect()
    }

    /// Grows with every change; lets a builder see whether another look pays.
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Calls `listener` with every transaction taken in (for subscriptions and filters), reverted
    /// ones included. The listener must not block. It replaces an earlier one.
    pub fn set_listener(&self, listener: PoolListener) {
        *unpoisoned(self.shared.listener.write()) = Some(Arc::new(listener));
    }

    /// Lowest tip accepted and built with from now on, wei (`miner_setGasPrice`). What offers less
    /// leaves.
    pub fn set_minimum_tip(&self, wei: u128) {
        *unpoisoned(self.shared.minimum_tip.write()) = wei;
        if self.write().drop_below_tip(wei) > 0 {
            self.changed();
        }
    }

    fn minimum_tip(&self) -> u128 {
        *unpoisoned(self.shared.minimum_tip.read())
    }

    /// Reads the L1 fees before the first change of the head tells them.
    fn first_l1_fees<S: StateSource>(&self, source: S) -> Result<Option<Arc<L1Fees>>, SourceError> {
        let timestamp = self.read().head.timestamp;
        let fees = L1Fees::read(&self.shared.spec, timestamp, source)?.map(Arc::new);
        let mut state = self.write();
        if state.l1_fees.is_none() {
            state.l1_fees.clone_from(&fees);
        }
        Ok(fees)
    }

    fn changed(&self) {
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
    }

    fn announce(&self, txs: &[Arc<PooledTransaction>]) {
        let listener = unpoisoned(self.shared.listener.read()).clone();
        if let Some(listener) = listener {
            txs.iter().for_each(|tx| listener(tx));
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        unpoisoned(self.shared.state.read())
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        unpoisoned(self.shared.state.write())
    }
}

/// A thread that panicked with the lock must not take the pool with it: at worst a count is off.
fn unpoisoned<G>(guard: Result<G, PoisonError<G>>) -> G {
    guard.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
