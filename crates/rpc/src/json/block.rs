use banyan_primitives::{
    Address, B64, B256, Block, Bloom, Bytes, Receipt, RecoveredBlock, SealedHeader, Withdrawal,
};
use serde::Serialize;

use super::{Position, RpcTransaction};
use crate::quantity::{Big, Quantity};

/// A header.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcHeader {
    #[serde(skip_serializing_if = "Option::is_none")]
    base_fee_per_gas: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_gas_used: Option<Quantity>,
    #[serde(rename = "blockAccessListHash", skip_serializing_if = "Option::is_none")]
    block_access_list_hash: Option<B256>,
    difficulty: Big,
    #[serde(skip_serializing_if = "Option::is_none")]
    excess_blob_gas: Option<Quantity>,
    extra_data: Bytes,
    gas_limit: Quantity,
    gas_used: Quantity,
    hash: B256,
    logs_bloom: Bloom,
    miner: Address,
    mix_hash: B256,
    nonce: B64,
    number: Quantity,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_beacon_block_root: Option<B256>,
    parent_hash: B256,
    receipts_root: B256,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_hash: Option<B256>,
    #[serde(rename = "sha3Uncles")]
    ommers_hash: B256,
    #[serde(skip_serializing_if = "Option::is_none")]
    slot_number: Option<Quantity>,
    state_root: B256,
    timestamp: Quantity,
    transactions_root: B256,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawals_root: Option<B256>,
}

impl From<&SealedHeader> for RpcHeader {
    fn from(sealed: &SealedHeader) -> Self {
        let header = sealed.inner();
        Self {
            base_fee_per_gas: header.base_fee_per_gas.map(Quantity),
            blob_gas_used: header.blob_gas_used.map(Quantity),
            block_access_list_hash: header.block_access_list_hash,
            difficulty: Big(header.difficulty),
            excess_blob_gas: header.excess_blob_gas.map(Quantity),
            extra_data: header.extra_data.clone(),
            gas_limit: Quantity(header.gas_limit),
            gas_used: Quantity(header.gas_used),
            hash: sealed.hash(),
            logs_bloom: header.logs_bloom,
            miner: header.beneficiary,
            mix_hash: header.mix_hash,
            nonce: header.nonce,
            number: Quantity(header.number),
            parent_beacon_block_root: header.parent_beacon_block_root,
            parent_hash: header.parent_hash,
            receipts_root: header.receipts_root,
            requests_hash: header.requests_hash,
            ommers_hash: header.ommers_hash,
            slot_number: header.slot_number.map(Quantity),
            state_root: header.state_root,
            timestamp: Quantity(header.timestamp),
            transactions_root: header.transactions_root,
            withdrawals_root: header.withdrawals_root,
        }
    }
}

/// A block, its transactions in full or by hash.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RpcBlock {
    #[serde(flatten)]
    header: RpcHeader,
    size: Quantity,
    transactions: Transactions,
    uncles: Vec<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawals: Option<Vec<Withdrawal>>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Transactions {
    Hashes(Vec<B256>),
    Full(Vec<RpcTransaction>),
}

impl RpcBlock {
    /// With the hashes of its transactions.
    pub(crate) fn with_hashes(block: &RecoveredBlock) -> Self {
        let hashes = block.body.transactions.iter().map(|tx| *tx.hash()).collect();
        Self::new(block, Transactions::Hashes(hashes))
    }

    /// With its transactions. `receipts` give the nonces of deposits; not needed without deposits.
    pub(crate) fn with_transactions(block: &RecoveredBlock, receipts: Option<&[Receipt]>) -> Self {
        let full = block
            .transactions()
            .enumerate()
            .map(|(index, (tx, sender))| {
                let position = Position::new(&block.header, index);
                let receipt = receipts.and_then(|receipts| receipts.get(index));
                RpcTransaction::mined(tx, sender, position, receipt)
            })
            .collect();
        Self::new(block, Transactions::Full(full))
    }

    fn new(block: &RecoveredBlock, transactions: Transactions) -> Self {
        let header = block.header.inner();
        let withdrawals = header
            .withdrawals_root
            .map(|_| block.body.withdrawals.as_ref().map(|list| list.to_vec()).unwrap_or_default());
        Self {
            header: (&block.header).into(),
            size: Quantity(Block::rlp_length_for(header, &block.body) as u64),
            transactions,
            uncles: block.body.ommers.iter().map(|ommer| ommer.hash_slow()).collect(),
            withdrawals,
        }
    }
}
