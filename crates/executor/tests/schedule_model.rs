//! The scheduler's state machine under every interleaving of two workers and the committer: loom
//! runs `schedule.rs` itself with its own atomics.
//!
//! The protocol around it is that of `ahead/worker.rs` and `ahead/mod.rs`: a worker owns a
//! transaction from claim to finish or release, leaves its result before it finishes, and takes its
//! guesses back if the committer was faster; the committer takes a transaction at its turn, uses or
//! retracts a result that is there, and closes it.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use loom::{
    sync::{Arc, Mutex, atomic},
    thread,
};
use schedule::{Taken, Ticket};

#[allow(dead_code, reason = "each function is somebody's")]
#[path = "../src/ahead/schedule.rs"]
mod schedule;

/// A transaction as its workers and the committer share it.
struct Place {
    ticket: Ticket,
    result: Mutex<Option<u32>>,
    /// What others can read of it: a worker's guess, or what was committed.
    published: Mutex<Option<Version>>,
    /// Workers that own it.
    owners: atomic::AtomicU32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    Guess(u32),
    Final,
}

impl Place {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            ticket: Ticket::new(),
            result: Mutex::new(None),
            published: Mutex::new(None),
            owners: atomic::AtomicU32::new(0),
        })
    }

    fn publish(&self, version: Version) {
        let mut published = self.published.lock().unwrap();
        if *published != Some(Version::Final) {
            *published = Some(version);
        }
    }

    fn retract(&self) {
        let mut published = self.published.lock().unwrap();
        published.take_if(|version| *version != Version::Final);
    }

    fn enter(&self) {
        assert_eq!(self.owners.fetch_add(1, atomic::Ordering::SeqCst), 0, "two workers own it");
    }

    fn leave(&self) {
        self.owners.fetch_sub(1, atomic::Ordering::SeqCst);
    }

    /// A worker's step: executes what waits, or executes again what may be stale since `event`.
    fn work(&self, worker: u32, event: u32) {
        if !self.ticket.claim() && !self.ticket.reclaim(event) {
            return;
        }
        self.enter();
        self.result.lock().unwrap().take();
        self.publish(Version::Guess(worker));
        *self.result.lock().unwrap() = Some(worker);
        self.leave();
        if !self.ticket.finish(event) {
            self.retract();
        }
    }

    /// A worker that looks whether a result still holds, and finds that it does.
    fn look_again(&self, event: u32) {
        if !self.ticket.reclaim(event) {
            return;
        }
        self.enter();
        let result = self.result.lock().unwrap().take();
        *self.result.lock().unwrap() = result;
        self.leave();
        if !self.ticket.finish(event) {
            self.retract();
        }
    }

    /// A worker that finds it cannot go on and gives the transaction back.
    fn give_back(&self) {
        if self.ticket.claim() {
            self.enter();
            self.leave();
            self.ticket.release();
        }
    }

    /// The committer's turn; with `executes` it executes what has no result, else leaves it out.
    fn commit(&self, executes: bool) {
        let taken = self.ticket.take();
        let result = match taken {
            Taken::Done => self.result.lock().unwrap().take(),
            Taken::Waiting | Taken::Overtaken => None,
        };
        assert_eq!(result.is_some(), taken == Taken::Done, "done means that there is a result");
        match executes {
            true => self.publish(Version::Final),
            false if taken == Taken::Done => self.retract(),
            false => {}
        }
        self.ticket.close();
    }

    /// What must hold when all are through.
    fn check_end(&self, committed: bool) {
        let ticket = &self.ticket;
        assert!(ticket.is_settled() && !ticket.is_done(), "it is closed");
        assert!(!ticket.claim() && !ticket.reclaim(u32::MAX) && !ticket.finish(9));
        let published = *self.published.lock().unwrap();
        assert_eq!(published, committed.then_some(Version::Final), "no guess is left behind");
    }
}

/// Two workers and the committer, in every order.
fn model(committed: bool, first: fn(&Place), second: fn(&Place)) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let place = Place::new();
        let spawn = |work: fn(&Place)| {
            let place = Arc::clone(&place);
            thread::spawn(move || work(&place))
        };
        let workers = [spawn(first), spawn(second)];
        place.commit(committed);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        place.check_end(committed);
    });
}

#[test]
fn a_transaction_has_one_worker_and_ends_closed() {
    model(true, |place| place.work(1, 0), |place| place.work(2, 0));
}

#[test]
fn a_result_is_looked_at_again_by_one_worker_at_a_time() {
    let twice = |place: &Place| {
        place.work(1, 1);
        place.work(1, 2);
    };
    model(true, twice, |place| place.work(2, 2));
}

#[test]
fn a_transaction_left_out_leaves_no_guess() {
    model(false, |place| place.work(1, 1), |place| place.work(2, 2));
}

#[test]
fn a_result_that_is_looked_at_leaves_no_guess_either() {
    let work = |place: &Place| {
        place.work(1, 1);
        place.look_again(3);
    };
    model(false, work, |place| place.look_again(2));
    model(true, work, |place| place.look_again(2));
}

#[test]
fn a_transaction_given_back_is_claimed_again_or_committed() {
    model(false, Place::give_back, |place| place.work(2, 1));
}
