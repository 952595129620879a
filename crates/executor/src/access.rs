//! What a call touches, opcode by opcode, for `eth_createAccessList`: as geth's tracer notes it, also
//! what a revert takes back.

use std::collections::{BTreeMap, BTreeSet};

use alloy_eips::eip2930::{AccessList, AccessListItem};
use banyan_primitives::{Address, B256, HashSet, StateSource};
use revm::{
    bytecode::opcode,
    handler::instructions::EthInstructions,
    interpreter::{
        Instruction, InstructionContext,
        instructions::{contract, host},
        interpreter::EthInterpreter,
    },
    primitives::hardfork::SpecId,
};

use crate::simulate::CallContext;

/// The accounts and storage slots that opcodes named during a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accesses {
    accounts: BTreeSet<Address>,
    slots: BTreeMap<Address, BTreeSet<B256>>,
}

impl Accesses {
    /// The access list that would have warmed all of it. Accounts in `warm` (those that a
    /// transaction pays for anyway) are listed only if they have slots.
    pub fn to_list(&self, warm: &HashSet<Address>) -> AccessList {
        let mut items: BTreeMap<Address, Vec<B256>> = self
            .accounts
            .iter()
            .filter(|address| !warm.contains(*address))
            .map(|address| (*address, Vec::new()))
            .collect();
        for (address, slots) in &self.slots {
            items.insert(*address, slots.iter().copied().collect());
        }
        let item = |(address, storage_keys)| AccessListItem { address, storage_keys };
        AccessList(items.into_iter().map(item).collect())
    }

    /// Adds what `list` names.
    pub fn add_list(&mut self, list: &AccessList) {
        for item in &list.0 {
            self.accounts.insert(item.address);
            if !item.storage_keys.is_empty() {
                self.slots.entry(item.address).or_default().extend(&item.storage_keys);
            }
        }
    }
}

type Table<S, SPEC> = EthInstructions<EthInterpreter, CallContext<S, SPEC>>;
type Step<'a, S, SPEC> = InstructionContext<'a, CallContext<S, SPEC>, EthInterpreter>;

/// Makes the opcodes that touch accounts and slots note them first.
pub(crate) fn watch<S, SPEC>(table: &mut Table<S, SPEC>)
where
    S: StateSource,
    SPEC: Into<SpecId> + Copy,
{
    let mut replace = |opcode: u8, function: fn(Step<'_, S, SPEC>)| {
        let gas = table.instruction_table[usize::from(opcode)].static_gas();
        table.insert_instruction(opcode, Instruction::new(function, gas));
    };
    replace(opcode::SLOAD, |step| host::sload(note_slot(step)));
    replace(opcode::SSTORE, |step| host::sstore(note_slot(step)));
    replace(opcode::BALANCE, |step| host::balance(note_account(step, 0)));
    replace(opcode::EXTCODESIZE, |step| host::extcodesize(note_account(step, 0)));
    replace(opcode::EXTCODEHASH, |step| host::extcodehash(note_account(step, 0)));
    replace(opcode::EXTCODECOPY, |step| host::extcodecopy(note_account(step, 0)));
    replace(opcode::SELFDESTRUCT, |step| host::selfdestruct(note_account(step, 0)));
    replace(opcode::CALL, |step| contract::call(note_account(step, 1)));
    replace(opcode::CALLCODE, |step| contract::call_code(note_account(step, 1)));
    replace(opcode::DELEGATECALL, |step| contract::delegate_call(note_account(step, 1)));
    replace(opcode::STATICCALL, |step| contract::static_call(note_account(step, 1)));
}

/// Notes the slot on top of the stack, in the storage of the running contract.
fn note_slot<S: StateSource, SPEC>(step: Step<'_, S, SPEC>) -> Step<'_, S, SPEC> {
    if let Ok(slot) = step.interpreter.stack.peek(0) {
        let contract = step.interpreter.input.target_address;
        step.host.chain.accesses.slots.entry(contract).or_default().insert(slot.into());
    }
    step
}

/// Notes the account named `depth` below the top of the stack.
fn note_account<S: StateSource, SPEC>(step: Step<'_, S, SPEC>, depth: usize) -> Step<'_, S, SPEC> {
    if let Ok(word) = step.interpreter.stack.peek(depth) {
        step.host.chain.accesses.accounts.insert(Address::from_word(word.into()));
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_accounts_are_listed_only_for_their_slots() {
        let [a, b, c] = [1, 2, 3].map(Address::repeat_byte);
        let slot = B256::repeat_byte(9);
        let mut accesses = Accesses::default();
        accesses.accounts.extend([a, b, c]);
        accesses.slots.insert(b, [slot].into());
        let list = accesses.to_list(&HashSet::from_iter([a, b]));
        let expected = [(b, vec![slot]), (c, Vec::new())]
            .map(|(address, storage_keys)| AccessListItem { address, storage_keys });
        assert_eq!(list.0, expected);
        let mut again = Accesses::default();
        again.add_list(&list);
        assert_eq!(again.to_list(&HashSet::default()), list);
    }
}
