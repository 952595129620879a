//! What each opcode means for the lifter.

use banyan_primitives::U256;
use revm::bytecode::opcode::*;

use super::{
    bytes::{BLANK, Cell},
    expr::{Input, Op, ZERO},
    lift::{GAS_LEFT, Lift, Lifter, Pending, Storage, Unfit},
    path::LogTemplate,
    record::OpStep,
};

/// Most bytes that a log or a hash may take.
const MAX_BYTES: usize = 2 << 10;
/// Cost of a first and of a later read of a slot (EIP-2929).
const COLD_SLOAD: u64 = 2100;
const WARM_SLOAD: u64 = 100;

/// Operator of an opcode, number of operands, and whether the first two change places.
fn operator(opcode: u8) -> Option<(Op, usize, bool)> {
    Some(match opcode {
        ADD => (Op::Add, 2, false),
        MUL => (Op::Mul, 2, false),
        SUB => (Op::Sub, 2, false),
        DIV => (Op::Div, 2, false),
        SDIV => (Op::Sdiv, 2, false),
        MOD => (Op::Mod, 2, false),
        SMOD => (Op::Smod, 2, false),
        ADDMOD => (Op::AddMod, 3, false),
        MULMOD => (Op::MulMod, 3, false),
        SIGNEXTEND => (Op::SignExtend, 2, false),
        LT => (Op::Lt, 2, false),
        GT => (Op::Lt, 2, true),
        SLT => (Op::Slt, 2, false),
        SGT => (Op::Slt, 2, true),
        EQ => (Op::Eq, 2, false),
        ISZERO => (Op::IsZero, 1, false),
        AND => (Op::And, 2, false),
        OR => (Op::Or, 2, false),
        XOR => (Op::Xor, 2, false),
        NOT => (Op::Not, 1, false),
        BYTE => (Op::Byte, 2, false),
        SHL => (Op::Shl, 2, false),
        SHR => (Op::Shr, 2, false),
        SAR => (Op::Sar, 2, false),
        CLZ => (Op::Clz, 1, false),
        _ => return None,
    })
}

