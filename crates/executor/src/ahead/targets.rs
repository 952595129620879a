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
/// Arguments of a call in which names of accounts are looked for.
const NAMES: usize = 16;
/// What a result counts that tells something.
const WEIGHT: u32 = 16;

/// In which order calls to a contract should be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// They are independent, mostly.
    Any,
    /// After those before that name the same account: a token, a pool.
    ByName,
    /// One after the other.
    Strict,
}

/// How results of calls to one contract fared.
#[derive(Debug, Default)]
pub(crate) struct Target {
    /// While any order would do.
    free: Record,
    /// While they were in order.
    ordered: Record,
    /// What the EVM used for a call lately, on average; 0 if nobody knows.
    gas: AtomicU32,
}

/// Results that held and others.
#[derive(Debug, Default)]
struct Record {
    valid: AtomicU32,
    stale: AtomicU32,
}

impl Record {
    fn is_bad(&self) -> bool {
        self.stale.load(Ordering::Relaxed) > self.valid.load(Ordering::Relaxed) / 2
    }

    fn count(&self, valid: bool, weight: u32) {
        let counter = if valid { &self.valid } else { &self.stale };
        if counter.fetch_add(weight, Ordering::Relaxed) > WEIGHT * MEMORY {
            for counter in [&self.valid, &self.stale] {
                counter.store(counter.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            }
        }
    }
}

impl Target {
    /// The order of its callers.
    pub(crate) fn order(&self) -> Order {
        match (self.free.is_bad(), self.ordered.is_bad()) {
            (false, _) => Order::Any,
            (true, false) => Order::ByName,
            (true, true) => Order::Strict,
        }
    }

    /// What a call of the contract `to` has in common with those that it must come after.
    pub(crate) fn links(
        &self,
        to: Address,
        input: &[u8],
    ) -> impl Iterator<Item = (Address, Address)> {
        let order = self.order();
        let all = (order == Order::Strict).then_some((to, to));
        let named = names(input).filter(move |_| order == Order::ByName);
        all.into_iter().chain(named.map(move |name| (to, name)))
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

    /// Counts a result. While callers are in order their results hold: that counts little for a
    /// looser order, or it would come back at once.
    pub(crate) fn count(&self, valid: bool) {
        match self.order() {
            Order::Any => self.free.count(valid, WEIGHT),
            Order::ByName => {
                self.ordered.count(valid, WEIGHT);
                self.free.count(valid, 1);
            }
            Order::Strict => self.ordered.count(valid, 1),
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

/// What may be addresses among the arguments of a call.
pub(crate) fn names(input: &[u8]) -> impl Iterator<Item = Address> {
    let words = input.get(4..).unwrap_or_default().chunks_exact(32).take(NAMES);
    words.filter_map(|word| {
        let is_address = word[..12].iter().all(|byte| *byte == 0) && word[12..16] != [0; 4];
        is_address.then(|| Address::from_slice(&word[12..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_that_get_into_each_others_way_are_put_into_ever_stricter_order() {
        let target = Target::default();
        assert_eq!(target.order(), Order::Any);
        target.count(false);
        assert_eq!(target.order(), Order::ByName);
        target.count(false);
        assert_eq!(target.order(), Order::Strict);
        for _ in 0..10 {
            target.count(true);
        }
        assert_eq!(target.order(), Order::Strict);
        for _ in 0..30 {
            target.count(true);
        }
        assert_eq!(target.order(), Order::ByName);
    }

    #[test]
    fn the_gas_of_a_call_is_an_average_of_late_ones() {
        let target = Target::default();
        assert_eq!(target.gas(), None);
        target.used(80_000);
        assert_eq!(target.gas(), Some(80_000));
        for _ in 0..100 {
            target.used(160_000);
        }
        assert!(target.gas().is_some_and(|gas| (150_000..=160_000).contains(&gas)));
    }
}
