//! `engine_forkchoiceUpdatedV1` to `V4`: first the head moves, then attributes, if any, start a
//! build. A fault in the attributes does not undo the move.

use std::sync::Arc;

use alloy_rpc_types_engine::{ForkchoiceState as RpcForkchoiceState, ForkchoiceUpdated};
use banyan_chain::{ChainView, ForkchoiceState, PayloadStatus};
use banyan_chainspec::{ChainSpec, Fork, Rules};
use banyan_consensus::PayloadAttributes;
use banyan_payload::PayloadId;
use banyan_primitives::{Decodable2718, SealedHeader, Transaction};
use jsonrpsee::types::Params;

use super::{ForkRange, in_range, status, wire::RpcPayloadAttributes};
use crate::{
    args::{Args, brief},
    error::{RpcError, RpcResult},
    shared::{Shared, blocking},
};

/// Answers a call of version `version`.
pub(super) async fn handle(
    shared: Arc<Shared>,
    params: Params<'static>,
    version: u8,
) -> RpcResult<ForkchoiceUpdated> {
    // First of all, so that calls are handled in the order of their arrival.
    let _order = shared.forkchoice_order.lock().await;
    let (state, attributes) = parse(&params, version)?;
    let (verdict, view) = shared.context.chain.forkchoice(state).await?;
    shared.context.payload.head_is(view.head().hash());
    // Nothing is built if the call did not make its head ours.
    let is_head = view.head().hash() == state.head;
    let payload_id = match attributes {
        Some(attributes) if is_head && matches!(verdict, PayloadStatus::Valid(_)) => {
            Some(start_build(&shared, view, attributes, version).await?)
        }
        _ => None,
    };
    let payload_id = payload_id.map(Into::into);
    Ok(ForkchoiceUpdated { payload_status: status::to_rpc(verdict), payload_id })
}

/// Attributes that are not of the right form are reported after the head has moved.
type ParsedAttributes = RpcResult<RpcPayloadAttributes>;

fn parse(
    params: &Params<'_>,
    version: u8,
) -> RpcResult<(ForkchoiceState, Option<ParsedAttributes>)> {
    let mut args = Args::new(params)?;
    let state: RpcForkchoiceState = args.required()?;
    let attributes = args.raw().map(|text| {
        serde_json::from_str(text).map_err(|error| {
            RpcError::attributes(format!("Invalid payload attributes: {}", brief(&error)))
        })
    });
    if version >= 4 {
        // Custody columns: there is no blob sampling without devp2p.
        args.raw();
    }
    args.end()?;
    let state = ForkchoiceState {
        head: state.head_block_hash,
        safe: state.safe_block_hash,
        finalized: state.finalized_block_hash,
    };
    Ok((state, attributes))
}

async fn start_build(
    shared: &Arc<Shared>,
    view: Arc<ChainView>,
    attributes: ParsedAttributes,
    version: u8,
) -> RpcResult<PayloadId> {
    let attributes = attributes?;
    let starter = shared.clone();
    let parent = view.head().clone();
    let converted = blocking({
        let parent = parent.clone();
        move || convert(starter.spec(), &parent, attributes, version)
    });
    let attributes = converted.await?;
    // Forced transactions that cannot be executed are a fault of the attributes, which op-node
    // must learn now: it then replaces them by deposits alone.
    Ok(shared.context.payload.start(view, parent, attributes, version).await?)
}

/// Checks attributes against the version and their fork, and decodes forced transactions.
pub(super) fn convert(
    spec: &ChainSpec,
    parent: &SealedHeader,
    attributes: RpcPayloadAttributes,
    version: u8,
) -> RpcResult<PayloadAttributes> {
    let number = parent.number.saturating_add(1);
    let rules = spec.rules_at(number, attributes.timestamp.0);
    check_attributes(&attributes, version, &rules)?;
    let common = PayloadAttributes {
        timestamp: attributes.timestamp.0,
        prev_randao: attributes.prev_randao,
        suggested_fee_recipient: attributes.suggested_fee_recipient,
        withdrawals: attributes.withdrawals.map(Into::into),
        parent_beacon_block_root: attributes.parent_beacon_block_root,
        slot_number: attributes.slot_number.map(|slot| slot.0),
        ..PayloadAttributes::default()
    };
    if !spec.is_op() {
        return Ok(common);
    }
    let decode = |(index, bytes)| {
        Transaction::decode_2718_exact(bytes).map_err(|error| {
            RpcError::attributes(format!(
                "Invalid payload attributes: transaction {index} cannot be decoded: {error}"
            ))
        })
    };
    let encoded = attributes.transactions.unwrap_or_default();
    let transactions =
        encoded.iter().map(AsRef::as_ref).enumerate().map(decode).collect::<Result<_, _>>()?;
    Ok(PayloadAttributes {
        transactions,
        no_tx_pool: attributes.no_tx_pool.unwrap_or_default(),
        gas_limit: attributes.gas_limit.map(|limit| limit.0),
        eip1559_params: attributes.eip1559_params,
        min_base_fee: attributes.min_base_fee.map(|fee| fee.0),
        ..common
    })
}

