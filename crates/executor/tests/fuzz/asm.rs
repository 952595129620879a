//! Assembler for the contracts of the generator.

use std::{collections::HashMap, sync::LazyLock};

use banyan_primitives::U256;
use revm::bytecode::opcode::{JUMPDEST, OpCode, PUSH1, PUSH2};

/// Assembles words: names of instructions in lower case, numbers (pushed), `name:` (a jump
/// destination), `@name` (its position, pushed). `#` starts a comment.
pub(crate) fn asm(text: &str) -> Vec<u8> {
    let (mut code, mut labels, mut uses) = (Vec::new(), HashMap::new(), Vec::new());
    let words =
        text.lines().flat_map(|line| line.split('#').next()).flat_map(str::split_whitespace);
    for word in words {
        if let Some(label) = word.strip_suffix(':') {
            assert!(labels.insert(label, code.len()).is_none(), "{label} twice");
            code.push(JUMPDEST);
        } else if let Some(label) = word.strip_prefix('@') {
            code.push(PUSH2);
            uses.push((code.len(), label));
            code.extend([0, 0]);
        } else if word.starts_with(|first: char| first.is_ascii_digit()) {
            push(&mut code, word.parse().unwrap());
        } else {
            code.push(*INSTRUCTIONS.get(word).unwrap_or_else(|| panic!("no instruction {word}")));
        }
    }
    for (at, label) in uses {
        let position = labels.get(label).unwrap_or_else(|| panic!("no label {label}"));
        code[at..at + 2].copy_from_slice(&u16::try_from(*position).unwrap().to_be_bytes());
    }
    code
}

static INSTRUCTIONS: LazyLock<HashMap<String, u8>> = LazyLock::new(|| {
    let known = (0..=u8::MAX).filter_map(|byte| Some((OpCode::new(byte)?, byte)));
    known.map(|(instruction, byte)| (instruction.as_str().to_lowercase(), byte)).collect()
});

/// Pushes a number in as few bytes as hold it (one for zero: PUSH0 is young).
fn push(code: &mut Vec<u8>, number: U256) {
    let bytes = number.to_be_bytes::<32>();
    let length = number.byte_len().max(1);
    code.push(PUSH1 - 1 + u8::try_from(length).unwrap());
    code.extend_from_slice(&bytes[32 - length..]);
}

/// Init code that deploys `runtime`.
pub(crate) fn deployer(runtime: &[u8]) -> Vec<u8> {
    // The prologue has a fixed length, so that its own can be named in it.
    let length = u16::try_from(runtime.len()).unwrap().to_be_bytes();
    let mut code = vec![0x61, length[0], length[1], 0x80, 0x60, 12, 0x60, 0, 0x39, 0x60, 0, 0xf3];
    code.extend_from_slice(runtime);
    code
}
