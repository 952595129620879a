//! `debug_`: blocks, headers, receipts and transactions as they are encoded; execution witnesses.

use banyan_chain::ChainView;
use banyan_chainspec::Commitment;
use banyan_primitives::{Bytes, Encodable2718, RecoveredBlock};
use jsonrpsee::RpcModule;
use serde::Serialize;

use crate::{
    args::Args,
    block_id::{BlockId, BlockNumber},
    error::{RpcError, RpcResult},
    eth::{check_distance, receipts_of},
    shared::{Shared, Weight, no_state, register_read},
};

/// Adds the family to a port.
pub(crate) fn register(module: &mut RpcModule<Shared>) {
    register_read(module, "debug_getRawBlock", Weight::Light, raw_block);
    register_read(module, "debug_getRawHeader", Weight::Light, raw_header);
    register_read(module, "debug_getRawReceipts", Weight::Light, raw_receipts);
    register_read(module, "debug_getRawTransaction", Weight::Light, raw_transaction);
    register_read(module, "debug_executionWitness", Weight::Heavy, witness_by_number);
    register_read(module, "debug_executionWitnessByBlockHash", Weight::Heavy, witness_by_hash);
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
        receipt.encode_for_root(&receipt.bloom(), &mut bytes);
        bytes.into()
    };
    Ok(receipts.iter().map(encode).collect())
}

/// The answer of `debug_executionWitness`.
#[derive(Debug, Serialize)]
struct RpcWitness {
    state: Vec<Bytes>,
    codes: Vec<Bytes>,
    keys: Vec<Bytes>,
    headers: Vec<Bytes>,
}

/// `(number or label)`: all that executing the block takes of the state before it.
fn witness_by_number(shared: &Shared, mut args: Args<'_>) -> RpcResult<RpcWitness> {
    let number: BlockNumber = args.required()?;
    witness(shared, BlockId::Number(number), args)
}

/// `(hash)`: the same of a block that need not be canonical.
fn witness_by_hash(shared: &Shared, mut args: Args<'_>) -> RpcResult<RpcWitness> {
    let hash = args.hash()?;
    witness(shared, BlockId::hash(hash), args)
}

fn witness(shared: &Shared, id: BlockId, args: Args<'_>) -> RpcResult<RpcWitness> {
    let abandoned = args.abandoned();
    args.end()?;
    let spec = shared.spec();
    if spec.commitment != Commitment::Mpt {
        return Err(RpcError::server("not supported on a chain with wide state commitment"));
    }
    let view = shared.view();
    let header = id.known_header(&view)?;
    let number = header.number;
    let Some(parent) = number.checked_sub(1) else {
        return Err(RpcError::server("block number 0 found, but parent missing"));
    };
    check_distance(shared, &view, parent)?;
    abandoned.check()?;
    let block = view.block_by_hash(&header.hash())?;
    let block = block.ok_or_else(|| RpcError::server("block not found"))?;
    let found = view.execution_witness(spec, &block)?;
    let found = found.ok_or_else(|| no_state(&header))?;
    Ok(RpcWitness {
        state: found.state,
        codes: found.codes,
        keys: found.keys,
        headers: found.headers.iter().map(|it| alloy_rlp::encode(it.inner()).into()).collect(),
    })
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
