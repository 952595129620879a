use alloy_consensus::Typed2718;
use alloy_eips::{eip2930::AccessList, eip7702::SignedAuthorization};
use banyan_primitives::{
    Address, B256, Bytes, Receipt, SealedHeader, Transaction, TransactionTrait, U256,
};
use serde::Serialize;

use crate::quantity::{Big, Quantity, Wide};

/// Where a mined transaction stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    block_hash: B256,
    block_number: u64,
    block_timestamp: u64,
    base_fee: Option<u64>,
    index: usize,
}

impl Position {
    /// Transaction `index` of the block of `header`.
    pub(crate) fn new(header: &SealedHeader, index: usize) -> Self {
        Self {
            block_hash: header.hash(),
            block_number: header.number,
            block_timestamp: header.timestamp,
            base_fee: header.base_fee_per_gas,
            index,
        }
    }
}

/// A transaction, mined or pending.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcTransaction {
    block_hash: Option<B256>,
    block_number: Option<Quantity>,
    block_timestamp: Option<Quantity>,
    from: Address,
    gas: Quantity,
    gas_price: Wide,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fee_per_gas: Option<Wide>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_priority_fee_per_gas: Option<Wide>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fee_per_blob_gas: Option<Wide>,
    hash: B256,
    input: Bytes,
    nonce: Quantity,
    to: Option<Address>,
    transaction_index: Option<Quantity>,
    value: Big,
    #[serde(rename = "type")]
    tx_type: Quantity,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_list: Option<AccessList>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain_id: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_versioned_hashes: Option<Vec<B256>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_list: Option<Vec<SignedAuthorization>>,
    v: Wide,
    r: Big,
    s: Big,
    #[serde(skip_serializing_if = "Option::is_none")]
    y_parity: Option<Quantity>,
    #[serde(flatten)]
    deposit: Option<DepositFields>,
}

/// What op-geth adds to a deposit.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DepositFields {
    source_hash: B256,
    #[serde(skip_serializing_if = "Option::is_none")]
    mint: Option<Wide>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_system_tx: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deposit_receipt_version: Option<Quantity>,
}

impl RpcTransaction {
    /// A transaction in a block. `receipt` tells the nonce of a deposit; others need none.
    pub(crate) fn mined(
        tx: &Transaction,
        sender: Address,
        position: Position,
        receipt: Option<&Receipt>,
    ) -> Self {
        let plain = Self::pending(tx, sender);
        let deposit_nonce = receipt.filter(|_| tx.is_deposit()).and_then(|r| r.deposit_nonce);
        Self {
            block_hash: Some(position.block_hash),
            block_number: Some(Quantity(position.block_number)),
            block_timestamp: Some(Quantity(position.block_timestamp)),
            gas_price: Wide(effective_gas_price(tx, position.base_fee)),
            nonce: deposit_nonce.map_or(plain.nonce, Quantity),
            transaction_index: Some(Quantity(position.index as u64)),
            deposit: deposit_fields(tx, receipt),
            ..plain
        }
    }

    /// A transaction in no block.
    pub(crate) fn pending(tx: &Transaction, sender: Address) -> Self {
        let signature = Signature::new(tx);
        let dynamic = tx.is_dynamic_fee() && !tx.is_deposit();
        Self {
            block_hash: None,
            block_number: None,
            block_timestamp: None,
            from: sender,
            gas: Quantity(tx.gas_limit()),
            gas_price: Wide(if tx.is_deposit() { 0 } else { tx.max_fee_per_gas() }),
            max_fee_per_gas: dynamic.then(|| Wide(tx.max_fee_per_gas())),
            max_priority_fee_per_gas: tx.max_priority_fee_per_gas().filter(|_| dynamic).map(Wide),
            max_fee_per_blob_gas: tx.max_fee_per_blob_gas().map(Wide),
            hash: *tx.hash(),
            input: tx.input().clone(),
            nonce: Quantity(tx.nonce()),
            to: tx.to(),
            transaction_index: None,
            value: Big(tx.value()),
            tx_type: Quantity(u64::from(tx.ty())),
            access_list: tx.access_list().cloned(),
            chain_id: tx.chain_id().filter(|_| !tx.is_deposit()).map(Quantity),
            blob_versioned_hashes: tx.blob_versioned_hashes().map(<[B256]>::to_vec),
            authorization_list: tx.authorization_list().map(<[SignedAuthorization]>::to_vec),
            v: Wide(signature.v),
            r: Big(signature.r),
            s: Big(signature.s),
            y_parity: signature.y_parity.map(Quantity),
            deposit: deposit_fields(tx, None),
        }
    }
}

/// Price paid per gas, wei; zero for deposits.
pub(super) fn effective_gas_price(tx: &Transaction, base_fee: Option<u64>) -> u128 {
    if tx.is_deposit() { 0 } else { tx.effective_gas_price(base_fee) }
}

fn deposit_fields(tx: &Transaction, receipt: Option<&Receipt>) -> Option<DepositFields> {
    let deposit = tx.as_deposit()?;
    let version = receipt.and_then(|receipt| receipt.deposit_receipt_version);
    Some(DepositFields {
        source_hash: deposit.source_hash,
        mint: (deposit.mint != 0).then_some(Wide(deposit.mint)),
        is_system_tx: deposit.is_system_transaction.then_some(true),
        deposit_receipt_version: version.map(Quantity),
    })
}

/// `v`, `r`, `s` as JSON-RPC shows them; zeros for deposits.
#[derive(Default)]
struct Signature {
    v: u128,
    r: U256,
    s: U256,
    y_parity: Option<u64>,
}

impl Signature {
    fn new(tx: &Transaction) -> Self {
        let Some(signature) = tx.signature() else { return Self::default() };
        let parity = u64::from(signature.v());
        let (r, s) = (signature.r(), signature.s());
        let Transaction::Legacy(legacy) = tx else {
            return Self { v: parity.into(), r, s, y_parity: Some(parity) };
        };
        let base = legacy.tx().chain_id.map_or(27, |id| u128::from(id) * 2 + 35);
        Self { v: base + u128::from(parity), r, s, y_parity: None }
    }
}
