//! `txpool_`

use std::{collections::BTreeMap, sync::Arc};

use banyan_primitives::{Address, TransactionTrait};
use banyan_txpool::PooledTransaction;
use jsonrpsee::RpcModule;
use serde::Serialize;

use crate::{
    args::Args,
    error::RpcResult,
    json::RpcTransaction,
    quantity::Quantity,
    shared::{Shared, Weight, register_quick, register_read},
};

/// Adds the family to a port.
pub(crate) fn register(module: &mut RpcModule<Shared>) {
    register_quick(module, "txpool_status", status);
    register_read(module, "txpool_content", Weight::Heavy, content);
    register_read(module, "txpool_contentFrom", Weight::Heavy, content_from);
    register_read(module, "txpool_inspect", Weight::Heavy, inspect);
}

/// All answers of the family have this shape.
#[derive(Serialize)]
struct Halves<T> {
    pending: T,
    queued: T,
}

type ByNonce = BTreeMap<String, RpcTransaction>;

fn status(shared: &Shared, args: Args<'_>) -> RpcResult<Halves<Quantity>> {
    args.end()?;
    let status = shared.context.pool.status();
    Ok(Halves { pending: Quantity(status.pending as u64), queued: Quantity(status.queued as u64) })
}

fn content(shared: &Shared, args: Args<'_>) -> RpcResult<Halves<BTreeMap<String, ByNonce>>> {
    args.end()?;
    let content = shared.context.pool.content();
    let convert = |half: &BTreeMap<Address, BTreeMap<u64, Arc<PooledTransaction>>>| {
        half.iter().map(|(sender, txs)| (sender.to_checksum(None), by_nonce(txs))).collect()
    };
    Ok(Halves { pending: convert(&content.pending), queued: convert(&content.queued) })
}

fn content_from(shared: &Shared, mut args: Args<'_>) -> RpcResult<Halves<ByNonce>> {
    let sender: Address = args.required()?;
    args.end()?;
    let content = shared.context.pool.content();
    let of = |half: &BTreeMap<Address, BTreeMap<u64, Arc<PooledTransaction>>>| {
        half.get(&sender).map(by_nonce).unwrap_or_default()
    };
    Ok(Halves { pending: of(&content.pending), queued: of(&content.queued) })
}

/// One line of text for each transaction.
fn inspect(
    shared: &Shared,
    args: Args<'_>,
) -> RpcResult<Halves<BTreeMap<String, BTreeMap<String, String>>>> {
    args.end()?;
    let content = shared.context.pool.content();
    let convert = |half: &BTreeMap<Address, BTreeMap<u64, Arc<PooledTransaction>>>| {
        let lines = |txs: &BTreeMap<u64, Arc<PooledTransaction>>| {
            txs.iter().map(|(nonce, tx)| (nonce.to_string(), line(tx))).collect()
        };
        half.iter().map(|(sender, txs)| (sender.to_checksum(None), lines(txs))).collect()
    };
    Ok(Halves { pending: convert(&content.pending), queued: convert(&content.queued) })
}

fn line(tx: &PooledTransaction) -> String {
    let to = tx.tx.to().map_or("contract creation".to_owned(), |to| to.to_checksum(None));
    let (value, gas, price) = (tx.tx.value(), tx.tx.gas_limit(), tx.tx.max_fee_per_gas());
    format!("{to}: {value} wei + {gas} gas × {price} wei")
}

/// Nonces are decimal text here, as geth writes them.
fn by_nonce(txs: &BTreeMap<u64, Arc<PooledTransaction>>) -> ByNonce {
    txs.iter()
        .map(|(nonce, tx)| (nonce.to_string(), RpcTransaction::pending(&tx.tx, tx.sender)))
        .collect()
}
