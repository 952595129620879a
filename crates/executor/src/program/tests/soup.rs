//! Code made by chance, to find what no token does: odd offsets, aliased slots, calls in circles.

use banyan_primitives::{Address, U256};

use super::{A, B, By, Random, TOKEN, Tx, World, n, tokens};

const BINARY: [&str; 21] = [
    "ADD",
    "MUL",
    "SUB",
    "DIV",
    "SDIV",
    "MOD",
    "SMOD",
    "SIGNEXTEND",
    "LT",
    "GT",
    "SLT",
    "SGT",
    "EQ",
    "AND",
    "OR",
    "XOR",
    "BYTE",
    "SHL",
    "SHR",
    "SAR",
    "AND",
];
const SOURCES: [&str; 11] = [
    "CALLER",
    "ADDRESS",
    "CALLVALUE",
    "TIMESTAMP",
    "ORIGIN",
    "MSIZE",
    "RETURNDATASIZE",
    "CALLDATASIZE",
    "COINBASE",
    "PC",
    "CHAINID",
];

/// Writes code. Keeps at least one word on the stack, and knows how many there are.
struct Cook<'a> {
    random: &'a mut Random,
    text: String,
    depth: usize,
    labels: usize,
}

impl Cook<'_> {
    fn add(&mut self, words: &str) {
        self.text.push_str(words);
        self.text.push(' ');
    }

    fn constant(&mut self) -> U256 {
        let full = U256::from_limbs([(); 4].map(|()| self.random.next()));
        match self.random.below(9) {
            0 => U256::MAX,
            1 => U256::MAX >> (8 * self.random.below(32)),
            2 => U256::MAX << (8 * self.random.below(32)),
            3 => U256::ONE << self.random.below(256),
            4 => full,
            5 => full & (U256::MAX << 96),
            _ => n(self.random.below(70)),
        }
    }

    fn push(&mut self) {
        let (offset, kind) = (self.random.below(110), self.random.below(8));
        match kind {
            0..3 => self.add(&format!("{offset} CALLDATALOAD")),
            3 => self.add(&format!("{offset} MLOAD")),
            4 => {
                let source = self.random.pick(&SOURCES);
                self.add(source);
            }
            5 => self.add(&format!("{} SLOAD", offset % 3)),
            _ => {
                let constant = self.constant();
                self.add(&constant.to_string());
            }
        }
        self.depth += 1;
    }

    /// An operation that leaves the stack as deep as it was.
    fn neutral(&mut self) {
        let [a, b, c] = [(); 3].map(|()| self.random.below(100));
        let dup = format!("DUP{}", 1 + self.random.below(self.depth.min(16) as u64));
        let text = match self.random.below(20) {
            0 => format!("{dup} {a} MSTORE"),
            1 => format!("{dup} {a} MSTORE8"),
            2 => format!("{b} {a} KECCAK256 SWAP1 POP"),
            3 => format!("{c} {b} {a} CALLDATACOPY"),
            4 => format!("{c} {b} {a} CODECOPY"),
            5 => format!("{c} {b} {a} MCOPY"),
            6 => format!("{dup} {} SSTORE", a % 3),
            7 => format!("{dup} DUP2 SSTORE"),
            8 => "SLOAD".to_owned(),
            9 => format!("{dup} 3 DUP3 MOD SSTORE"),
            10 => format!("{dup} DUP2 TSTORE"),
            11 => "TLOAD".to_owned(),
            12 => format!("{dup} DUP2 {b} {a} LOG2"),
            13 => "NOT".to_owned(),
            14 => "ISZERO".to_owned(),
            15 => format!("3 {dup} MOD {a} ADD MLOAD SWAP1 POP"),
            16 => format!("{dup} EXTCODESIZE SWAP1 POP"),
            17 => self.call(a, b),
            18 => format!("RETURNDATASIZE 0 {a} RETURNDATACOPY"),
            _ => format!("{dup} 7 EXP SWAP1 POP"),
        };
        self.add(&text);
    }

    /// A call whose success replaces the top of the stack.
    fn call(&mut self, input: u64, len: u64) -> String {
        let gas = self.random.pick(&["GAS", "GAS", "50000"]);
        let kind = self.random.pick(&["CALL", "DELEGATECALL", "STATICCALL"]);
        let value = if kind == "CALL" { "0" } else { "" };
        let others = [callee(0).to_string(), callee(1).to_string(), "4 CALLDATALOAD".to_owned()];
        let to = &others[self.random.below(3) as usize];
        format!("40 10 {len} {input} {value} {to} {gas} {kind} SWAP1 POP")
    }

    fn branch(&mut self) {
        self.labels += 1;
        let label = self.labels;
        let dup = 1 + self.random.below(self.depth.min(16) as u64);
        let mask = self.random.pick(&["1 AND", "ISZERO", "ISZERO ISZERO", "", "9 LT"]);
        self.add(&format!("DUP{dup} {mask} @l{label} JUMPI"));
        for _ in 0..self.random.below(4) {
            self.neutral();
        }
        self.add(&format!(":l{label}"));
    }

    fn cook(mut self, length: u64) -> String {
        self.push();
        for _ in 0..length {
            match self.random.below(10) {
                0..3 if self.depth < 14 => self.push(),
                3..6 if self.depth > 1 => {
                    let op = self.random.pick(&BINARY);
                    self.add(op);
                    self.depth -= 1;
                }
                6 => self.branch(),
                7 if self.depth > 2 => {
                    let swap = 1 + self.random.below(self.depth as u64 - 1);
                    self.add(&format!("SWAP{}", swap.min(16)));
                }
                8 if self.depth > 3 => {
                    let op = self.random.pick(&["ADDMOD", "MULMOD"]);
                    self.add(op);
                    self.depth -= 2;
                }
                _ => self.neutral(),
            }
        }
        self.add("0 MSTORE 32 0 RETURN");
        self.text
    }
}