/// Structure first (−38003; V1 −32602, as geth), then fork (−38005).
fn check_attributes(
    attributes: &RpcPayloadAttributes,
    version: u8,
    rules: &Rules,
) -> RpcResult<()> {
    let withdrawals = attributes.withdrawals.is_some();
    let beacon_root = attributes.parent_beacon_block_root.is_some();
    let wrong = |what: &'static str| Err(RpcError::attributes(what));
    match version {
        1 if withdrawals || beacon_root => {
            return Err(RpcError::params("withdrawals and beacon root not supported in V1"));
        }
        1 if rules.is(Fork::Shanghai) => {
            return Err(RpcError::params("fcuV1 called post-shanghai"));
        }
        2 if beacon_root => return wrong("unexpected beacon root"),
        2 if !rules.is(Fork::Cancun) && rules.is(Fork::Shanghai) != withdrawals => {
            return wrong(if withdrawals {
                "withdrawals before shanghai"
            } else {
                "missing withdrawals"
            });
        }
        3.. if !withdrawals => return wrong("missing withdrawals"),
        3.. if !beacon_root => return wrong("missing beacon root"),
        _ => {}
    }
    if (version >= 4) != attributes.slot_number.is_some() {
        return wrong("slot number belongs to V4");
    }
    if in_range(rules.fork, forks_served(version)) {
        return Ok(());
    }
    let fork = rules.fork;
    Err(RpcError::unsupported_fork(format!(
        "Unsupported fork: forkchoiceUpdatedV{version} does not build {fork:?} payloads"
    )))
}

fn forks_served(version: u8) -> ForkRange {
    match version {
        1 => (Fork::Frontier, Fork::Paris),
        2 => (Fork::Frontier, Fork::Shanghai),
        3 => (Fork::Cancun, Fork::Osaka),
        _ => (Fork::Amsterdam, Fork::Amsterdam),
    }
}

#[cfg(test)]
mod tests {
    use banyan_primitives::B256;
    use serde_json::json;

    use super::*;
    use crate::{error::code, quantity::Quantity};

    fn attributes(withdrawals: bool, beacon_root: bool) -> RpcPayloadAttributes {
        RpcPayloadAttributes {
            withdrawals: withdrawals.then(Vec::new),
            parent_beacon_block_root: beacon_root.then_some(B256::ZERO),
            ..Default::default()
        }
    }

    fn check(version: u8, fork: Fork, attributes: &RpcPayloadAttributes) -> Option<i32> {
        let rules = Rules { fork, op: None, blobs: None };
        check_attributes(attributes, version, &rules).err().map(|error| error.code)
    }

    #[test]
    fn attributes_are_checked_by_version_structure_and_fork() {
        use Fork::{Amsterdam, Cancun, Osaka, Paris, Prague, Shanghai};
        let (bare, with, full) =
            (attributes(false, false), attributes(true, false), attributes(true, true));
        let cases = [
            (1, Paris, &bare, None),
            (1, Paris, &with, Some(code::INVALID_PARAMS)),
            (1, Shanghai, &bare, Some(code::INVALID_PARAMS)),
            (2, Paris, &bare, None),
            (2, Shanghai, &with, None),
            (2, Paris, &with, Some(code::INVALID_ATTRIBUTES)),
            (2, Shanghai, &bare, Some(code::INVALID_ATTRIBUTES)),
            (2, Cancun, &full, Some(code::INVALID_ATTRIBUTES)),
            (2, Cancun, &with, Some(code::UNSUPPORTED_FORK)),
            (2, Cancun, &bare, Some(code::UNSUPPORTED_FORK)),
            (3, Cancun, &full, None),
            (3, Prague, &full, None),
            (3, Osaka, &full, None),
            (3, Cancun, &with, Some(code::INVALID_ATTRIBUTES)),
            (3, Shanghai, &with, Some(code::INVALID_ATTRIBUTES)),
            (3, Shanghai, &full, Some(code::UNSUPPORTED_FORK)),
            (3, Amsterdam, &full, Some(code::UNSUPPORTED_FORK)),
            (4, Amsterdam, &full, Some(code::INVALID_ATTRIBUTES)),
        ];
        for (version, fork, attributes, expected) in cases {
            assert_eq!(check(version, fork, attributes), expected, "V{version} at {fork:?}");
        }
        let v4 = RpcPayloadAttributes { slot_number: Some(Quantity(1)), ..full };
        assert_eq!(check(4, Amsterdam, &v4), None);
        assert_eq!(check(4, Osaka, &v4), Some(code::UNSUPPORTED_FORK));
    }

    #[test]
    fn malformed_attributes_do_not_keep_the_head_from_moving() {
        let zero = B256::ZERO;
        let state = json!({
            "headBlockHash": zero, "safeBlockHash": zero, "finalizedBlockHash": zero,
        });
        let text = json!([state, {"timestamp": "12"}]).to_string();
        let (_, attributes) = parse(&Params::new(Some(&text)), 3).unwrap();
        assert_eq!(attributes.unwrap().unwrap_err().code, code::INVALID_ATTRIBUTES);

        for text in [json!([state]).to_string(), json!([state, null]).to_string()] {
            assert!(parse(&Params::new(Some(&text)), 3).unwrap().1.is_none());
        }
        let text = json!([{"headBlockHash": zero}, null]).to_string();
        let error = parse(&Params::new(Some(&text)), 3).unwrap_err();
        assert_eq!(error.code, code::INVALID_PARAMS);
    }
}
