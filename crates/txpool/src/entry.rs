use std::{sync::Arc, time::Duration};

use banyan_primitives::{Address, Transaction, TransactionTrait, U256, signer};

use crate::PooledTransaction;

/// A pooled transaction with what the pool alone needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The transaction.
    pub(crate) tx: Arc<PooledTransaction>,
    /// The most it can take from the sender's balance, wei: gas and blob gas at their caps, value,
    /// and on OP chains the L1 and operator fees at the head.
    pub(crate) cost: U256,
    /// The same without those fees.
    own_cost: U256,
    /// Accounts that it delegates (EIP-7702).
    pub(crate) authorities: Box<[Address]>,
    /// Since when it is known to wait, on the clock of [`crate::PoolHandle::tick`].
    pub(crate) waits_since: Option<Duration>,
}

impl Entry {
    /// Joins a transaction with its cost. `l1_cost` is in wei.
    pub(crate) fn new(tx: PooledTransaction, l1_cost: U256) -> Self {
        let own_cost = max_cost(&tx.tx);
        let cost = own_cost.saturating_add(l1_cost);
        let authorities = authorities(&tx.tx);
        Self { tx: Arc::new(tx), cost, own_cost, authorities, waits_since: None }
    }

    /// Takes another L1 cost, wei.
    pub(crate) fn reprice(&mut self, l1_cost: U256) {
        self.cost = self.own_cost.saturating_add(l1_cost);
    }

    pub(crate) fn nonce(&self) -> u64 {
        self.tx.nonce()
    }

    pub(crate) fn pays(&self, base_fee: u64) -> bool {
        self.tx.tx.max_fee_per_gas() >= u128::from(base_fee)
    }
}

/// Gas, blob gas and value at their highest price, wei; saturates.
fn max_cost(tx: &Transaction) -> U256 {
    let gas = U256::from(tx.gas_limit()).saturating_mul(U256::from(tx.max_fee_per_gas()));
    let blob_fee = tx.max_fee_per_blob_gas().unwrap_or_default();
    let blobs = U256::from(tx.blob_gas_used().unwrap_or_default());
    let blobs = blobs.saturating_mul(U256::from(blob_fee));
    gas.saturating_add(blobs).saturating_add(tx.value())
}

/// Accounts whose code the authorization list sets; invalid signatures have no effect (EIP-7702).
fn authorities(tx: &Transaction) -> Box<[Address]> {
    let list = tx.authorization_list().unwrap_or_default();
    list.iter()
        .filter_map(|authorization| {
            let signature = authorization.signature().ok()?;
            signer::recover(&signature, authorization.signature_hash()).ok()
        })
        .collect()
}