fn callee(index: u8) -> Address {
    Address::repeat_byte(0x40 + index)
}

fn code(random: &mut Random, length: u64) -> banyan_primitives::Bytes {
    let cook = Cook { random, text: String::new(), depth: 0, labels: 0 };
    tokens::assemble(&cook.cook(length))
}

fn tx(random: &mut Random) -> Tx {
    let word = |random: &mut Random| match random.below(6) {
        0 => U256::from_limbs([(); 4].map(|()| random.next())),
        1 => tokens::word(random.pick(&[A, B, TOKEN, callee(0), callee(1)])),
        2 => U256::ZERO,
        _ => n(random.below(5)),
    };
    let arguments = [(); 3].map(|()| word(random));
    let gas_limit = if random.below(4) == 0 { 24_000 + random.below(60_000) } else { 400_000 };
    Tx { gas_limit, ..Tx::new(random.pick(&[A, B]), tokens::input(7, &arguments)) }
}

/// Runs so much code on some inputs each; tells how often a program had something to say.
fn soup(seed: u64, rounds: u64) -> u64 {
    let mut random = Random(seed);
    let mut claims = 0;
    for _ in 0..rounds {
        let length = 4 + random.below(40);
        let mut world = World::new(code(&mut random, length));
        for index in 0..2 {
            let length = 3 + random.below(12);
            let code = code(&mut random, length);
            world.state.insert(callee(index), 1, U256::ZERO, code, []);
        }
        let inputs = [(); 6].map(|()| tx(&mut random));
        for index in 0..12 {
            world.library.grant();
            if index > 1 {
                let slot = n(random.below(5));
                world.set(slot, n(random.below(3)));
            }
            // The first is seen twice, so that it is learnt.
            let tx = &inputs[[0, 0, 1, 0, 1, 2, 2, 3, 3, 4, 5, 4][index]];
            if tx.gas_limit > 30_000 {
                claims += u64::from(world.call(tx).0 != By::Evm);
            }
        }
    }
    claims
}

#[test]
fn code_made_by_chance_is_learnt_rightly() {
    let claims = soup(1, 1500);
    assert!(claims > 1500, "{claims}");
}

#[test]
#[ignore = "slow: much more of it; run with --ignored"]
fn code_made_by_chance_is_learnt_rightly_at_length() {
    (100..200).for_each(|seed| drop(soup(seed, 4000).to_string()));
}
