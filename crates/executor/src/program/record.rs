//! Records a call, opcode by opcode, on a throw-away EVM over the state before it.

use std::marker::PhantomData;

use banyan_primitives::{Address, Bytes, KECCAK_EMPTY, SourceError, TxKind, U256};
use revm::{
    Context, Database, Inspector, Journal, MainBuilder,
    bytecode::opcode,
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::{
        ContextTr, JournalTr, Transaction,
        result::{EVMError, HaltReason, InvalidTransaction},
    },
    handler::{Handler, MainnetEvm},
    inspector::{InspectorHandler, JournalExt},
    interpreter::{
        CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome, InitialAndFloorGas,
        InstructionResult, Interpreter, interpreter::EthInterpreter, interpreter_types::Jumps,
    },
    primitives::hardfork::SpecId,
};

use super::CallEnv;
use crate::{evm::fault, state::DbError};

/// Most opcodes of a call that is learnt.
const MAX_STEPS: usize = 6_000;
/// Most gas of a call that is learnt: bounds what a recording can cost.
pub(super) const MAX_GAS: u64 = 400_000;

/// What happened, in order.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Enter(Box<Enter>),
    Step(OpStep),
    /// Hash of the code that the next step asks about.
    Code(U256),
    /// A call ended, with success.
    Leave {
        gas_left: u64,
    },
}

/// A call began.
#[derive(Clone, Debug)]
pub(super) struct Enter {
    pub(super) scheme: CallScheme,
    /// Whose code it is.
    pub(super) code_hash: U256,
    pub(super) code: Bytes,
    pub(super) gas_limit: u64,
}

/// One opcode.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpStep {
    pub(super) opcode: u8,
    pub(super) gas_before: u64,
    pub(super) gas_after: u64,
    /// Top of the stack behind it; for SSTORE the value of the slot before the transaction.
    pub(super) result: U256,
}

/// Records `call`: nothing if it fails or does what no program can do. Tells the gas that it took.
pub(super) fn record<D: Database<Error = DbError>>(
    call: &CallEnv<'_>,
    db: &mut D,
) -> Result<(Option<Vec<Event>>, u64), SourceError> {
    let mut cfg = CfgEnv::new_with_spec(call.spec).with_chain_id(call.chain_id);
    cfg.tx_gas_limit_cap = Some(u64::MAX);
    let mut context =
        Context::<BlockEnv, TxEnv, CfgEnv, &mut D, Journal<&mut D>, ()>::new(db, call.spec)
            .with_block(call.block.clone())
            .with_cfg(cfg);
    context.tx = TxEnv {
        caller: call.caller,
        // With what the envelope takes at most.
        gas_limit: call.gas.min(MAX_GAS) + 21_000 + 64 * call.input.len() as u64,
        gas_price: 0,
        kind: TxKind::Call(call.target),
        value: call.value,
        data: call.input.clone(),
        ..Default::default()
    };
    let mut evm = context.build_mainnet_with_inspector(Recorder::default());
    let result = Rehearsal::<D>(PhantomData).inspect_run(&mut evm).map_err(fault)?;
    let Recorder { events, unfit, .. } = evm.inspector;
    let gas = result.tx_gas_used();
    Ok(((result.is_success() && !unfit).then_some(events), gas))
}

type RecordContext<'a, D> = Context<BlockEnv, TxEnv, CfgEnv, &'a mut D, Journal<&'a mut D>, ()>;
type RecordEvm<'a, D> = MainnetEvm<RecordContext<'a, D>, Recorder>;

/// The mainnet handler without the checks of the envelope.
struct Rehearsal<'a, D>(PhantomData<&'a mut D>);

impl<'a, D: Database<Error = DbError>> Handler for Rehearsal<'a, D> {
    type Evm = RecordEvm<'a, D>;
    type Error = EVMError<DbError, InvalidTransaction>;
    type HaltReason = HaltReason;

    fn validate_env(&self, _evm: &mut Self::Evm) -> Result<(), Self::Error> {
        Ok(())
    }

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Self::Evm,
        _gas: &mut InitialAndFloorGas,
    ) -> Result<(), Self::Error> {
        let (_, tx, _, journal, _, _) = evm.ctx.all_mut();
        journal.load_account_with_code_mut(tx.caller())?;
        Ok(())
    }
}

