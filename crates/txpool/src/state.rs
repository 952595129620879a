use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry as MapEntry},
    sync::Arc,
    time::Duration,
};

use banyan_executor::L1Fees;
use banyan_primitives::{Account, Address, B256, B256Map, TransactionTrait, U256};

use crate::{
    PoolConfig, PooledTransaction,
    blobs::BlobIndex,
    entry::Entry,
    recent::Recent,
    sender::{Sender, Share, Tail},
    validate::Head,
};

/// Everything behind the pool's lock.
///
/// Each transaction lies in exactly one [`Sender`]; all other maps are indexes over that, kept by
/// [`State::put`], [`State::take`] and [`State::set_account`] alone.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) head: Head,
    /// Heads so far, the first included.
    pub(crate) heads: u64,
    /// Fees of the head's L1 attributes; `None` on Ethereum chains, and until they are first read.
    pub(crate) l1_fees: Option<Arc<L1Fees>>,
    senders: HashMap<Address, Sender>,
    by_hash: B256Map<Arc<PooledTransaction>>,
    pending: Subpool,
    queued: Subpool,
    pub(crate) blobs: BlobIndex,
    /// How many pooled transactions delegate an account (EIP-7702).
    authorities: HashMap<Address, usize>,
    pub(crate) recent: Recent,
    /// Accounts that the last change of the head touched. State read before it may be older.
    pub(crate) touched: HashMap<Address, Account>,
    /// Senders to look at again with the next head: unread, or short of funds.
    pub(crate) recheck: HashSet<Address>,
}

/// Totals of the pending or the queued transactions.
#[derive(Debug, Default)]
pub(crate) struct Subpool {
    pub(crate) count: usize,
    pub(crate) bytes: usize,
    /// The last transaction of each sender, worst first.
    tails: BTreeSet<Tail>,
}

impl Subpool {
    fn add(&mut self, share: Share) {
        self.count += share.count;
        self.bytes += share.bytes;
        self.tails.extend(share.tail);
    }

    fn subtract(&mut self, share: Share) {
        self.count = self.count.saturating_sub(share.count);
        self.bytes = self.bytes.saturating_sub(share.bytes);
        if let Some(tail) = share.tail {
            self.tails.remove(&tail);
        }
    }

    fn is_over(&self, count: usize, bytes: usize) -> bool {
        self.count > count || self.bytes > bytes
    }

    fn worst(&self) -> Option<(Address, u64)> {
        self.tails.first().map(|(_, _, sender, nonce)| (*sender, *nonce))
    }
}

impl State {
    pub(crate) fn new(head: Head) -> Self {
        Self {
            head,
            heads: 1,
            l1_fees: None,
            senders: HashMap::new(),
            by_hash: B256Map::default(),
            pending: Subpool::default(),
            queued: Subpool::default(),
            blobs: BlobIndex::default(),
            authorities: HashMap::new(),
            recent: Recent::new(),
            touched: HashMap::new(),
            recheck: HashSet::new(),
        }
    }

    pub(crate) fn get(&self, hash: &B256) -> Option<&Arc<PooledTransaction>> {
        self.by_hash.get(hash)
    }

    pub(crate) fn transactions(&self) -> impl Iterator<Item = &Arc<PooledTransaction>> {
        self.by_hash.values()
    }

    pub(crate) fn sender(&self, address: &Address) -> Option<&Sender> {
        self.senders.get(address)
    }

    pub(crate) fn senders(&self) -> impl Iterator<Item = (&Address, &Sender)> {
        self.senders.iter()
    }

    pub(crate) fn pending(&self) -> &Subpool {
        &self.pending
    }

    pub(crate) fn queued(&self) -> &Subpool {
        &self.queued
    }

    /// True if a pooled transaction would delegate the account.
    pub(crate) fn is_authority(&self, address: &Address) -> bool {
        self.authorities.contains_key(address)
    }

    /// Puts a transaction in, without any check; returns the one it replaces. `account` is that of
    /// the sender, for a sender without transactions.
    pub(crate) fn put(&mut self, entry: Entry, account: Account) -> Option<Entry> {
        let base_fee = self.head.base_fee;
        self.blobs.insert(&entry.tx);
        self.by_hash.insert(entry.tx.hash(), Arc::clone(&entry.tx));
        for authority in &entry.authorities {
            *self.authorities.entry(*authority).or_default() += 1;
        }
        let address = entry.tx.sender;
        let old = self.edit(address, account, |sender| sender.insert(entry, base_fee));
        self.forget(old.as_ref());
        old
    }

    /// Takes a transaction out; also returns its sender's account.
    pub(crate) fn take(&mut self, hash: &B256) -> Option<(Entry, Account)> {
        let (address, nonce) = self.by_hash.get(hash).map(|tx| (tx.sender, tx.nonce()))?;
        self.take_at(address, nonce)
    }

    fn take_at(&mut self, address: Address, nonce: u64) -> Option<(Entry, Account)> {
        let account = *self.senders.get(&address)?.account();
        let entry = self.edit(address, account, |sender| sender.remove(nonce))?;
        self.forget(Some(&entry));
        Some((entry, account))
    }

    /// Takes a sender's new nonce and balance, and drops what they make impossible.
    pub(crate) fn set_account(&mut self, address: Address, account: Account) {
        let base_fee = self.head.base_fee;
        if self.senders.get(&address).is_none_or(|known| *known.account() == account) {
            return;
        }
        let dead = self.edit(address, account, |sender| sender.set_account(account, base_fee));
        for entry in dead {
            self.forget(Some(&entry));
        }
    }

