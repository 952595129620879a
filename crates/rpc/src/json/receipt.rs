use banyan_chainspec::ChainSpec;
use banyan_consensus::blob_base_fee;
use banyan_executor::{L1FeeReceipt, estimated_da_size, l1_fee_receipts};
use banyan_primitives::{
    Address, B256, Bloom, Bytes, Encodable2718, Log, Receipt, RecoveredBlock, SealedHeader,
    Transaction, TransactionTrait,
};
use serde::Serialize;

use super::transaction::effective_gas_price;
use crate::quantity::{Quantity, Wide};

/// A log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcLog {
    pub(crate) address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_number: Quantity,
    transaction_hash: B256,
    transaction_index: Quantity,
    block_hash: B256,
    block_timestamp: Quantity,
    log_index: Quantity,
    /// True once a reorg has taken its block off the chain.
    removed: bool,
}

/// A receipt.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcReceipt {
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_gas_price: Option<Wide>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_gas_used: Option<Quantity>,
    block_hash: B256,
    block_number: Quantity,
    contract_address: Option<Address>,
    cumulative_gas_used: Quantity,
    effective_gas_price: Wide,
    from: Address,
    gas_used: Quantity,
    logs: Vec<RpcLog>,
    logs_bloom: Bloom,
    /// Before Byzantium, in place of the status.
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Quantity>,
    to: Option<Address>,
    transaction_hash: B256,
    transaction_index: Quantity,
    #[serde(rename = "type")]
    tx_type: Quantity,
    #[serde(skip_serializing_if = "Option::is_none")]
    deposit_nonce: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deposit_receipt_version: Option<Quantity>,
    #[serde(flatten)]
    l1: Option<L1Fields>,
}

/// What op-geth adds to the receipt of a transaction that pays for L1 data.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct L1Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    l1_gas_price: Option<Wide>,
    #[serde(skip_serializing_if = "Option::is_none")]
    l1_gas_used: Option<Wide>,
    #[serde(skip_serializing_if = "Option::is_none")]
    l1_fee: Option<Wide>,
    #[serde(skip_serializing_if = "Option::is_none")]
    l1_fee_scalar: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    l1_base_fee_scalar: Option<Wide>,
    #[serde(skip_serializing_if = "Option::is_none")]
    l1_blob_base_fee: Option<Wide>,
    #[serde(skip_serializing_if = "Option::is_none")]
    l1_blob_base_fee_scalar: Option<Wide>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator_fee_scalar: Option<Wide>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator_fee_constant: Option<Wide>,
    #[serde(skip_serializing_if = "Option::is_none")]
    da_footprint_gas_scalar: Option<Quantity>,
}

impl From<L1FeeReceipt> for L1Fields {
    fn from(fee: L1FeeReceipt) -> Self {
        Self {
            l1_gas_price: fee.l1_gas_price.map(Wide),
            l1_gas_used: fee.l1_gas_used.map(Wide),
            l1_fee: fee.l1_fee.map(Wide),
            l1_fee_scalar: fee.l1_fee_scalar,
            l1_base_fee_scalar: fee.l1_base_fee_scalar.map(Wide),
            l1_blob_base_fee: fee.l1_blob_base_fee.map(Wide),
            l1_blob_base_fee_scalar: fee.l1_blob_base_fee_scalar.map(Wide),
            operator_fee_scalar: fee.operator_fee_scalar.map(Wide),
            operator_fee_constant: fee.operator_fee_constant.map(Wide),
            da_footprint_gas_scalar: fee.da_footprint_gas_scalar.map(|s| Quantity(s.into())),
        }
    }
}

