//! From a recorded call to a path: stack, memory, ABI coding and calls vanish, what is left are
//! expressions, the conditions under which the same opcodes run again, and the effects.

use banyan_primitives::{Bytes, HashSet, KECCAK_EMPTY, U256};
use revm::{
    context_interface::{cfg::GasParams, context::SStoreResult},
    interpreter::CallScheme,
};

use super::{
    CallEnv,
    bytes::{BLANK, Cell},
    expr::{Graph, Id, Input, Node, Op, ZERO},
    path::{GasStep, Guard, LogTemplate, Outputs, Path, Write},
    record::{Enter, Event},
};

/// The most that a path may need.
const MAX_GUARDS: usize = 512;
const MAX_SLOTS: usize = 48;
const MAX_MEMORY: usize = 16 << 10;
const MAX_CALLDATA: usize = 2 << 10;

/// The result of GAS. It may only be passed on to a call, as it is.
pub(super) const GAS_LEFT: Id = Id::MAX;

/// Addresses up to here may be precompiles on some chain.
const LAST_RESERVED: u64 = 0xffff;

/// Why a call cannot become a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfit(pub(super) &'static str);

pub(super) type Lift<T> = Result<T, Unfit>;

/// An expression and the value it had in the recording.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub(super) id: Id,
    pub(super) value: U256,
}

/// A storage slot that the call touched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    account: Id,
    key: Word,
    pub(super) original: Word,
    pub(super) present: Word,
    pub(super) written: bool,
}

/// A call on its way.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) stack: Vec<Word>,
    pub(super) memory: Vec<Cell>,
    pub(super) input: Vec<Cell>,
    pub(super) returned: Vec<Cell>,
    pub(super) output: Vec<Cell>,
    pub(super) caller: Word,
    pub(super) address: Word,
    pub(super) value: Word,
    pub(super) code: Bytes,
    /// Gas left when it was last accounted for.
    pub(super) mark: u64,
    pub(super) pending: Option<Pending>,
}

/// A call opcode whose call has not begun or not ended.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) callee: Word,
    pub(super) cap: u64,
    pub(super) input: Vec<Cell>,
    pub(super) output: (usize, usize),
    pub(super) gas_after: u64,
}

/// Lifts a recording.
pub(super) struct Lifter<'a> {
    pub(super) graph: &'a mut Graph,
    pub(super) params: GasParams,
    pub(super) frames: Vec<Frame>,
    guards: Vec<Guard>,
    known_guards: HashSet<Guard>,
    accounts: Vec<Word>,
    pub(super) storage: Vec<Slot>,
    pub(super) transient: Vec<Slot>,
    pub(super) gas: Vec<GasStep>,
    pub(super) logs: Vec<LogTemplate>,
    pub(super) code_seen: U256,
}

/// The path that `call` took, its expressions added to `graph`. After an error `graph` is
/// worthless.
pub(super) fn lift(graph: &mut Graph, call: &CallEnv<'_>, events: &[Event]) -> Lift<Path> {
    let mut lifter = Lifter::new(graph, call)?;
    for event in events {
        match event {
            Event::Enter(enter) if lifter.frames.is_empty() => lifter.begin(call, enter),
            Event::Enter(enter) => lifter.enter(enter)?,
            Event::Code(hash) => lifter.code_seen = *hash,
            Event::Step(step) => lifter.step(step)?,
            Event::Leave { gas_left } => lifter.leave(*gas_left)?,
        }
        if lifter.graph.is_full() || lifter.guards.len() > MAX_GUARDS {
            return Err(Unfit("too large"));
        }
    }
    lifter.finish()
}

impl<'a> Lifter<'a> {
    fn new(graph: &'a mut Graph, call: &CallEnv<'_>) -> Lift<Self> {
        if call.input.len() > MAX_CALLDATA {
            return Err(Unfit("calldata too large"));
        }
        let accounts = [
            (Input::Target, call.target),
            (Input::Caller, call.caller),
            (Input::Coinbase, call.block.beneficiary),
        ];
        let accounts = accounts.map(|(input, address)| Word {
            id: graph.input(input),
            value: U256::from_be_bytes(address.into_word().0),
        });
        Ok(Self {
            graph,
            params: GasParams::new_spec(call.spec),
            frames: Vec::new(),
            guards: Vec::new(),
            known_guards: HashSet::default(),
            accounts: accounts.to_vec(),
            storage: Vec::new(),
            transient: Vec::new(),
            gas: Vec::new(),
            logs: Vec::new(),
            code_seen: U256::ZERO,
        })
    }

