//! Running ahead: worker threads execute transactions before their turn, on the state that these
//! will probably find (Block-STM's multi-version memory), and leave the results for the committer.
//!
//! A result counts only if every value it was made from equals the committed one at its turn
//! ([`crate::state::BlockState::holds`]). So whatever goes wrong here (order, timing, a lost worker,
//! a bad guess) costs time and nothing else.

mod linker;
mod listed;
mod schedule;
mod snapshot;
mod targets;
mod versions;
mod worker;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard,
        atomic::{self, AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use banyan_chainspec::{ChainSpec, Rules};
use banyan_primitives::{
    Address, AddressSet, B256, B256Map, Bytes, RecoveredBlock, StateDiff, Transaction,
    TransactionTrait, U256,
};
use op_revm::L1BlockInfo;

use self::{
    linker::Linker,
    schedule::{Taken, Ticket},
    targets::{Order, Target},
    versions::{AccountVersion, Versions},
};
use crate::{BlockContext, codes::CodeCache, l1_cost::Envelope};

pub(crate) use self::{
    snapshot::Snapshot,
    targets::Targets,
    versions::Certainty,
    worker::{Ahead, Scout, run},
};

/// How far ahead of the committer workers look for something to do, transactions.
const WINDOW: usize = 512;
/// And so far for results that may have become stale.
const RECHECKED: usize = 64;

/// Who finds nothing to do looks out for so long before it goes to sleep: some microseconds.
const SPINS: u32 = 128;
/// First sleep.
const NAP: Duration = Duration::from_micros(20);
/// So many naps without a sign of life from a worker, and the committer takes its transaction: some
/// milliseconds, more than most precompiles need.
const PATIENCE: u32 = 40;

/// Who should execute a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// The committer, without the EVM.
    Cheap,
    /// The committer, since it takes no longer than to hand a result over.
    Light,
    /// A worker, if one is free.
    Job,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here is left half-done by a panic that would matter.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A transaction of the block.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) tx: Transaction,
    pub(crate) sender: Address,
    ticket: Ticket,
    /// For workers; the others are the committer's alone.
    is_job: bool,
    target: Option<Arc<Target>>,
    /// The last transaction before that has to do with the sender.
    after_sender: Option<u32>,
    /// The last transaction before that calls the same contract.
    after_target: Option<u32>,
    /// The last of those that names an account which this one names, too.
    after_name: Option<u32>,
    /// Order of the transaction that must be executed first; 0 if none is known.
    blocked_by: AtomicU32,
    envelope: OnceLock<Envelope>,
    result: Mutex<Option<Box<Ahead>>>,
}

impl Entry {
    fn result(&self) -> MutexGuard<'_, Option<Box<Ahead>>> {
        lock(&self.result)
    }

    /// The transaction as an OP chain charges for it, worked out once.
    pub(crate) fn envelope(&self) -> &Envelope {
        self.envelope.get_or_init(|| Envelope::new(&self.tx))
    }
}

/// What a worker claimed.
struct Job {
    index: u32,
    entry: Arc<Entry>,
    /// Number of stale results known when it was claimed.
    events: u32,
}

impl Job {
    /// The transaction's place among the versions; 0 is the state before the first one.
    fn order(&self) -> u32 {
        self.index + 1
    }
}

/// One block's transactions as workers and committer share them.
pub(crate) struct RunAhead<'a, S> {
    spec: &'a ChainSpec,
    rules: Rules,
    context: BlockContext,
    source: S,
    /// By place in the block; `None` for what is the committer's alone and was not to be linked.
    entries: RwLock<Vec<Option<Arc<Entry>>>>,
    /// The accounts that jobs will read for sure, if all transactions are known.
    watched: OnceLock<AddressSet>,
    linker: Mutex<Linker>,
    versions: Versions,
    /// Created in this block.
    codes: RwLock<B256Map<Bytes>>,
    /// Known from other blocks.
    known_codes: Arc<CodeCache>,
    l1_info: OnceLock<L1BlockInfo>,
    /// Index of the committer's transaction.
    position: AtomicU32,
    /// Stale results so far: each may have made others stale.
    events: AtomicU32,
    /// The last of them after which the results near the committer were looked at again.
    rechecked: AtomicU32,
    /// What comes before was claimed: nobody looks there for work.
    frontier: AtomicU32,
    attempts: AtomicU64,
    open: AtomicBool,
    /// What every transaction writes is known.
    is_listed: AtomicBool,
    stopped: AtomicBool,
    workers: Mutex<Vec<std::thread::Thread>>,
    committer: std::thread::Thread,
    /// Order of the transaction that the committer waits for; 0 if it does not.
    awaited: AtomicU32,
    targets: &'a Targets,
    perturb: Option<AtomicU64>,
}

