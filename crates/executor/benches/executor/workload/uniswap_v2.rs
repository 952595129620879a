//! Swaps on Uniswap v2: router and pairs are the published code, which the fixtures have, as is that
//! of the tokens. Each is a `swapExactTokensForTokens`: some 110,000 gas, six calls.

use std::rc::Rc;

use banyan_executor::MemoryState;
use banyan_primitives::{Address, B256, U256, address, alloy_primitives::hex, b256, keccak256};

use super::{
    Call, Fixtures, Plan, Workload, account, funded,
    tokens::{Token, input, word},
};

/// Gas limit of a swap, and about what it takes.
const GAS_LIMIT: u64 = 200_000;
const SWAP_GAS: u64 = 105_000;

const SWAP: [u8; 4] = hex!("38ed1739");

/// Where the router looks for its factory's pairs.
const ROUTER: Address = address!("0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D");
const FACTORY: Address = address!("0x5C69bEe701ef814a2B6a3EDD4B1652CB9cc5aA6f");
const PAIR_INIT: B256 = b256!("0x96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f");
/// Hashes of the code of router and pair.
const ROUTER_CODE: B256 =
    b256!("0xa324bc7db3d091b6f1a2d526e48a9c7039e03b3cc35f7d44b15ac7a1544c11d2");
const PAIR_CODE: B256 = b256!("0x5b83bdbcc56b2e630f2807bbadd2b0c21619108066b92a58de081261089e9ce5");

/// Each swap on a pool of its own; all on one.
pub(super) fn plans(gas: u64, fixtures: &Rc<Fixtures>) -> Vec<Plan> {
    let plan = |(name, one): (&str, bool)| {
        let fixtures = Rc::clone(fixtures);
        Plan::new(name, move |name| swaps(name, gas, one, &fixtures))
    };
    [("amm v2, independent", false), ("amm v2, one pool", true)].into_iter().map(plan).collect()
}

fn swaps(name: String, gas: u64, one: bool, fixtures: &Fixtures) -> Workload {
    let count = gas / SWAP_GAS;
    let mut state = funded(count);
    state.insert(ROUTER, 1, U256::ZERO, fixtures.code(ROUTER_CODE), []);
    let mut pools: Vec<_> =
        (0..if one { 1 } else { count }).map(|number| Pool::new(number, fixtures)).collect();
    let last = pools.len() - 1;
    let calls: Vec<_> = (0..count).map(|n| pools[last.min(n as usize)].swap(n)).collect();
    for pool in pools {
        pool.put(&mut state, fixtures);
    }
    Workload::synthetic(name, GAS_LIMIT, calls, state)
}

/// Two tokens in the pair's order, and their pair.
struct Pool {
    tokens: [Token; 2],
    pair: Address,
}

impl Pool {
    fn new(number: u64, fixtures: &Fixtures) -> Self {
        let mut tokens = [2 * number, 2 * number + 1].map(|n| Token::shib(n, fixtures));
        tokens.sort_by_key(|token| token.address);
        let salt = keccak256([tokens[0].address, tokens[1].address].concat());
        let pair = FACTORY.create2(salt, PAIR_INIT);
        for token in &mut tokens {
            token.give(pair, reserve());
        }
        Self { tokens, pair }
    }

    /// Account `trader` gives some of one token for the other, which it has as well.
    fn swap(&mut self, trader: u64) -> Call {
        let me = account(trader);
        let amount = U256::from(10).pow(U256::from(15));
        let [from, to] = &mut self.tokens;
        from.give(me, amount * U256::from(1_000));
        to.give(me, amount);
        from.allow(me, ROUTER, amount * U256::from(1_000));
        // Amount, least amount back, place of the path, receiver, deadline; length and path.
        let words = [
            amount,
            U256::ONE,
            U256::from(5 * 32),
            word(me),
            U256::from(u64::MAX),
            U256::from(2),
            word(from.address),
            word(to.address),
        ];
        Call::new(trader, ROUTER, input(SWAP, &words))
    }

    fn put(self, state: &mut MemoryState, fixtures: &Fixtures) {
        let [first, second] = self.tokens;
        let updated = U256::from(1);
        let slots = [
            (5, word(FACTORY)),
            (6, word(first.address)),
            (7, word(second.address)),
            (8, reserve() | reserve() << 112 | updated << 224),
            // Both cumulative prices, and the lock, which is open.
            (9, U256::from(1) << 112),
            (10, U256::from(1) << 112),
            (12, U256::from(1)),
        ];
        let slots = slots.map(|(slot, value)| (U256::from(slot), value));
        state.insert(self.pair, 1, U256::ZERO, fixtures.code(PAIR_CODE), slots);
        first.put(state);
        second.put(state);
    }
}

/// Of each token.
fn reserve() -> U256 {
    U256::from(10).pow(U256::from(24))
}
