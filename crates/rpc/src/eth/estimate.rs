//! `eth_estimateGas`: the smallest gas limit under which a call succeeds, by geth's search.

use alloy_eips::eip7825::MAX_TX_GAS_LIMIT_OSAKA;
use banyan_chainspec::Fork;
use banyan_executor::{CallError, CallOutcome, CallRequest, CallStatus};
use banyan_primitives::U256;

use super::{
    call::Simulation,
    revert::{self, reverted},
};
use crate::{
    args::Args,
    error::{RpcError, RpcResult},
    quantity::Quantity,
    shared::Shared,
};

/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;
/// Gas given along with a value transfer.
const CALL_STIPEND: u64 = 2_300;
/// Gas of one blob (EIP-4844).
const GAS_PER_BLOB: u64 = 131_072;
/// The search ends when the answer is within this part of the least limit.
const ERROR_RATIO: f64 = 0.015;

/// `(call, block?, state overrides?, block overrides?)`
pub(super) fn estimate_gas(shared: &Shared, args: Args<'_>) -> RpcResult<Quantity> {
    let (request, simulation) = Simulation::from_args(shared, args)?;
    let given = request.gas().filter(|gas| *gas >= TRANSFER_GAS);
    let request = request.to_request(shared.spec().chain_id, 0)?;
    let block_limit = simulation.context().gas_limit;
    let wanted = given.unwrap_or(block_limit);
    let highest = highest_limit(&simulation, &request, wanted, shared.context.config.gas_cap)?;
    if is_plain_transfer(&simulation, &request)? {
        let attempt = attempt(&simulation, &request, TRANSFER_GAS);
        if matches!(attempt, Ok(Attempt::Enough(_))) {
            return Ok(Quantity(TRANSFER_GAS));
        }
    }
    search(highest, |gas| attempt(&simulation, &request, gas)).map(Quantity)
}

fn is_plain_transfer(simulation: &Simulation, request: &CallRequest) -> RpcResult<bool> {
    match request.to.to() {
        Some(to) if request.input.is_empty() => Ok(!simulation.has_code(to)?),
        _ => Ok(false),
    }
}

/// The most gas that the caller, the network and our own cap allow.
fn highest_limit(
    simulation: &Simulation,
    request: &CallRequest,
    wanted: u64,
    gas_cap: u64,
) -> RpcResult<u64> {
    let mut highest = wanted;
    if simulation.context().rules(simulation.spec()).is(Fork::Osaka) {
        highest = highest.min(MAX_TX_GAS_LIMIT_OSAKA);
    }
    if request.max_fee > 0 {
        let balance = simulation.balance(&request.from)?;
        highest = highest.min(affordable_gas(balance, request)?);
    }
    Ok(if gas_cap == 0 { highest } else { highest.min(gas_cap) })
}

fn affordable_gas(balance: U256, request: &CallRequest) -> RpcResult<u64> {
    let blob_gas = GAS_PER_BLOB.saturating_mul(request.blob_hashes.len() as u64);
    let blob_cost = U256::from(request.max_fee_per_blob_gas).saturating_mul(U256::from(blob_gas));
    // As with geth, the whole balance leaves nothing for gas.
    let available = balance
        .checked_sub(request.value)
        .filter(|left| !left.is_zero())
        .ok_or_else(|| RpcError::server("insufficient funds for transfer"))?
        .checked_sub(blob_cost)
        .ok_or_else(|| RpcError::server("insufficient funds for gas * price + value"))?;
    let gas = available.checked_div(U256::from(request.max_fee)).unwrap_or(U256::MAX);
    Ok(gas.saturating_to())
}

/// How a call went under one gas limit.
#[derive(Debug)]
enum Attempt {
    /// It succeeded.
    Enough(CallOutcome),
    /// It failed, perhaps for lack of gas.
    Failed(CallOutcome),
    /// Not even enough to begin (intrinsic or floor cost).
    TooLittle,
}

fn attempt(simulation: &Simulation, request: &CallRequest, gas: u64) -> RpcResult<Attempt> {
    let request = CallRequest { gas, ..request.clone() };
    match simulation.run(&request) {
        Ok(outcome) if outcome.status == CallStatus::Success => Ok(Attempt::Enough(outcome)),
        Ok(outcome) => Ok(Attempt::Failed(outcome)),
        Err(CallError::Invalid(reason)) if is_gas_too_low(&reason) => Ok(Attempt::TooLittle),
        Err(CallError::Invalid(reason)) => {
            Err(RpcError::server(format!("failed with {gas} gas: {reason}")))
        }
        Err(error) => Err(simulation.error(error)),
    }
}

