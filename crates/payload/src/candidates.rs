use std::{collections::VecDeque, sync::Arc};

use banyan_primitives::{Address, Transaction, TransactionTrait};
use banyan_txpool::{BestTransactions, PooledTransaction};

/// Most transactions taken from the pool before their turn.
const WINDOW: usize = 256;

/// The pool's best with a look ahead, so that others can begin on what comes next. The order is
/// that of the pool, as if each were taken at its turn.
#[derive(Debug)]
pub(crate) struct Candidates {
    best: BestTransactions,
    window: VecDeque<Arc<PooledTransaction>>,
    /// Gas limits of those in the window.
    gas: u64,
}

impl Candidates {
    pub(crate) fn new(best: BestTransactions) -> Self {
        Self { best, window: VecDeque::new(), gas: 0 }
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Option<Arc<PooledTransaction>> {
        let tx = self.window.pop_front().or_else(|| self.best.next())?;
        self.gas = self.gas.saturating_sub(tx.tx.gas_limit());
        Some(tx)
    }

    /// Leaves out all further transactions of `sender`.
    pub(crate) fn skip_sender(&mut self, sender: Address) {
        self.best.skip_sender(sender);
        self.window.retain(|tx| tx.sender != sender);
        self.gas = self.window.iter().map(|tx| tx.tx.gas_limit()).fold(0, u64::saturating_add);
    }

    /// Once half of the window is used up: fills it as far as `gas` reaches, and returns what is
    /// new in it.
    pub(crate) fn look_ahead(&mut self, gas: u64) -> Option<Vec<(Transaction, Address)>> {
        if self.window.len() > WINDOW / 2 {
            return None;
        }
        let mut ahead = Vec::new();
        while self.window.len() < WINDOW
            && self.gas < gas
            && let Some(tx) = self.best.next()
        {
            ahead.push((tx.tx.clone(), tx.sender));
            self.gas = self.gas.saturating_add(tx.tx.gas_limit());
            self.window.push_back(tx);
        }
        (!ahead.is_empty()).then_some(ahead)
    }
}

#[cfg(test)]
mod tests;
