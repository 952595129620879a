//! A token small enough to be read: written here instruction by instruction, so that no compiler
//! is needed to check what the benchmark runs.
//!
//! ```text
//! mapping(address => uint256) balanceOf;                        // slot 0
//! function transfer(address to, uint256 amount) returns (bool); // reverts without the balance
//! function balanceOf(address) view returns (uint256);
//! event Transfer(address indexed from, address indexed to, uint256 amount);
//! ```

use banyan_primitives::{Address, B256, Bytes, U256, address, alloy_primitives::hex, keccak256};

/// Where the benchmark's genesis puts the token.
pub(super) const TOKEN: Address = address!("0x00000000000000000000000000000000000e2c20");

const TRANSFER: [u8; 4] = hex!("a9059cbb");
const BALANCE_OF: [u8; 4] = hex!("70a08231");
const TRANSFER_EVENT: [u8; 32] =
    hex!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// Runtime code of the token.
pub(super) fn code() -> Bytes {
    // Jump targets, counted by hand below and checked by a test.
    const TRANSFER_AT: u8 = 0x1b;
    const BALANCE_AT: u8 = 0x76;
    const FAIL_AT: u8 = 0x87;
    let mut code = Vec::new();
    // selector := calldata[0..4]; jump to its function
    code.extend(hex!("5f35 60e0 1c")); // PUSH0 CALLDATALOAD PUSH1 e0 SHR
    code.extend([&hex!("80 63")[..], &TRANSFER, &[0x14, 0x60, TRANSFER_AT, 0x57]].concat());
    code.extend([&hex!("63")[..], &BALANCE_OF, &[0x14, 0x60, BALANCE_AT, 0x57]].concat());
    code.extend(hex!("5f 5f fd")); // REVERT
    // transfer: memory[0..64] = caller . 0; its hash is the slot of the sender's balance
    code.extend(hex!("5b 33 5f 52 6040 5f 20")); // JUMPDEST CALLER PUSH0 MSTORE PUSH1 40 PUSH0 KECCAK256
    code.extend(hex!("80 54 6024 35")); // DUP1 SLOAD PUSH1 24 CALLDATALOAD    [slot balance amount]
    code.extend([&hex!("80 82 10 60")[..], &[FAIL_AT], &hex!("57")].concat()); // balance < amount: fail
    code.extend(hex!("80 91 03")); // DUP1 SWAP2 SUB                            [slot amount rest]
    code.extend(hex!("90 91 55")); // SWAP1 SWAP2 SSTORE                        [amount]
    // the same for the receiver
    code.extend(hex!("6004 35 5f 52 6040 5f 20")); //                           [amount slot]
    code.extend(hex!("80 54 82 01 90 55")); // DUP1 SLOAD DUP3 ADD SWAP1 SSTORE [amount]
    // emit Transfer(caller, to, amount); return true
    code.extend(hex!("5f 52 6004 35 33 7f")); // PUSH0 MSTORE, then the topics from last to first
    code.extend(TRANSFER_EVENT);
    code.extend(hex!("6020 5f a3 6001 5f 52 6020 5f f3")); // LOG3, RETURN
    // balanceOf
    code.extend(hex!("5b 6004 35 5f 52 6040 5f 20 54 5f 52 6020 5f f3"));
    code.extend(hex!("5b 5f 5f fd")); // fail: REVERT
    code.into()
}

/// Slot of an account's balance.
pub(super) fn balance_slot(owner: Address) -> B256 {
    keccak256([owner.into_word(), B256::ZERO].concat())
}

/// Calldata of `transfer`.
pub(super) fn transfer_call(to: Address, amount: U256) -> Bytes {
    [&TRANSFER[..], to.into_word().as_slice(), &amount.to_be_bytes::<32>()].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_and_event_are_those_of_erc20() {
        assert_eq!(TRANSFER, keccak256("transfer(address,uint256)")[..4]);
        assert_eq!(BALANCE_OF, keccak256("balanceOf(address)")[..4]);
        assert_eq!(TRANSFER_EVENT, keccak256("Transfer(address,address,uint256)")[..]);
    }

    #[test]
    fn every_jump_lands_on_a_jumpdest() {
        let code = code();
        let mut at = 0;
        let (mut jumps, mut pushed) = (0, None);
        while at < code.len() {
            match code[at] {
                // PUSH1 to PUSH32 carry data
                push @ 0x60..=0x7f => {
                    pushed = (push == 0x60).then(|| usize::from(code[at + 1]));
                    at += usize::from(push - 0x5f);
                }
                0x57 => {
                    assert_eq!(code[pushed.unwrap()], 0x5b, "jump at {at:#x}");
                    jumps += 1;
                }
                _ => pushed = None,
            }
            at += 1;
        }
        assert_eq!(jumps, 3);
    }
}
