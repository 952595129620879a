//! Tokens: one plain, and everything that looks like one.

use banyan_primitives::{Address, Bytes, U256, address, keccak256};
use rand::{Rng, seq::IndexedRandom};

use crate::asm::asm;

pub(crate) const TRANSFER: u32 = 0xa9059cbb;
pub(crate) const TRANSFER_FROM: u32 = 0x23b872dd;
pub(crate) const APPROVE: u32 = 0x095ea7b3;
pub(crate) const MINT: u32 = 0x40c10f19;
pub(crate) const BURN: u32 = 0x42966c68;
pub(crate) const BALANCE_OF: u32 = 0x70a08231;
pub(crate) const DEPOSIT: u32 = 0xd0e30db0;
pub(crate) const WITHDRAW: u32 = 0x2e1a7d4d;
/// Turns the screw of the token: pauses, rebases, blacklists the argument.
pub(crate) const ADMIN: u32 = 0x8456cb59;
/// Proxies: another implementation.
pub(crate) const UPGRADE: u32 = 0x3659cfe6;

/// Where proxies keep their implementation (EIP-1967).
const IMPLEMENTATION: &str = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc";
const TRANSFER_EVENT: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
const APPROVAL_EVENT: &str = "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925";

/// Gets the fee of tokens that take one.
pub(crate) const FEE_TAKER: Address = address!("0xfe000000000000000000000000000000000000fe");

/// What sets a token apart from a plain one: code before the balances move, and after. At 0x80 of
/// the memory lie sender, receiver and amount, a word each.
const FEATURES: [(&str, &str); 24] = [
    // Paused.
    ("5 sload @fail jumpi", ""),
    // Blacklist.
    ("128 mload 0 mstore 6 32 mstore 64 0 keccak256 sload @fail jumpi", ""),
    // Rebasing: the amount is in shares.
    ("8 sload 1000 add 1000 192 mload mul div 192 mstore", ""),
    // Hook into the receiver.
    (
        "",
        "160 mload extcodesize iszero @nohook jumpi 0 0 64 128 0 160 mload 30000 call pop nohook:",
    ),
    // The same with all gas, and its failure counts.
    (
        "",
        "160 mload extcodesize iszero @unhooked jumpi
          0 0 64 128 0 160 mload gas call iszero @fail jumpi unhooked:",
    ),
    // Counts transfers in one slot.
    ("", "9 sload 1 add 9 sstore"),
    // Asks for time, height, dice.
    ("timestamp 3 and iszero @fail jumpi", ""),
    ("", "number 10 sstore"),
    ("difficulty 1 and @fail jumpi", ""),
    // Asks for gas.
    ("", "gas 11 sstore"),
    ("30000 gas lt @fail jumpi", ""),
    // Asks for the beneficiary and its money.
    ("128 mload coinbase eq @fail jumpi", ""),
    ("", "coinbase balance 12 sstore"),
    // Asks for the receiver's money.
    ("", "160 mload balance 13 sstore"),
    // Only straight from an account without code.
    ("caller origin xor @fail jumpi", ""),
    // Refuses amounts of zero, and transfers to self.
    ("192 mload iszero @fail jumpi", ""),
    ("128 mload 160 mload eq @fail jumpi", ""),
    // Once per block and sender.
    (
        "128 mload 0 mstore 14 32 mstore 64 0 keccak256 dup1 sload number eq @fail jumpi
      number swap1 sstore",
        "",
    ),
    // Keeps what it was paid.
    ("", "callvalue 15 sload add 15 sstore"),
    // No data beyond the arguments.
    ("100 calldatasize gt @fail jumpi", ""),
    // Looks at the code of beneficiary and sender.
    ("coinbase extcodesize 17 sstore", ""),
    ("128 mload extcodesize @fail jumpi", ""),
    // Rounds, by odd operators.
    ("192 mload 7 swap1 sdiv 7 mul 192 mload 3 signextend lt @fail jumpi", ""),
    // Asks for the price of gas.
    ("gasprice 1 and @fail jumpi", ""),
];

/// Code of a token with a few features, or none.
pub(crate) fn token(rng: &mut impl Rng, can_shift: bool) -> Bytes {
    let count = *[0, 0, 0, 1, 1, 2].choose(rng).unwrap();
    let features: Vec<_> = FEATURES.choose_multiple(rng, count).collect();
    let before: String = features.iter().map(|feature| format!("{} ", feature.0)).collect();
    let after: String = features.iter().map(|feature| format!("{} ", feature.1)).collect();
    let fee = rng.random_ratio(1, 6);
    let checked = rng.random_ratio(9, 10);
    let returns = if rng.random_ratio(1, 6) { "stop" } else { "1 0 mstore 32 0 return" };
    code(&before, &after, fee, checked, returns, can_shift)
}

/// A token as the standard means it.
pub(crate) fn plain(can_shift: bool) -> Bytes {
    code("", "", false, true, "1 0 mstore 32 0 return", can_shift)
}

