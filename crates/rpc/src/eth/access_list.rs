//! `eth_createAccessList` (EIP-2930): what a call touches, as a list that makes it warm.

use alloy_eips::{eip2930::AccessList, eip7702::SignedAuthorization};
use banyan_executor::{Accesses, CallRequest, CallStatus, precompiles};
use banyan_primitives::{Address, HashSet, TxKind, signer};
use serde::Serialize;

use super::call::Simulation;
use crate::{
    args::Args,
    error::{RpcError, RpcResult},
    quantity::Quantity,
    shared::Shared,
};

/// Gas that every authorisation costs at least (EIP-7702).
const AUTHORIZATION_GAS: u64 = 25_000;
/// A list that still changes after so many tries will not settle.
const MAX_ROUNDS: usize = 32;

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccessListAnswer {
    access_list: AccessList,
    /// Why the call failed, if it did; the list tells what it touched all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    gas_used: Quantity,
}

/// `(call, block?, state overrides?)`. A list changes gas, and thereby perhaps what is touched: the
/// call runs until its list stays the same.
pub(super) fn create(shared: &Shared, args: Args<'_>) -> RpcResult<AccessListAnswer> {
    let (request, simulation) = Simulation::from_args(shared, args)?;
    let gas_cap = shared.context.config.gas_cap;
    let gas = request.gas().unwrap_or(gas_cap).min(gas_cap);
    let mut request = request.to_request(shared.spec().chain_id, gas)?;
    let warm = warm_accounts(&simulation, &request)?;
    let mut given = Accesses::default();
    given.add_list(&request.access_list);
    let mut list = given.to_list(&warm);
    for _ in 0..MAX_ROUNDS {
        request.access_list = list.clone();
        let (outcome, mut found) =
            simulation.run_with_accesses(&request).map_err(|error| simulation.error(error))?;
        found.add_list(&list);
        let next = found.to_list(&warm);
        if next == list {
            let gas_used = Quantity(outcome.gas_used);
            let error = match outcome.status {
                CallStatus::Success => None,
                CallStatus::Revert => Some("execution reverted".to_owned()),
                CallStatus::Halt(reason) => Some(reason),
            };
            return Ok(AccessListAnswer { access_list: list, error, gas_used });
        }
        list = next;
    }
    Err(RpcError::server("access list does not settle"))
}

/// Accounts that are warm or charged for without being listed, as in geth: sender, recipient,
/// precompiles, and the signers of authorisations.
fn warm_accounts(simulation: &Simulation, request: &CallRequest) -> RpcResult<HashSet<Address>> {
    let to = match request.to {
        TxKind::Call(to) => to,
        TxKind::Create => {
            let nonce = request.nonce.map_or_else(|| simulation.nonce(&request.from), Ok)?;
            request.from.create(nonce)
        }
    };
    if request.authorizations.len() as u64 > request.gas / AUTHORIZATION_GAS {
        return Err(RpcError::server("insufficient gas to process all authorizations"));
    }
    let rules = simulation.context().rules(simulation.spec());
    let precompiles = precompiles(&rules).into_iter().map(|(_, address)| address);
    let chain_id = simulation.spec().chain_id;
    let authorities =
        request.authorizations.iter().filter_map(|signed| authority(signed, chain_id));
    Ok([request.from, to].into_iter().chain(precompiles).chain(authorities).collect())
}

/// The account that an authorisation speaks for, if it can be valid on this chain.
fn authority(signed: &SignedAuthorization, chain_id: u64) -> Option<Address> {
    let here = signed.chain_id.is_zero() || signed.chain_id == chain_id;
    if !here || signed.nonce == u64::MAX {
        return None;
    }
    signer::recover(&signed.signature().ok()?, signed.signature_hash()).ok()
}
