//! `eth_`: blocks, state, transactions, calls, fees, logs, proofs, filters and subscriptions.

mod access_list;
mod block;
mod call;
mod call_request;
mod capabilities;
mod config;
mod estimate;
mod fee;
mod fee_history;
mod filters;
mod logs;
mod overrides;
mod proof;
mod revert;
mod send;
mod state;
mod subscribe;
mod tx;

pub(crate) use block::receipts_of;
pub(crate) use filters::Filters;
use jsonrpsee::RpcModule;
pub(crate) use proof::check_distance;
pub(crate) use state::StorageKey;

use serde_json::Value;

use crate::{
    args::Args,
    error::RpcResult,
    quantity::Quantity,
    shared::{Shared, Weight, register_quick as quick, register_read as read},
};

/// Adds the family to a port.
pub(crate) fn register(module: &mut RpcModule<Shared>) {
    quick(module, "eth_chainId", chain_id);
    quick(module, "eth_syncing", syncing);
    quick(module, "eth_blockNumber", block_number);
    quick(module, "eth_accounts", accounts);
    read(module, "eth_capabilities", Weight::Light, capabilities::capabilities);
    quick(module, "eth_config", config::config);
    register_blocks(module);
    register_state(module);
    register_transactions(module);
    register_fees(module);
    register_logs(module);
    subscribe::register(module);
}

fn register_blocks(module: &mut RpcModule<Shared>) {
    let light = Weight::Light;
    read(module, "eth_getBlockByNumber", light, block::by_number);
    read(module, "eth_getBlockByHash", light, block::by_hash);
    read(module, "eth_getHeaderByNumber", light, block::header_by_number);
    read(module, "eth_getHeaderByHash", light, block::header_by_hash);
    read(module, "eth_getBlockReceipts", light, block::receipts);
    read(module, "eth_getBlockTransactionCountByNumber", light, block::count_by_number);
    read(module, "eth_getBlockTransactionCountByHash", light, block::count_by_hash);
    read(module, "eth_getUncleCountByBlockNumber", light, block::uncle_count_by_number);
    read(module, "eth_getUncleCountByBlockHash", light, block::uncle_count_by_hash);
}

fn register_state(module: &mut RpcModule<Shared>) {
    let (light, heavy) = (Weight::Light, Weight::Heavy);
    read(module, "eth_getBalance", light, state::balance);
    read(module, "eth_getCode", light, state::code);
    read(module, "eth_getStorageAt", light, state::storage_at);
    read(module, "eth_getTransactionCount", light, state::transaction_count);
    read(module, "eth_getStorageValues", light, state::storage_values);
    read(module, "eth_getAccountInfo", light, state::account_info);
    read(module, "eth_getProof", heavy, proof::proof);
    read(module, "eth_call", heavy, call::call);
    read(module, "eth_estimateGas", heavy, estimate::estimate_gas);
    read(module, "eth_createAccessList", heavy, access_list::create);
}

fn register_transactions(module: &mut RpcModule<Shared>) {
    let light = Weight::Light;
    read(module, "eth_getTransactionByHash", light, tx::by_hash);
    read(module, "eth_getTransactionByBlockHashAndIndex", light, tx::by_block_hash);
    read(module, "eth_getTransactionByBlockNumberAndIndex", light, tx::by_block_number);
    read(module, "eth_getTransactionReceipt", light, tx::receipt);
    read(module, "eth_getRawTransactionByHash", light, tx::raw_by_hash);
    send::register(module);
}

fn register_fees(module: &mut RpcModule<Shared>) {
    read(module, "eth_gasPrice", Weight::Light, fee::gas_price);
    read(module, "eth_maxPriorityFeePerGas", Weight::Light, fee::max_priority_fee);
    read(module, "eth_baseFee", Weight::Light, fee::base_fee);
    read(module, "eth_blobBaseFee", Weight::Light, fee::blob_fee);
    read(module, "eth_feeHistory", Weight::Heavy, fee_history::fee_history);
}

fn register_logs(module: &mut RpcModule<Shared>) {
    read(module, "eth_getLogs", Weight::Heavy, logs::get_logs);
    quick(module, "eth_newFilter", filters::new_filter);
    quick(module, "eth_newBlockFilter", filters::new_block_filter);
    quick(module, "eth_newPendingTransactionFilter", filters::new_transaction_filter);
    quick(module, "eth_uninstallFilter", filters::uninstall);
    read(module, "eth_getFilterChanges", Weight::Heavy, filters::changes);
    read(module, "eth_getFilterLogs", Weight::Heavy, filters::logs);
}

fn chain_id(shared: &Shared, args: Args<'_>) -> RpcResult<Quantity> {
    args.end()?;
    Ok(Quantity(shared.spec().chain_id))
}

/// We never fetch blocks ourselves: whatever head the CL gave is the present one.
fn syncing(_: &Shared, args: Args<'_>) -> RpcResult<bool> {
    args.end()?;
    Ok(false)
}

fn block_number(shared: &Shared, args: Args<'_>) -> RpcResult<Quantity> {
    args.end()?;
    Ok(Quantity(shared.view().head().number))
}

/// We keep no keys.
fn accounts(_: &Shared, args: Args<'_>) -> RpcResult<Vec<Value>> {
    args.end()?;
    Ok(Vec::new())
}
