//! How programs come in and go out.

use banyan_primitives::{Address, Bytes, U256};
use revm::primitives::hardfork::SpecId;

use super::{
    A, B, By, C, Random, TOKEN, Tx, World, n, token_world,
    tokens::{self, Kind},
};
use crate::{
    ProgramMode,
    program::{Answer, Library, Mismatch, Outcome, library::SHADOWS},
    state::BlockState,
};

/// Executes `tx`, then tells the library that the EVM used other gas than it did.
fn lie(world: &mut World, tx: &Tx) -> Option<Mismatch> {
    let (executed, state) = world.evm(tx);
    let outcome = Outcome {
        success: executed.success,
        gas_used: executed.gas_used + 1,
        logs: &executed.logs,
        state: &state,
    };
    let env = world.env(tx);
    let mut db = BlockState::new(&world.state);
    match world.library.run(&env, None, &mut db, &mut Default::default()).unwrap() {
        Answer::Effect(_) => panic!("counts already"),
        Answer::Evm(watch) => world.library.learn(watch, &env, &outcome),
    }
}

#[test]
fn a_path_counts_only_after_so_many_equal_results() {
    let mut world = token_world(Kind::Plain);
    let tx = Tx::new(A, tokens::transfer(B, n(5)));
    assert_eq!(world.call(&tx).0, By::Evm);
    // Recorded at the second sighting; then compared.
    for _ in 0..=SHADOWS {
        assert_eq!(world.call(&tx).0, By::Shadow);
    }
    assert_eq!(world.call(&tx).0, By::Program);
}

#[test]
fn one_difference_ends_a_program_for_good() {
    let mut world = token_world(Kind::Plain);
    let tx = Tx::new(A, tokens::transfer(B, n(5)));
    for _ in 0..5 {
        world.call(&tx);
    }
    let mismatch = lie(&mut world, &tx).unwrap();
    assert!(mismatch.to_string().contains("differs from the EVM in gas"), "{mismatch}");
    for _ in 0..200 {
        world.library.grant();
        assert_eq!(world.call(&tx).0, By::Evm);
    }
    // Other functions are not concerned.
    world.teach(&Tx::new(A, tokens::approve(B, n(5))));
}

#[test]
fn many_differences_end_all_programs() {
    let mut world = World::new(tokens::assemble("0 SLOAD 1 ADD 0 SSTORE STOP"));
    for selector in 0..64 {
        let tx = Tx::new(A, tokens::input(selector, &[]));
        world.library.grant();
        world.call(&tx);
        assert!(lie(&mut world, &tx).is_some(), "{selector}");
    }
    let tx = Tx::new(A, tokens::input(1000, &[]));
    for _ in 0..40 {
        assert_eq!(world.call(&tx).0, By::Evm);
    }
}

#[test]
fn no_program_counts_in_shadow_and_none_is_made_when_off() {
    let tx = Tx::new(A, tokens::transfer(B, n(5)));
    for (mode, by) in [(ProgramMode::Shadow, By::Shadow), (ProgramMode::Off, By::Evm)] {
        let mut world = token_world(Kind::Plain);
        world.library = Library::new(mode);
        for round in 0..40 {
            let expected = if round == 0 { By::Evm } else { by };
            assert_eq!(world.call(&tx).0, expected, "{mode:?} {round}");
        }
    }
}

#[test]
fn recordings_stop_when_nothing_is_left_to_pay_for_them() {
    let mut world = World::new(tokens::assemble("0 SLOAD 1 ADD 0 SSTORE STOP"));
    let mut recorded = 0;
    for selector in 0..500 {
        let tx = Tx::new(A, tokens::input(selector, &[]));
        world.call(&tx);
        recorded += u32::from(world.call(&tx).0 == By::Shadow);
    }
    assert!((10..60).contains(&recorded), "{recorded}");
}

#[test]
fn a_call_that_cannot_be_learnt_is_tried_ever_more_rarely() {
    // Creates a contract.
    let mut world = World::new(tokens::assemble("0 0 0 CREATE POP STOP"));
    let tx = Tx::new(A, Bytes::new());
    for _ in 0..300 {
        world.library.grant();
        assert_eq!(world.call(&tx).0, By::Evm);
    }
    assert!(world.library.attempts(&world.env(&tx)) < 10);
}

#[test]
fn unlike_keys_have_programs_of_their_own() {
    let mut world = token_world(Kind::Plain);
    let tx = Tx::new(A, tokens::transfer(B, n(5)));
    world.teach(&tx);
    let longer = Bytes::from([&tx.input[..], &[0]].concat());
    assert_eq!(world.check(&Tx { input: longer, ..tx.clone() }).0, By::Evm);
    world.spec = SpecId::OSAKA;
    assert_eq!(world.check(&tx).0, By::Evm);
    world.spec = SpecId::AMSTERDAM;
    let env = world.env(&tx);
    let mut db = BlockState::new(&world.state);
    for _ in 0..40 {
        // Unknown gas rules.
        match world.library.run(&env, None, &mut db, &mut Default::default()).unwrap() {
            Answer::Evm(watch) => assert!(!watch.claims()),
            Answer::Effect(_) => panic!("a program of another fork"),
        }
    }
}

