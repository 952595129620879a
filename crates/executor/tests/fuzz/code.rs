//! Contracts made at random from snippets: few slots and few addresses, so that they meet.

use std::fmt::Write;

use banyan_chainspec::Fork;
use banyan_primitives::{Address, U256};
use rand::{Rng, seq::IndexedRandom};

use crate::{
    asm::{asm, deployer},
    tokens,
};

/// What code is made of.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    /// Rules that the code is made for.
    pub(crate) fork: Fork,
    /// Accounts worth a look or a call.
    pub(crate) addresses: Vec<Address>,
    /// Tokens.
    pub(crate) tokens: Vec<Address>,
}

impl Pools {
    fn address(&self, rng: &mut impl Rng) -> Address {
        *self.addresses.choose(rng).unwrap()
    }

    /// Code of a contract.
    pub(crate) fn contract(&self, rng: &mut impl Rng) -> Vec<u8> {
        let length = rng.random_range(1..7);
        let text = self.text(rng, length);
        asm(&text)
    }

    /// Init code: some of it runs at creation; what it leaves is random code, or nothing.
    pub(crate) fn init(&self, rng: &mut impl Rng) -> Vec<u8> {
        if rng.random_ratio(1, 8) {
            return self.contract(rng);
        }
        let runtime = self.contract(rng);
        if rng.random_ratio(1, 2) {
            return deployer(&runtime);
        }
        // The prologue first: it ends in a plain return, so that the deployer follows it.
        let mut text = String::new();
        for index in 0..rng.random_range(1..4) {
            self.snippet(rng, index, &mut text);
        }
        let mut code = asm(&text);
        let shift = u16::try_from(code.len()).unwrap();
        let mut rest = deployer(&runtime);
        // Where the runtime lies (PUSH1 12) moves by the prologue: PUSH2 in its place.
        let from = (shift + 13).to_be_bytes();
        rest.splice(4..6, [0x61, from[0], from[1]]);
        code.extend(rest);
        code
    }

    fn text(&self, rng: &mut impl Rng, snippets: usize) -> String {
        let mut text = String::new();
        for index in 0..snippets {
            self.snippet(rng, index, &mut text);
        }
        text.push_str(match rng.random_range(0..8) {
            0 => " 0 0 revert",
            1 => " invalid",
            2 | 3 => " 0 sload 0 mstore 32 0 return",
            4 => " 0 calldataload sload 0 mstore 32 0 return",
            _ => " stop",
        });
        text
    }

