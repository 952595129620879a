//! Every gas limit: a program must do what the EVM does, or nothing.

use banyan_primitives::{Address, U256};
use revm::primitives::hardfork::SpecId;

use super::{
    A, B, C, TOKEN, Tx, World,
    fuzz::random_world,
    n, token_world,
    tokens::{self, Kind, assemble},
};
use crate::program::{Outcome, compare::difference};

/// Tries limits from the intrinsic gas up to some thousands above what is spent: all of them around
/// that, else every so many.
fn every_limit(world: &mut World, tx: &Tx, stride: usize) {
    world.teach(tx);
    let spent = world.claim(tx).unwrap().gas;
    let env = world.env(tx);
    let (least, bound) = (env.intrinsic.max(env.floor), env.intrinsic + spent);
    let around = (bound - 1500).max(least)..bound + 3500;
    let wide = (least..bound + 12_000).step_by(stride);
    let (mut claimed, mut missed) = (0, 0);
    for gas_limit in wide.chain(around) {
        let tx = Tx { gas_limit, ..tx.clone() };
        let Some(effect) = world.claim(&tx) else {
            missed += 1;
            continue;
        };
        claimed += 1;
        let (executed, state) = world.evm(&tx);
        let outcome = Outcome {
            success: executed.success,
            gas_used: executed.gas_used,
            logs: &executed.logs,
            state: &state,
        };
        let env = world.env(&tx);
        assert_eq!(difference(&effect, &env, &outcome), None, "{tx:?}");
    }
    assert!(claimed > 100 && missed > 100, "{claimed} {missed}");
}

/// The transactions of each function of a token.
fn transactions() -> [Tx; 6] {
    [
        Tx::new(A, tokens::transfer(B, n(5))),
        Tx::new(A, tokens::transfer(Address::repeat_byte(0xdd), n(990_000))),
        Tx::new(A, tokens::transfer(A, n(5))),
        Tx::new(C, tokens::transfer_from(A, B, n(500_000))),
        Tx::new(A, tokens::approve(B, n(5))),
        Tx::new(A, tokens::mint(B, n(5))),
    ]
}

#[test]
fn no_program_runs_where_the_evm_runs_out_of_gas() {
    for kind in tokens::KINDS {
        let mut world = token_world(kind);
        for tx in transactions() {
            every_limit(&mut world, &tx, 97);
        }
    }
}

#[test]
fn a_proxy_needs_gas_for_both_levels() {
    for kind in [Kind::Plain, Kind::Fee] {
        let mut world = random_world(kind, true);
        for tx in transactions() {
            every_limit(&mut world, &tx, 97);
        }
    }
}

#[test]
#[ignore = "slow: millions of runs; run with --ignored"]
fn no_program_runs_where_the_evm_runs_out_of_gas_at_any_limit() {
    for kind in tokens::KINDS {
        for proxied in [false, true] {
            let mut world = random_world(kind, proxied);
            for tx in transactions() {
                every_limit(&mut world, &tx, 1);
            }
        }
    }
}

#[test]
fn the_rules_of_each_fork_are_kept() {
    for spec in [SpecId::MERGE, SpecId::SHANGHAI, SpecId::CANCUN, SpecId::OSAKA] {
        let mut world = token_world(Kind::Plain);
        world.spec = spec;
        for tx in transactions() {
            every_limit(&mut world, &tx, 211);
        }
    }
}

#[test]
fn the_sentry_of_sstore_is_kept_where_it_needs_more_than_all_that_follows() {
    // Writing back what is there costs 100, but 2301 must be left.
    for code in
        ["0 SLOAD 0 SSTORE STOP", "1 0 SSTORE 0 0 SSTORE STOP", "7 0 SSTORE 7 0 SSTORE STOP"]
    {
        let mut world = World::new(assemble(code));
        every_limit(&mut world, &Tx::new(A, Default::default()), 13);
        let mut world = behind(TOKEN_CALL_ALL, code);
        every_limit(&mut world, &Tx::new(A, Default::default()), 13);
    }
}

const TOKEN_CALL_ALL: &str = "0 0 0 0 0 CALLEE GAS CALL ISZERO @fail JUMPI STOP :fail 0 0 REVERT";

/// A contract with code `outer` that calls one with code `inner`.
fn behind(outer: &str, inner: &str) -> World {
    let callee = Address::repeat_byte(0x22);
    let outer = assemble(&outer.replace("CALLEE", &callee.to_string()));
    let mut world = World::new(outer);
    world.state.insert(callee, 1, U256::ZERO, assemble(inner), []);
    world
}

#[test]
fn a_call_gets_all_but_one_64th_or_what_it_is_given() {
    let sum = "0 SLOAD 1 ADD 0 SSTORE 0 SLOAD 2 SSTORE STOP";
    let twice = "0 0 0 0 CALLEE GAS DELEGATECALL POP 0 0 0 0 0 CALLEE 60000 CALL ISZERO @fail JUMPI \
                 1 1 SSTORE STOP :fail 0 0 REVERT";
    for outer in [TOKEN_CALL_ALL, twice] {
        let mut world = behind(outer, sum);
        world.set(U256::ZERO, n(5));
        every_limit(&mut world, &Tx::new(A, Default::default()), 31);
    }
}

#[test]
fn levels_of_calls_add_up() {
    let mut world = behind(TOKEN_CALL_ALL, "1 0 SSTORE STOP");
    let mut code = world.state.codes[&world.state.accounts[&TOKEN].code_hash].clone();
    // Each level calls the one below.
    for level in 0x30..0x36 {
        let address = Address::repeat_byte(level);
        world.state.insert(address, 1, U256::ZERO, code, []);
        code = assemble(&TOKEN_CALL_ALL.replace("CALLEE", &address.to_string()));
    }
    world.state.insert(TOKEN, 1, U256::ZERO, code, []);
    every_limit(&mut world, &Tx::new(A, Default::default()), 31);
}

#[test]
fn code_that_looks_at_its_gas_is_not_learnt() {
    for code in ["GAS 0 SSTORE STOP", "GAS 100000 LT @more JUMPI STOP :more 1 0 SSTORE STOP"] {
        let mut world = World::new(assemble(code));
        let tx = Tx::new(A, Default::default());
        for _ in 0..40 {
            world.library.grant();
            assert_eq!(world.check(&tx).0, super::By::Evm);
        }
    }
}

#[test]
fn the_gas_of_every_pattern_of_values_is_the_evms() {
    let code = "4 CALLDATALOAD 0 SSTORE 36 CALLDATALOAD 0 SSTORE 68 CALLDATALOAD 0 SSTORE STOP";
    for spec in [SpecId::MERGE, SpecId::PRAGUE] {
        let mut world = World::new(assemble(code));
        world.spec = spec;
        let tx = |values: [u64; 3]| Tx::new(A, tokens::input(1, &values.map(n)));
        world.teach(&tx([1, 2, 3]));
        for pattern in 0..81 {
            let [original, values @ ..] = [27, 9, 3, 1].map(|power| pattern / power % 3);
            world.set(U256::ZERO, n(original));
            assert_eq!(world.check(&tx(values)).0, super::By::Program, "{original} {values:?}");
        }
    }
}
