//! Swaps on Uniswap v3: each an `exactInputSingle` of the published router, some 110,000 gas. The
//! pools are a published one whose immutable values (itself and its tokens) are replaced, so that
//! each has code of its own, as on the chain.

use std::rc::Rc;

use banyan_executor::MemoryState;
use banyan_primitives::{
    Address, B256, Bytes, U256, address, alloy_primitives::hex, b256, keccak256,
};

use super::{
    Call, Fixtures, Plan, Workload, account, funded,
    tokens::{Token, input, word},
};

/// Gas limit of a swap, and about what it takes.
const GAS_LIMIT: u64 = 250_000;
const SWAP_GAS: u64 = 110_000;

const SWAP: [u8; 4] = hex!("414bf389");

/// Where the router looks for its factory's pools.
const ROUTER: Address = address!("0xE592427A0AEce92De3Edee1F18E0157C05861564");
const FACTORY: Address = address!("0x1F98431c8aD98523631AE4a59f267346ea31F984");
const POOL_INIT: B256 = b256!("0xe34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54");
const ROUTER_CODE: B256 =
    b256!("0xbb90113d2f9a5e9b7feb15a1d1fff06c1ee1575b3f9b1181778ffd0cf633e7ea");

/// The pool that ours are made of: its code, what is replaced in it, and its fee.
const MODEL_CODE: B256 =
    b256!("0xf2b8b58f95b1471751302e520a0e7c410ce9846ed46020be253dbd25fbb6da11");
const MODEL: Address = address!("0x8ad599c3A0ff1De082011EFDDc58f1908eb6e6D8");
const MODEL_TOKENS: [Address; 2] = [
    address!("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"),
    address!("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"),
];
const FEE: u64 = 3_000;

/// Steps of the conflict sweep.
const SHARES: [u64; 11] = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100];
/// Name of the sweep's workloads; their share of swaps on one pool follows, in percent.
pub(crate) const SWEEP: &str = "conflict";

/// Each swap on a pool of its own; all on one.
pub(super) fn plans(gas: u64, fixtures: &Rc<Fixtures>) -> Vec<Plan> {
    let plan = |(name, share): (&str, u64)| {
        let fixtures = Rc::clone(fixtures);
        Plan::new(name, move |name| swaps(name, gas, share, &fixtures))
    };
    [("amm v3, independent", 0), ("amm v3, one pool", 100)].into_iter().map(plan).collect()
}

/// From no swap to all swaps on one pool, the others on pools of their own. No program answers these,
/// so it is the scheduler that is tested.
pub(super) fn sweep(gas: u64, fixtures: &Rc<Fixtures>) -> Vec<Plan> {
    let plan = |share| {
        let fixtures = Rc::clone(fixtures);
        let name = format!("{SWEEP}, {share} %");
        Plan::new(name, move |name| swaps(name, gas, share, &fixtures))
    };
    SHARES.into_iter().map(plan).collect()
}

/// `share` percent of the swaps, spread over the block, are on pool 0.
fn swaps(name: String, gas: u64, share: u64, fixtures: &Fixtures) -> Workload {
    let count = gas / SWAP_GAS;
    let mut state = funded(count);
    state.insert(ROUTER, 1, U256::ZERO, fixtures.code(ROUTER_CODE), []);
    let mut hot = Pool::new(0, fixtures);
    let mut calls = Vec::new();
    for n in 0..count {
        // A permutation of the residues: any share is evenly spread.
        if n * 37 % 100 < share {
            calls.push(hot.swap(n));
        } else {
            let mut pool = Pool::new(n + 1, fixtures);
            calls.push(pool.swap(n));
            pool.put(&mut state, fixtures);
        }
    }
    hot.put(&mut state, fixtures);
    Workload::synthetic(name, GAS_LIMIT, calls, state)
}

/// Two tokens in the pool's order, and their pool.
struct Pool {
    tokens: [Token; 2],
    address: Address,
}

impl Pool {
    fn new(number: u64, fixtures: &Fixtures) -> Self {
        let mut tokens = [2 * number, 2 * number + 1].map(|n| Token::shib(n, fixtures));
        tokens.sort_by_key(|token| token.address);
        let [first, second] = &mut tokens;
        let key = [word(first.address), word(second.address), U256::from(FEE)];
        let salt = keccak256(key.map(|word| word.to_be_bytes::<32>()).concat());
        let address = FACTORY.create2(salt, POOL_INIT);
        first.give(address, reserve());
        second.give(address, reserve());
        Self { tokens, address }
    }

    /// Account `trader` gives some of the first token for the second, which it has as well.
    fn swap(&mut self, trader: u64) -> Call {
        let me = account(trader);
        let amount = U256::from(10).pow(U256::from(15));
        let [from, to] = &mut self.tokens;
        from.give(me, amount * U256::from(1_000));
        to.give(me, amount);
        from.allow(me, ROUTER, amount * U256::from(1_000));
        // Both tokens, fee, receiver, deadline, amount, least amount back, no limit of the price.
        let words = [
            word(from.address),
            word(to.address),
            U256::from(FEE),
            word(me),
            U256::from(u64::MAX),
            amount,
            U256::ONE,
            U256::ZERO,
        ];
        Call::new(trader, ROUTER, input(SWAP, &words))
    }

    fn put(self, state: &mut MemoryState, fixtures: &Fixtures) {
        let mut code = fixtures.code(MODEL_CODE).to_vec();
        replace(&mut code, MODEL, self.address);
        for (model, token) in MODEL_TOKENS.into_iter().zip(&self.tokens) {
            replace(&mut code, model, token.address);
        }
        let one = U256::from(1);
        // A price of 1.0015², which is in tick 29, between two that positions could begin at.
        let price = (one << 96) * U256::from(10_015) / U256::from(10_000);
        let (tick, observations, unlocked) = (U256::from(29), one << 200 | one << 216, one << 240);
        let slots = [
            (0, price | tick << 160 | observations | unlocked),
            // Fees grown so far, and liquidity.
            (1, one << 100),
            (2, one << 100),
            (4, reserve()),
            // The one observation: at time 1, initialised.
            (8, one | one << 248),
        ];
        let slots = slots.map(|(slot, value)| (U256::from(slot), value));
        state.insert(self.address, 1, U256::ZERO, Bytes::from(code), slots);
        for token in self.tokens {
            token.put(state);
        }
    }
}

/// Puts `new` wherever `old` stands.
fn replace(code: &mut [u8], old: Address, new: Address) {
    let places = code.windows(20).enumerate().filter(|(_, bytes)| *bytes == old.as_slice());
    for place in places.map(|(place, _)| place).collect::<Vec<_>>() {
        code[place..place + 20].copy_from_slice(new.as_slice());
    }
}

/// Of each token, and the pool's liquidity.
fn reserve() -> U256 {
    U256::from(10).pow(U256::from(24))
}