    /// One thing that code does, without a trace on the stack.
    fn snippet(&self, rng: &mut impl Rng, index: usize, text: &mut String) {
        let (slot, other) = (rng.random_range(0..4), rng.random_range(0..4));
        let small: u64 = rng.random_range(0..3);
        let address = self.address(rng);
        let store = format!("{slot} sstore ");
        let _ = match rng.random_range(0..50) {
            40..=43 => self.arithmetic(rng, &store, text),
            44..=46 => self.bytes(rng, &store, text),
            47 => write!(text, "coinbase extcodesize {store}"),
            48 => {
                write!(text, "32 calldataload 0 calldataload sstore 0 calldataload sload {store}")
            }
            49 => write!(text, "0 0 0 0 0 {slot} 32 mul calldataload gas call {store}"),
            0..=2 => write!(text, "{slot} sload 1 add {store}"),
            3 => write!(text, "{other} sload {store}"),
            4 => write!(text, "{small} {store}"),
            5 => write!(text, "{small} {other} sload sub {store}"),
            6 => write!(text, "{address} balance {store}"),
            7 => write!(text, "coinbase balance {store}"),
            8 if self.fork >= Fork::Constantinople => {
                write!(text, "{address} extcodehash {store}")
            }
            8 | 9 => write!(text, "{address} extcodesize {store}"),
            10 => write!(text, "caller balance {store}"),
            11 => write!(text, "origin balance {other} sload add {store}"),
            12 => write!(text, "callvalue {slot} sload add {store}"),
            13 => write!(text, "gas {store}"),
            14 => write!(text, "{small} number sub blockhash {store}"),
            15 => {
                let what = ["timestamp", "number", "gasprice", "gaslimit", "calldatasize"];
                write!(text, "{} {store}", what.choose(rng).unwrap())
            }
            16 if self.fork >= Fork::London => write!(text, "basefee selfbalance add {store}"),
            16 | 17 => write!(text, "0 calldataload {store}"),
            18 => write!(text, "0 calldataload balance {store}"),
            19 => write!(text, "1 0 calldataload sload add 0 calldataload sstore "),
            20 => write!(text, "{slot} sload 0 mstore {other} 32 0 log1 "),
            21 => write!(text, "coinbase balance 0 mstore {address} balance 32 mstore 64 0 log0 "),
            22 => write!(
                text,
                "{slot} sload 1 and @skip{index} jumpi 0 0 revert skip{index}: {small} {store}"
            ),
            23 => write!(
                text,
                "address balance 1 and @skip{index} jumpi {address} selfdestruct skip{index}: "
            ),
            24 if rng.random_ratio(1, 3) => write!(text, "{address} selfdestruct "),
            24 => write!(text, "64 0 {slot} 0 {address} extcodecopy 32 0 keccak256 {store}"),
            25 if self.fork >= Fork::Cancun => {
                write!(text, "{slot} tload 1 add dup1 {slot} tstore {store}")
            }
            25 => write!(
                text,
                "caller 0 mstore {slot} 32 mstore 64 0 keccak256 \
                                dup1 sload 1 add swap1 sstore "
            ),
            26 => write!(text, "{} mload pop ", rng.random_range(0..3000)),
            27 if self.fork >= Fork::Cancun => write!(text, "0 blobhash blobbasefee add {store}"),
            27 => write!(text, "{} {store}", U256::MAX),
            28 => self.create(rng, &store, text),
            29..=31 => self.token_call(rng, text),
            32 => self.precompile(rng, &store, text),
            _ => self.call(rng, &store, text),
        };
    }

    /// Operators on calldata, slots and odd numbers.
    fn arithmetic(&self, rng: &mut impl Rng, store: &str, text: &mut String) -> std::fmt::Result {
        let mut two = vec![
            "add",
            "mul",
            "sub",
            "div",
            "sdiv",
            "mod",
            "smod",
            "lt",
            "gt",
            "slt",
            "sgt",
            "eq",
            "and",
            "or",
            "xor",
            "byte",
            "signextend",
            "exp",
        ];
        if self.fork >= Fork::Constantinople {
            two.extend(["shl", "shr", "sar"]);
        }
        for _ in 0..2 {
            match rng.random_range(0..6) {
                0 => write!(text, "{} ", rng.random_range(0..300))?,
                1 => write!(text, "{} ", U256::MAX >> rng.random_range(0..256))?,
                2 => write!(text, "{} sload ", rng.random_range(0..4))?,
                3 => write!(text, "caller ")?,
                _ => write!(text, "{} calldataload ", rng.random_range(0..3) * 32)?,
            }
        }
        write!(text, "{} ", two.choose(rng).unwrap())?;
        match rng.random_range(0..5) {
            0 => write!(text, "iszero ")?,
            1 => write!(text, "not ")?,
            2 => write!(text, "7 swap1 3 addmod ")?,
            3 => write!(text, "0 calldataload 9 mulmod ")?,
            _ => {}
        }
        text.write_str(store)
    }

    /// Words taken apart and put together: copies, single bytes, unaligned reads, hashes, logs.
    fn bytes(&self, rng: &mut impl Rng, store: &str, text: &mut String) -> std::fmt::Result {
        let (at, from, length) =
            (rng.random_range(0..70), rng.random_range(0..70), rng.random_range(0..70));
        match rng.random_range(0..4) {
            0 => write!(text, "{length} {from} {at} calldatacopy ")?,
            1 => write!(text, "{} calldataload {at} mstore ", rng.random_range(0..70))?,
            2 => write!(text, "0 calldataload {at} mstore8 ")?,
            _ => write!(text, "{length} 0 {at} codecopy ")?,
        }
        let at = rng.random_range(0..70);
        match rng.random_range(0..4) {
            0 => write!(text, "{at} mload {store}"),
            1 => write!(text, "{length} {at} keccak256 {store}"),
            2 => write!(text, "{at} mload {length} {at} log1 "),
            _ => write!(text, "0 calldataload 0xff00ff and {at} mload 0xffff0000 and or {store}"),
        }
    }

