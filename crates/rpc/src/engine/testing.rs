//! `testing_buildBlockV1`: a block on a given parent, of given transactions or from the pool, that
//! goes nowhere. For test suites; a port serves it only if told so by name.

use banyan_chainspec::Fork;
use banyan_payload::BuildError;
use banyan_primitives::{Bytes, Decodable2718, Transaction};
use jsonrpsee::RpcModule;
use serde_json::value::RawValue;

use super::{forkchoice, get_payload, wire::RpcPayloadAttributes};
use crate::{
    args::Args,
    error::{RpcError, RpcResult},
    shared::{Shared, Weight, register_read},
};

/// Longest extra data (yellow paper, §4.4.4), bytes.
const MAX_EXTRA_BYTES: usize = 32;

/// Adds the family to a port.
pub(crate) fn register(module: &mut RpcModule<Shared>) {
    register_read(module, "testing_buildBlockV1", Weight::Heavy, build_block);
}

/// `(parent, attributes, transactions?, extra data?)`: an envelope as `getPayload` gives it. Without
/// a list of transactions the block is filled from the pool.
fn build_block(shared: &Shared, mut args: Args<'_>) -> RpcResult<Box<RawValue>> {
    let parent = args.hash()?;
    let attributes: RpcPayloadAttributes = args.required()?;
    let encoded: Option<Vec<Bytes>> = args.optional()?;
    let extra_data: Option<Bytes> = args.optional()?;
    args.end()?;
    if extra_data.as_ref().is_some_and(|extra| extra.len() > MAX_EXTRA_BYTES) {
        return Err(RpcError::params(format!("extraData exceeds {MAX_EXTRA_BYTES} bytes")));
    }
    let (view, spec) = (shared.view(), shared.spec());
    let parent = view.header_by_hash(&parent)?;
    let parent = parent.ok_or_else(|| RpcError::server("unknown parent block"))?;
    let rules = spec.rules_at(parent.number.saturating_add(1), attributes.timestamp.0);
    let (version, payload_version) = match rules.fork {
        Fork::Amsterdam => (4, 6),
        Fork::Osaka => (3, 5),
        Fork::Prague => (3, 4),
        Fork::Cancun => (3, 3),
        Fork::Shanghai => (2, 2),
        _ => (1, 1),
    };
    let mut attributes = forkchoice::convert(spec, &parent, attributes, version)?;
    if let Some(encoded) = encoded {
        attributes.transactions = decode(&encoded)?;
        attributes.no_tx_pool = true;
    }
    let payload = &shared.context.payload;
    let built = payload.build_once(&shared.context.pool, view, parent, attributes, extra_data);
    let built = built.map_err(|error| match error {
        BuildError::Attributes(error) => RpcError::server(error.0),
        BuildError::Fault(_) => RpcError::internal(error),
    })?;
    get_payload::answer(&built, payload_version, &rules)
}

fn decode(encoded: &[Bytes]) -> RpcResult<Vec<Transaction>> {
    let decode = |(index, bytes): (usize, &Bytes)| {
        Transaction::decode_2718_exact(bytes)
            .map_err(|error| RpcError::params(format!("invalid transaction {index}: {error}")))
    };
    encoded.iter().enumerate().map(decode).collect()
}