impl<'a, D: Database<Error = DbError>> InspectorHandler for Rehearsal<'a, D> {
    type IT = EthInterpreter;
}

/// Notes what happens; stops the execution at the first thing that no program can do.
#[derive(Debug, Default)]
struct Recorder {
    events: Vec<Event>,
    /// Opcode, gas before it and the slot it writes.
    current: (u8, u64, U256),
    unfit: bool,
}

impl<CTX: ContextTr<Journal: JournalExt>> Inspector<CTX, EthInterpreter> for Recorder {
    fn step(&mut self, interp: &mut Interpreter<EthInterpreter>, _context: &mut CTX) {
        let opcode = interp.bytecode.opcode();
        let key = interp.stack.peek(0).unwrap_or_default();
        self.current = (opcode, interp.gas.remaining(), key);
        self.unfit |= !is_known(opcode) || self.events.len() >= MAX_STEPS;
        if self.unfit {
            interp.halt(InstructionResult::Stop);
        }
    }

    fn step_end(&mut self, interp: &mut Interpreter<EthInterpreter>, context: &mut CTX) {
        let (opcode, gas_before, key) = self.current;
        let mut result = interp.stack.peek(0).unwrap_or_default();
        if opcode == opcode::SSTORE {
            let account = context.journal().evm_state().get(&interp.input.target_address);
            let slot = account.and_then(|account| account.storage.get(&key));
            result = slot.map_or(U256::ZERO, |slot| slot.original_value);
        }
        if matches!(opcode, opcode::EXTCODESIZE | opcode::EXTCODEHASH) {
            let account = context.journal().evm_state().get(&Address::from_word(key.into()));
            let hash = account.map_or(KECCAK_EMPTY, |account| account.info.code_hash);
            self.events.push(Event::Code(hash.into()));
        }
        let gas_after = interp.gas.remaining();
        self.events.push(Event::Step(OpStep { opcode, gas_before, gas_after, result }));
    }

    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let account = context.journal().evm_state().get(&inputs.bytecode_address);
        let code = account.and_then(|account| account.info.code.as_ref());
        let delegated = code.is_none_or(|code| code.is_eip7702());
        let (code_hash, code) = &inputs.known_bytecode;
        let moves_value = inputs.transfers_value() && !self.events.is_empty();
        self.unfit |= delegated || moves_value || code.is_empty();
        self.unfit |= inputs.scheme == CallScheme::CallCode;
        self.events.push(Event::Enter(Box::new(Enter {
            scheme: inputs.scheme,
            code_hash: (*code_hash).into(),
            code: code.original_bytes(),
            gas_limit: inputs.gas_limit,
        })));
        None
    }

    fn call_end(&mut self, _: &mut CTX, _: &CallInputs, outcome: &mut CallOutcome) {
        self.unfit |= !outcome.result.is_ok() || outcome.was_precompile_called;
        self.events.push(Event::Leave { gas_left: outcome.result.gas.remaining() });
    }

    fn create(&mut self, _: &mut CTX, _: &mut CreateInputs) -> Option<CreateOutcome> {
        self.unfit = true;
        None
    }
}

/// Opcodes that programs know. The others depend on things that are none of their inputs, or do
/// what is none of their outputs.
fn is_known(code: u8) -> bool {
    !matches!(
        code,
        opcode::BALANCE
            | opcode::SELFBALANCE
            | opcode::GASPRICE
            | opcode::EXTCODECOPY
            | opcode::BLOCKHASH
            | opcode::BLOBHASH
            | opcode::BLOBBASEFEE
            | opcode::CREATE
            | opcode::CREATE2
            | opcode::CALLCODE
            | opcode::SELFDESTRUCT
            | opcode::REVERT
            | opcode::INVALID
    )
}

/// Forks whose gas rules programs know.
pub(super) fn is_known_fork(spec: SpecId) -> bool {
    (SpecId::MERGE..SpecId::AMSTERDAM).contains(&spec)
}