impl Lifter<'_> {
    pub(super) fn step(&mut self, step: &OpStep) -> Lift<()> {
        if let Some((op, count, swapped)) = operator(step.opcode) {
            return self.operate(op, count, swapped, step.result);
        }
        match step.opcode {
            JUMPDEST | STOP => Ok(()),
            POP => self.pop_any().map(drop),
            PUSH0..=PUSH32 | PC | MSIZE | CODESIZE | CALLDATASIZE | RETURNDATASIZE => {
                let constant = self.graph.constant(step.result);
                self.push(constant, step.result)
            }
            DUP1..=DUP16 => self.duplicate(usize::from(step.opcode - DUP1)),
            SWAP1..=SWAP16 => self.swap(usize::from(step.opcode - SWAP1) + 1),
            JUMP => self.pop_fixed().map(drop),
            JUMPI => self.branch(),
            EXP => self.power(step.result),
            GAS => self.push(GAS_LEFT, step.result),
            CALLER | ADDRESS | CALLVALUE => self.whose(step.opcode),
            ORIGIN | COINBASE | TIMESTAMP | NUMBER | DIFFICULTY | GASLIMIT | BASEFEE | CHAINID => {
                self.environment(step.opcode, step.result)
            }
            CALLDATALOAD | MLOAD | MSTORE | MSTORE8 | KECCAK256 => self.words(step),
            CALLDATACOPY | CODECOPY | RETURNDATACOPY | MCOPY => self.copy(step.opcode),
            SLOAD => self.load(step),
            SSTORE => self.store(step),
            TLOAD | TSTORE => self.transient(step),
            EXTCODESIZE | EXTCODEHASH => self.code_of(step),
            LOG0..=LOG4 => self.log(usize::from(step.opcode - LOG0)),
            CALL | DELEGATECALL | STATICCALL => self.call(step),
            RETURN => self.give_back(),
            _ => Err(Unfit("opcode")),
        }
    }

    fn operate(&mut self, op: Op, count: usize, swapped: bool, result: U256) -> Lift<()> {
        let mut args = [ZERO; 3];
        for arg in args.iter_mut().take(count) {
            *arg = self.pop()?.id;
        }
        if swapped {
            args.swap(0, 1);
        }
        let id = self.graph.op(op, args);
        self.push(id, result)
    }

    fn duplicate(&mut self, depth: usize) -> Lift<()> {
        let stack = &mut self.frame()?.stack;
        let at = stack.len().checked_sub(depth + 1).ok_or(Unfit("stack"))?;
        let word = stack[at];
        stack.push(word);
        Ok(())
    }

    fn swap(&mut self, depth: usize) -> Lift<()> {
        let stack = &mut self.frame()?.stack;
        let last = stack.len().checked_sub(1).ok_or(Unfit("stack"))?;
        stack.swap(last, last.checked_sub(depth).ok_or(Unfit("stack"))?);
        Ok(())
    }

    fn branch(&mut self) -> Lift<()> {
        let (target, condition) = (self.pop()?, self.pop()?);
        let taken = !condition.value.is_zero();
        self.assume(condition.id, taken);
        if taken {
            self.frame()?.stack.push(target);
            self.pop_fixed()?;
        }
        Ok(())
    }

    /// The cost of EXP depends on the exponent.
    fn power(&mut self, result: U256) -> Lift<()> {
        let base = self.pop()?;
        let exponent = self.pop_fixed()?;
        let exponent = self.graph.constant(exponent);
        let id = self.graph.op(Op::Exp, [base.id, exponent, ZERO]);
        self.push(id, result)
    }

    fn whose(&mut self, opcode: u8) -> Lift<()> {
        let frame = self.frame()?;
        let word = match opcode {
            CALLER => frame.caller,
            ADDRESS => frame.address,
            _ => frame.value,
        };
        self.push(word.id, word.value)
    }

    fn environment(&mut self, opcode: u8, result: U256) -> Lift<()> {
        let id = self.graph.input(match opcode {
            ORIGIN => Input::Caller,
            COINBASE => Input::Coinbase,
            TIMESTAMP => Input::Timestamp,
            NUMBER => Input::Number,
            DIFFICULTY => Input::PrevRandao,
            GASLIMIT => Input::GasLimit,
            BASEFEE => Input::BaseFee,
            _ => Input::ChainId,
        });
        self.push(id, result)
    }

    /// Opcodes that move a word, or hash some.
    fn words(&mut self, step: &OpStep) -> Lift<()> {
        let at = self.pop_size()?;
        let id = match step.opcode {
            CALLDATALOAD => {
                let bytes = slice(&self.frame()?.input, at, 32);
                self.graph.words(&bytes)[0]
            }
            MLOAD => {
                let bytes = self.read_memory(at, 32)?;
                self.graph.words(&bytes)[0]
            }
            KECCAK256 => {
                let len = self.pop_size()?;
                if len > MAX_BYTES {
                    return Err(Unfit("hash of many bytes"));
                }
                let bytes = self.read_memory(at, len)?;
                let words = self.graph.words(&bytes);
                self.graph.keccak(words, len as u16)
            }
            _ => {
                let word = self.pop()?;
                let cells = self.graph.cells_of(word.id);
                let from = if step.opcode == MSTORE8 { 31 } else { 0 };
                return self.write_memory(at, &cells[from..]);
            }
        };
        self.push(id, step.result)
    }

    fn copy(&mut self, opcode: u8) -> Lift<()> {
        let (to, from, len) = (self.pop_size()?, self.pop_size()?, self.pop_size()?);
        let frame = self.frame()?;
        let bytes = match opcode {
            CALLDATACOPY => slice(&frame.input, from, len),
            RETURNDATACOPY => slice(&frame.returned, from, len),
            CODECOPY => {
                let code = frame.code.get(from..).unwrap_or_default();
                let code: Vec<Cell> =
                    code.iter().take(len).map(|byte| Cell::Known(*byte)).collect();
                slice(&code, 0, len)
            }
            _ => self.read_memory(from, len)?,
        };
        self.write_memory(to, &bytes)
    }

    fn load(&mut self, step: &OpStep) -> Lift<()> {
        let key = self.pop()?;
        let (at, warm) = self.slot(Storage::Lasting, key, step.result)?;
        let present = self.storage[at].present;
        let cost = if warm { WARM_SLOAD } else { COLD_SLOAD };
        if present.value != step.result || step.gas_before.checked_sub(cost) != Some(step.gas_after)
        {
            return Err(Unfit("SLOAD"));
        }
        self.push(present.id, step.result)
    }

    fn store(&mut self, step: &OpStep) -> Lift<()> {
        let (key, value) = (self.pop()?, self.pop()?);
        let (at, warm) = self.slot(Storage::Lasting, key, step.result)?;
        let slot = self.storage[at];
        if slot.original.value != step.result {
            return Err(Unfit("SSTORE"));
        }
        self.store_gas(slot, value, !warm, (step.gas_before, step.gas_after))?;
        self.storage[at].present = value;
        self.storage[at].written = true;
        Ok(())
    }

    fn transient(&mut self, step: &OpStep) -> Lift<()> {
        let key = self.pop()?;
        let (at, _) = self.slot(Storage::Transient, key, U256::ZERO)?;
        if step.opcode == TSTORE {
            self.transient[at].present = self.pop()?;
            return Ok(());
        }
        let present = self.transient[at].present;
        if present.value != step.result {
            return Err(Unfit("TLOAD"));
        }
        self.push(present.id, step.result)
    }

    fn code_of(&mut self, step: &OpStep) -> Lift<()> {
        let word = self.pop()?;
        let account = self.account(word)?;
        let hash = self.code_seen;
        // An account without code may exist or not, which EXTCODEHASH tells.
        if step.opcode == EXTCODEHASH && (step.result != hash || hash == empty()) {
            return Err(Unfit("EXTCODEHASH"));
        }
        self.require_code(account, hash);
        let constant = self.graph.constant(step.result);
        self.push(constant, step.result)
    }

    fn log(&mut self, topics: usize) -> Lift<()> {
        let (at, len) = (self.pop_size()?, self.pop_size()?);
        let topics = (0..topics).map(|_| self.pop().map(|word| word.id));
        let topics = topics.collect::<Lift<Vec<_>>>()?;
        if len > MAX_BYTES {
            return Err(Unfit("long log"));
        }
        let bytes = self.read_memory(at, len)?;
        let words = self.graph.words(&bytes);
        let account = self.frame()?.address.id;
        self.logs.push(LogTemplate { account, topics, words, len });
        Ok(())
    }

    fn call(&mut self, step: &OpStep) -> Lift<()> {
        let gas = self.pop_any()?;
        let callee = self.pop()?;
        if step.opcode == CALL && !self.pop_fixed()?.is_zero() {
            return Err(Unfit("value moves"));
        }
        let (input, input_len) = (self.pop_size()?, self.pop_size()?);
        let output = (self.pop_size()?, self.pop_size()?);
        let cap = match gas.id {
            GAS_LEFT => u64::MAX,
            _ => {
                self.frame()?.stack.push(gas);
                u64::try_from(self.pop_fixed()?).unwrap_or(u64::MAX)
            }
        };
        let input = self.read_memory(input, input_len)?;
        self.read_memory(output.0, output.1)?;
        let callee = self.account(callee)?;
        let gas_after = step.gas_after;
        self.frame()?.pending = Some(Pending { callee, cap, input, output, gas_after });
        Ok(())
    }

    fn give_back(&mut self) -> Lift<()> {
        let (at, len) = (self.pop_size()?, self.pop_size()?);
        let output = self.read_memory(at, len)?;
        self.frame()?.output = output;
        Ok(())
    }
}

fn empty() -> U256 {
    banyan_primitives::KECCAK_EMPTY.into()
}

/// `len` bytes from `at` on, padded with zeros.
fn slice(bytes: &[Cell], at: usize, len: usize) -> Vec<Cell> {
    let mut found: Vec<Cell> = bytes.get(at..).unwrap_or_default().to_vec();
    found.resize(len, BLANK);
    found
}
