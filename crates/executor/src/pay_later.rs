//! A handler that leaves the fees' recipients alone and says what they get.

use std::cell::Cell;

use banyan_primitives::U256;
use revm::{
    context::Block,
    context_interface::{
        Cfg, ContextTr, Transaction,
        result::{ExecutionResult, ResultGas},
    },
    handler::{EvmTr, FrameResult, Handler},
    interpreter::{Gas, InitialAndFloorGas},
    primitives::hardfork::SpecId,
};

use crate::fees::FeeAmounts;

/// revm's handler `H`, but for the last step of a transaction: what the recipients of fees get is
/// kept in [`Self::fees`] instead of being written to their balances.
pub(crate) struct PayLater<H: Handler> {
    handler: H,
    price: fn(&mut H::Evm, &Gas) -> Option<FeeAmounts>,
    fees: Cell<Option<FeeAmounts>>,
}

impl<H: Handler> PayLater<H> {
    /// `price` works out the fees of the transaction in the context.
    pub(crate) fn new(handler: H, price: fn(&mut H::Evm, &Gas) -> Option<FeeAmounts>) -> Self {
        Self { handler, price, fees: Cell::new(None) }
    }

    /// The fees of the last transaction; `None` if it pays none (a deposit).
    pub(crate) fn fees(&self) -> Option<FeeAmounts> {
        self.fees.get()
    }
}

/// What the beneficiary gets: all of the gas price before London, then what is above the base fee.
pub(crate) fn tip<C: ContextTr>(context: &C, gas: &Gas) -> U256 {
    let base_fee = u128::from(context.block().basefee());
    let price = context.tx().effective_gas_price(base_fee);
    let london = context.cfg().spec().into().is_enabled_in(SpecId::LONDON);
    let tip = if london { price.saturating_sub(base_fee) } else { price };
    U256::from(tip) * U256::from(effective_used(gas))
}

/// Gas used, less the reservoir of EIP-8037.
pub(crate) fn effective_used(gas: &Gas) -> u64 {
    gas.used().saturating_sub(gas.reservoir())
}

impl<H> Handler for PayLater<H>
where
    H: Handler,
    H::Evm: EvmTr<Context: ContextTr>,
{
    type Evm = H::Evm;
    type Error = H::Error;
    type HaltReason = H::HaltReason;

    fn validate_env(&self, evm: &mut H::Evm) -> Result<(), H::Error> {
        self.handler.validate_env(evm)
    }

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut H::Evm,
        gas: &mut InitialAndFloorGas,
    ) -> Result<(), H::Error> {
        self.handler.validate_against_state_and_deduct_caller(evm, gas)
    }

    fn last_frame_result(
        &mut self,
        evm: &mut H::Evm,
        result: &mut FrameResult,
    ) -> Result<(), H::Error> {
        self.handler.last_frame_result(evm, result)
    }

    fn refund(&self, evm: &mut H::Evm, result: &mut FrameResult, eip7702_refund: i64) {
        self.handler.refund(evm, result, eip7702_refund);
    }

    fn reimburse_caller(&self, evm: &mut H::Evm, result: &mut FrameResult) -> Result<(), H::Error> {
        self.handler.reimburse_caller(evm, result)
    }

    fn reward_beneficiary(
        &self,
        evm: &mut H::Evm,
        result: &mut FrameResult,
    ) -> Result<(), H::Error> {
        self.fees.set((self.price)(evm, result.gas()));
        Ok(())
    }

    fn execution_result(
        &mut self,
        evm: &mut H::Evm,
        result: FrameResult,
        gas: ResultGas,
    ) -> Result<ExecutionResult<H::HaltReason>, H::Error> {
        self.handler.execution_result(evm, result, gas)
    }

    fn catch_error(
        &self,
        evm: &mut H::Evm,
        error: H::Error,
    ) -> Result<ExecutionResult<H::HaltReason>, H::Error> {
        self.fees.set(None);
        self.handler.catch_error(evm, error)
    }
}