    /// The transaction's own call. Length and first four bytes of its data are part of the key.
    fn begin(&mut self, call: &CallEnv<'_>, enter: &Enter) {
        let input = (0..call.input.len()).map(|i| match i.checked_sub(4) {
            None => Cell::Known(call.input[i]),
            Some(argument) => {
                let word = Input::Calldata((4 + argument / 32 * 32) as u16);
                Cell::Of(self.graph.input(word), (argument % 32) as u8)
            }
        });
        let input = input.collect();
        let value = match call.value.is_zero() {
            true => ZERO,
            false => self.graph.input(Input::Value),
        };
        let value = Word { id: value, value: call.value };
        let (address, caller) = (self.accounts[0], self.accounts[1]);
        self.push_frame(enter, input, (caller, address, value));
    }

    fn push_frame(
        &mut self,
        enter: &Enter,
        input: Vec<Cell>,
        (caller, address, value): (Word, Word, Word),
    ) {
        self.frames.push(Frame {
            stack: Vec::new(),
            memory: Vec::new(),
            input,
            returned: Vec::new(),
            output: Vec::new(),
            caller,
            address,
            value,
            code: enter.code.clone(),
            mark: enter.gas_limit,
            pending: None,
        });
    }

    fn enter(&mut self, enter: &Enter) -> Lift<()> {
        let frame = self.frame()?;
        let (caller, address, value) = (frame.caller, frame.address, frame.value);
        let pending = frame.pending.clone().ok_or(Unfit("call out of nowhere"))?;
        let left = pending.gas_after + enter.gas_limit;
        self.spend_until(left)?;
        self.gas.push(GasStep::Enter { cap: pending.cap });
        self.require_code(pending.callee, enter.code_hash);
        let zero = Word { id: ZERO, value: U256::ZERO };
        let whose = match enter.scheme {
            CallScheme::DelegateCall => (caller, address, value),
            CallScheme::Call | CallScheme::StaticCall => (address, pending.callee, zero),
            CallScheme::CallCode => return Err(Unfit("CALLCODE")),
        };
        self.push_frame(enter, pending.input, whose);
        Ok(())
    }

    fn leave(&mut self, gas_left: u64) -> Lift<()> {
        self.spend_until(gas_left)?;
        let frame = self.frames.pop().ok_or(Unfit("end out of nowhere"))?;
        let Some(parent) = self.frames.last_mut() else { return Ok(()) };
        let pending = parent.pending.take().ok_or(Unfit("end out of nowhere"))?;
        self.gas.push(GasStep::Leave);
        parent.mark = pending.gas_after + gas_left;
        let (at, len) = pending.output;
        let len = len.min(frame.output.len());
        parent.returned = frame.output;
        let returned = parent.returned[..len].to_vec();
        self.write_memory(at, &returned)?;
        let one = self.graph.constant(U256::ONE);
        self.push(one, U256::ONE)
    }

    fn finish(self) -> Lift<Path> {
        if !self.frames.is_empty() {
            return Err(Unfit("unfinished"));
        }
        let written = self.storage.iter().filter(|slot| slot.written);
        let writes = written.filter(|slot| slot.present.id != slot.original.id);
        let writes = writes.map(|slot| Write {
            account: slot.account,
            key: slot.key.id,
            original: slot.original.id,
            value: slot.present.id,
        });
        let touched = self.storage.iter().map(|slot| slot.original.id).collect();
        let writes = writes.collect();
        let outputs = Outputs { gas: self.gas, writes, logs: self.logs, touched };
        Ok(Path::new(self.graph, &self.guards, outputs))
    }

    pub(super) fn frame(&mut self) -> Lift<&mut Frame> {
        self.frames.last_mut().ok_or(Unfit("no frame"))
    }