    /// The account of `address`, if it was read at this head.
    pub(crate) fn account(&self, address: &Address) -> Option<Account> {
        let pooled = || {
            let sender = self.senders.get(address)?;
            (sender.read_at == self.heads).then(|| sender.account())
        };
        self.touched.get(address).or_else(pooled).copied()
    }

    /// Notes that the account which a sender has was read at this head.
    pub(crate) fn note_read(&mut self, address: &Address) {
        if let Some(sender) = self.senders.get_mut(address) {
            sender.read_at = self.heads;
        }
    }

    /// Takes a new head; demotes and promotes by its base fee.
    pub(crate) fn set_head(&mut self, head: Head) {
        let moved = self.head.base_fee != head.base_fee;
        self.heads += 1;
        self.head = head;
        if !moved {
            return;
        }
        (self.pending, self.queued) = Default::default();
        for sender in self.senders.values_mut() {
            sender.refresh(head.base_fee);
            self.pending.add(sender.pending(head.base_fee));
            self.queued.add(sender.queued(head.base_fee));
        }
    }

    /// Takes other L1 fees, and drops what cannot be paid under them. `costs` holds what they come
    /// to, as far as that was computed beforehand.
    pub(crate) fn set_l1_fees(&mut self, fees: Arc<L1Fees>, costs: &B256Map<U256>) {
        let base_fee = self.head.base_fee;
        let cost = |tx: &PooledTransaction| {
            costs.get(&tx.hash()).copied().unwrap_or_else(|| tx.l1_cost(&fees))
        };
        let senders: Vec<_> =
            self.senders.iter().map(|(address, sender)| (*address, *sender.account())).collect();
        for (address, account) in senders {
            let dead = self.edit(address, account, |sender| sender.reprice(cost, base_fee));
            for entry in dead {
                self.forget(Some(&entry));
            }
        }
        self.l1_fees = Some(fees);
    }

    /// Drops what has waited for `lifetime`; returns how many.
    pub(crate) fn expire(&mut self, now: Duration, lifetime: Duration) -> usize {
        let mut expired = Vec::new();
        for (address, sender) in &mut self.senders {
            let nonces = sender.expired(now, lifetime);
            expired.extend(nonces.into_iter().map(|nonce| (*address, nonce)));
        }
        for (address, nonce) in &expired {
            self.take_at(*address, *nonce);
        }
        expired.len()
    }

    /// Drops all that offer less than this tip (wei); returns how many.
    pub(crate) fn drop_below_tip(&mut self, tip: u128) -> usize {
        let below = self.by_hash.values().filter(|tx| tx.tx.priority_fee_or_price() < tip);
        let below: Vec<_> = below.map(|tx| tx.hash()).collect();
        below.iter().filter_map(|hash| self.take(hash)).count()
    }

    /// Evicts the worst transactions until the limits hold: queued ones from the queued, pending
    /// ones from the pending, each time the last one of some sender. Returns them with their senders' accounts.
    pub(crate) fn evict(&mut self, config: &PoolConfig) -> Vec<(Entry, Account)> {
        let mut evicted = Vec::new();
        while let Some((sender, nonce)) = self.surplus(config) {
            let Some(entry) = self.take_at(sender, nonce) else { break };
            evicted.push(entry);
        }
        evicted
    }

    fn surplus(&self, config: &PoolConfig) -> Option<(Address, u64)> {
        if self.queued.is_over(config.queued_max_count, config.queued_max_bytes) {
            return self.queued.worst();
        }
        if self.pending.is_over(config.pending_max_count, config.pending_max_bytes) {
            return self.pending.worst();
        }
        if self.blobs.bytes() > config.sidecar_max_bytes {
            return self.worst_blob_transaction();
        }
        None
    }

    /// The worst of the last blob transactions of each sender: what follows one could not be
    /// included without it. Few fit into the limit, so a scan will do.
    fn worst_blob_transaction(&self) -> Option<(Address, u64)> {
        let base_fee = self.head.base_fee;
        let all = self.blobs.transactions().filter_map(|hash| self.by_hash.get(hash));
        let mut last: HashMap<Address, &Arc<PooledTransaction>> = HashMap::new();
        for tx in all {
            let place = last.entry(tx.sender).or_insert(tx);
            if tx.nonce() > place.nonce() {
                *place = tx;
            }
        }
        let worst = last
            .into_values()
            .min_by_key(|tx| (tx.effective_tip(base_fee), std::cmp::Reverse(tx.sequence)))?;
        Some((worst.sender, worst.nonce()))
    }

    /// Changes one sender and keeps the totals true.
    fn edit<R>(
        &mut self,
        address: Address,
        account: Account,
        change: impl FnOnce(&mut Sender) -> R,
    ) -> R {
        let base_fee = self.head.base_fee;
        let mut place = match self.senders.entry(address) {
            MapEntry::Occupied(place) => place,
            MapEntry::Vacant(place) => place.insert_entry(Sender::new(account)),
        };
        let sender = place.get_mut();
        self.pending.subtract(sender.pending(base_fee));
        self.queued.subtract(sender.queued(base_fee));
        let result = change(sender);
        self.pending.add(sender.pending(base_fee));
        self.queued.add(sender.queued(base_fee));
        if sender.txs().is_empty() {
            place.remove();
        }
        result
    }

    /// Takes a transaction that left its sender out of the indexes.
    fn forget(&mut self, gone: Option<&Entry>) {
        let Some(entry) = gone else { return };
        self.recent.left(&entry.tx);
        self.by_hash.remove(&entry.tx.hash());
        self.blobs.remove(&entry.tx);
        for authority in &entry.authorities {
            let Some(count) = self.authorities.get_mut(authority) else { continue };
            *count -= 1;
            if *count == 0 {
                self.authorities.remove(authority);
            }
        }
    }
}