fn is_gas_too_low(reason: &str) -> bool {
    reason.contains("intrinsic gas too low")
        || reason.contains("insufficient gas for floor data gas cost")
}

/// Halves the range between the least limit that failed and the smallest that did not.
fn search(highest: u64, attempt: impl Fn(u64) -> RpcResult<Attempt>) -> RpcResult<u64> {
    let outcome = match attempt(highest)? {
        Attempt::Enough(outcome) => outcome,
        Attempt::Failed(outcome) => return Err(failure(outcome, highest)),
        Attempt::TooLittle => return Err(exceeds_allowance(highest)),
    };
    let enough = |gas| Ok::<_, RpcError>(matches!(attempt(gas)?, Attempt::Enough(_)));
    let (mut low, mut high) = (outcome.gas_used.saturating_sub(1), highest);
    // Calls keep back 1/64 of the gas, so the gas used at the highest point is a good first guess.
    let guess = outcome.gas_before_refund.saturating_add(CALL_STIPEND).saturating_mul(64) / 63;
    if guess < high {
        if enough(guess)? { high = guess } else { low = guess }
    }
    while low.saturating_add(1) < high {
        if (high - low) as f64 / (high as f64) < ERROR_RATIO {
            break;
        }
        // Most calls need little more than the least they could: do not go up too fast.
        let middle = (low + (high - low) / 2).min(low.saturating_mul(2).max(low + 1));
        if enough(middle)? { high = middle } else { low = middle }
    }
    Ok(high)
}

fn failure(outcome: CallOutcome, highest: u64) -> RpcError {
    match &outcome.status {
        CallStatus::Revert => reverted(outcome.output),
        CallStatus::Halt(reason) if reason.contains("out of gas") => exceeds_allowance(highest),
        _ => revert::output(outcome).err().unwrap_or_else(|| exceeds_allowance(highest)),
    }
}

fn exceeds_allowance(highest: u64) -> RpcError {
    RpcError::server(format!("gas required exceeds allowance ({highest})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::code;

    fn outcome(status: CallStatus, gas_used: u64) -> CallOutcome {
        CallOutcome {
            status,
            output: Default::default(),
            gas_used,
            gas_before_refund: gas_used,
            logs: Vec::new(),
        }
    }

    /// A call that uses `used` gas but must be given `needed`.
    fn needs(used: u64, needed: u64) -> impl Fn(u64) -> RpcResult<Attempt> {
        move |gas| {
            Ok(match gas {
                gas if gas < TRANSFER_GAS => Attempt::TooLittle,
                gas if gas < needed => {
                    Attempt::Failed(outcome(CallStatus::Halt("out of gas".into()), gas))
                }
                _ => Attempt::Enough(outcome(CallStatus::Success, used)),
            })
        }
    }

    #[test]
    fn the_estimate_is_enough_and_close() {
        for (used, needed) in
            [(21_000, 21_000), (50_000, 50_000), (30_000, 900_000), (5_000_000, 5_100_000)]
        {
            let found = search(30_000_000, needs(used, needed)).unwrap();
            assert!(found >= needed, "{found} for {needed}");
            assert!(found as f64 <= needed as f64 * 1.2, "{found} for {needed}");
        }
    }

    #[test]
    fn a_call_that_never_succeeds_tells_why() {
        let error = search(40_000, needs(1, 50_000)).unwrap_err();
        assert_eq!(error.message, "gas required exceeds allowance (40000)");
        let revert = |_| Ok(Attempt::Failed(outcome(CallStatus::Revert, 1)));
        assert_eq!(search(40_000, revert).unwrap_err().code, code::REVERT);
        let halt = |_| Ok(Attempt::Failed(outcome(CallStatus::Halt("invalid opcode".into()), 1)));
        assert_eq!(search(40_000, halt).unwrap_err().message, "invalid opcode");
    }

    #[test]
    fn gas_is_limited_by_what_the_caller_can_pay() {
        let request = CallRequest { max_fee: 10, value: U256::from(100), ..CallRequest::default() };
        assert_eq!(affordable_gas(U256::from(1_100), &request).unwrap(), 100);
        let error = affordable_gas(U256::from(99), &request).unwrap_err();
        assert_eq!(error.message, "insufficient funds for transfer");
        assert_eq!(affordable_gas(U256::MAX, &request).unwrap(), u64::MAX);
    }
}