    /// Gas of everything up to now that costs the same each time.
    pub(super) fn spend_until(&mut self, left: u64) -> Lift<()> {
        let frame = self.frame()?;
        let spent = frame.mark.checked_sub(left).ok_or(Unfit("gas"))?;
        frame.mark = left;
        match self.gas.last_mut() {
            Some(GasStep::Spend(gas)) => *gas += spent,
            _ => self.gas.push(GasStep::Spend(spent)),
        }
        Ok(())
    }

    pub(super) fn push(&mut self, id: Id, value: U256) -> Lift<()> {
        // Whatever was simplified away must not have changed.
        if id != GAS_LEFT && self.graph.as_constant(id).is_some_and(|constant| constant != value) {
            return Err(Unfit("simplified wrongly"));
        }
        self.frame()?.stack.push(Word { id, value });
        Ok(())
    }

    /// Takes a word off the stack, whatever it is.
    pub(super) fn pop_any(&mut self) -> Lift<Word> {
        self.frame()?.stack.pop().ok_or(Unfit("stack"))
    }

    /// Takes a word off the stack.
    pub(super) fn pop(&mut self) -> Lift<Word> {
        let word = self.pop_any()?;
        if word.id == GAS_LEFT {
            return Err(Unfit("gas is looked at"));
        }
        Ok(word)
    }

    /// Takes a word off the stack that has to be the same each time.
    pub(super) fn pop_fixed(&mut self) -> Lift<U256> {
        let word = self.pop()?;
        let constant = self.graph.constant(word.value);
        self.guard(Guard::Equal(word.id, constant));
        Ok(word.value)
    }

    /// As [`Self::pop_fixed`], an offset or a length.
    pub(super) fn pop_size(&mut self) -> Lift<usize> {
        let size = usize::try_from(self.pop_fixed()?).map_err(|_| Unfit("size"))?;
        Ok(size.min(u32::MAX as usize))
    }

    fn guard(&mut self, guard: Guard) {
        let constant = |id: Id| self.graph.as_constant(id).is_some();
        let [a, b] = guard.operands();
        if constant(a) && constant(b) || matches!(guard, Guard::Equal(a, b) if a == b) {
            return;
        }
        if self.known_guards.insert(guard) {
            self.guards.push(guard);
        }
    }

    /// From here on `id` is (or is not) zero.
    pub(super) fn assume(&mut self, id: Id, non_zero: bool) {
        match (self.graph.nodes()[usize::from(id)].clone(), non_zero) {
            (Node::Op(Op::IsZero, [a, ..]), _) => self.assume(a, !non_zero),
            (Node::Op(Op::Or, [a, b, _]), false) => {
                self.assume(a, false);
                self.assume(b, false);
            }
            (Node::Op(Op::Eq, [a, b, _]), true) => self.guard(Guard::Equal(a, b)),
            (Node::Op(Op::Eq, [a, b, _]), false) => self.guard(Guard::Distinct(a, b)),
            (Node::Op(Op::Sub | Op::Xor, [a, b, _]), true) => self.guard(Guard::Distinct(a, b)),
            (Node::Op(Op::Sub | Op::Xor, [a, b, _]), false) => self.guard(Guard::Equal(a, b)),
            (Node::Op(Op::Lt, [a, b, _]), true) => self.guard(Guard::Less(a, b)),
            (Node::Op(Op::Lt, [a, b, _]), false) => self.guard(Guard::NotLess(a, b)),
            (_, true) => self.guard(Guard::NonZero(id)),
            (_, false) => self.guard(Guard::Zero(id)),
        }
    }

    /// The account named by a word: one known before, or another than all of those. What is warm
    /// depends on it.
    pub(super) fn account(&mut self, word: Word) -> Lift<Word> {
        let mask = (U256::ONE << 160) - U256::ONE;
        let mask_id = self.graph.constant(mask);
        let id = self.graph.op(Op::And, [word.id, mask_id, ZERO]);
        let word = Word { id, value: word.value & mask };
        let beneficiary = self.graph.input(Input::Coinbase);
        if id == beneficiary {
            // It may be any account on another day, a precompile among them.
            return Err(Unfit("beneficiary"));
        }
        if let Some(known) = self.accounts.iter().find(|known| known.id == id) {
            return Ok(*known);
        }
        if let Some(known) = self.accounts.iter().find(|known| known.value == word.value).copied() {
            if known.id == beneficiary {
                return Err(Unfit("beneficiary"));
            }
            self.guard(Guard::Equal(id, known.id));
            return Ok(known);
        }
        let reserved = U256::from(LAST_RESERVED);
        if word.value <= reserved {
            return Err(Unfit("precompile"));
        }
        let reserved = self.graph.constant(reserved);
        self.guard(Guard::Less(reserved, id));
        for known in self.accounts.clone() {
            self.guard(Guard::Distinct(id, known.id));
        }
        self.accounts.push(word);
        Ok(word)
    }

