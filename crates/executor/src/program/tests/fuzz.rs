//! Random calls on random states, learning as they go.

use banyan_primitives::{Address, U256};
use revm::primitives::hardfork::SpecId;

use super::{
    A, B, By, C, Random, TOKEN, Tx, World, n, token_world,
    tokens::{self, KINDS, Kind, allowance_slot, balance_slot, word},
};

/// Those that appear as caller, holder, spender or receiver.
fn people(world: &World) -> [Address; 9] {
    let fee = Address::with_last_byte(0xee);
    [A, B, C, TOKEN, world.block.beneficiary, Address::ZERO, Address::repeat_byte(0xdd), fee, A]
}

fn amount(random: &mut Random, balance: U256) -> U256 {
    match random.below(8) {
        0 => U256::ZERO,
        1 => balance,
        2 => balance.wrapping_add(n(1)),
        3 => U256::MAX,
        4 => U256::from_limbs([random.next(), random.next(), random.next(), random.next()]),
        _ => n(random.below(2000)),
    }
}

/// Sometimes garbage above an address.
fn address_word(random: &mut Random, address: Address) -> U256 {
    let dirt = if random.below(40) == 0 { U256::from(1 + random.below(9)) << 160 } else { n(0) };
    word(address) | dirt
}

pub(super) fn random_tx(random: &mut Random, world: &World, kind: Kind) -> Tx {
    let people = people(world);
    let mut caller = random.pick(&people[..6]);
    if caller == TOKEN {
        caller = C;
    }
    let [from, to] = [random.pick(&people), random.pick(&people)];
    let held = |of: Address| {
        let stored = world.get(balance_slot(of));
        if kind == Kind::Inverted { !stored } else { stored }
    };
    let (a, b) = (address_word(random, from), address_word(random, to));
    let input = match random.below(6) {
        0..3 => tokens::input(0xa9059cbb, &[b, amount(random, held(caller))]),
        3 => tokens::input(0x23b872dd, &[a, b, amount(random, held(from))]),
        4 => tokens::input(0x095ea7b3, &[b, amount(random, n(100))]),
        _ => tokens::input(0x40c10f19, &[b, n(random.below(1 << 40))]),
    };
    let gas_limit = match random.below(6) {
        0 => 26_000 + random.below(50_000),
        _ => 150_000,
    };
    Tx { gas_limit, ..Tx::new(caller, input) }
}

/// Changes state behind the token's back.
pub(super) fn disturb(random: &mut Random, world: &mut World) {
    let people = people(world);
    let (one, other) = (random.pick(&people), random.pick(&people));
    let slot = match random.below(8) {
        0 => allowance_slot(one, other),
        1..4 => balance_slot(one),
        4 => tokens::mapping(one.into_word(), 6),
        5 => n(7),
        6 => n(5),
        _ => n(9),
    };
    let value = match random.below(6) {
        0 => U256::MAX,
        1 => n(1),
        2 => n(random.below(1_100_000)),
        _ if slot == tokens::mapping(one.into_word(), 6) => n(0),
        _ if slot == n(7) => n(1 + random.below(3000)),
        _ if slot < n(10) => n(0),
        _ => n(1_000_000),
    };
    world.set(slot, value);
    if random.below(4) == 0 {
        world.block.beneficiary = random.pick(&[B, C, Address::repeat_byte(0xcb)]);
        world.block.timestamp += n(random.below(1000));
    }
}

/// A token, perhaps behind a proxy.
pub(super) fn random_world(kind: Kind, proxied: bool) -> World {
    let mut world = token_world(kind);
    if proxied {
        let (code, storage) = (tokens::token(kind), world.state.storage[&TOKEN].clone());
        world.state.insert(Address::repeat_byte(0x77), 1, n(0), code, []);
        world.state.insert(TOKEN, 1, n(0), tokens::proxy(), storage);
        world.set(tokens::IMPLEMENTATION.into(), word(Address::repeat_byte(0x77)));
    }
    if kind == Kind::Hook {
        let hook = tokens::assemble("0 SLOAD 1 ADD 0 SSTORE STOP");
        world.state.insert(Address::repeat_byte(0xdd), 1, n(0), hook, []);
    }
    world
}

fn fuzz(kind: Kind, seed: u64, calls: u64, proxied: bool) -> u64 {
    let mut random = Random(seed);
    let mut world = random_world(kind, proxied);
    world.spec = random.pick(&[SpecId::CANCUN, SpecId::PRAGUE, SpecId::OSAKA]);
    let mut programs = 0;
    for _ in 0..calls {
        world.library.grant();
        if random.below(5) == 0 {
            disturb(&mut random, &mut world);
        }
        let tx = random_tx(&mut random, &world, kind);
        // Panics at any difference.
        let (by, _) = world.call(&tx);
        programs += u64::from(by == By::Program);
    }
    programs
}

#[test]
fn random_calls_end_as_in_the_evm() {
    for (index, kind) in KINDS.into_iter().enumerate() {
        for proxied in [false, true] {
            let programs = fuzz(kind, 1000 + index as u64, 1500, proxied);
            assert!(programs > 150, "{kind:?}: {programs} of 1500 by programs");
        }
    }
}

#[test]
#[ignore = "slow: millions of calls; run with --ignored"]
fn random_calls_end_as_in_the_evm_at_length() {
    for seed in 0..40 {
        for kind in KINDS {
            for proxied in [false, true] {
                fuzz(kind, seed, 5000, proxied);
            }
        }
    }
}
