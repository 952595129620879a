//! `net_`

use jsonrpsee::RpcModule;

use crate::{
    args::Args,
    error::RpcResult,
    quantity::Quantity,
    shared::{Shared, register_quick},
};

/// Adds the family to a port.
pub(crate) fn register(module: &mut RpcModule<Shared>) {
    register_quick(module, "net_version", version);
    register_quick(module, "net_listening", listening);
    register_quick(module, "net_peerCount", peer_count);
}

/// The network id, decimal.
fn version(shared: &Shared, args: Args<'_>) -> RpcResult<String> {
    args.end()?;
    Ok(shared.network_id().to_string())
}

fn listening(_: &Shared, args: Args<'_>) -> RpcResult<bool> {
    args.end()?;
    Ok(true)
}

/// There is no devp2p, so no peers.
fn peer_count(_: &Shared, args: Args<'_>) -> RpcResult<Quantity> {
    args.end()?;
    Ok(Quantity(0))
}