impl<'a, S> RunAhead<'a, S> {
    pub(crate) fn new(
        spec: &'a ChainSpec,
        context: BlockContext,
        source: S,
        (targets, known_codes): (&'a Targets, Arc<CodeCache>),
        perturb: Option<u64>,
    ) -> Self {
        Self {
            spec,
            rules: context.rules(spec),
            context,
            source,
            entries: RwLock::default(),
            watched: OnceLock::new(),
            linker: Mutex::default(),
            versions: Versions::new(),
            codes: RwLock::default(),
            known_codes,
            l1_info: OnceLock::new(),
            position: AtomicU32::new(0),
            events: AtomicU32::new(0),
            rechecked: AtomicU32::new(0),
            frontier: AtomicU32::new(0),
            attempts: AtomicU64::new(0),
            open: AtomicBool::new(false),
            is_listed: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            workers: Mutex::default(),
            committer: std::thread::current(),
            awaited: AtomicU32::new(0),
            targets,
            perturb: perturb.map(|seed| AtomicU64::new(seed | 1)),
        }
    }

    fn entries(&self) -> RwLockReadGuard<'_, Vec<Option<Arc<Entry>>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_op(&self) -> bool {
        self.rules.op.is_some()
    }

    /// Names all transactions of a block, with who should execute each.
    pub(crate) fn offer_block(&self, block: &RecoveredBlock, works: &[Work]) {
        let mut linker = lock(&self.linker);
        let mut watched = AddressSet::default();
        let jobs = block.transactions().zip(works).filter(|(_, work)| **work == Work::Job);
        for ((tx, sender), _) in jobs {
            watched.extend([Some(sender), tx.to()].into_iter().flatten());
        }
        let entries = block.transactions().zip(works).enumerate();
        let entries = entries.map(|(index, ((tx, sender), work))| {
            let index = index as u32;
            if *work == Work::Job {
                let entry = linker.link(tx.clone(), sender, index, *work, self.targets);
                return Some(Arc::new(entry));
            }
            linker.pass(tx, sender, index, &watched);
            None
        });
        let entries = entries.collect();
        *self.entries.write().unwrap_or_else(PoisonError::into_inner) = entries;
        let _ = self.watched.set(watched);
        self.wake();
    }

    /// True if workers want to know what becomes of the account.
    fn is_watched(&self, address: &Address) -> bool {
        self.watched.get().is_none_or(|watched| watched.contains(address))
    }

    /// Adds transactions with their senders in their probable order.
    pub(crate) fn offer(&self, candidates: impl Iterator<Item = (Transaction, Address, Work)>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let mut linker = lock(&self.linker);
        for (tx, sender, work) in candidates {
            let index = entries.len() as u32;
            let entry = linker.link(tx, sender, index, work, self.targets);
            entries.push(Some(Arc::new(entry)));
        }
        drop(entries);
        self.wake();
    }

    /// Lets the workers begin. `before` is what the block changed so far, `info` the L1 attributes
    /// that hold for the rest of it.
    pub(crate) fn open(&self, before: &StateDiff, info: Option<&L1BlockInfo>) {
        for (address, account) in &before.accounts {
            let version = AccountVersion { account: account.after, wiped: account.wiped };
            self.versions.write_account(*address, 0, version, Certainty::Final);
            for (slot, (_, value)) in &account.storage {
                self.versions.write_slot(*address, *slot, 0, *value, Certainty::Final);
            }
        }
        let mut codes = self.codes.write().unwrap_or_else(PoisonError::into_inner);
        codes.extend(before.codes.iter().map(|(hash, code)| (*hash, code.clone())));
        drop(codes);
        if let Some(info) = info {
            let _ = self.l1_info.set(info.clone());
        }
        self.open.store(true, Ordering::Release);
        self.wake();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub(crate) fn l1_info(&self) -> Option<&L1BlockInfo> {
        self.l1_info.get()
    }

    /// Sends the workers home.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        // Whatever is still running is of no use.
        for entry in self.entries().iter().flatten() {
            entry.ticket.close();
        }
        self.wake();
    }