    fn gas(&self, rng: &mut impl Rng) -> String {
        match rng.random_range(0..4) {
            0 => "gas".into(),
            1 => ["0", "2300", "5000", "21000"].choose(rng).unwrap().to_string(),
            _ => rng.random_range(500..30_000).to_string(),
        }
    }

    fn call(&self, rng: &mut impl Rng, store: &str, text: &mut String) -> std::fmt::Result {
        let (gas, to) = (self.gas(rng), self.address(rng));
        let argument = rng.random_range(0..6);
        let then = if rng.random() { store } else { "pop " };
        write!(text, "{argument} 0 mstore ")?;
        match rng.random_range(0..8) {
            0 => write!(text, "32 32 32 0 {to} {gas} delegatecall {then}"),
            1 if self.fork >= Fork::Byzantium => {
                write!(text, "32 32 32 0 {to} {gas} staticcall 32 mload add {then}")
            }
            1 => write!(text, "32 32 32 0 {argument} {to} {gas} callcode {then}"),
            2 => write!(text, "32 32 32 0 address balance {to} {gas} call {then}"),
            3 => write!(text, "32 32 32 0 callvalue {to} {gas} call {then}"),
            4 => write!(text, "32 32 32 0 1 {to} {gas} call {then}"),
            _ => write!(text, "32 32 32 0 0 {to} {gas} call 32 mload add {then}"),
        }
    }

    /// Small enough for one word. With CREATE2 the address may be met again.
    fn create(&self, rng: &mut impl Rng, store: &str, text: &mut String) -> std::fmt::Result {
        let init = small_init(rng);
        let (length, from) = (init.len(), 32 - init.len());
        let (word, value) = (U256::from_be_slice(&init), rng.random_range(0..2));
        write!(text, "{word} 0 mstore ")?;
        if self.fork >= Fork::Petersburg && rng.random_ratio(2, 3) {
            let salt = rng.random_range(0..2);
            write!(text, "{salt} {length} {from} {value} create2 ")?;
        } else {
            write!(text, "{length} {from} {value} create ")?;
        }
        match rng.random_range(0..3) {
            0 => write!(text, "pop "),
            1 => text.write_str(store),
            // Call it at once.
            _ => write!(text, "dup1 {store} 0 0 0 0 0 dup6 gas call pop pop "),
        }
    }

    fn token_call(&self, rng: &mut impl Rng, text: &mut String) -> std::fmt::Result {
        let (to, token) = (self.address(rng), *self.tokens.choose(rng).unwrap());
        let selector = [tokens::TRANSFER, tokens::APPROVE, tokens::MINT, tokens::BALANCE_OF];
        let selector = U256::from(*selector.choose(rng).unwrap()) << 224;
        let (gas, amount) = (self.gas(rng), rng.random_range(0..50));
        write!(
            text,
            "{selector} 0 mstore {to} 4 mstore {amount} 36 mstore \
             32 128 68 0 0 {token} {gas} call pop 128 mload pop "
        )
    }

    fn precompile(&self, rng: &mut impl Rng, store: &str, text: &mut String) -> std::fmt::Result {
        let number = rng.random_range(1..11);
        let value = rng.random_range(0..2);
        write!(
            text,
            "{number} 0 mstore 32 32 128 0 {value} {number} 9000 call 32 mload add {store}"
        )
    }
}

