//! What a block does besides its transactions: system calls, irregular state changes, withdrawals,
//! rewards and requests.

use alloy_eips::{
    eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use banyan_chainspec::{ChainSpec, Fork, OpFork, Rules};
use banyan_primitives::{
    Address, Bytes, Header, Receipt, Requests, StateSource, U256, Withdrawal, address,
    alloy_primitives::hex,
};

use crate::{BlockContext, ExecutionError, dao, deposit_log, evm::Machine, state::DbError};

/// Request types of EIP-7685.
const DEPOSIT_REQUEST: u8 = 0;
const WITHDRAWAL_REQUEST: u8 = 1;
const CONSOLIDATION_REQUEST: u8 = 2;

/// Where Canyon puts the create2 deployer, and its code.
const CREATE2_DEPLOYER: Address = address!("0x13b0D85CcB8bf860b6b79AF3029fCA081AE9beF2");
const CREATE2_DEPLOYER_CODE: &str = include_str!("create2_deployer.hex");

const WEI_PER_GWEI: u64 = 1_000_000_000;
const WEI_PER_ETH: u64 = 1_000_000_000_000_000_000;

impl From<DbError> for ExecutionError {
    fn from(error: DbError) -> Self {
        Self::Source(error.0)
    }
}

/// State changes before the first transaction, in geth's order.
pub(crate) fn open_block<S: StateSource>(
    machine: &mut Machine<'_, S>,
    spec: &ChainSpec,
    rules: &Rules,
    context: &BlockContext,
) -> Result<(), ExecutionError> {
    if spec.dao.is_some_and(|dao| dao.support && dao.block == context.number) {
        dao::move_funds(machine)?;
    }
    // By time, as op-geth: the block that carries exactly the activation time.
    if spec.op_activation_time(OpFork::Canyon) == Some(context.timestamp) {
        let code = hex::decode(CREATE2_DEPLOYER_CODE.trim()).expect("embedded code is hex");
        machine.state_mut().set_code(CREATE2_DEPLOYER, code.into())?;
    }
    // Both contracts may be absent, and a failure of theirs is no fault of the block.
    if let Some(root) = context.parent_beacon_root
        && rules.is(Fork::Cancun)
    {
        machine.system_call(BEACON_ROOTS_ADDRESS, root.0.into())?;
    }
    if rules.is(Fork::Prague) {
        machine.system_call(HISTORY_STORAGE_ADDRESS, context.parent_hash.0.into())?;
    }
    Ok(())
}

/// Requests of the block (EIP-7685): deposits from the logs, the rest from the system contracts.
/// `None` before Prague; always empty on OP chains.
pub(crate) fn requests<S: StateSource>(
    machine: &mut Machine<'_, S>,
    spec: &ChainSpec,
    rules: &Rules,
    receipts: &[Receipt],
) -> Result<Option<Requests>, ExecutionError> {
    if rules.op.is_some() {
        return Ok(rules.is_op(OpFork::Isthmus).then(Requests::default));
    }
    if !rules.is(Fork::Prague) {
        return Ok(None);
    }
    let mut requests = Requests::with_capacity(3);
    let deposits = deposit_log::deposits(receipts, spec.deposit_contract)?;
    requests.push_request_with_type(DEPOSIT_REQUEST, deposits);
    for (kind, contract) in [
        (WITHDRAWAL_REQUEST, WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS),
        (CONSOLIDATION_REQUEST, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS),
    ] {
        requests.push_request_with_type(kind, dequeue(machine, contract)?);
    }
    Ok(Some(requests))
}

/// Takes the requests queued in a system contract. Without the contract, or if it fails, the
/// block is invalid (EIP-7002, EIP-7251).
fn dequeue<S: StateSource>(
    machine: &mut Machine<'_, S>,
    contract: Address,
) -> Result<Bytes, ExecutionError> {
    let account = machine.state_mut().account(contract)?;
    if !account.is_some_and(|account| account.has_code()) {
        return Err(ExecutionError::InvalidBlock(format!(
            "empty code at system contract {contract}"
        )));
    }
    let outcome = machine.system_call(contract, Bytes::new())?;
    if !outcome.success {
        return Err(ExecutionError::InvalidBlock(format!(
            "system call to {contract} failed to execute"
        )));
    }
    Ok(outcome.output)
}

/// Credits withdrawals (EIP-4895).
pub(crate) fn withdraw<S: StateSource>(
    machine: &mut Machine<'_, S>,
    withdrawals: &[Withdrawal],
) -> Result<(), ExecutionError> {
    for withdrawal in withdrawals {
        let wei = U256::from(withdrawal.amount) * U256::from(WEI_PER_GWEI);
        machine.state_mut().add_balance(withdrawal.address, wei, true)?;
    }
    Ok(())
}

/// Credits the proof-of-work rewards of the block and its ommers.
pub(crate) fn reward<S: StateSource>(
    machine: &mut Machine<'_, S>,
    rules: &Rules,
    context: &BlockContext,
    ommers: &[Header],
) -> Result<(), ExecutionError> {
    let eth = match rules.fork {
        fork if fork >= Fork::Constantinople => 2,
        fork if fork >= Fork::Byzantium => 3,
        _ => 5,
    };
    let block_reward = U256::from(eth) * U256::from(WEI_PER_ETH);
    let clear_empty = rules.is(Fork::SpuriousDragon);
    let mut miner = block_reward;
    for ommer in ommers {
        let age = context.number.checked_sub(ommer.number).filter(|age| (1..8).contains(age));
        let Some(age) = age else {
            return Err(ExecutionError::InvalidBlock(format!(
                "uncle {} is not of the last 7 generations",
                ommer.number
            )));
        };
        let ommer_reward = block_reward * U256::from(8 - age) / U256::from(8);
        machine.state_mut().add_balance(ommer.beneficiary, ommer_reward, clear_empty)?;
        miner += block_reward / U256::from(32);
    }
    machine.state_mut().add_balance(context.beneficiary, miner, clear_empty)?;
    Ok(())
}
