//! revm for calls that are only simulated: its own handler, since the mainnet one checks the
//! sender, and an interpreter that can be stopped from outside.

use std::{
    collections::BTreeMap,
    marker::PhantomData,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::Instant,
};

use banyan_chainspec::{ChainSpec, Fork, GenesisAccount, Rules};
use banyan_primitives::{Address, Bytes, StateSource, TxKind, TxType};
use revm::{
    bytecode::opcode::JUMPDEST,
    context::{BlockEnv, CfgEnv, Evm, FrameStack, TxEnv},
    context_interface::{
        Block, ContextError, ContextTr, JournalTr, Transaction,
        either::Either,
        journaled_state::account::JournaledAccountTr,
        result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction},
    },
    handler::{
        EthFrame, EthPrecompiles, EvmTr, FrameResult, Handler, ItemOrResult,
        instructions::EthInstructions, pre_execution::calculate_caller_fee,
    },
    interpreter::{
        InitialAndFloorGas, Instruction, InstructionContext, interpreter::EthInterpreter,
        interpreter_action::FrameInit,
    },
    primitives::{eip3860::MAX_INITCODE_SIZE, hardfork::SpecId},
};

use crate::{
    Accesses, BlockContext, CallError, CallLimits, CallOutcome, CallRequest, CallStatus,
    StateOverrides, access,
    collision::Eip7610,
    evm::{EvmContext, block_env, cfg_env, fault, new_context, op_spec_id, spec_id},
    op_precompiles::OpPrecompileSet,
    precompiles::CallPrecompiles,
    state::{BlockState, DbError},
    words,
};

/// revm's context, with our companion of the execution in the place of the chain's.
pub(crate) type CallContext<S, SPEC> = EvmContext<S, TxEnv, SPEC, Companion>;
type CallEvm<'a, S, SPEC> = Eip7610<
    'a,
    Evm<
        CallContext<S, SPEC>,
        (),
        EthInstructions<EthInterpreter, CallContext<S, SPEC>>,
        CallPrecompiles<'a>,
        EthFrame<EthInterpreter>,
    >,
>;
type Error = EVMError<DbError, InvalidTransaction>;

/// How many checkpoints (jump destinations and frames) pass between two looks at the clock. At
/// most some ten microseconds of interpretation.
const CHECK_EVERY: u32 = 1024;

/// Runs `request` on `source` in the EVM of the block of `context`. What it accesses is noted in
/// `accesses`, if given.
pub(crate) fn run<S: StateSource>(
    spec: &ChainSpec,
    context: &BlockContext,
    source: S,
    request: &CallRequest,
    overrides: &StateOverrides,
    limits: &CallLimits,
    accesses: Option<&mut Accesses>,
) -> Result<CallOutcome, CallError> {
    let rules = context.rules(spec);
    let block = call_block_env(&rules, context, request, overrides);
    let tx = call_tx_env(&rules, spec.chain_id, request);
    check(&rules, &block, &tx).map_err(CallError::Invalid)?;
    let state = BlockState::new(source);
    match rules.op {
        None => {
            let fork = spec_id(rules.fork);
            let mut context = new_context(state, block, call_cfg(fork, &rules, spec.chain_id));
            context.chain = Companion::new(limits);
            let precompiles = CallPrecompiles { set: EthPrecompiles::new(fork), overrides };
            execute(context, precompiles, &spec.alloc, (tx, request.nonce), accesses)
        }
        Some(fork) => {
            let fork = op_spec_id(fork);
            let mut context = new_context(state, block, call_cfg(fork, &rules, spec.chain_id));
            context.chain = Companion::new(limits);
            let precompiles = CallPrecompiles { set: OpPrecompileSet::new(fork).0, overrides };
            execute(context, precompiles, &spec.alloc, (tx, request.nonce), accesses)
        }
    }
}

/// No cap on gas: the caller of [`run`] has one of its own.
fn call_cfg<SPEC: Into<SpecId> + Copy>(spec: SPEC, rules: &Rules, chain_id: u64) -> CfgEnv<SPEC> {
    let mut cfg = cfg_env(spec, rules, chain_id);
    cfg.tx_gas_limit_cap = Some(u64::MAX);
    cfg
}

/// A call that names no price sees a base fee of zero, as in geth, so that it can pay it.
/// So does a blob transaction the blob base fee.
fn call_block_env(
    rules: &Rules,
    context: &BlockContext,
    request: &CallRequest,
    overrides: &StateOverrides,
) -> BlockEnv {
    let mut block = block_env(rules, context);
    if request.max_fee == 0 && request.max_priority_fee.is_none_or(|fee| fee == 0) {
        block.basefee = 0;
    }
    if let Some(blob) = &mut block.blob_excess_gas_and_price {
        let free = request.max_fee_per_blob_gas == 0 && !request.blob_hashes.is_empty();
        let price = overrides.blob_base_fee.unwrap_or(blob.blob_gasprice);
        blob.blob_gasprice = if free { 0 } else { price };
    }
    block
}