    /// From here on the account has this code.
    pub(super) fn require_code(&mut self, account: Word, hash: U256) {
        let hash = if hash.is_zero() { KECCAK_EMPTY.into() } else { hash };
        let (code, hash) = (self.graph.code(account.id), self.graph.constant(hash));
        self.guard(Guard::Equal(code, hash));
    }

    /// Where among `slots` a slot of the running contract is, and whether it was there before.
    /// `original` is what it held before the transaction.
    pub(super) fn slot(&mut self, kind: Storage, key: Word, original: U256) -> Lift<(usize, bool)> {
        let account = self.frame()?.address.id;
        let slots = match kind {
            Storage::Lasting => self.storage.clone(),
            Storage::Transient => self.transient.clone(),
        };
        let same_account = |slot: &Slot| slot.account == account;
        if let Some(at) = slots.iter().position(|slot| same_account(slot) && slot.key.id == key.id)
        {
            return Ok((at, true));
        }
        let equal = |slot: &Slot| same_account(slot) && slot.key.value == key.value;
        if let Some(at) = slots.iter().position(equal) {
            self.guard(Guard::Equal(key.id, slots[at].key.id));
            return Ok((at, true));
        }
        if slots.len() >= MAX_SLOTS {
            return Err(Unfit("too many slots"));
        }
        for slot in slots.iter().filter(|slot| same_account(slot)) {
            self.guard(Guard::Distinct(key.id, slot.key.id));
        }
        let id = match kind {
            Storage::Lasting => self.graph.load(account, key.id),
            Storage::Transient => ZERO,
        };
        let original = Word { id, value: original };
        let slot = Slot { account, key, original, present: original, written: false };
        match kind {
            Storage::Lasting => self.storage.push(slot),
            Storage::Transient => self.transient.push(slot),
        }
        Ok((slots.len(), false))
    }

    /// Accounts for an SSTORE; revm's own formula has to give what revm took.
    pub(super) fn store_gas(
        &mut self,
        slot: Slot,
        new: Word,
        cold: bool,
        gas: (u64, u64),
    ) -> Lift<()> {
        let values = SStoreResult {
            original_value: slot.original.value,
            present_value: slot.present.value,
            new_value: new.value,
        };
        let cost =
            self.params.sstore_static_gas() + self.params.sstore_dynamic_gas(true, &values, cold);
        if gas.0.checked_sub(cost) != Some(gas.1) {
            return Err(Unfit("gas of SSTORE"));
        }
        self.spend_until(gas.0)?;
        let (original, present) = (slot.original.id, slot.present.id);
        self.gas.push(GasStep::Store { original, present, new: new.id, cold });
        self.frame()?.mark = gas.1;
        Ok(())
    }

    /// Makes memory at least so long.
    fn grow(&mut self, end: usize) -> Lift<()> {
        if end > MAX_MEMORY {
            return Err(Unfit("too much memory"));
        }
        let memory = &mut self.frame()?.memory;
        memory.resize(memory.len().max(end), BLANK);
        Ok(())
    }

    pub(super) fn read_memory(&mut self, at: usize, len: usize) -> Lift<Vec<Cell>> {
        if len == 0 {
            return Ok(Vec::new());
        }
        self.grow(at.saturating_add(len))?;
        Ok(self.frame()?.memory[at..at + len].to_vec())
    }

    pub(super) fn write_memory(&mut self, at: usize, bytes: &[Cell]) -> Lift<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.grow(at.saturating_add(bytes.len()))?;
        self.frame()?.memory[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// Which storage is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    Lasting,
    /// EIP-1153: empty before the transaction, forgotten behind it.
    Transient,
}
