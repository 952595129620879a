//! `engine_getPayloadV1` to `V5`: the best block so far of a build.

use std::sync::Arc;

use alloy_rpc_types_engine::{BlobsBundleV1, PayloadId};
use banyan_chainspec::{Fork, OpFork, Rules};
use banyan_payload::BuiltPayload;
use banyan_primitives::{B256, PooledSidecar, Requests, U256};
use jsonrpsee::types::Params;
use op_alloy_rpc_types_engine::OpExecutionPayload;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{ForkRange, in_range, wire::payload_of};
use crate::{
    args::Args,
    error::{RpcError, RpcResult, code},
    shared::{Shared, blocking},
};

/// The answer since V2.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    execution_payload: OpExecutionPayload,
    block_value: U256,
    /// Since V3. `BlobsBundleV2` (since V5) differs only in its proofs: one per cell, not per blob.
    #[serde(skip_serializing_if = "Option::is_none")]
    blobs_bundle: Option<BlobsBundleV1>,
    /// Since V4.
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_requests: Option<Requests>,
    /// Since V3.
    #[serde(skip_serializing_if = "Option::is_none")]
    should_override_builder: Option<bool>,
    /// OP, since V3.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_beacon_block_root: Option<B256>,
}

/// Answers a call of version `version`.
pub(super) async fn handle(
    shared: Arc<Shared>,
    params: Params<'static>,
    version: u8,
) -> RpcResult<Box<RawValue>> {
    let mut args = Args::new(&params)?;
    let PayloadId(id) = args.required()?;
    args.end()?;
    let built = shared
        .context
        .payload
        .get(id)
        .await
        .ok_or_else(|| RpcError::new(code::UNKNOWN_PAYLOAD, "Unknown payload"))??;
    let header = &built.executed.block.header;
    let rules = shared.spec().rules_at(header.number, header.timestamp);
    check_fork(version, &rules)?;
    // The block comes back through newPayload: it need not be executed a second time then. The
    // answer does not wait for the chain, and is right without it.
    if let Err(error) = shared.context.chain.insert_built(built.executed.clone()) {
        tracing::warn!(target: "rpc::engine", %error, "a built block was not taken in");
    }
    blocking(move || answer(&built, version, &rules)).await
}

pub(super) fn answer(built: &BuiltPayload, version: u8, rules: &Rules) -> RpcResult<Box<RawValue>> {
    let block = &built.executed.block;
    let payload = payload_of(block, rules.is_op(OpFork::Isthmus));
    if version == 1 {
        return to_raw_value(&payload).map_err(RpcError::internal);
    }
    let requests = built.executed.output.requests.as_ref();
    let envelope = Envelope {
        execution_payload: payload,
        block_value: built.fees,
        blobs_bundle: (version >= 3).then(|| blobs_bundle(built)),
        execution_requests: (version >= 4).then(|| requests.cloned().unwrap_or_default()),
        should_override_builder: (version >= 3).then_some(false),
        parent_beacon_block_root: built
            .parent_beacon_block_root
            .filter(|_| version >= 3 && rules.op.is_some()),
    };
    to_raw_value(&envelope).map_err(RpcError::internal)
}

/// Blobs of the payload's transactions, in order.
fn blobs_bundle(built: &BuiltPayload) -> BlobsBundleV1 {
    let mut bundle = BlobsBundleV1::default();
    for sidecar in built.blob_transactions.iter().filter_map(|tx| tx.sidecar.as_ref()) {
        bundle.commitments.extend_from_slice(sidecar.commitments());
        bundle.blobs.extend_from_slice(sidecar.blobs());
        bundle.proofs.extend_from_slice(match sidecar {
            PooledSidecar::Eip4844(sidecar) => &sidecar.proofs,
            PooledSidecar::Eip7594(sidecar) => &sidecar.cell_proofs,
        });
    }
    bundle
}

fn forks_served(version: u8) -> ForkRange {
    match version {
        1 => (Fork::Frontier, Fork::Paris),
        2 => (Fork::Frontier, Fork::Shanghai),
        3 => (Fork::Cancun, Fork::Cancun),
        4 => (Fork::Prague, Fork::Prague),
        _ => (Fork::Osaka, Fork::Osaka),
    }
}

fn check_fork(version: u8, rules: &Rules) -> RpcResult<()> {
    if in_range(rules.fork, forks_served(version)) {
        return Ok(());
    }
    let fork = rules.fork;
    Err(RpcError::unsupported_fork(format!(
        "Unsupported fork: getPayloadV{version} does not give {fork:?} payloads"
    )))
}

#[cfg(test)]
mod tests {
    use banyan_primitives::{Block, SealedBlock};

    use super::*;

    #[test]
    fn each_version_serves_its_own_fork() {
        use Fork::{Cancun, Osaka, Paris, Prague, Shanghai};
        let served =
            |version, fork| check_fork(version, &Rules { fork, op: None, blobs: None }).is_ok();
        for (version, fork) in
            [(1, Paris), (2, Paris), (2, Shanghai), (3, Cancun), (4, Prague), (5, Osaka)]
        {
            assert!(served(version, fork), "V{version} at {fork:?}");
        }
        for (version, fork) in [(1, Shanghai), (2, Cancun), (3, Prague), (4, Osaka), (5, Prague)] {
            assert!(!served(version, fork), "V{version} at {fork:?}");
        }
    }

    #[test]
    fn an_envelope_without_blobs_has_empty_lists() {
        let envelope = Envelope {
            execution_payload: payload_of(&SealedBlock::seal(Block::default()), false),
            block_value: U256::ZERO,
            blobs_bundle: Some(BlobsBundleV1::default()),
            execution_requests: Some(Requests::default()),
            should_override_builder: Some(false),
            parent_beacon_block_root: None,
        };
        let json = serde_json::to_value(&envelope).unwrap();
        assert_eq!(json["blobsBundle"]["blobs"], serde_json::json!([]));
        assert_eq!(json["executionRequests"], serde_json::json!([]));
        assert_eq!(json["shouldOverrideBuilder"], false);
        assert_eq!(json["blockValue"], "0x0");
        assert!(json.get("parentBeaconBlockRoot").is_none());
    }
}
