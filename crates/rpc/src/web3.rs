//! `web3_`

use banyan_primitives::{B256, Bytes, keccak256};
use jsonrpsee::RpcModule;

use crate::{
    args::Args,
    error::RpcResult,
    shared::{Shared, Weight, register_quick, register_read},
};

/// Adds the family to a port.
pub(crate) fn register(module: &mut RpcModule<Shared>) {
    register_quick(module, "web3_clientVersion", client_version);
    register_read(module, "web3_sha3", Weight::Light, sha3);
}

fn client_version(shared: &Shared, args: Args<'_>) -> RpcResult<String> {
    args.end()?;
    Ok(shared.context.node_info.client_version.clone())
}

fn sha3(_: &Shared, mut args: Args<'_>) -> RpcResult<B256> {
    let data: Bytes = args.required()?;
    args.end()?;
    Ok(keccak256(data))
}
