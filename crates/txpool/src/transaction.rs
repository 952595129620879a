use banyan_executor::L1Fees;
use banyan_primitives::{
    Address, B256, Encodable2718, PooledSidecar, Transaction, TransactionTrait, U256,
};

/// A transaction in the pool, with what was computed once at its admission.
#[derive(Clone, Debug)]
pub struct PooledTransaction {
    /// The transaction.
    pub tx: Transaction,
    /// Its sender.
    pub sender: Address,
    /// Blobs, if it is a blob transaction.
    pub sidecar: Option<PooledSidecar>,
    /// Encoded size (EIP-2718) without the sidecar, bytes.
    pub size: usize,
    /// Estimated compressed size (OP), bytes; zero on Ethereum.
    pub da_size: u64,
    /// Order of arrival: breaks ties between equal tips.
    pub sequence: u64,
}

impl PooledTransaction {
    /// Joins a transaction with its sender. `encoded` is its EIP-2718 form; `is_op` says whether a
    /// compressed size is wanted.
    pub(crate) fn new(
        tx: Transaction,
        encoded: &[u8],
        sender: Address,
        sidecar: Option<PooledSidecar>,
        is_op: bool,
        sequence: u64,
    ) -> Self {
        let da_size = if is_op { banyan_executor::estimated_da_size(encoded) } else { 0 };
        Self { tx, sender, sidecar, size: encoded.len(), da_size, sequence }
    }

    /// What it pays besides gas and value on an OP chain, wei.
    pub(crate) fn l1_cost(&self, fees: &L1Fees) -> U256 {
        fees.cost(&self.tx.encoded_2718(), self.tx.gas_limit())
    }

    /// Transaction hash.
    pub fn hash(&self) -> B256 {
        *self.tx.hash()
    }

    /// Nonce.
    pub fn nonce(&self) -> u64 {
        self.tx.nonce()
    }

    /// What the builder earns per gas at this base fee, wei; zero below it.
    pub fn effective_tip(&self, base_fee: u64) -> u128 {
        let above = self.tx.max_fee_per_gas().saturating_sub(u128::from(base_fee));
        above.min(self.tx.priority_fee_or_price())
    }

    /// Bytes of blobs, commitments and proofs.
    pub(crate) fn sidecar_bytes(&self) -> usize {
        self.sidecar.as_ref().map_or(0, PooledSidecar::rlp_encoded_fields_length)
    }
}
