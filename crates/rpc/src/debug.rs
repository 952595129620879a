//! `debug_`: blocks, headers, receipts and transactions as they are encoded.

use banyan_chain::ChainView;
use banyan_primitives::{Bytes, Encodable2718, RecoveredBlock};
use jsonrpsee::RpcModule;

use crate::{
    args::Args,
    block_id::BlockId,
    error::{RpcError, RpcResult},
    eth::receipts_of,
    shared::{Shared, Weight, register_read},
};

/// Adds the family to a port.
pub(crate) fn register(module: &mut RpcModule<Shared>) {
    register_read(module, "debug_getRawBlock", Weight::Light, raw_block);
    register_read(module, "debug_getRawHeader", Weight::Light, raw_header);
    register_read(module, "debug_getRawReceipts", Weight::Light, raw_receipts);
    register_read(module, "debug_getRawTransaction", Weight::Light, raw_transaction);
}

fn block_argument(view: &ChainView, mut args: Args<'_>) -> RpcResult<RecoveredBlock> {
    let id: BlockId = args.required()?;
    args.end()?;
    let header = id.known_header(view)?;
    let block = view.block_by_hash(&header.hash())?;
    block.ok_or_else(|| RpcError::server("block not found"))
}

/// `(block)`: RLP.
fn raw_block(shared: &Shared, args: Args<'_>) -> RpcResult<Bytes> {
    let block = block_argument(&shared.view(), args)?;
    Ok(alloy_rlp::encode(block.to_block()).into())
}

/// `(block)`: RLP.
fn raw_header(shared: &Shared, mut args: Args<'_>) -> RpcResult<Bytes> {
    let id: BlockId = args.required()?;
    args.end()?;
    let header = id.known_header(&shared.view())?;
    Ok(alloy_rlp::encode(header.inner()).into())
}

/// `(block)`: each receipt as it goes into the receipts root.
fn raw_receipts(shared: &Shared, args: Args<'_>) -> RpcResult<Vec<Bytes>> {
    let view = shared.view();
    let block = block_argument(&view, args)?;
    let receipts = receipts_of(&view, &block)?;
    let encode = |receipt: &banyan_primitives::Receipt| {
        let mut bytes = Vec::new();
        receipt.encode_for_root(&mut bytes);
        bytes.into()
    };
    Ok(receipts.iter().map(encode).collect())
}

/// `(hash)`: EIP-2718 bytes, mined or in the pool; empty if neither, as in geth.
fn raw_transaction(shared: &Shared, mut args: Args<'_>) -> RpcResult<Bytes> {
    let hash = args.hash()?;
    args.end()?;
    if let Some(found) = shared.view().transaction(&hash)? {
        let tx = found.block.body.transactions.get(found.index);
        return Ok(tx.map(|tx| tx.encoded_2718().into()).unwrap_or_default());
    }
    let pooled = shared.context.pool.get(&hash);
    Ok(pooled.map(|tx| tx.tx.encoded_2718().into()).unwrap_or_default())
}
