//! `engine_newPayloadV1` to `V5`: a payload comes in, is checked against the version's structure and
//! fork, becomes a block with senders, and goes to the chain.

use std::{sync::Arc, time::Instant};

use alloy_rpc_types_engine::PayloadStatus;
use banyan_chain::ChainView;
use banyan_chainspec::{Fork, OpFork, Rules};
use banyan_primitives::{
    B256, Bytes, Decodable2718, Header, RecoveredBlock, Requests, SealedBlock, Transaction,
    TransactionTrait, signer,
};
use jsonrpsee::types::Params;

use super::{
    ForkRange, in_range, status,
    wire::{ExecutionPayload, HeaderExtras, assemble},
};
use crate::{
    args::Args,
    error::{RpcError, RpcResult},
    shared::{Shared, blocking},
};

/// The parameters of a call. Those that a version lacks are `None`.
#[derive(Clone, Debug, Default)]
struct Request {
    payload: ExecutionPayload,
    versioned_hashes: Option<Vec<B256>>,
    parent_beacon_block_root: Option<B256>,
    requests: Option<Vec<Bytes>>,
}

/// What a request turned into.
enum Prepared {
    /// A block for the chain to judge.
    Block(RecoveredBlock),
    /// Wrong already as a message.
    Invalid(PayloadStatus),
}

/// Answers a call of version `version`.
pub(super) async fn handle(
    shared: Arc<Shared>,
    params: Params<'static>,
    version: u8,
) -> RpcResult<PayloadStatus> {
    let reader = shared.clone();
    // Decoding and recovery take milliseconds for a full block: not on the reactor.
    let prepared = blocking(move || {
        let started = Instant::now();
        let request = Request::parse(&params, version)?;
        prepare(&reader, request, version, started)
    })
    .await?;
    match prepared {
        Prepared::Invalid(status) => Ok(status),
        Prepared::Block(block) => {
            Ok(status::to_rpc(shared.context.chain.new_payload(block).await?))
        }
    }
}

impl Request {
    fn parse(params: &Params<'_>, version: u8) -> RpcResult<Self> {
        let mut args = Args::new(params)?;
        let mut request = Self { payload: args.required()?, ..Self::default() };
        if version >= 3 {
            request.versioned_hashes = args.optional()?;
            request.parent_beacon_block_root = args.optional()?;
        }
        if version >= 4 {
            request.requests = args.optional()?;
        }
        args.end()?;
        Ok(request)
    }

    fn extras(&self) -> HeaderExtras {
        let hash = |list: &Vec<Bytes>| Requests::from_requests(list.clone()).requests_hash();
        HeaderExtras {
            parent_beacon_block_root: self.parent_beacon_block_root,
            requests_hash: self.requests.as_ref().map(hash),
        }
    }
}

fn prepare(
    shared: &Shared,
    request: Request,
    version: u8,
    started: Instant,
) -> RpcResult<Prepared> {
    let payload = &request.payload;
    let rules = shared.spec().rules_at(payload.block_number.0, payload.timestamp.0);
    check_structure(&request, version, &rules)?;
    check_fork(version, &rules)?;
    let invalid = |error: String| Ok(Prepared::Invalid(status::invalid(None, error)));

    let Some(header) = payload.header(&request.extras(), rules.is_op(OpFork::Isthmus)) else {
        return invalid(format!("base fee {} is too large", payload.base_fee_per_gas.0));
    };
    let (want, got) = (payload.block_hash, header.hash_slow());
    if want != got {
        return invalid(format!("blockhash mismatch: want {want}, got {got}"));
    }
    let view = shared.view();
    // A block we saw before: nothing to decode or recover again.
    if let Some(known) = view.block_by_hash(&got)? {
        return Ok(match check_versioned_hashes(&request, &known.body.transactions) {
            Ok(()) => Prepared::Block(known),
            Err(error) => Prepared::Invalid(status::invalid(None, error)),
        });
    }
    let transactions = match decode_transactions(&payload.transactions) {
        Ok(transactions) => transactions,
        Err(error) => return invalid(error),
    };
    if let Err(error) = check_versioned_hashes(&request, &transactions) {
        return invalid(error);
    }
    metrics::histogram!("banyan_block_decode_seconds").record(started.elapsed());
    recover(shared, &view, header, transactions, request.payload)
}

/// Finds the senders. A signature that names nobody is a fault of the block like any other, so the
/// parent, if valid, is the latest valid block.
fn recover(
    shared: &Shared,
    view: &ChainView,
    header: Header,
    transactions: Vec<Transaction>,
    payload: ExecutionPayload,
) -> RpcResult<Prepared> {
    let pool = &shared.context.pool;
    let started = Instant::now();
    let senders = signer::senders(&transactions, |hash| pool.known_sender(hash));
    metrics::histogram!("banyan_block_recover_seconds").record(started.elapsed());
    match senders {
        Ok(senders) => {
            let block = assemble(header, transactions, payload.withdrawals);
            let sealed = SealedBlock::seal(block);
            Ok(Prepared::Block(RecoveredBlock::new(sealed, senders)))
        }
        Err((index, error)) => {
            let parent = view.header_by_hash(&header.parent_hash)?;
            let latest_valid = parent
                .map(|parent| if parent.difficulty.is_zero() { parent.hash() } else { B256::ZERO });
            let error = format!("invalid transaction {index}: {error}");
            Ok(Prepared::Invalid(status::invalid(latest_valid, error)))
        }
    }
}