/// Init code of at most a word: runtimes that count, die, answer; one that is asked for.
fn small_init(rng: &mut impl Rng) -> Vec<u8> {
    let runtime = match rng.random_range(0..6) {
        0 => asm("0 sload 1 add 0 sstore"),
        1 => asm("caller selfdestruct"),
        2 => asm("callvalue selfdestruct"),
        3 => asm("1 sload iszero 1 sstore"),
        // The caller says what is deployed: another code at the same address.
        4 => {
            return asm("32 0 0 0 0 caller gas call pop 4 28 return");
        }
        _ => return asm("7 0 sstore coinbase balance 1 sstore 0 0 return"),
    };
    let (word, length) = (U256::from_be_slice(&runtime), runtime.len());
    asm(&format!("{word} 0 mstore {length} {} return", 32 - length))
}

const COUNTS_WITH_COINBASE: &str =
    "0 sload 1 add 0 sstore caller origin xor @end jumpi 0 0 0 0 0 coinbase gas call 1 sstore end:";

const PAYS_IN_TWO_TOKENS: &str = "0xa9059cbb00000000000000000000000000000000000000000000000000000000 0 mstore \
     64 calldataload 4 mstore 96 calldataload 36 mstore \
     0 0 68 0 0 0 calldataload gas call 0 sstore \
     0x23b872dd00000000000000000000000000000000000000000000000000000000 0 mstore \
     caller 4 mstore 64 calldataload 36 mstore 96 calldataload 68 mstore \
     0 0 100 0 0 32 calldataload gas call 1 sstore";

/// Contracts with a purpose.
pub(crate) fn fixed() -> Vec<Vec<u8>> {
    [
        // Written by everybody, returned to everybody.
        "0 sload 1 add dup1 0 sstore 0 mstore 32 0 return",
        // What somebody has; remembered, and told.
        "0 calldataload balance dup1 0 calldataload sstore 0 mstore 0 calldataload 32 0 log1",
        "coinbase balance 0 mstore 0 calldataload 32 0 log1",
        "0 0 revert",
        "loop: @loop jump",
        "0 calldataload selfdestruct",
        "caller selfdestruct",
        // Passes its money on.
        "0 0 0 0 address balance 0 calldataload gas call pop",
        "0 0 0 0 callvalue 0 calldataload 0 call 0 sstore",
        // Writes where it is told what it is told.
        "32 calldataload 0 calldataload sstore",
        // Passes a call on: target, then data; and keeps the answer.
        "32 calldatasize sub 32 0 calldatacopy 0 0 32 calldatasize sub 0 callvalue \
         0 calldataload gas call 0 sstore",
        // The same in its own name.
        "32 calldatasize sub 32 0 calldatacopy 0 0 32 calldatasize sub 0 \
         0 calldataload gas delegatecall 0 sstore",
        // Sets a slot and sets it back.
        "1 0 sstore 0 0 sstore",
        // Deploys what it is given, always with the same salt.
        "calldatasize 0 0 calldatacopy 0 calldatasize 0 callvalue create2 \
         dup1 0 sstore 0 mstore 32 0 return",
        // Deploys what it is given, by its nonce.
        "calldatasize 0 0 calldatacopy calldatasize 0 callvalue create 1 sstore",
        // Deploys in two steps, so that the address says nothing of the code: asks its caller.
        "32 0 0 0 0 caller gas call pop 4 28 return",
        // The same once more, at another address.
        "0 sload 1 add dup1 0 sstore 0 mstore 32 0 return",
        // Counts, and lets the beneficiary count, which may be of this kind, or this one. Twice.
        COUNTS_WITH_COINBASE,
        COUNTS_WITH_COINBASE,
        // Lets two count, perhaps one twice.
        "0 0 0 0 0 0 calldataload gas call 0 0 0 0 0 32 calldataload gas call add 0 sstore",
        // Writes and reads slots that may be one.
        "1 0 calldataload sstore 2 32 calldataload sstore 0 calldataload sload 5 sstore \
         64 calldataload 0 sstore",
        // Pays the third in two tokens, which may be one: of its own, and the caller's.
        PAYS_IN_TWO_TOKENS,
        // A hook: reverts if its slot says so, else counts.
        "1 sload @no jumpi 0 sload 1 add 0 sstore stop no: 0 0 revert",
    ]
    .map(asm)
    .to_vec()
}
