//! Tokens written by hand, in the shape that compilers give them, and look-alikes of them.

use banyan_primitives::{Address, B256, Bytes, HashMap, U256, b256, keccak256};
use revm::bytecode::opcode::OpCode;

/// Of ERC-1967: where a proxy keeps the address of its implementation.
pub(super) const IMPLEMENTATION: B256 =
    b256!("0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");

/// Assembles: names of opcodes, numbers to push, `:label` and `@label` to push it.
pub(super) fn assemble(text: &str) -> Bytes {
    let opcode = |name: &str| (0..=255).find(|byte| OpCode::name_by_op(*byte) == name);
    let (mut code, mut labels, mut uses) =
        (Vec::new(), HashMap::<&str, usize>::default(), Vec::new());
    for token in text.split_whitespace() {
        if let Some(label) = token.strip_prefix(':') {
            labels.insert(label, code.len());
            code.push(0x5b);
        } else if let Some(label) = token.strip_prefix('@') {
            uses.push((code.len() + 1, label));
            code.extend([0x61, 0, 0]);
        } else if let Some(byte) = opcode(token) {
            code.push(byte);
        } else {
            let value: U256 = token.parse().unwrap_or_else(|_| panic!("{token}"));
            let bytes = value.to_be_bytes_trimmed_vec();
            let bytes = if bytes.is_empty() { vec![0] } else { bytes };
            code.push(0x5f + bytes.len() as u8);
            code.extend(bytes);
        }
    }
    for (at, label) in uses {
        let target = *labels.get(label).unwrap_or_else(|| panic!("no label {label}")) as u16;
        code[at..at + 2].copy_from_slice(&target.to_be_bytes());
    }
    code.into()
}

/// What makes a token unlike the plain one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// Slot 5 stops all transfers.
    Paused,
    /// Mapping 6 stops those of an account.
    Blacklist,
    /// A hundredth goes to account 0xfee.
    Fee,
    /// Slot 7 scales amounts into what is stored.
    Rebasing,
    /// A receiver with code is called first.
    Hook,
    /// Balances are stored inverted.
    Inverted,
    /// A transient lock around each transfer.
    Locked,
    /// Slot 8 counts transfers.
    Counting,
    /// Locked until the time in slot 9.
    Timed,
}

pub(super) const KINDS: [Kind; 10] = [
    Kind::Plain,
    Kind::Paused,
    Kind::Blacklist,
    Kind::Fee,
    Kind::Rebasing,
    Kind::Hook,
    Kind::Inverted,
    Kind::Locked,
    Kind::Counting,
    Kind::Timed,
];

const MASK: &str = "0xffffffffffffffffffffffffffffffffffffffff";
const TRANSFER: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
const APPROVAL: &str = "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925";

/// A token with balances in mapping 0, allowances in mapping 1, its supply in slot 2, its owner in
/// slot 3. Solidity's shape: dispatcher, free memory pointer, checked ABI coding, subroutines.
pub(super) fn token(kind: Kind) -> Bytes {
    let (before, after) = around(kind);
    let (from_storage, to_storage) = match kind {
        Kind::Inverted => ("NOT", "NOT"),
        _ => ("", ""),
    };
    let address = |at: u32| format!("{at} CALLDATALOAD DUP1 {MASK} AND DUP2 EQ ISZERO @fail JUMPI");
    let (first, second) = (address(4), address(36));
    let text = format!(
        "0x80 0x40 MSTORE CALLVALUE DUP1 ISZERO @free JUMPI 0 DUP1 REVERT :free POP
         4 CALLDATASIZE LT @fail JUMPI 0 CALLDATALOAD 0xe0 SHR
         DUP1 0xa9059cbb EQ @transfer JUMPI DUP1 0x23b872dd EQ @transferFrom JUMPI
         DUP1 0x095ea7b3 EQ @approve JUMPI DUP1 0x40c10f19 EQ @mint JUMPI
         :fail 0 DUP1 REVERT
         :transfer @true 64 4 CALLDATASIZE SUB SLT @fail JUMPI {first} 36 CALLDATALOAD CALLER @move JUMP
         :transferFrom @true 96 4 CALLDATASIZE SUB SLT @fail JUMPI
           {second} 68 CALLDATALOAD {first}
           DUP1 0 MSTORE 1 0x20 MSTORE 0x40 0 KECCAK256
           0x20 MSTORE CALLER 0 MSTORE 0x40 0 KECCAK256 DUP1 SLOAD
           DUP1 NOT ISZERO @unlimited JUMPI DUP4 DUP2 LT @fail JUMPI
           DUP4 SWAP1 SUB SWAP1 SSTORE @move JUMP
           :unlimited POP POP @move JUMP
         :approve 64 4 CALLDATASIZE SUB SLT @fail JUMPI {first} 36 CALLDATALOAD
           CALLER 0 MSTORE 1 0x20 MSTORE 0x40 0 KECCAK256 0x20 MSTORE
           DUP2 0 MSTORE 0x40 0 KECCAK256 DUP2 SWAP1 SSTORE
           0x40 MLOAD MSTORE CALLER {APPROVAL} 0x20 0x40 MLOAD LOG3 @true JUMP
         :mint 64 4 CALLDATASIZE SUB SLT @fail JUMPI 3 SLOAD CALLER EQ ISZERO @fail JUMPI
           {first} 36 CALLDATALOAD DUP1 2 SLOAD ADD DUP1 2 SSTORE POP
           DUP2 0 MSTORE 0 0x20 MSTORE 0x40 0 KECCAK256 DUP1 SLOAD {from_storage} DUP3 ADD
           {to_storage} SWAP1 SSTORE
           0x40 MLOAD MSTORE 0 {TRANSFER} 0x20 0x40 MLOAD LOG3 @true JUMP
         :move DUP3 ISZERO @fail JUMPI {before}
           DUP1 0 MSTORE 0 0x20 MSTORE 0x40 0 KECCAK256 DUP1 SLOAD {from_storage}
           DUP4 DUP2 LT @fail JUMPI DUP4 SWAP1 SUB {to_storage} SWAP1 SSTORE
           DUP3 0 MSTORE 0 0x20 MSTORE 0x40 0 KECCAK256 DUP1 SLOAD {from_storage}
           DUP4 ADD DUP1 DUP5 GT @fail JUMPI {to_storage} SWAP1 SSTORE
           DUP2 0x40 MLOAD MSTORE DUP3 DUP2 {TRANSFER} 0x20 0x40 MLOAD LOG3
           {after} POP POP POP JUMP
         :true 1 0x40 MLOAD MSTORE 0x20 0x40 MLOAD RETURN"
    );
    assemble(&text)
}

