//! `miner_`: knobs of block building. op-batcher sets `miner_setMaxDASize` and stops on an error.

use banyan_payload::DaLimits;
use banyan_primitives::{Bytes, U256};
use jsonrpsee::RpcModule;

use crate::{
    args::Args,
    error::{RpcError, RpcResult},
    quantity::{Big, Quantity, Wide},
    shared::{Shared, register_quick},
};

/// Longest extra data (yellow paper, §4.4.4), bytes.
const MAX_EXTRA_BYTES: usize = 32;

/// Adds the family to a port.
pub(crate) fn register(module: &mut RpcModule<Shared>) {
    register_quick(module, "miner_setMaxDASize", set_max_da_size);
    register_quick(module, "miner_setExtra", set_extra);
    register_quick(module, "miner_setGasLimit", set_gas_limit);
    register_quick(module, "miner_setGasPrice", set_gas_price);
}

/// `(per transaction, per block)`, bytes of estimated compressed size; zero means no limit.
fn set_max_da_size(shared: &Shared, mut args: Args<'_>) -> RpcResult<bool> {
    let max_tx_size: Big = args.required()?;
    let max_block_size: Big = args.required()?;
    args.end()?;
    shared.context.payload.set_da_limits(DaLimits {
        max_tx_size: saturate(max_tx_size.0),
        max_block_size: saturate(max_block_size.0),
    });
    Ok(true)
}

fn saturate(value: U256) -> u64 {
    value.saturating_to()
}

fn set_extra(shared: &Shared, mut args: Args<'_>) -> RpcResult<bool> {
    let text: String = args.required()?;
    args.end()?;
    let extra = match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).unwrap_or_else(|_| text.clone().into_bytes()),
        None => text.into_bytes(),
    };
    if extra.len() > MAX_EXTRA_BYTES {
        let message = format!("extra exceeds max length. {} > {MAX_EXTRA_BYTES}", extra.len());
        return Err(RpcError::server(message));
    }
    shared.context.payload.set_extra_data(Bytes::from(extra));
    Ok(true)
}

fn set_gas_limit(shared: &Shared, mut args: Args<'_>) -> RpcResult<bool> {
    let gas_limit: Quantity = args.required()?;
    args.end()?;
    shared.context.payload.set_gas_limit(gas_limit.0);
    Ok(true)
}

/// Lowest tip that the pool takes, wei.
fn set_gas_price(shared: &Shared, mut args: Args<'_>) -> RpcResult<bool> {
    let wei: Wide = args.required()?;
    args.end()?;
    shared.context.pool.set_minimum_tip(wei.0);
    Ok(true)
}