#[test]
fn old_programs_make_room_for_new_ones() {
    let mut world = World::new(tokens::assemble("0 SLOAD 1 ADD 0 SSTORE STOP"));
    for selector in 0..1500 {
        let tx = Tx::new(A, tokens::input(selector, &[]));
        world.library.grant();
        world.call(&tx);
        assert_eq!(world.call(&tx).0, By::Shadow);
    }
    assert!(world.library.len() <= 1024);
    let last = Tx::new(A, tokens::input(1499, &[]));
    assert_eq!(world.call(&last).0, By::Shadow);
}

#[test]
fn a_key_with_many_paths_keeps_those_that_are_used() {
    // A path for each value of the argument.
    let mut cases = String::new();
    for case in 0..20 {
        cases += &format!("DUP1 {case} EQ @case{case} JUMPI ");
    }
    for case in 0..20 {
        cases += &format!(":case{case} {case} 0 SSTORE STOP ");
    }
    let mut world = World::new(tokens::assemble(&format!("4 CALLDATALOAD {cases}")));
    let tx = |case: u64| Tx::new(A, tokens::input(1, &[n(case)]));
    world.teach(&tx(3));
    let mut random = Random(1);
    for _ in 0..3000 {
        world.library.grant();
        world.call(&tx(random.below(20)));
        // Now and then the EVM is asked all the same.
        assert_ne!(world.call(&tx(3)).0, By::Evm);
    }
    assert_eq!(world.library.shape(&world.env(&tx(3))).len(), 8);
}

#[test]
fn a_program_that_never_fits_is_tried_ever_more_rarely() {
    let mut world =
        World::new(tokens::assemble("4 CALLDATALOAD 7 EQ @good JUMPI 0 0 REVERT :good STOP"));
    let tx = |argument: u64| Tx::new(A, tokens::input(1, &[n(argument)]));
    world.teach(&tx(7));
    for _ in 0..100 {
        assert_eq!(world.call(&tx(8)), (By::Evm, false));
    }
    let by: Vec<By> = (0..40).map(|_| world.call(&tx(7)).0).collect();
    assert_eq!(by[0], By::Evm);
    // From the first try on.
    assert_eq!(by[39], By::Program);
}

#[test]
fn hashes_prepared_ahead_change_nothing() {
    let mut world = token_world(Kind::Plain);
    world.teach(&Tx::new(C, tokens::transfer_from(A, B, n(5))));
    for (from, to) in [(A, B), (B, A), (A, Address::repeat_byte(0x99)), (A, A)] {
        let tx = Tx::new(C, tokens::transfer_from(from, to, n(5)));
        // `claim` prepares, on another register file.
        let ahead = world.claim(&tx);
        let env = world.env(&tx);
        let mut db = BlockState::new(&world.state);
        let plain = world.library.run(&env, None, &mut db, &mut Default::default()).unwrap();
        let plain = match plain {
            Answer::Effect(effect) => Some(effect),
            Answer::Evm(_) => None,
        };
        assert_eq!(ahead, plain);
        assert_eq!(plain.is_some(), from == A && from != to, "{tx:?}");
    }
    // What was prepared for another call is not used.
    let (tx, other) = (tokens::transfer_from(A, B, n(5)), tokens::transfer_from(A, B, n(6)));
    let (tx, other) = (Tx::new(C, tx), Tx { caller: B, ..Tx::new(C, other) });
    let prepared = world.library.prepare(&world.env(&other), &mut Default::default());
    let mut db = BlockState::new(&world.state);
    let env = world.env(&tx);
    let answer =
        world.library.run(&env, prepared.as_ref(), &mut db, &mut Default::default()).unwrap();
    let allowance = (TOKEN, tokens::allowance_slot(A, C), n(499_995));
    assert!(matches!(answer, Answer::Effect(effect) if effect.writes.contains(&allowance)));
    // What was prepared for a program that is no longer the one is not used.
    let tx = Tx::new(C, tokens::transfer_from(A, B, n(5)));
    let old = world.library.prepare(&world.env(&tx), &mut Default::default()).unwrap();
    world.teach(&Tx::new(C, tokens::transfer_from(B, A, n(5))));
    let env = world.env(&tx);
    let mut db = BlockState::new(&world.state);
    let answer = world.library.run(&env, Some(&old), &mut db, &mut Default::default()).unwrap();
    assert!(matches!(answer, Answer::Effect(effect) if effect.writes.len() == 3));
    assert_eq!(world.get(U256::ZERO), U256::ZERO);
}
