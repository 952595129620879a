//! Roots of the lists in a block: transactions, receipts, withdrawals, ommers.

use alloy_consensus::proofs;
use alloy_eips::eip2718::Encodable2718;
use alloy_trie::root::ordered_trie_root_with_encoder;

use crate::{B256, Bloom, Header, Receipt, Transaction, Withdrawal};

/// `transactionsRoot` of a header.
pub fn transactions_root(transactions: &[Transaction]) -> B256 {
    ordered_trie_root_with_encoder(transactions, |tx, buf| tx.encode_2718(buf))
}

/// `receiptsRoot` of a header. For the OP quirk of Regolith see [`Receipt::encode_for_root`].
pub fn receipts_root(receipts: &[Receipt]) -> B256 {
    ordered_trie_root_with_encoder(receipts, |receipt, buf| receipt.encode_for_root(buf))
}

/// `withdrawalsRoot` of an Ethereum header.
pub fn withdrawals_root(withdrawals: &[Withdrawal]) -> B256 {
    proofs::calculate_withdrawals_root(withdrawals)
}

/// `sha3Uncles` of a header.
pub fn ommers_hash(ommers: &[Header]) -> B256 {
    proofs::calculate_ommers_root(ommers)
}

/// `logsBloom` of a header: the union of all receipts' blooms.
pub fn logs_bloom(receipts: &[Receipt]) -> Bloom {
    receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom())
}