/// All receipts of a block.
pub(crate) fn block_receipts(
    spec: &ChainSpec,
    block: &RecoveredBlock,
    receipts: &[Receipt],
) -> Vec<RpcReceipt> {
    let l1_fees = if spec.is_op() { l1_fee_receipts(spec, &block.block) } else { Vec::new() };
    let mut logs = block_logs(block, receipts).into_iter();
    let mut gas_before = 0;
    block
        .transactions()
        .zip(receipts)
        .enumerate()
        .map(|(index, ((tx, sender), receipt))| {
            let logs = logs.by_ref().take(receipt.logs.len()).collect();
            let mut converted = common_fields(spec, &block.header, tx, receipt, logs);
            converted.from = sender;
            converted.transaction_index = Quantity(index as u64);
            converted.gas_used = Quantity(receipt.cumulative_gas_used.saturating_sub(gas_before));
            converted.contract_address = created_contract(tx, sender, receipt);
            gas_before = receipt.cumulative_gas_used;
            if let Some(fee) = l1_fees.get(index).filter(|_| !tx.is_deposit()) {
                add_l1_fields(&mut converted, tx, fee.clone());
            }
            converted
        })
        .collect()
}

fn common_fields(
    spec: &ChainSpec,
    header: &SealedHeader,
    tx: &Transaction,
    receipt: &Receipt,
    logs: Vec<RpcLog>,
) -> RpcReceipt {
    let blob_gas = tx.blob_gas_used();
    let blob_price = blob_gas
        .and_then(|_| Some(Wide(blob_base_fee(&spec.rules_of(header), header.excess_blob_gas?))));
    RpcReceipt {
        blob_gas_price: blob_price,
        blob_gas_used: blob_gas.map(Quantity),
        block_hash: header.hash(),
        block_number: Quantity(header.number),
        contract_address: None,
        cumulative_gas_used: Quantity(receipt.cumulative_gas_used),
        effective_gas_price: Wide(effective_gas_price(tx, header.base_fee_per_gas)),
        from: Address::ZERO,
        gas_used: Quantity(0),
        logs,
        logs_bloom: receipt.bloom(),
        root: receipt.post_state,
        status: receipt.post_state.is_none().then_some(Quantity(receipt.success.into())),
        to: tx.to(),
        transaction_hash: *tx.hash(),
        transaction_index: Quantity(0),
        tx_type: Quantity(u64::from(receipt.tx_type as u8)),
        deposit_nonce: receipt.deposit_nonce.map(Quantity),
        deposit_receipt_version: receipt.deposit_receipt_version.map(Quantity),
        l1: None,
    }
}

fn created_contract(tx: &Transaction, sender: Address, receipt: &Receipt) -> Option<Address> {
    let nonce = receipt.deposit_nonce.unwrap_or_else(|| tx.nonce());
    tx.is_create().then(|| sender.create(nonce))
}

/// Since Jovian `blobGasUsed` of a receipt is the transaction's DA footprint.
fn add_l1_fields(receipt: &mut RpcReceipt, tx: &Transaction, fee: L1FeeReceipt) {
    if let Some(scalar) = fee.da_footprint_gas_scalar {
        let footprint = estimated_da_size(&tx.encoded_2718()).saturating_mul(scalar.into());
        receipt.blob_gas_used = Some(Quantity(footprint));
    }
    receipt.l1 = Some(fee.into());
}

/// All logs of a block, in order.
pub(crate) fn block_logs(block: &RecoveredBlock, receipts: &[Receipt]) -> Vec<RpcLog> {
    let emitted = block.body.transactions.iter().zip(receipts).enumerate().flat_map(
        |(index, (tx, receipt))| receipt.logs.iter().map(move |log| (index, *tx.hash(), log)),
    );
    let convert = |(log_index, (index, hash, log)): (usize, (usize, B256, &Log))| RpcLog {
        address: log.address,
        topics: log.topics().to_vec(),
        data: log.data.data.clone(),
        block_number: Quantity(block.header.number),
        transaction_hash: hash,
        transaction_index: Quantity(index as u64),
        block_hash: block.header.hash(),
        block_timestamp: Quantity(block.header.timestamp),
        log_index: Quantity(log_index as u64),
        removed: false,
    };
    emitted.enumerate().map(convert).collect()
}

impl RpcLog {
    /// The same log, after a reorg took its block off the chain.
    pub(crate) fn into_removed(self) -> Self {
        Self { removed: true, ..self }
    }

    /// Topics, for filters.
    pub(crate) fn topics(&self) -> &[B256] {
        &self.topics
    }
}
