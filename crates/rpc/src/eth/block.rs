//! Blocks and their receipts.

use std::sync::Arc;

use banyan_chain::ChainView;
use banyan_primitives::{Receipt, RecoveredBlock, SealedHeader};

use crate::{
    args::Args,
    block_id::{BlockId, BlockNumber},
    error::{RpcError, RpcResult},
    json::{RpcBlock, RpcHeader, RpcReceipt, block_receipts},
    quantity::Quantity,
    shared::Shared,
};

/// `(number or label, full transactions?)`
pub(super) fn by_number(shared: &Shared, mut args: Args<'_>) -> RpcResult<Option<RpcBlock>> {
    let number: BlockNumber = args.required()?;
    let full: bool = args.required()?;
    args.end()?;
    let view = shared.view();
    found(&view, number.header(&view)?, full)
}

/// `(hash, full transactions?)`
pub(super) fn by_hash(shared: &Shared, mut args: Args<'_>) -> RpcResult<Option<RpcBlock>> {
    let hash = args.hash()?;
    let full: bool = args.required()?;
    args.end()?;
    let view = shared.view();
    found(&view, view.header_by_hash(&hash)?, full)
}

/// `(number or label)`: the header alone.
pub(super) fn header_by_number(
    shared: &Shared,
    mut args: Args<'_>,
) -> RpcResult<Option<RpcHeader>> {
    let number: BlockNumber = args.required()?;
    args.end()?;
    Ok(number.header(&shared.view())?.as_ref().map(RpcHeader::from))
}

/// `(hash)`: the header alone.
pub(super) fn header_by_hash(shared: &Shared, mut args: Args<'_>) -> RpcResult<Option<RpcHeader>> {
    let hash = args.hash()?;
    args.end()?;
    Ok(shared.view().header_by_hash(&hash)?.as_ref().map(RpcHeader::from))
}

fn found(
    view: &ChainView,
    header: Option<SealedHeader>,
    full: bool,
) -> RpcResult<Option<RpcBlock>> {
    let Some(block) = body(view, header)? else { return Ok(None) };
    if !full {
        return Ok(Some(RpcBlock::with_hashes(&block)));
    }
    // Only deposits need their receipts.
    let has_deposits = block.body.transactions.iter().any(|tx| tx.is_deposit());
    let receipts = if has_deposits { Some(receipts_of(view, &block)?) } else { None };
    Ok(Some(RpcBlock::with_transactions(&block, receipts.as_deref().map(Vec::as_slice))))
}

fn body(view: &ChainView, header: Option<SealedHeader>) -> RpcResult<Option<RecoveredBlock>> {
    let Some(header) = header else { return Ok(None) };
    Ok(view.block_by_hash(&header.hash())?)
}

/// Receipts of a block that we have: they must be there.
pub(crate) fn receipts_of(
    view: &ChainView,
    block: &RecoveredBlock,
) -> RpcResult<Arc<Vec<Receipt>>> {
    view.receipts(&block.hash())?.ok_or_else(|| {
        RpcError::internal(format!("receipts of block {} are missing", block.block_ref()))
    })
}

/// All receipts of a block; null if there is no such block.
pub(super) fn receipts(shared: &Shared, mut args: Args<'_>) -> RpcResult<Option<Vec<RpcReceipt>>> {
    let id: BlockId = args.required()?;
    args.end()?;
    let view = shared.view();
    let Some(block) = body(&view, id.header(&view)?)? else { return Ok(None) };
    let receipts = receipts_of(&view, &block)?;
    Ok(Some(block_receipts(shared.spec(), &block, &receipts)))
}

fn block_of_number(shared: &Shared, mut args: Args<'_>) -> RpcResult<Option<RecoveredBlock>> {
    let number: BlockNumber = args.required()?;
    args.end()?;
    let view = shared.view();
    body(&view, number.header(&view)?)
}

fn block_of_hash(shared: &Shared, mut args: Args<'_>) -> RpcResult<Option<RecoveredBlock>> {
    let hash = args.hash()?;
    args.end()?;
    Ok(shared.view().block_by_hash(&hash)?)
}

fn transaction_count(block: RecoveredBlock) -> Quantity {
    Quantity(block.body.transactions.len() as u64)
}

fn uncle_count(block: RecoveredBlock) -> Quantity {
    Quantity(block.body.ommers.len() as u64)
}

/// Number of transactions in a block.
pub(super) fn count_by_number(shared: &Shared, args: Args<'_>) -> RpcResult<Option<Quantity>> {
    Ok(block_of_number(shared, args)?.map(transaction_count))
}

/// Number of transactions in a block.
pub(super) fn count_by_hash(shared: &Shared, args: Args<'_>) -> RpcResult<Option<Quantity>> {
    Ok(block_of_hash(shared, args)?.map(transaction_count))
}

/// Number of ommers of a block.
pub(super) fn uncle_count_by_number(
    shared: &Shared,
    args: Args<'_>,
) -> RpcResult<Option<Quantity>> {
    Ok(block_of_number(shared, args)?.map(uncle_count))
}

/// Number of ommers of a block.
pub(super) fn uncle_count_by_hash(shared: &Shared, args: Args<'_>) -> RpcResult<Option<Quantity>> {
    Ok(block_of_hash(shared, args)?.map(uncle_count))
}
