//! The Engine API: `engine_`, for the consensus client. Texts: execution-apis `src/engine/*.md`, and
//! the OP Stack's exec-engine specification for what differs on its chains.

mod blobs;
mod bodies;
mod capabilities;
mod forkchoice;
mod get_payload;
mod new_payload;
mod status;
pub(crate) mod testing;
mod wire;

use std::sync::Arc;

use banyan_chainspec::Fork;
use jsonrpsee::{RpcModule, types::Params};
use serde::Serialize;

use crate::{
    error::RpcResult,
    shared::{Shared, Weight, register_quick, register_read},
};

/// Most items in one request for bodies.
const MAX_BODIES: usize = 1024;
/// Most items in one request for blobs.
const MAX_BLOBS: usize = 128;

/// Ethereum forks whose payloads a version of a method serves: `first..=last`.
type ForkRange = (Fork, Fork);

/// Adds the family to a port.
pub(crate) fn register(module: &mut RpcModule<Shared>) {
    register_async(module, "engine_newPayloadV1", |s, p| new_payload::handle(s, p, 1));
    register_async(module, "engine_newPayloadV2", |s, p| new_payload::handle(s, p, 2));
    register_async(module, "engine_newPayloadV3", |s, p| new_payload::handle(s, p, 3));
    register_async(module, "engine_newPayloadV4", |s, p| new_payload::handle(s, p, 4));
    register_async(module, "engine_newPayloadV5", |s, p| new_payload::handle(s, p, 5));
    register_async(module, "engine_forkchoiceUpdatedV1", |s, p| forkchoice::handle(s, p, 1));
    register_async(module, "engine_forkchoiceUpdatedV2", |s, p| forkchoice::handle(s, p, 2));
    register_async(module, "engine_forkchoiceUpdatedV3", |s, p| forkchoice::handle(s, p, 3));
    register_async(module, "engine_forkchoiceUpdatedV4", |s, p| forkchoice::handle(s, p, 4));
    register_async(module, "engine_getPayloadV1", |s, p| get_payload::handle(s, p, 1));
    register_async(module, "engine_getPayloadV2", |s, p| get_payload::handle(s, p, 2));
    register_async(module, "engine_getPayloadV3", |s, p| get_payload::handle(s, p, 3));
    register_async(module, "engine_getPayloadV4", |s, p| get_payload::handle(s, p, 4));
    register_async(module, "engine_getPayloadV5", |s, p| get_payload::handle(s, p, 5));
    let heavy = Weight::Heavy;
    register_read(module, "engine_getPayloadBodiesByHashV1", heavy, bodies::by_hash);
    register_read(module, "engine_getPayloadBodiesByRangeV1", heavy, bodies::by_range);
    register_read(module, "engine_getBlobsV1", heavy, blobs::v1);
    register_read(module, "engine_getBlobsV2", heavy, blobs::v2);
    register_read(module, "engine_getBlobsV3", heavy, blobs::v3);
    register_quick(module, "engine_exchangeCapabilities", capabilities::exchange);
    register_quick(module, "engine_getClientVersionV1", capabilities::client_version);
}

fn register_async<R, F>(
    module: &mut RpcModule<Shared>,
    name: &'static str,
    handler: fn(Arc<Shared>, Params<'static>) -> F,
) where
    R: Serialize + Clone + Send + 'static,
    F: Future<Output = RpcResult<R>> + Send + 'static,
{
    module
        .register_async_method(name, move |params, shared, _| handler(shared, params))
        .expect("method names are unique");
}

fn in_range(fork: Fork, (first, last): ForkRange) -> bool {
    first <= fork && fork <= last
}