/// Code before and behind a transfer; the stack holds receiver, amount and sender, the last on top.
fn around(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Plain | Kind::Inverted => ("", ""),
        Kind::Paused => ("5 SLOAD @fail JUMPI", ""),
        Kind::Blacklist => ("DUP1 0 MSTORE 6 0x20 MSTORE 0x40 0 KECCAK256 SLOAD @fail JUMPI", ""),
        Kind::Fee => (
            "SWAP1 100 DUP2 DIV
             0xfee 0 MSTORE 0 0x20 MSTORE 0x40 0 KECCAK256 DUP1 SLOAD DUP3 ADD SWAP1 SSTORE
             DUP3 0 MSTORE 0 0x20 MSTORE 0x40 0 KECCAK256 DUP1 SLOAD
             DUP3 DUP2 LT @fail JUMPI DUP3 SWAP1 SUB SWAP1 SSTORE
             SWAP1 SUB SWAP1",
            "",
        ),
        Kind::Rebasing => ("SWAP1 7 SLOAD SWAP1 1000 MUL DIV SWAP1", ""),
        Kind::Hook => (
            "DUP3 EXTCODESIZE ISZERO @nohook JUMPI
             0x12345678 0xe0 SHL 0x40 MLOAD MSTORE DUP2 4 0x40 MLOAD ADD MSTORE
             0 0 36 0x40 MLOAD 0 DUP8 GAS CALL ISZERO @fail JUMPI :nohook",
            "",
        ),
        Kind::Locked => ("0 TLOAD @fail JUMPI 1 0 TSTORE", "0 0 TSTORE"),
        Kind::Counting => ("8 SLOAD 1 ADD 8 SSTORE", ""),
        Kind::Timed => ("9 SLOAD TIMESTAMP LT @fail JUMPI", ""),
    }
}

/// Forwards every call to the contract named in its storage.
pub(super) fn proxy() -> Bytes {
    assemble(&format!(
        "0x80 0x40 MSTORE CALLDATASIZE 0 0 CALLDATACOPY
         0 0 CALLDATASIZE 0 {IMPLEMENTATION} SLOAD GAS DELEGATECALL
         RETURNDATASIZE 0 0 RETURNDATACOPY DUP1 @good JUMPI RETURNDATASIZE 0 REVERT
         :good RETURNDATASIZE 0 RETURN"
    ))
}

/// Wrapped ether: `deposit()` or no data at all. Balances in mapping 3.
pub(super) fn wrapper() -> Bytes {
    assemble(
        "0x60 0x40 MSTORE 4 CALLDATASIZE LT @deposit JUMPI
         0 CALLDATALOAD 0xe0 SHR 0xd0e30db0 EQ @deposit JUMPI 0 0 REVERT
         :deposit CALLER 0 MSTORE 3 0x20 MSTORE 0x40 0 KECCAK256 DUP1 SLOAD CALLVALUE ADD SWAP1 SSTORE
         CALLVALUE 0x40 MLOAD MSTORE CALLER
         0xe1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c
         0x20 0x40 MLOAD LOG2 STOP",
    )
}

/// Slot of `key` in a mapping.
pub(super) fn mapping(key: B256, slot: u64) -> U256 {
    keccak256([key, B256::from(U256::from(slot))].concat()).into()
}

pub(super) fn balance_slot(of: Address) -> U256 {
    mapping(of.into_word(), 0)
}

pub(super) fn allowance_slot(owner: Address, spender: Address) -> U256 {
    mapping_of(spender, mapping(owner.into_word(), 1))
}

fn mapping_of(key: Address, slot: U256) -> U256 {
    keccak256([key.into_word(), slot.into()].concat()).into()
}

/// Calldata: a selector and its arguments.
pub(super) fn input(selector: u32, arguments: &[U256]) -> Bytes {
    let mut bytes = selector.to_be_bytes().to_vec();
    arguments.iter().for_each(|argument| bytes.extend(argument.to_be_bytes::<32>()));
    bytes.into()
}

pub(super) fn word(address: Address) -> U256 {
    address.into_word().into()
}

pub(super) fn transfer(to: Address, amount: U256) -> Bytes {
    input(0xa9059cbb, &[word(to), amount])
}

pub(super) fn transfer_from(from: Address, to: Address, amount: U256) -> Bytes {
    input(0x23b872dd, &[word(from), word(to), amount])
}

pub(super) fn approve(spender: Address, amount: U256) -> Bytes {
    input(0x095ea7b3, &[word(spender), amount])
}

pub(super) fn mint(to: Address, amount: U256) -> Bytes {
    input(0x40c10f19, &[word(to), amount])
}
