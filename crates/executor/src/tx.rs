//! From our transactions to revm's.

use crate::l1_cost::Envelope;
use banyan_primitives::{Address, Encodable2718, Transaction, TransactionTrait};
use op_revm::{OpTransaction, transaction::deposit::DepositTransactionParts};
use revm::{context::TxEnv, context_interface::either::Either};

pub(crate) fn tx_env(tx: &Transaction, sender: Address) -> TxEnv {
    let authorizations = tx.authorization_list().unwrap_or_default();
    TxEnv {
        tx_type: tx.tx_type() as u8,
        caller: sender,
        gas_limit: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        access_list: tx.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: tx.max_priority_fee_per_gas(),
        blob_hashes: tx.blob_versioned_hashes().unwrap_or_default().to_vec(),
        max_fee_per_blob_gas: tx.max_fee_per_blob_gas().unwrap_or_default(),
        authorization_list: authorizations.iter().cloned().map(Either::Left).collect(),
    }
}

pub(crate) fn op_tx_env(
    tx: &Transaction,
    sender: Address,
    envelope: Option<&Envelope>,
) -> OpTransaction<TxEnv> {
    let mut env = OpTransaction::new(tx_env(tx, sender));
    match tx.as_deposit() {
        Some(deposit) => {
            env.deposit = DepositTransactionParts::new(
                deposit.source_hash,
                Some(deposit.mint),
                deposit.is_system_transaction,
            );
        }
        // The L1 fee is charged for these bytes.
        None => {
            let encoded = envelope.map(|envelope| envelope.encoded.clone());
            env.enveloped_tx = Some(encoded.unwrap_or_else(|| tx.encoded_2718().into()));
        }
    }
    env
}