fn call_tx_env(rules: &Rules, chain_id: u64, request: &CallRequest) -> TxEnv {
    let tx_type = if !request.authorizations.is_empty() {
        TxType::Eip7702
    } else if !request.blob_hashes.is_empty() {
        TxType::Eip4844
    } else if request.max_priority_fee.is_some() && rules.is(Fork::London) {
        TxType::Eip1559
    } else if !request.access_list.is_empty() {
        TxType::Eip2930
    } else {
        TxType::Legacy
    };
    TxEnv {
        tx_type: tx_type as u8,
        caller: request.from,
        gas_limit: request.gas,
        gas_price: request.max_fee,
        kind: request.to,
        value: request.value,
        data: request.input.clone(),
        nonce: request.nonce.unwrap_or_default(),
        chain_id: Some(chain_id),
        access_list: request.access_list.clone(),
        gas_priority_fee: request.max_priority_fee,
        blob_hashes: request.blob_hashes.clone(),
        max_fee_per_blob_gas: request.max_fee_per_blob_gas,
        authorization_list: request.authorizations.iter().cloned().map(Either::Left).collect(),
    }
}

/// What can be refused without state. The mainnet rules on nonce, gas cap and block gas limit do
/// not hold for calls.
fn check(rules: &Rules, block: &BlockEnv, tx: &TxEnv) -> Result<(), String> {
    let refuse = |error| Err(words::invalid(&error, tx, block.basefee));
    if tx.gas_priority_fee.is_some_and(|tip| tip > tx.gas_price) {
        return refuse(InvalidTransaction::PriorityFeeGreaterThanMaxFee);
    }
    if tx.gas_price < u128::from(block.basefee) {
        return refuse(InvalidTransaction::GasPriceLessThanBasefee);
    }
    let create = tx.kind == TxKind::Create;
    if rules.is(Fork::Shanghai) && create && tx.data.len() > MAX_INITCODE_SIZE {
        return refuse(InvalidTransaction::CreateInitCodeSizeLimit);
    }
    if !tx.blob_hashes.is_empty() {
        let block_blob_gas_price = block.blob_gasprice().unwrap_or_default();
        let tx_max_fee_per_blob_gas = tx.max_fee_per_blob_gas;
        if !rules.is(Fork::Cancun) || rules.op.is_some() {
            return refuse(InvalidTransaction::Eip4844NotSupported);
        }
        if create {
            return refuse(InvalidTransaction::BlobCreateTransaction);
        }
        if tx_max_fee_per_blob_gas < block_blob_gas_price {
            return refuse(InvalidTransaction::BlobGasPriceGreaterThanMax {
                block_blob_gas_price,
                tx_max_fee_per_blob_gas,
            });
        }
    }
    if !tx.authorization_list.is_empty() {
        if !rules.is(Fork::Prague) {
            return refuse(InvalidTransaction::Eip7702NotSupported);
        }
        if create {
            return refuse(InvalidTransaction::AuthorizationListInvalidFields);
        }
    }
    Ok(())
}

/// Builds the EVM and runs the transaction in it. A nonce that is given replaces the sender's,
/// since the address of a created contract depends on it.
fn execute<'a, S, SPEC>(
    mut context: CallContext<S, SPEC>,
    precompiles: CallPrecompiles<'a>,
    alloc: &'a BTreeMap<Address, GenesisAccount>,
    (tx, nonce): (TxEnv, Option<u64>),
    accesses: Option<&mut Accesses>,
) -> Result<CallOutcome, CallError>
where
    S: StateSource,
    SPEC: Into<SpecId> + Copy,
{
    context.tx = tx;
    let mut instruction = EthInstructions::new_mainnet_with_spec(context.cfg.spec.into());
    instruction.insert_instruction(JUMPDEST, Instruction::new(jumpdest, 1));
    if accesses.is_some() {
        access::watch(&mut instruction);
    }
    let evm = Evm {
        ctx: context,
        inspector: (),
        instruction,
        precompiles,
        frame_stack: FrameStack::new_prealloc(8),
    };
    let mut evm = Eip7610 { evm, alloc };
    let result = CallHandler { nonce, evm: PhantomData }.run(&mut evm);
    if let Some(accesses) = accesses {
        *accesses = std::mem::take(&mut evm.ctx_mut().chain.accesses);
    }
    let ctx = evm.ctx_ref();
    if ctx.chain.guard.expired {
        return Err(CallError::Aborted);
    }
    match result {
        Ok(result) => Ok(outcome(result)),
        Err(EVMError::Transaction(error)) => {
            Err(CallError::Invalid(words::invalid(&error, &ctx.tx, ctx.block.basefee)))
        }
        Err(error) => Err(CallError::Source(fault(error))),
    }
}

