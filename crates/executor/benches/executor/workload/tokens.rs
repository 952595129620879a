//! ERC-20 tokens: a minimal one of our own, and the code of published ones, which the fixtures have.

use std::{collections::BTreeMap, rc::Rc};

use banyan_executor::MemoryState;
use banyan_primitives::{Address, B256, Bytes, U256, alloy_primitives::hex, b256, keccak256};

use super::{Call, Fixtures, Plan, Workload, account, funded};

/// Gas limit of a call, more than any takes here.
const GAS_LIMIT: u64 = 100_000;
/// What one takes, roughly.
const MINIMAL_GAS: u64 = 35_000;
const TRANSFER_GAS: u64 = 35_000;
const TRANSFER_FROM_GAS: u64 = 40_000;

/// Accounts that send only to each other, and transfers of each.
const FAMILY: u64 = 16;
const TRANSFERS_EACH: u64 = 4;

/// `transfer(address,uint256)` of a token with its balances in mapping 0: checks the sender's
/// balance, moves the amount, emits `Transfer`, returns true. Any selector will do.
const MINIMAL: &[u8] = &hex!(
    "335f5260405f2080546024358082 10605a57809103909155" // from: balance >= amount, less it
    "6004355f5260405f20805482019055"                     // to: more by it
    "5f52600435337fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef60205fa3"
    "60015f5260205ff35b5f5ffd"
);

/// Code hash of Shiba Inu, an unchanged OpenZeppelin 2 token: balances in mapping 0, allowances,
/// always lowered, in mapping 1.
const SHIB: B256 = b256!("0xd0caa0f9bc744c523933d44e6d8d07f868803d10bf16c8129e12f670296175ad");
/// Code hash of WETH9: balances in mapping 3, allowances in mapping 4; the highest is unlimited.
const WETH: B256 = b256!("0xd0a06b12ac47863b5c7be4185c2deaad1c61557033f56c7d4ea74429cbb25e23");

const TRANSFER: [u8; 4] = hex!("a9059cbb");
const TRANSFER_FROM: [u8; 4] = hex!("23b872dd");

/// A token's code, mappings, and what is in them.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) address: Address,
    code: Bytes,
    balances: u64,
    allowances: u64,
    slots: BTreeMap<U256, U256>,
}

impl Token {
    fn new(number: u64, code: Bytes, balances: u64, allowances: u64) -> Self {
        // Away from the accounts that send.
        let address = account(number | 1 << 40);
        Self { address, code, balances, allowances, slots: BTreeMap::new() }
    }

    /// One with the code of Shiba Inu.
    pub(super) fn shib(number: u64, fixtures: &Fixtures) -> Self {
        Self::new(number, fixtures.code(SHIB), 0, 1)
    }

    fn weth(number: u64, fixtures: &Fixtures) -> Self {
        Self::new(number, fixtures.code(WETH), 3, 4)
    }

    pub(super) fn give(&mut self, holder: Address, amount: U256) {
        self.slots.insert(mapped(self.balances, holder), amount);
    }

    pub(super) fn allow(&mut self, owner: Address, spender: Address, amount: U256) {
        let inner = mapped(self.allowances, owner);
        let slot = keccak256([spender.into_word(), inner.into()].concat());
        self.slots.insert(slot.into(), amount);
    }

    pub(super) fn put(self, state: &mut MemoryState) {
        state.insert(self.address, 1, U256::ZERO, self.code, self.slots);
    }
}

/// Slot of `key` in the mapping at `slot`.
fn mapped(slot: u64, key: Address) -> U256 {
    keccak256([key.into_word(), U256::from(slot).into()].concat()).into()
}

/// A call's input: selector and words.
pub(super) fn input(selector: [u8; 4], words: &[U256]) -> Vec<u8> {
    let words = words.iter().flat_map(|word| word.to_be_bytes::<32>());
    selector.into_iter().chain(words).collect()
}

pub(super) fn word(address: Address) -> U256 {
    address.into_word().into()
}