fn decode_transactions(encoded: &[Bytes]) -> Result<Vec<Transaction>, String> {
    let decode = |(index, bytes): (usize, &Bytes)| {
        Transaction::decode_2718_exact(bytes)
            .map_err(|error| format!("invalid transaction {index}: {error}"))
    };
    encoded.iter().enumerate().map(decode).collect()
}

/// Cancun: the CL and the payload must agree on the blobs.
fn check_versioned_hashes(request: &Request, transactions: &[Transaction]) -> Result<(), String> {
    let Some(expected) = &request.versioned_hashes else { return Ok(()) };
    let actual = transactions.iter().filter_map(|tx| tx.blob_versioned_hashes()).flatten();
    if actual.eq(expected) {
        return Ok(());
    }
    Err("blob versioned hashes do not match the payload's transactions".into())
}

/// The fields must be those of the version (−32602).
fn check_structure(request: &Request, version: u8, rules: &Rules) -> RpcResult<()> {
    let payload = &request.payload;
    let need = |present: bool, what: &'static str| {
        if present { Ok(()) } else { Err(RpcError::params(what)) }
    };
    match version {
        1 => need(payload.withdrawals.is_none(), "withdrawals not supported in V1")?,
        2 => check_withdrawals_v2(payload, rules)?,
        _ => need(payload.withdrawals.is_some(), "nil withdrawals post-shanghai")?,
    }
    if version < 3 {
        need(payload.excess_blob_gas.is_none(), "non-nil excessBlobGas pre-cancun")?;
        need(payload.blob_gas_used.is_none(), "non-nil blobGasUsed pre-cancun")?;
    } else {
        need(payload.excess_blob_gas.is_some(), "nil excessBlobGas post-cancun")?;
        need(payload.blob_gas_used.is_some(), "nil blobGasUsed post-cancun")?;
        need(request.versioned_hashes.is_some(), "nil versionedHashes post-cancun")?;
        need(request.parent_beacon_block_root.is_some(), "nil beaconRoot post-cancun")?;
    }
    if version >= 4 {
        let requests = request.requests.as_deref();
        check_requests(requests.ok_or(RpcError::params("nil executionRequests post-prague"))?)?;
    }
    let amsterdam = version >= 5;
    need(payload.block_access_list.is_some() == amsterdam, "wrong version: blockAccessList")?;
    need(payload.slot_number.is_some() == amsterdam, "wrong version: slotNumber")?;
    check_op_structure(request, rules)
}

fn check_withdrawals_v2(payload: &ExecutionPayload, rules: &Rules) -> RpcResult<()> {
    match (rules.is(Fork::Shanghai), payload.withdrawals.is_some()) {
        (true, false) => Err(RpcError::params("nil withdrawals post-shanghai")),
        (false, true) => Err(RpcError::params("non-nil withdrawals pre-shanghai")),
        _ => Ok(()),
    }
}

/// EIP-7685 as the Engine API has it: ordered by type, each type once, none empty.
fn check_requests(requests: &[Bytes]) -> RpcResult<()> {
    let mut last_type = None;
    for request in requests {
        let kind = request.first().copied();
        if request.len() < 2 {
            return Err(RpcError::params("empty request in executionRequests"));
        }
        if kind <= last_type {
            return Err(RpcError::params("executionRequests are not in ascending order of type"));
        }
        last_type = kind;
    }
    Ok(())
}

/// OP Stack: since Isthmus `withdrawalsRoot` comes with the payload, and there are never withdrawals
/// or requests.
fn check_op_structure(request: &Request, rules: &Rules) -> RpcResult<()> {
    if rules.op.is_none() {
        return Ok(());
    }
    let payload = &request.payload;
    match (rules.is_op(OpFork::Isthmus), payload.withdrawals_root.is_some()) {
        (true, false) => return Err(RpcError::params("nil withdrawalsRoot post-isthmus")),
        (false, true) => return Err(RpcError::params("non-nil withdrawalsRoot pre-isthmus")),
        _ => {}
    }
    if payload.withdrawals.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(RpcError::params("non-empty withdrawals on an OP chain"));
    }
    if request.requests.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(RpcError::params("non-empty executionRequests on an OP chain"));
    }
    Ok(())
}

/// Forks whose payloads a version takes. V1 and V2 fail later, by the block hash, on what they lack.
fn forks_served(version: u8) -> ForkRange {
    match version {
        1 => (Fork::Frontier, Fork::Amsterdam),
        2 => (Fork::Frontier, Fork::Shanghai),
        3 => (Fork::Cancun, Fork::Cancun),
        4 => (Fork::Prague, Fork::Osaka),
        _ => (Fork::Amsterdam, Fork::Amsterdam),
    }
}

fn check_fork(version: u8, rules: &Rules) -> RpcResult<()> {
    if in_range(rules.fork, forks_served(version)) {
        return Ok(());
    }
    let fork = rules.fork;
    Err(RpcError::unsupported_fork(format!(
        "Unsupported fork: newPayloadV{version} does not take {fork:?} payloads"
    )))
}

#[cfg(test)]
mod tests;
