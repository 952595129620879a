//! What the executor wants to know of some opcodes.

use banyan_primitives::{StateSource, U256};
use revm::{
    bytecode::opcode::{JUMPDEST, KECCAK256},
    context::ContextError,
    context_interface::Transaction,
    handler::instructions::EthInstructions,
    interpreter::{
        Host, Instruction, InstructionContext, Interpreter, instructions::system,
        interpreter::EthInterpreter, interpreter_types::StackTr,
    },
    primitives::hardfork::SpecId,
};

use crate::{ahead::Snapshot, evm::EvmContext};

type Step<'a, H> = InstructionContext<'a, H, EthInterpreter>;

/// Replaces what an opcode does; its static gas stays.
fn replace<H: Host>(
    table: &mut EthInstructions<EthInterpreter, H>,
    opcode: u8,
    function: fn(Step<'_, H>),
) {
    let gas = table.instruction_table[usize::from(opcode)].static_gas();
    table.insert_instruction(opcode, Instruction::new(function, gas));
}

/// Lets KECCAK256 remember the hashes of 64 bytes.
pub(crate) fn remember_hashes<S, T, SPEC, C>(
    table: &mut EthInstructions<EthInterpreter, EvmContext<S, T, SPEC, C>>,
) where
    S: StateSource,
    T: Transaction,
    SPEC: Into<SpecId> + Copy,
{
    replace(table, KECCAK256, |step| {
        let InstructionContext { interpreter, host } = step;
        let Some(hash) = remembered(interpreter, host) else {
            return system::keccak256(InstructionContext { interpreter, host });
        };
        if let Some(([_offset], top)) = StackTr::popn_top(&mut interpreter.stack) {
            *top = hash;
        }
    });
}

/// The hash that is asked for, paid, if it is one of 64 bytes that are in memory and can be paid.
fn remembered<S, T, SPEC, C>(
    interpreter: &mut Interpreter<EthInterpreter>,
    host: &mut EvmContext<S, T, SPEC, C>,
) -> Option<U256>
where
    S: StateSource,
    T: Transaction,
    SPEC: Into<SpecId> + Copy,
{
    let [.., len, offset] = interpreter.stack.data().as_slice() else { return None };
    if *len != U256::from(64) {
        return None;
    }
    let from = usize::try_from(offset).ok()?;
    let end = from.checked_add(64).filter(|end| *end <= interpreter.memory.len())?;
    if !interpreter.gas.record_regular_cost(host.gas_params().keccak256_cost(64)) {
        return None;
    }
    let preimage: [u8; 64] = interpreter.memory.slice_range(from..end).as_ref().try_into().ok()?;
    Some(host.journaled_state.database.hashes.hash(&preimage))
}

/// Makes jump destinations look whether the result is still of use: every loop passes one.
pub(crate) fn stop_when_overtaken<S, T, SPEC, C>(
    table: &mut EthInstructions<EthInterpreter, EvmContext<Snapshot<'_, S>, T, SPEC, C>>,
) where
    S: StateSource,
    T: Transaction,
    SPEC: Into<SpecId> + Copy,
{
    replace(table, JUMPDEST, |step| {
        if step.host.journaled_state.database.source().is_overtaken_now_and_then() {
            step.host.error = Err(ContextError::Custom("overtaken by the committer".into()));
            step.interpreter.halt_fatal();
        }
    });
}