fn transfer(from: u64, token: Address, to: u64) -> Call {
    Call::new(from, token, input(TRANSFER, &[word(account(to)), U256::ONE]))
}

/// Sender, number of the token, and receiver of transaction number `n` of `count`.
type Triple = fn(u64, u64) -> (u64, u64, u64);

const SHAPES: [(&str, Triple); 4] = [
    ("independent", |n, _| (2 * n, 0, 2 * n + 1)),
    ("families", family),
    ("one receiver", |n, _| (n + 1, 0, 0)),
    ("64 tokens", |n, _| (2 * n, n % 64, 2 * n + 1)),
];

/// Everyone of all families sends once, then everyone again.
fn family(n: u64, count: u64) -> (u64, u64, u64) {
    let people = count.div_ceil(FAMILY * TRANSFERS_EACH) * FAMILY;
    let (turn, person) = (n / people, n % people);
    let (first, me) = (person / FAMILY * FAMILY, person % FAMILY);
    let step = 1 + (person * 7 + turn * 5) % (FAMILY - 1);
    (person, 0, first + (me + step) % FAMILY)
}

/// Our own token, which needs no fixtures.
pub(super) fn minimal(gas: u64) -> Vec<Plan> {
    let plan = |(name, shape): (&str, Triple)| {
        Plan::new(format!("erc20 minimal, {name}"), move |name| {
            let token = |number| Token::new(number, Bytes::from_static(MINIMAL), 0, 0);
            transfers(name, gas / MINIMAL_GAS, shape, token)
        })
    };
    SHAPES.into_iter().map(plan).collect()
}

/// Published code.
pub(super) fn published(gas: u64, fixtures: &Rc<Fixtures>) -> Vec<Plan> {
    let plan = |(name, shape): (&str, Triple)| {
        let fixtures = Rc::clone(fixtures);
        Plan::new(format!("erc20, {name}"), move |name| {
            transfers(name, gas / TRANSFER_GAS, shape, |number| Token::shib(number, &fixtures))
        })
    };
    let mut plans: Vec<_> = SHAPES.into_iter().map(plan).collect();
    let fixtures = Rc::clone(fixtures);
    plans.push(Plan::new("erc20, transferFrom", move |name| transfer_from(name, gas, &fixtures)));
    plans
}

/// Everybody holds some of every token.
fn transfers(name: String, count: u64, shape: Triple, token: impl Fn(u64) -> Token) -> Workload {
    let mut tokens = BTreeMap::<u64, Token>::new();
    let mut calls = Vec::new();
    for (from, number, to) in (0..count).map(|n| shape(n, count)) {
        let token = tokens.entry(number).or_insert_with(|| token(number));
        token.give(account(from), U256::from(1_000_000));
        token.give(account(to), U256::from(1_000_000));
        calls.push(transfer(from, token.address, to));
    }
    let mut state = funded(2 * count);
    for token in tokens.into_values() {
        token.put(&mut state);
    }
    Workload::synthetic(name, GAS_LIMIT, calls, state)
}

/// In turns from an allowance that is lowered, and from one without limit.
fn transfer_from(name: String, gas: u64, fixtures: &Fixtures) -> Workload {
    let mut tokens = [Token::shib(0, fixtures), Token::weth(1, fixtures)];
    let allowances = [U256::from(1_000_000), U256::MAX];
    let count = gas / TRANSFER_FROM_GAS;
    let mut calls = Vec::new();
    for n in 0..count {
        let (spender, owner, to) = (3 * n, account(3 * n + 1), account(3 * n + 2));
        let (token, allowance) = (&mut tokens[n as usize % 2], allowances[n as usize % 2]);
        token.give(owner, U256::from(1_000_000));
        token.give(to, U256::from(1_000_000));
        token.allow(owner, account(spender), allowance);
        let input = input(TRANSFER_FROM, &[word(owner), word(to), U256::ONE]);
        calls.push(Call::new(spender, token.address, input));
    }
    let mut state = funded(3 * count);
    for token in tokens {
        token.put(&mut state);
    }
    Workload::synthetic(name, GAS_LIMIT, calls, state)
}
