//! `eth_capabilities`: what this node can answer for, so that routers ask the right one.

use banyan_primitives::B256;
use serde::Serialize;

use crate::{args::Args, error::RpcResult, quantity::Quantity, shared::Shared};

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Capabilities {
    head: Head,
    state: Resource,
    tx: Resource,
    logs: Resource,
    receipts: Resource,
    blocks: Resource,
    stateproofs: Resource,
}

#[derive(Debug, Serialize)]
struct Head {
    number: Quantity,
    hash: B256,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    disabled: bool,
    oldest_block: Quantity,
}

/// Blocks, receipts and logs are kept for ever; state as far back as its history reaches.
pub(super) fn capabilities(shared: &Shared, args: Args<'_>) -> RpcResult<Capabilities> {
    args.end()?;
    let view = shared.view();
    let head = view.head();
    let oldest_state = view.oldest_state()?;
    let window = shared.context.config.max_proof_blocks;
    let oldest_proof = oldest_state.max(head.number.saturating_sub(window));
    let since = |number| Resource { disabled: false, oldest_block: Quantity(number) };
    Ok(Capabilities {
        head: Head { number: Quantity(head.number), hash: head.hash() },
        state: since(oldest_state),
        tx: since(0),
        logs: since(0),
        receipts: since(0),
        blocks: since(0),
        stateproofs: since(oldest_proof),
    })
}
