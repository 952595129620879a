use std::{panic::AssertUnwindSafe, time::Duration};

use banyan_primitives::{SourceError, StateSource};
use revm::state::EvmState;

use super::{
    Job, NAP, RunAhead, SPINS,
    snapshot::Snapshot,
    versions::{AccountVersion, Certainty, Key},
};
use crate::{
    evm::{Attempt, Fees, Machine},
    state::{BlockState, after, before},
};

/// Longest sleep of a worker that found nothing to do.
const LONGEST_NAP: Duration = Duration::from_micros(250);

/// Accounts that a transaction touches, most often no more.
const ROOM: usize = 7;

/// What a worker found out about a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Ahead {
    pub(crate) attempt: Attempt,
    /// Some of what was read is not the parent's.
    pub(crate) saw_versions: bool,
}

/// A thread that executes transactions ahead of their turn. The committer has one, too, for when
/// its next transaction is under way elsewhere.
pub(crate) struct Scout<'a, S: StateSource> {
    ahead: &'a RunAhead<'a, S>,
    machine: Machine<'a, Snapshot<'a, S>>,
}

impl<'a, S: StateSource> Scout<'a, S> {
    fn new(ahead: &'a RunAhead<'a, S>) -> Self {
        let snapshot = Snapshot::new(ahead);
        let state = BlockState::transparent(snapshot);
        let mut machine = Machine::new(ahead.spec, &ahead.rules, &ahead.context, state);
        machine.state_mut().share_codes(ahead.known_codes.clone());
        machine.stop_when_overtaken();
        Self { ahead, machine }
    }

    /// One for the committer itself.
    pub(crate) fn helper(ahead: &'a RunAhead<'a, S>) -> Self {
        let mut scout = Self::new(ahead);
        scout.begin();
        scout
    }

    /// Once the workers may begin.
    fn begin(&mut self) {
        if let Some(info) = self.ahead.l1_info() {
            self.machine.set_l1_info(info);
        }
    }

    /// Executes one transaction ahead of its turn, or looks whether a result still holds; false if
    /// there is nothing worth it.
    pub(crate) fn step(&mut self) -> bool {
        let Some(job) = self.ahead.next() else { return false };
        let old = job.entry.result().take();
        if let Some(old) = old {
            let doubtful = written(&old.attempt.changes);
            if matches!(self.still_holds(&job, &old), Ok(true)) {
                *job.entry.result() = Some(old);
                if !job.entry.ticket.finish(job.events) {
                    self.retract(&job, &doubtful);
                }
                self.ahead.announce(job.index);
                return true;
            }
            for key in &doubtful {
                self.ahead.versions.doubt(key, job.order());
            }
            self.attempt(&job, &doubtful);
        } else {
            self.attempt(&job, &[]);
        }
        true
    }

    fn retract(&self, job: &Job, keys: &[Key]) {
        for key in keys {
            self.ahead.versions.retract(key, job.order());
        }
    }

    /// Executes the transaction of `job`; `doubtful` is what its last execution wrote.
    fn attempt(&mut self, job: &Job, doubtful: &[Key]) {
        let (entry, order, versions) = (&job.entry, job.order(), &self.ahead.versions);
        self.machine.state_mut().hidden_read = false;
        self.machine.state_mut().source().begin(order, entry.clone());
        let envelope = self.ahead.is_op().then(|| entry.envelope());
        let result = self.machine.attempt(&entry.tx, entry.sender, envelope, Fees::Counted);
        let result = result.ok().filter(|_| !self.machine.state_mut().hidden_read);
        self.ahead.count_attempt();
        let snapshot = self.machine.state_mut().source();
        let (saw_versions, blocked) = (snapshot.saw_versions(), snapshot.blocked());
        self.machine.give_table(EvmState::with_capacity_and_hasher(ROOM, Default::default()));
        let found = result.map(|attempt| {
            self.ahead.publish(job.index, &attempt.changes, Certainty::Guess);
            Box::new(Ahead { attempt, saw_versions })
        });
        if !doubtful.is_empty() {
            let keys = found.as_ref().map_or_else(Vec::new, |it| written(&it.attempt.changes));
            for key in doubtful.iter().filter(|key| !keys.contains(key)) {
                versions.retract(key, order);
            }
        }
        let failed = found.is_none();
        *entry.result() = found;
        self.ahead.pause();
        let in_time = match blocked {
            Some(writer) if failed => self.ahead.postpone(job, writer),
            _ => entry.ticket.finish(job.events),
        };
        if !in_time && let Some(late) = entry.result().take() {
            self.retract(job, &written(&late.attempt.changes));
        }
        self.ahead.announce(job.index);
    }

    /// Compares what a result was made from with what is known now.
    fn still_holds(&mut self, job: &Job, result: &Ahead) -> Result<bool, SourceError> {
        let snapshot = self.machine.state_mut().source();
        snapshot.begin(job.order(), job.entry.clone());
        for (address, account) in &result.attempt.changes {
            if snapshot.account(address)? != before(account) {
                return Ok(false);
            }
            if account.is_created() {
                continue;
            }
            for (slot, value) in &account.storage {
                if snapshot.storage(address, *slot)? != value.original_value {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// What a worker thread does for one block.
pub(crate) fn run<S: StateSource>(ahead: &RunAhead<'_, S>) {
    // A panic costs this block a worker; what it had in hand, the committer takes over.
    let _ = std::panic::catch_unwind(AssertUnwindSafe(|| {
        ahead.register();
        let mut scout = Scout::new(ahead);
        ahead.wait_until_open();
        scout.begin();
        let mut nap = NAP;
        while !ahead.is_stopped() {
            let seen = ahead.progress();
            if scout.step() {
                nap = NAP;
            } else if !spin(|| ahead.progress() != seen) {
                std::thread::park_timeout(nap);
                nap = (2 * nap).min(LONGEST_NAP);
            }
        }
    }));
}

/// Looks out for something new for some microseconds; true if it came.
fn spin(news: impl Fn() -> bool) -> bool {
    (0..SPINS).any(|_| {
        std::hint::spin_loop();
        news()
    })
}

/// The keys that an execution wrote.
pub(super) fn written(changes: &EvmState) -> Vec<Key> {
    let mut keys = Vec::new();
    for (address, account) in changes.iter().filter(|(_, account)| account.is_touched()) {
        if after(account) != (before(account), false) {
            keys.push(Key::Account(*address));
        }
        let slots = account.storage.iter().filter(|(_, slot)| slot.is_changed());
        keys.extend(slots.map(|(slot, _)| Key::Slot(*address, *slot)));
    }
    keys
}

impl<S: StateSource> RunAhead<'_, S> {
    /// Notes what the transaction at `index` wrote.
    pub(crate) fn publish(&self, index: u32, changes: &EvmState, certainty: Certainty) {
        let order = index + 1;
        for (address, account) in changes.iter().filter(|(_, account)| account.is_touched()) {
            let (now, wiped) = after(account);
            if (now, wiped) != (before(account), false) {
                self.publish_code(account);
                let version = AccountVersion { account: now, wiped };
                self.versions.write_account(*address, order, version, certainty);
            }
            for (slot, value) in account.storage.iter().filter(|(_, slot)| slot.is_changed()) {
                let value = value.present_value;
                self.versions.write_slot(*address, *slot, order, value, certainty);
            }
        }
    }
}
