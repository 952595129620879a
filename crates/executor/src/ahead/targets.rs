//! What earlier blocks taught about contracts: what calling them costs, and whether their callers get
//! into each other's way.

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
    /// What the EVM used for a call lately, on average; 0 if nobody knows.
    gas: AtomicU32,
}

impl Target {
    /// Its callers should be executed one after the other.
    pub(crate) fn is_hot(&self) -> bool {
        self.stale.load(Ordering::Relaxed) > self.valid.load(Ordering::Relaxed) / 2
    }

    /// The gas that a call will probably use in the EVM.
    pub(crate) fn gas(&self) -> Option<u64> {
        let gas = self.gas.load(Ordering::Relaxed);
        (gas > 0).then_some(u64::from(gas))
    }

    /// Notes what a call used.
    fn used(&self, gas: u64) {
        let gas = u32::try_from(gas).unwrap_or(u32::MAX).max(1);
        let before = match self.gas.load(Ordering::Relaxed) {
            0 => gas,
            before => before,
        };
        // That threads tread on each other does no harm.
        self.gas.store(before - before / 8 + gas / 8, Ordering::Relaxed);
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
    /// Notes what the EVM used for a call.
    pub(crate) fn used(&self, address: &Address, gas: u64) {
        self.get(address).used(gas);
    }

    pub(crate) fn get(&self, address: &Address) -> Arc<Target> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.entry(*address).or_default().clone()
    }
}
