//! Roots of the lists in a block: transactions, receipts, withdrawals, ommers.

use alloy_consensus::proofs;
use alloy_eips::eip2718::Encodable2718;

use crate::{
    B256, Bloom, Bytes, Header, Messages, Receipt, Transaction, Withdrawal, ordered::ordered_root,
    receipt::blooms,
};

/// `transactionsRoot` of a header.
pub fn transactions_root(transactions: &[Transaction]) -> B256 {
    ordered(transactions, |tx, out| tx.encode_2718(out))
}

/// As [`transactions_root`], of transactions that are encoded (EIP-2718), whatever is in them.
pub fn raw_transactions_root(transactions: &[Bytes]) -> B256 {
    ordered(transactions, |tx, out| out.extend_from_slice(tx))
}

/// `receiptsRoot` of a header. For the OP quirk of Regolith see [`Receipt::encode_for_root`].
pub fn receipts_root(receipts: &[Receipt]) -> B256 {
    receipts_root_and_bloom(receipts).0
}

/// `receiptsRoot` and `logsBloom` of a header: the latter is the union of all receipts' blooms,
/// which the former needs.
pub fn receipts_root_and_bloom(receipts: &[Receipt]) -> (B256, Bloom) {
    let blooms = blooms(receipts);
    let with_blooms: Vec<_> = receipts.iter().zip(&blooms).collect();
    let root = ordered(&with_blooms, |(receipt, bloom), out| receipt.encode_for_root(bloom, out));
    (root, blooms.iter().fold(Bloom::ZERO, |all, bloom| all | *bloom))
}

/// `withdrawalsRoot` of an Ethereum header.
pub fn withdrawals_root(withdrawals: &[Withdrawal]) -> B256 {
    proofs::calculate_withdrawals_root(withdrawals)
}

/// `sha3Uncles` of a header.
pub fn ommers_hash(ommers: &[Header]) -> B256 {
    proofs::calculate_ommers_root(ommers)
}

fn ordered<T>(items: &[T], encode: impl Fn(&T, &mut Vec<u8>)) -> B256 {
    let mut encoded = Messages::default();
    items.iter().for_each(|item| encoded.add(|out| encode(item, out)));
    ordered_root(&encoded)
}
