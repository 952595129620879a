//! `admin_`

use jsonrpsee::RpcModule;
use serde_json::{Value, json};

use crate::{
    args::Args,
    error::RpcResult,
    shared::{Shared, register_quick},
};

/// Adds the family to a port.
pub(crate) fn register(module: &mut RpcModule<Shared>) {
    register_quick(module, "admin_nodeInfo", node_info);
    register_quick(module, "admin_peers", peers);
    for name in
        ["admin_addPeer", "admin_removePeer", "admin_addTrustedPeer", "admin_removeTrustedPeer"]
    {
        register_quick(module, name, change_peers);
    }
}

/// Our identity. Launchers poll it until `enode` is there.
fn node_info(shared: &Shared, args: Args<'_>) -> RpcResult<Value> {
    args.end()?;
    let info = &shared.context.node_info;
    let view = shared.view();
    Ok(json!({
        "id": info.id,
        "name": info.client_version,
        "enode": info.enode,
        "enr": info.enr,
        "ip": info.ip,
        "ports": { "discovery": info.discovery_port, "listener": info.listener_port },
        "listenAddr": format!("{}:{}", info.ip, info.listener_port),
        "protocols": {
            "eth": {
                "network": shared.network_id(),
                "genesis": shared.spec().genesis_header.hash(),
                "head": view.head().hash(),
                "config": { "chainId": shared.spec().chain_id },
            },
        },
    }))
}

/// `(enode)`: launchers introduce nodes to one another and take an error for a broken node. There
/// is no devp2p, so nothing follows from it.
fn change_peers(_: &Shared, mut args: Args<'_>) -> RpcResult<bool> {
    let _enode: String = args.required()?;
    args.end()?;
    Ok(true)
}

/// There is no devp2p, so no peers.
fn peers(_: &Shared, args: Args<'_>) -> RpcResult<Vec<Value>> {
    args.end()?;
    Ok(Vec::new())
}