fn code(
    before: &str,
    after: &str,
    fee: bool,
    checked: bool,
    returns: &str,
    can_shift: bool,
) -> Bytes {
    let selector = selector(can_shift);
    let check = if checked { "192 mload dup2 lt @fail jumpi" } else { "" };
    // A hundredth goes elsewhere.
    let fee = match fee {
        false => String::new(),
        true => format!(
            "100 192 mload div dup1 192 mload sub 192 mstore
             {FEE_TAKER} 0 mstore 0 32 mstore 64 0 keccak256 dup1 sload swap1 swap2 add swap1 sstore"
        ),
    };
    asm(&format!(
        "{selector}
         dup1 {TRANSFER} eq @transfer jumpi dup1 {TRANSFER_FROM} eq @transferfrom jumpi
         dup1 {APPROVE} eq @approve jumpi dup1 {MINT} eq @mint jumpi dup1 {BURN} eq @burn jumpi
         dup1 {BALANCE_OF} eq @balanceof jumpi dup1 {DEPOSIT} eq @deposit jumpi
         dup1 {WITHDRAW} eq @withdraw jumpi dup1 {ADMIN} eq @admin jumpi
         calldatasize iszero @deposit jumpi 0 0 revert
         transfer: pop caller 128 mstore 4 calldataload 160 mstore 36 calldataload 192 mstore
             @move jump
         transferfrom: pop 4 calldataload 128 mstore 36 calldataload 160 mstore
             68 calldataload 192 mstore
             128 mload 0 mstore 1 32 mstore 64 0 keccak256 32 mstore caller 0 mstore
             64 0 keccak256 dup1 sload dup1 not iszero @unlimited jumpi
             192 mload dup2 lt @fail jumpi 192 mload swap1 sub swap1 sstore @move jump
         unlimited: pop pop
         move: {before}
             128 mload 0 mstore 0 32 mstore 64 0 keccak256 dup1 sload
             {check} 192 mload swap1 sub swap1 sstore {fee}
             160 mload 0 mstore 0 32 mstore 64 0 keccak256 dup1 sload 192 mload add swap1 sstore
             160 mload 128 mload {TRANSFER_EVENT} 32 192 log3 {after} {returns}
         approve: pop caller 0 mstore 1 32 mstore 64 0 keccak256 32 mstore 4 calldataload 0 mstore
             36 calldataload dup1 64 0 keccak256 sstore 128 mstore
             4 calldataload caller {APPROVAL_EVENT} 32 128 log3 {returns}
         mint: pop 2 sload 36 calldataload add 2 sstore 4 calldataload 0 mstore 0 32 mstore
             64 0 keccak256 dup1 sload 36 calldataload add swap1 sstore
             36 calldataload 128 mstore 4 calldataload 0 {TRANSFER_EVENT} 32 128 log3 stop
         burn: pop 4 calldataload 128 mstore caller 0 mstore 0 32 mstore 64 0 keccak256 dup1 sload
             128 mload dup2 lt @fail jumpi 128 mload swap1 sub swap1 sstore
             128 mload 2 sload sub 2 sstore 0 caller {TRANSFER_EVENT} 32 128 log3 stop
         balanceof: pop 4 calldataload 0 mstore 0 32 mstore 64 0 keccak256 sload 0 mstore
             32 0 return
         deposit: pop caller 0 mstore 0 32 mstore 64 0 keccak256 dup1 sload callvalue add
             swap1 sstore stop
         withdraw: pop 4 calldataload 128 mstore caller 0 mstore 0 32 mstore 64 0 keccak256
             dup1 sload 128 mload dup2 lt @fail jumpi 128 mload swap1 sub swap1 sstore
             0 0 0 0 128 mload caller 0 call iszero @fail jumpi stop
         admin: pop 5 sload iszero 5 sstore 8 sload 1 add 8 sstore 4 calldataload 0 mstore
             6 32 mstore 64 0 keccak256 dup1 sload iszero swap1 sstore stop
         fail: 0 0 revert"
    ))
    .into()
}

fn selector(can_shift: bool) -> String {
    match can_shift {
        true => "0 calldataload 224 shr".into(),
        false => format!("{:#x} 0 calldataload div", U256::ONE << 224),
    }
}

/// Code of a proxy that anybody may point elsewhere.
pub(crate) fn proxy(can_shift: bool) -> Bytes {
    let selector = selector(can_shift);
    asm(&format!(
        "{selector} {UPGRADE} eq @upgrade jumpi
         calldatasize 0 0 calldatacopy
         32 0 calldatasize 0 {IMPLEMENTATION} sload gas delegatecall @ok jumpi 0 0 revert
         ok: 32 0 return
         upgrade: 4 calldataload {IMPLEMENTATION} sstore stop"
    ))
    .into()
}

/// Code of a minimal proxy (EIP-1167).
pub(crate) fn clone_of(implementation: Address) -> Bytes {
    let (head, tail) = ("363d3d373d3d3d363d73", "5af43d82803e903d91602b57fd5bf3");
    format!("0x{head}{implementation:x}{tail}").parse().unwrap()
}

/// The slot of a proxy's implementation.
pub(crate) fn implementation_slot() -> U256 {
    IMPLEMENTATION.parse().unwrap()
}

/// The slot of an account's balance.
pub(crate) fn balance_slot(account: Address) -> U256 {
    keccak256([account.into_word().0, [0; 32]].concat()).into()
}

/// The slot of what `spender` may take from `owner`.
pub(crate) fn allowance_slot(owner: Address, spender: Address) -> U256 {
    let inner = keccak256([owner.into_word().0, U256::ONE.to_be_bytes()].concat());
    keccak256([spender.into_word(), inner].concat()).into()
}

/// Calldata.
pub(crate) fn call(selector: u32, arguments: &[U256]) -> Vec<u8> {
    let mut data = selector.to_be_bytes().to_vec();
    arguments.iter().for_each(|word| data.extend(word.to_be_bytes::<32>()));
    data
}
