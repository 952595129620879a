//! Which transaction a worker takes next, and who owns it.
//!
//! Every transaction of the block has a state. A worker moves it from waiting over running to done;
//! the committer takes it at its turn, whatever its state is, and closes it. Nobody waits for
//! anybody: a worker that was overtaken finds its transaction taken and drops what it has.

// From above, so that a test can put the model checker's in their place.
use super::atomic::{AtomicU8, AtomicU32, Ordering};

/// State of a transaction.
const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const DONE: u8 = 2;
/// The committer is at it.
const TAKEN: u8 = 3;
const CLOSED: u8 = 4;

/// The place of one transaction in the schedule.
#[derive(Debug)]
pub(crate) struct Ticket {
    state: AtomicU8,
    /// When its result was last compared with what is known.
    checked: AtomicU32,
    /// Counts up while a worker gets on with it.
    pulse: AtomicU32,
}

/// What the committer found at its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Nobody has begun.
    Waiting,
    /// A worker is at it, and now works in vain.
    Overtaken,
    /// There is a result.
    Done,
}

impl Ticket {
    pub(crate) fn new() -> Self {
        let (state, checked) = (AtomicU8::new(WAITING), AtomicU32::new(0));
        Self { state, checked, pulse: AtomicU32::new(0) }
    }

    fn pass(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// A worker claims a transaction that waits.
    pub(crate) fn claim(&self) -> bool {
        self.pass(WAITING, RUNNING)
    }

    /// A worker claims a result that was not looked at since event number `now`.
    pub(crate) fn reclaim(&self, now: u32) -> bool {
        self.is_done() && self.checked.load(Ordering::Acquire) < now && self.pass(DONE, RUNNING)
    }

    /// A worker leaves its result; false if the committer was faster.
    pub(crate) fn finish(&self, now: u32) -> bool {
        self.checked.store(now, Ordering::Release);
        self.pass(RUNNING, DONE)
    }

    /// A worker gives a transaction back that it could not execute yet.
    pub(crate) fn release(&self) -> bool {
        self.pass(RUNNING, WAITING)
    }

    /// The committer's turn.
    pub(crate) fn take(&self) -> Taken {
        match self.state.swap(TAKEN, Ordering::AcqRel) {
            DONE => Taken::Done,
            RUNNING => Taken::Overtaken,
            _ => Taken::Waiting,
        }
    }

    /// The transaction is committed, or left out.
    pub(crate) fn close(&self) {
        self.state.store(CLOSED, Ordering::Release);
    }

    /// The worker that owns it gets on.
    pub(crate) fn beat(&self) {
        // Nobody else writes it.
        self.pulse.store(self.pulse().wrapping_add(1), Ordering::Relaxed);
    }

    /// Changes as long as the worker that owns it gets on, except within a precompile.
    pub(crate) fn pulse(&self) -> u32 {
        self.pulse.load(Ordering::Relaxed)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.state.load(Ordering::Acquire) == WAITING
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state.load(Ordering::Acquire) == RUNNING
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) == DONE
    }

    /// What it writes is known, for now or for good.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state.load(Ordering::Acquire), DONE | CLOSED)
    }
}
