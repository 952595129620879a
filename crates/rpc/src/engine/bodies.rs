//! `engine_getPayloadBodiesByHashV1` and `ByRangeV1`.

use alloy_rpc_types_engine::{ExecutionPayloadBodiesV1, ExecutionPayloadBodyV1};
use banyan_primitives::{B256, RecoveredBlock};

use super::MAX_BODIES;
use crate::{
    args::Args,
    error::{RpcError, RpcResult},
    quantity::Quantity,
    shared::Shared,
};

/// Withdrawals are null before Shanghai.
fn body(block: RecoveredBlock) -> ExecutionPayloadBodyV1 {
    let body = &block.body;
    ExecutionPayloadBodyV1::new(body.withdrawals.clone(), &body.transactions)
}

/// Null for blocks we do not have.
pub(super) fn by_hash(shared: &Shared, mut args: Args<'_>) -> RpcResult<ExecutionPayloadBodiesV1> {
    let hashes: Vec<B256> = args.required()?;
    args.end()?;
    if hashes.len() > MAX_BODIES {
        return Err(RpcError::too_large(MAX_BODIES));
    }
    let view = shared.view();
    hashes.iter().map(|hash| Ok(view.block_by_hash(hash)?.map(body))).collect()
}

/// Ends at the head, without trailing nulls.
pub(super) fn by_range(shared: &Shared, mut args: Args<'_>) -> RpcResult<ExecutionPayloadBodiesV1> {
    let start: Quantity = args.required()?;
    let count: Quantity = args.required()?;
    args.end()?;
    let view = shared.view();
    numbers(start.0, count.0, view.head().number)?
        .map(|number| Ok(view.block_by_number(number)?.map(body)))
        .collect()
}

fn numbers(start: u64, count: u64, head: u64) -> RpcResult<impl Iterator<Item = u64>> {
    if start == 0 || count == 0 {
        return Err(RpcError::params(format!(
            "start and count must be positive numbers: start {start}, count {count}"
        )));
    }
    if count > MAX_BODIES as u64 {
        return Err(RpcError::too_large(MAX_BODIES));
    }
    let end = start.saturating_add(count - 1).min(head);
    Ok(start..=end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::code;

    #[test]
    fn a_range_ends_at_the_head() {
        let of = |start, count, head| numbers(start, count, head).unwrap().collect::<Vec<_>>();
        assert_eq!(of(1, 3, 10), [1, 2, 3]);
        assert_eq!(of(9, 5, 10), [9, 10]);
        assert_eq!(of(11, 5, 10), [] as [u64; 0]);
        assert_eq!(of(u64::MAX, 1024, 10), [] as [u64; 0]);
    }

    #[test]
    fn empty_and_oversized_ranges_are_errors() {
        let code_of = |start, count| numbers(start, count, 10).err().unwrap().code;
        assert_eq!(code_of(0, 1), code::INVALID_PARAMS);
        assert_eq!(code_of(1, 0), code::INVALID_PARAMS);
        assert_eq!(code_of(1, 1025), code::TOO_LARGE);
        assert!(numbers(1, 1024, 10).is_ok());
    }
}
