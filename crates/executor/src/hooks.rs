//! What the executor wants to know of some opcodes.

use banyan_primitives::StateSource;
use revm::{
    bytecode::opcode::JUMPDEST,
    context::ContextError,
    context_interface::Transaction,
    handler::instructions::EthInstructions,
    interpreter::{Host, Instruction, InstructionContext, interpreter::EthInterpreter},
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
