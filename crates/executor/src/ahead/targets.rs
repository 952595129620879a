//! What earlier blocks taught about contracts whose callers get into each other's way.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use banyan_primitives::{Address, AddressMap};

/// So many contracts are remembered; then all are forgotten.
const MOST: usize = 1 << 14;
/// Counts are halved beyond this, so that a contract can change.
const MEMORY: u32 = 64;

/// How results of calls to one contract fared.
#[derive(Debug, Default)]
pub(crate) struct Target {
    valid: AtomicU32,
    stale: AtomicU32,
}

impl Target {
    /// Its callers should be executed one after the other.
    pub(crate) fn is_hot(&self) -> bool {
        self.stale.load(Ordering::Relaxed) > self.valid.load(Ordering::Relaxed) / 2
    }

    /// Counts a result. While the contract is hot, its callers are executed in order and their
    /// results hold: that counts little, or it would be forgotten at once.
    pub(crate) fn count(&self, valid: bool) {
        let counter = if valid { &self.valid } else { &self.stale };
        let step = match (valid, self.is_hot()) {
            (false, _) => 16,
            (true, false) => 16,
            (true, true) => 1,
        };
        if counter.fetch_add(step, Ordering::Relaxed) > 16 * MEMORY {
            for counter in [&self.valid, &self.stale] {
                counter.store(counter.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            }
        }
    }
}

/// The contracts that were called lately.
#[derive(Debug, Default)]
pub(crate) struct Targets(Mutex<AddressMap<Arc<Target>>>);

impl Targets {
    pub(crate) fn get(&self, address: &Address) -> Arc<Target> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.entry(*address).or_default().clone()
    }
}
