//! `banyan_`: how far the headers of a chain with `wide` commitment vouch for its state.

use banyan_chain::Roots;
use banyan_primitives::{B256, SealedHeader};
use jsonrpsee::RpcModule;
use serde::Serialize;

use crate::{
    args::Args,
    error::RpcResult,
    quantity::Quantity,
    shared::{Shared, register_quick},
};

/// Adds the family to a port.
pub(crate) fn register(module: &mut RpcModule<Shared>) {
    register_quick(module, "banyan_syncStatus", sync_status);
}

/// A block, by both its names.
#[derive(Debug, Serialize)]
struct BlockName {
    number: Quantity,
    hash: B256,
}

impl From<&SealedHeader> for BlockName {
    fn from(header: &SealedHeader) -> Self {
        Self { number: Quantity(header.number), hash: header.hash() }
    }
}

/// What `banyan_syncStatus` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SyncStatus {
    commitment: String,
    head: BlockName,
    /// Height of the newest block whose state a header of this chain commits to.
    verified: Quantity,
    /// Blocks whose state root is not computed yet.
    root_queue: Quantity,
    /// Height of the newest block in the database.
    persisted: Quantity,
}

fn sync_status(shared: &Shared, args: Args<'_>) -> RpcResult<SyncStatus> {
    args.end()?;
    let view = shared.view();
    let head = view.head();
    let verified = |roots: &Roots| roots.committed_by(head.number);
    let queue = view.roots().map_or(0, Roots::queue_depth);
    Ok(SyncStatus {
        commitment: shared.spec().commitment.to_string(),
        head: head.into(),
        verified: Quantity(view.roots().map_or(head.number, verified)),
        root_queue: Quantity(queue as u64),
        persisted: Quantity(view.persisted_number()),
    })
}
