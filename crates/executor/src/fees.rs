//! Fees as counters: the beneficiary and the OP fee vaults are paid by every transaction and read by
//! few. What they earn is added up and reaches their balances when somebody looks.

use banyan_primitives::{Address, U256};

/// Most accounts that a transaction pays: beneficiary, base fee vault, L1 fee vault, operator fee
/// vault.
pub(crate) const MAX_RECIPIENTS: usize = 4;

/// What one transaction pays to each recipient, wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FeeAmounts(pub(crate) [U256; MAX_RECIPIENTS]);

/// What the recipients earned since their balances were last looked at.
#[derive(Debug, Default)]
pub(crate) struct FeeCounters {
    counters: Vec<Counter>,
    /// A balance so large was seen that adding fees to it might overflow; revm drops single fees
    /// that would. From then on they are added one by one.
    pub(crate) eager: bool,
}

#[derive(Debug)]
struct Counter {
    recipient: Address,
    wei: U256,
    /// Even a fee of zero touches its recipient.
    pending: bool,
    /// The recipient destroyed itself in the last transaction, and its fee with it: revm pays fees
    /// before it destroys.
    burns: bool,
}

impl FeeCounters {
    /// Counts the fees of `recipients`; some of them may be the same account.
    pub(crate) fn start(&mut self, recipients: &[Address]) {
        let counter = |recipient: &Address| Counter {
            recipient: *recipient,
            wei: U256::ZERO,
            pending: false,
            burns: false,
        };
        self.counters = recipients.iter().map(counter).collect();
    }

    pub(crate) fn len(&self) -> usize {
        self.counters.len()
    }

    pub(crate) fn recipient(&self, index: usize) -> Address {
        self.counters[index].recipient
    }

    pub(crate) fn is_recipient(&self, address: &Address) -> bool {
        self.counters.iter().any(|counter| counter.recipient == *address)
    }

    /// Adds one transaction's fees, if it pays any.
    pub(crate) fn credit(&mut self, fees: Option<&FeeAmounts>) {
        for (index, counter) in self.counters.iter_mut().enumerate() {
            let burns = std::mem::take(&mut counter.burns);
            let Some(fees) = fees else { continue };
            counter.pending = true;
            if !burns {
                // Fees of a block are far from 2^256, gas times price being below 2^192.
                counter.wei += fees.0[index];
            }
        }
    }

    /// The account was destroyed in the transaction whose fees come next.
    pub(crate) fn burn(&mut self, address: &Address) {
        for counter in self.counters.iter_mut().filter(|counter| counter.recipient == *address) {
            counter.burns = true;
        }
    }

    /// Empties the counters of `address`; `None` if nothing was paid since the last time.
    pub(crate) fn take(&mut self, address: &Address) -> Option<U256> {
        let mut taken = None;
        for counter in &mut self.counters {
            if counter.pending && counter.recipient == *address {
                counter.pending = false;
                *taken.get_or_insert(U256::ZERO) += std::mem::take(&mut counter.wei);
            }
        }
        taken
    }

    /// Notes a balance that was seen.
    pub(crate) fn watch(&mut self, balance: U256) {
        self.eager |= balance.as_limbs()[3] >> 56 != 0;
    }
}
