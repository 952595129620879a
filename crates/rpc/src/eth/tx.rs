//! Transactions: look-up and receipts.

use banyan_chain::TransactionLocation;
use banyan_primitives::{B256, Bytes, Encodable2718, RecoveredBlock};

use super::block::receipts_of;
use crate::{
    args::Args,
    block_id::BlockNumber,
    error::RpcResult,
    json::{Position, RpcReceipt, RpcTransaction, block_receipts},
    quantity::Quantity,
    shared::Shared,
};

fn hash_argument(mut args: Args<'_>) -> RpcResult<B256> {
    let hash = args.hash()?;
    args.end()?;
    Ok(hash)
}

/// Mined or in the pool; null if neither.
pub(super) fn by_hash(shared: &Shared, args: Args<'_>) -> RpcResult<Option<RpcTransaction>> {
    let hash = hash_argument(args)?;
    let view = shared.view();
    if let Some(location) = view.transaction(&hash)? {
        return at(shared, &location.block, location.index);
    }
    let pooled = shared.context.pool.get(&hash);
    Ok(pooled.map(|tx| RpcTransaction::pending(&tx.tx, tx.sender)))
}

fn at(shared: &Shared, block: &RecoveredBlock, index: usize) -> RpcResult<Option<RpcTransaction>> {
    let Some((tx, sender)) = block.transactions().nth(index) else { return Ok(None) };
    // Only deposits need their receipt.
    let receipts = if tx.is_deposit() { Some(receipts_of(&shared.view(), block)?) } else { None };
    let receipt = receipts.as_ref().and_then(|receipts| receipts.get(index));
    let position = Position::new(&block.header, index);
    Ok(Some(RpcTransaction::mined(tx, sender, position, receipt)))
}

/// `(block hash, index)`
pub(super) fn by_block_hash(
    shared: &Shared,
    mut args: Args<'_>,
) -> RpcResult<Option<RpcTransaction>> {
    let hash = args.hash()?;
    let index: Quantity = args.required()?;
    args.end()?;
    match shared.view().block_by_hash(&hash)? {
        Some(block) => at(shared, &block, to_index(index)),
        None => Ok(None),
    }
}

/// `(number or label, index)`
pub(super) fn by_block_number(
    shared: &Shared,
    mut args: Args<'_>,
) -> RpcResult<Option<RpcTransaction>> {
    let number: BlockNumber = args.required()?;
    let index: Quantity = args.required()?;
    args.end()?;
    let view = shared.view();
    let Some(header) = number.header(&view)? else { return Ok(None) };
    match view.block_by_hash(&header.hash())? {
        Some(block) => at(shared, &block, to_index(index)),
        None => Ok(None),
    }
}

fn to_index(index: Quantity) -> usize {
    usize::try_from(index.0).unwrap_or(usize::MAX)
}

/// Null until mined.
pub(super) fn receipt(shared: &Shared, args: Args<'_>) -> RpcResult<Option<RpcReceipt>> {
    receipt_of(shared, hash_argument(args)?)
}

/// The same by hash.
pub(super) fn receipt_of(shared: &Shared, hash: B256) -> RpcResult<Option<RpcReceipt>> {
    let view = shared.view();
    let Some(TransactionLocation { block, index }) = view.transaction(&hash)? else {
        return Ok(None);
    };
    let receipts = receipts_of(&view, &block)?;
    Ok(block_receipts(shared.spec(), &block, &receipts).into_iter().nth(index))
}

/// EIP-2718 bytes, mined or in the pool; null if neither.
pub(super) fn raw_by_hash(shared: &Shared, args: Args<'_>) -> RpcResult<Option<Bytes>> {
    let hash = hash_argument(args)?;
    if let Some(TransactionLocation { block, index }) = shared.view().transaction(&hash)? {
        let tx = block.body.transactions.get(index);
        return Ok(tx.map(|tx| tx.encoded_2718().into()));
    }
    Ok(shared.context.pool.get(&hash).map(|tx| tx.tx.encoded_2718().into()))
}