    /// Changes whenever a worker that found nothing to do may find something.
    fn progress(&self) -> (u32, u32) {
        (self.position.load(Ordering::Acquire), self.events.load(Ordering::Acquire))
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn register(&self) {
        lock(&self.workers).push(std::thread::current());
    }

    fn wake(&self) {
        for worker in lock(&self.workers).iter() {
            worker.unpark();
        }
    }

    fn wait_until_open(&self) {
        while !self.is_open() && !self.is_stopped() {
            std::thread::park_timeout(std::time::Duration::from_millis(1));
        }
    }

    fn count_attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// Executions by workers so far.
    pub(crate) fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Code created in this block.
    fn new_code(&self, hash: &B256) -> Option<Bytes> {
        self.codes.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    fn publish_code(&self, account: &revm::state::Account) {
        if account.info.code_hash == account.original_info.code_hash {
            return;
        }
        if let Some(code) = &account.info.code {
            let mut codes = self.codes.write().unwrap_or_else(PoisonError::into_inner);
            codes.insert(account.info.code_hash, code.original_bytes());
        }
    }

    /// The next thing worth doing: the transaction nearest to the committer that can be executed, or
    /// a result that may have become stale.
    fn next(&self) -> Option<Job> {
        self.pause();
        let entries = self.entries();
        let events = self.events.load(Ordering::Acquire);
        let position = self.position.load(Ordering::Acquire);
        if events > self.rechecked.load(Ordering::Acquire) {
            if let Some(job) = recheck(&entries, position, events) {
                return Some(job);
            }
            self.rechecked.fetch_max(events, Ordering::AcqRel);
        }
        // The transaction at the committer's own position is its next, or under its hands.
        let first = position + u32::from(!self.any());
        let from = self.frontier.load(Ordering::Acquire).max(first);
        let mut all_claimed = true;
        let rest = entries.iter().enumerate().skip(from as usize).take(WINDOW);
        for (index, entry) in rest {
            let index = index as u32;
            let waiting = entry.as_ref().filter(|it| it.is_job && it.ticket.is_waiting());
            if let Some(entry) = waiting {
                if self.is_ready(&entries, position, entry) && entry.ticket.claim() {
                    return Some(Job { index, entry: entry.clone(), events });
                }
                all_claimed = false;
            } else if all_claimed {
                self.frontier.fetch_max(index + 1, Ordering::AcqRel);
            }
        }
        None
    }

    /// Gives a transaction back until the one at `order` is executed; false if the committer has it
    /// by now.
    fn postpone(&self, job: &Job, order: u32) -> bool {
        job.entry.blocked_by.store(order, Ordering::Release);
        let released = job.entry.ticket.release();
        self.frontier.fetch_min(job.index, Ordering::AcqRel);
        released
    }

    /// True if what the transaction depends on, as far as anybody knows, was executed.
    fn is_ready(&self, entries: &[Option<Arc<Entry>>], position: u32, entry: &Entry) -> bool {
        if self.is_listed.load(Ordering::Acquire) {
            return true;
        }
        let settled = |index: u32| match entries.get(index as usize) {
            Some(Some(other)) => other.ticket.is_settled(),
            _ => index < position,
        };
        let blocked_by = entry.blocked_by.load(Ordering::Acquire);
        let order = entry.target.as_ref().map_or(Order::Any, |target| target.order());
        let after_target = match order {
            Order::Any => None,
            Order::ByName => entry.after_name,
            Order::Strict => entry.after_target,
        };
        entry.after_sender.is_none_or(settled)
            && (blocked_by == 0 || settled(blocked_by - 1))
            && after_target.is_none_or(settled)
    }

    /// The index of a transaction that was offered, the first from the committer's position on.
    pub(crate) fn find(&self, tx: &Transaction, sender: Address) -> Option<u32> {
        let position = self.position.load(Ordering::Relaxed);
        let entries = self.entries();
        let rest = entries.get(position as usize..)?;
        let is_it = |entry: &Entry| entry.sender == sender && entry.tx.hash() == tx.hash();
        let found = rest.iter().position(|entry| entry.as_deref().is_some_and(is_it))?;
        Some(position + found as u32)
    }

    pub(crate) fn entry(&self, index: u32) -> Option<Arc<Entry>> {
        self.entries().get(index as usize).cloned().flatten()
    }

    /// The committer's turn at the transaction at `index`, whose entry this is. Gives the result of a
    /// worker, if there is one. While a worker is at it and there is something else to do, `help` does
    /// that.
    pub(crate) fn take(
        &self,
        index: u32,
        entry: &Entry,
        mut help: impl FnMut() -> bool,
    ) -> Option<Box<Ahead>> {
        while entry.ticket.is_running() {
            if !help() {
                self.outwait(index, &entry.ticket);
                break;
            }
        }
        self.pause();
        match entry.ticket.take() {
            Taken::Done => entry.result().take(),
            Taken::Waiting | Taken::Overtaken => None,
        }
    }

    /// Gives the worker that is at the transaction at `index` the time to end, as long as it gets
    /// on: to begin anew would take longer, and both cores.
    fn outwait(&self, index: u32, ticket: &Ticket) {
        if (0..SPINS).any(|_| {
            std::hint::spin_loop();
            !ticket.is_running()
        }) {
            return;
        }
        self.awaited.store(index + 1, Ordering::SeqCst);
        let (mut pulse, mut naps) = (ticket.pulse(), 0);
        while ticket.is_running() && naps < PATIENCE {
            std::thread::park_timeout(NAP);
            naps += 1;
            if ticket.pulse() != pulse {
                (pulse, naps) = (ticket.pulse(), 0);
            }
        }
        self.awaited.store(0, Ordering::Relaxed);
    }

    /// A worker has left a result for the transaction at `index`.
    fn announce(&self, index: u32) {
        if self.awaited.load(Ordering::SeqCst) == index + 1 {
            self.committer.unpark();
        }
    }

    /// The committer is at the transaction at `index`. Those before it that never had their turn are
    /// closed.
    pub(crate) fn reach(&self, index: u32) {
        let position = self.position.load(Ordering::Relaxed);
        self.position.store(index, Ordering::Release);
        for skipped in position..index {
            let Some(entry) = self.entry(skipped) else { continue };
            if entry.ticket.take() == Taken::Done
                && let Some(result) = entry.result().take()
            {
                self.retract(skipped, &result);
            }
            entry.ticket.close();
        }
    }

    /// Takes back what a result wrote that does not count.
    fn retract(&self, index: u32, result: &Ahead) {
        for key in worker::written(&result.attempt.changes) {
            self.versions.retract(&key, index + 1);
        }
    }

    /// The committer says whether the result of a worker holds.
    pub(crate) fn judge(&self, index: u32, entry: &Entry, result: &Ahead, holds: bool) {
        if !holds {
            self.retract(index, result);
            self.events.fetch_add(1, Ordering::AcqRel);
        }
        if let Some(target) = &entry.target {
            target.count(holds);
        }
    }

    /// The committer is done with the transaction at `index`.
    pub(crate) fn close(&self, index: u32, entry: Option<&Entry>) {
        if let Some(entry) = entry {
            entry.ticket.close();
        }
        self.position.store(index + 1, Ordering::Release);
    }

    /// Notes an account that the committer changed without the EVM.
    pub(crate) fn publish_account(
        &self,
        index: u32,
        address: Address,
        account: Option<banyan_primitives::Account>,
    ) {
        if !self.is_watched(&address) {
            return;
        }
        let version = AccountVersion { account, wiped: false };
        self.versions.write_account(address, index + 1, version, Certainty::Final);
    }

    /// Notes a slot that the committer changed without the EVM.
    pub(crate) fn publish_slot(&self, index: u32, address: Address, slot: U256, value: U256) {
        self.versions.write_slot(address, slot, index + 1, value, Certainty::Final);
    }

    /// For tests: disturbs the schedule.
    fn pause(&self) {
        let Some(random) = self.random() else { return };
        if random % 4 == 0 {
            std::thread::yield_now();
        }
        for _ in 0..random % 1024 {
            std::hint::spin_loop();
        }
    }

    /// For tests: true now and then, to let workers begin what they had better not.
    fn any(&self) -> bool {
        self.random().is_some_and(|random| random % 3 == 0)
    }

    fn random(&self) -> Option<u64> {
        let state = self.perturb.as_ref()?;
        let mut next = state.load(Ordering::Relaxed);
        // xorshift64; that threads tread on each other only adds to the disorder.
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        state.store(next, Ordering::Relaxed);
        Some(next >> 16)
    }
}

/// Claims a result that was not looked at since event number `events`.
fn recheck(entries: &[Option<Arc<Entry>>], position: u32, events: u32) -> Option<Job> {
    let near = entries.iter().enumerate().skip(position as usize + 1).take(RECHECKED);
    for (index, entry) in near {
        let Some(entry) = entry else { continue };
        if entry.ticket.reclaim(events) {
            return Some(Job { index: index as u32, entry: entry.clone(), events });
        }
    }
    None
}
