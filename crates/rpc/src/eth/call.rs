//! `eth_call`, and the simulation that `eth_estimateGas` shares with it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use banyan_chainspec::ChainSpec;
use banyan_executor::{
    Accesses, BlockContext, CallError, CallLimits, CallOutcome, CallRequest, StateOverrides,
    precompiles,
};
use banyan_primitives::{Account, Address, Bytes, StateSource, U256};
use banyan_state::StateView;

use super::{
    call_request::TransactionArgs,
    overrides::{BlockOverrides, RpcStateOverrides, state_overrides},
    revert,
};
use crate::{
    args::{Abandoned, Args},
    block_id::BlockId,
    error::{RpcError, RpcResult},
    shared::Shared,
};

/// `(call, block?, state overrides?, block overrides?)`
pub(super) fn call(shared: &Shared, args: Args<'_>) -> RpcResult<Bytes> {
    let (request, simulation) = Simulation::from_args(shared, args)?;
    let gas_cap = shared.context.config.gas_cap;
    let gas = request.gas().unwrap_or(gas_cap).min(gas_cap);
    let request = request.to_request(shared.spec().chain_id, gas)?;
    let outcome = simulation.run(&request).map_err(|error| match error {
        CallError::Invalid(reason) => {
            RpcError::server(format!("err: {reason} (supplied gas {gas})"))
        }
        error => simulation.error(error),
    })?;
    revert::output(outcome)
}

/// A block and the state after it, ready to run calls on.
#[derive(Debug)]
pub(super) struct Simulation {
    spec: Arc<ChainSpec>,
    context: BlockContext,
    state: StateView,
    overrides: StateOverrides,
    limits: CallLimits,
    timeout: Duration,
}

impl Simulation {
    /// Reads `(call, block?, state overrides?, block overrides?)` and takes the state.
    pub(super) fn from_args(
        shared: &Shared,
        mut args: Args<'_>,
    ) -> RpcResult<(TransactionArgs, Self)> {
        let request: TransactionArgs = args.required()?;
        let block: BlockId = args.optional()?.unwrap_or_default();
        let accounts: RpcStateOverrides = args.optional()?.unwrap_or_default();
        let changes: BlockOverrides = args.optional()?.unwrap_or_default();
        let Abandoned(cancelled) = args.abandoned();
        args.end()?;
        let (header, state) = shared.state(&shared.view(), block)?;
        let mut context = BlockContext::from_header(header.inner());
        changes.apply(&mut context);
        let timeout = shared.context.config.call_timeout;
        let deadline = Instant::now().checked_add(timeout);
        let precompiles = precompiles(&context.rules(shared.spec()));
        let precompiles = precompiles.into_iter().map(|(_, address)| address).collect();
        let mut overrides = state_overrides(&state, &accounts, &precompiles)?;
        overrides.blob_base_fee = changes.blob_base_fee();
        let simulation = Self {
            spec: shared.spec().clone(),
            context,
            state,
            overrides,
            limits: CallLimits { deadline, cancelled },
            timeout,
        };
        Ok((request, simulation))
    }

    /// Runs a call.
    pub(super) fn run(&self, request: &CallRequest) -> Result<CallOutcome, CallError> {
        banyan_executor::call(
            &self.spec,
            &self.context,
            &self.state,
            request,
            &self.overrides,
            &self.limits,
        )
    }

    /// Runs a call, and tells what it accessed.
    pub(super) fn run_with_accesses(
        &self,
        request: &CallRequest,
    ) -> Result<(CallOutcome, Accesses), CallError> {
        banyan_executor::call_with_accesses(
            &self.spec,
            &self.context,
            &self.state,
            request,
            &self.overrides,
            &self.limits,
        )
    }

    /// What to tell of a call that was not executed, or not to its end.
    pub(super) fn error(&self, error: CallError) -> RpcError {
        match error {
            CallError::Aborted => {
                RpcError::server(format!("execution aborted (timeout = {:?})", self.timeout))
            }
            error => error.into(),
        }
    }

    /// The block's environment.
    pub(super) const fn context(&self) -> &BlockContext {
        &self.context
    }

    /// The chain's rules.
    pub(super) fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// Balance of an account, overrides included.
    pub(super) fn balance(&self, address: &Address) -> RpcResult<U256> {
        Ok(self.account(address)?.balance)
    }

    /// Nonce of an account, overrides included.
    pub(super) fn nonce(&self, address: &Address) -> RpcResult<u64> {
        Ok(self.account(address)?.nonce)
    }

    /// True if the account has code, overrides included.
    pub(super) fn has_code(&self, address: &Address) -> RpcResult<bool> {
        Ok(self.account(address)?.has_code())
    }

    fn account(&self, address: &Address) -> RpcResult<Account> {
        match self.overrides.accounts.get(address) {
            Some(account) => Ok(*account),
            None => Ok(self.state.account(address)?.unwrap_or_default()),
        }
    }
}