fn outcome(result: ExecutionResult<HaltReason>) -> CallOutcome {
    let gas = *result.gas();
    let (status, output, logs) = match result {
        ExecutionResult::Success { logs, output, .. } => {
            (CallStatus::Success, output.into_data(), logs)
        }
        ExecutionResult::Revert { output, .. } => (CallStatus::Revert, output, Vec::new()),
        ExecutionResult::Halt { reason, .. } => {
            (CallStatus::Halt(words::halt(&reason)), Bytes::new(), Vec::new())
        }
    };
    CallOutcome {
        status,
        output,
        gas_used: gas.tx_gas_used(),
        gas_before_refund: gas.total_gas_spent().max(gas.floor_gas()),
        logs,
    }
}

/// What goes along with the execution of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Companion {
    guard: Guard,
    /// What opcodes named, if they are watched.
    pub(crate) accesses: Accesses,
}

impl Companion {
    fn new(limits: &CallLimits) -> Self {
        Self { guard: Guard::new(limits), accesses: Accesses::default() }
    }
}

/// Stops an execution whose time is up or whose client went away.
#[derive(Clone, Debug, Default)]
struct Guard {
    deadline: Option<Instant>,
    cancelled: Arc<AtomicBool>,
    checkpoints: u32,
    expired: bool,
}

impl Guard {
    fn new(limits: &CallLimits) -> Self {
        let CallLimits { deadline, cancelled } = limits.clone();
        Self { deadline, cancelled, checkpoints: 0, expired: false }
    }

    /// Counts a checkpoint; true if the execution must stop.
    fn must_stop(&mut self) -> bool {
        if self.checkpoints.is_multiple_of(CHECK_EVERY) {
            self.expired |= self.cancelled.load(Ordering::Relaxed)
                || self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        }
        self.checkpoints = self.checkpoints.wrapping_add(1);
        self.expired
    }
}

const ABORTED: &str = "call aborted";

/// JUMPDEST with a look at the guard: every loop inside a contract passes one, so straight code
/// (at most 24 KiB of it between two frames) pays nothing.
fn jumpdest<S: StateSource, SPEC>(
    context: InstructionContext<'_, CallContext<S, SPEC>, EthInterpreter>,
) {
    if context.host.chain.guard.must_stop() {
        context.host.error = Err(ContextError::Custom(ABORTED.into()));
        context.interpreter.halt_fatal();
    }
}

/// The mainnet handler without the checks that only signed transactions owe.
struct CallHandler<EVM> {
    nonce: Option<u64>,
    evm: PhantomData<EVM>,
}

impl<'a, S, SPEC> Handler for CallHandler<CallEvm<'a, S, SPEC>>
where
    S: StateSource,
    SPEC: Into<SpecId> + Copy,
{
    type Evm = CallEvm<'a, S, SPEC>;
    type Error = Error;
    type HaltReason = HaltReason;

    /// Done by [`check`].
    fn validate_env(&self, _evm: &mut Self::Evm) -> Result<(), Error> {
        Ok(())
    }

    /// Neither nonce nor code of the sender is checked; fees and value must be covered.
    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Self::Evm,
        _gas: &mut InitialAndFloorGas,
    ) -> Result<(), Error> {
        let (block, tx, cfg, journal, _, _) = evm.ctx().all_mut();
        let mut caller = journal.load_account_with_code_mut(tx.caller())?.data;
        let balance = calculate_caller_fee(*caller.balance(), tx, block, cfg)?;
        caller.set_balance(balance);
        if let Some(nonce) = self.nonce {
            caller.set_nonce(nonce);
        }
        if tx.kind().is_call() {
            caller.bump_nonce();
        }
        Ok(())
    }

    /// revm's loop over the frames, with a look at the guard before each.
    fn run_exec_loop(
        &mut self,
        evm: &mut Self::Evm,
        first: FrameInit,
    ) -> Result<FrameResult, Error> {
        if let ItemOrResult::Result(result) = evm.frame_init(first)? {
            return Ok(result);
        }
        loop {
            if evm.ctx().chain.guard.must_stop() {
                return Err(EVMError::Custom(ABORTED.into()));
            }
            let result = match evm.frame_run()? {
                ItemOrResult::Result(result) => result,
                ItemOrResult::Item(init) => match evm.frame_init(init)? {
                    ItemOrResult::Item(_) => continue,
                    ItemOrResult::Result(result) => result,
                },
            };
            if let Some(last) = evm.frame_return_result(result)? {
                return Ok(last);
            }
        }
    }
}
