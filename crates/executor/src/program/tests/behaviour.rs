//! What is learnt, and what must not be mistaken for it.

use banyan_primitives::{Address, U256};

use super::{
    A, B, By, C, TOKEN, Tx, World, n, token_world,
    tokens::{
        self, Kind, allowance_slot, approve, balance_slot, mint, transfer, transfer_from, word,
    },
};

#[test]
fn a_transfer_is_learnt_and_answers_other_amounts_and_holders() {
    let mut world = token_world(Kind::Plain);
    world.teach(&Tx::new(A, transfer(B, n(5))));
    for (from, to, amount) in [(A, B, 7), (B, A, 1), (A, B, 999_993), (B, A, 0)] {
        assert_eq!(world.call(&Tx::new(from, transfer(to, n(amount)))), (By::Program, true));
    }
    assert_eq!(world.get(balance_slot(B)), n(1_999_999));
}

#[test]
fn the_other_functions_are_learnt() {
    let mut world = token_world(Kind::Plain);
    world.set(allowance_slot(A, C), n(500));
    world.teach(&Tx::new(C, transfer_from(A, B, n(5))));
    world.teach(&Tx::new(C, transfer_from(B, A, n(5))));
    world.teach(&Tx::new(A, approve(B, n(5))));
    world.teach(&Tx::new(A, mint(B, n(5))));
    assert_eq!(world.call(&Tx::new(C, transfer_from(A, B, n(500)))), (By::Program, true));
    assert_eq!(world.get(allowance_slot(A, C)), n(0));
    assert_eq!(world.call(&Tx::new(A, approve(C, U256::MAX))), (By::Program, true));
    assert_eq!(world.call(&Tx::new(C, transfer_from(A, B, n(1)))), (By::Program, true));
    assert_eq!(world.call(&Tx::new(C, transfer_from(B, A, n(500)))), (By::Program, true));
    assert_eq!(world.call(&Tx::new(A, mint(A, n(500)))), (By::Program, true));
    assert_eq!(world.call(&Tx::new(B, mint(A, n(500)))), (By::Evm, false));
}

#[test]
fn a_transfer_to_oneself_takes_its_own_path() {
    let mut world = token_world(Kind::Plain);
    world.teach(&Tx::new(A, transfer(B, n(5))));
    assert_ne!(world.check(&Tx::new(A, transfer(A, n(5)))).0, By::Program);
    world.teach(&Tx::new(A, transfer(A, n(5))));
    assert_eq!(world.call(&Tx::new(B, transfer(B, n(5)))), (By::Program, true));
    assert_eq!(world.get(balance_slot(B)), n(1_000_000));
}

#[test]
fn what_fails_is_left_to_the_evm() {
    let mut world = token_world(Kind::Plain);
    world.teach(&Tx::new(A, transfer(B, n(5))));
    assert_eq!(world.call(&Tx::new(A, transfer(B, n(1_000_001)))), (By::Evm, false));
    assert_eq!(world.call(&Tx::new(A, transfer(Address::ZERO, n(1)))), (By::Evm, false));
    world.set(balance_slot(B), U256::MAX);
    assert_eq!(world.call(&Tx::new(A, transfer(B, n(1)))), (By::Evm, false));
}

#[test]
fn a_fresh_receiver_and_an_emptied_sender_need_no_path_of_their_own() {
    let mut world = token_world(Kind::Plain);
    world.teach(&Tx::new(A, transfer(B, n(5))));
    assert_eq!(world.call(&Tx::new(A, transfer(C, n(1_000_000)))), (By::Program, true));
    assert_eq!(world.get(balance_slot(A)), n(0));
}

#[test]
fn a_switch_that_is_thrown_stops_the_program() {
    let blacklisted = tokens::mapping(A.into_word(), 6);
    for (kind, slot, value) in [
        (Kind::Paused, n(5), n(1)),
        (Kind::Blacklist, blacklisted, n(1)),
        (Kind::Timed, n(9), n(2_000_000)),
        (Kind::Rebasing, n(7), n(1)),
    ] {
        let mut world = token_world(kind);
        world.teach(&Tx::new(A, transfer(B, n(5))));
        assert_eq!(world.call(&Tx::new(A, transfer(B, n(9_000)))), (By::Program, true));
        world.set(slot, value);
        assert_eq!(world.call(&Tx::new(A, transfer(B, n(9_000)))), (By::Evm, false), "{kind:?}");
    }
}

#[test]
fn fees_factors_and_counters_are_learnt_rightly() {
    for kind in [Kind::Fee, Kind::Rebasing, Kind::Inverted, Kind::Counting, Kind::Locked] {
        let mut world = token_world(kind);
        world.teach(&Tx::new(A, transfer(B, n(5))));
        world.set(n(7), n(2500));
        world.set(n(8), n(77));
        for amount in [1, 99, 100, 12_345] {
            let tx = Tx::new(A, transfer(B, n(amount)));
            assert_eq!(world.call(&tx), (By::Program, true), "{kind:?}");
        }
    }
}

#[test]
fn a_hook_is_only_left_out_where_the_receiver_has_no_code() {
    let mut world = token_world(Kind::Hook);
    world.teach(&Tx::new(A, transfer(B, n(5))));
    // Takes the sender's balance away, as far as it is concerned.
    let hook = tokens::assemble("1 0 SSTORE STOP");
    world.state.insert(C, 1, U256::ZERO, hook, []);
    assert_eq!(world.call(&Tx::new(A, transfer(C, n(5)))), (By::Evm, true));
    assert_eq!(world.state.storage[&C][&U256::ZERO], n(1));
    // A receiver with code is a path of its own, for this code alone.
    world.teach(&Tx::new(A, transfer(C, n(5))));
    let code = tokens::assemble("2 0 SSTORE STOP");
    world.state.insert(Address::repeat_byte(0xdd), 1, U256::ZERO, code, []);
    let other = Tx::new(A, transfer(Address::repeat_byte(0xdd), n(5)));
    assert_ne!(world.check(&other).0, By::Program);
    // Warm from the start: other gas.
    for receiver in [world.block.beneficiary, A, TOKEN] {
        assert_ne!(world.check(&Tx::new(A, transfer(receiver, n(5)))).0, By::Program);
    }
    assert_eq!(world.call(&Tx::new(B, transfer(A, n(5)))), (By::Program, true));
}

/// A token behind a proxy.
fn proxied(kind: Kind) -> World {
    let mut world = token_world(kind);
    let storage = world.state.storage.remove(&TOKEN).unwrap_or_default();
    let implementation = Address::repeat_byte(0x11);
    world.state.insert(implementation, 1, U256::ZERO, tokens::token(kind), []);
    world.state.insert(TOKEN, 1, U256::ZERO, tokens::proxy(), storage);
    world.set(tokens::IMPLEMENTATION.into(), word(implementation));
    world
}

#[test]
fn a_token_behind_a_proxy_is_learnt_and_forgotten_when_it_is_pointed_elsewhere() {
    let mut world = proxied(Kind::Plain);
    world.teach(&Tx::new(A, transfer(B, n(5))));
    assert_eq!(world.call(&Tx::new(B, transfer(C, n(6)))), (By::Program, true));
    let upgrade = Address::repeat_byte(0x12);
    world.state.insert(upgrade, 1, U256::ZERO, tokens::token(Kind::Fee), []);
    world.set(tokens::IMPLEMENTATION.into(), word(upgrade));
    assert_ne!(world.call(&Tx::new(B, transfer(C, n(600)))).0, By::Program);
    world.teach(&Tx::new(A, transfer(B, n(500))));
    // The same code elsewhere is as good.
    let again = Address::repeat_byte(0x13);
    world.state.insert(again, 1, U256::ZERO, tokens::token(Kind::Fee), []);
    world.set(tokens::IMPLEMENTATION.into(), word(again));
    assert_eq!(world.call(&Tx::new(B, transfer(C, n(600)))), (By::Program, true));
    // But not where it is warm from the start, or does not run.
    for other in [world.block.beneficiary, Address::with_last_byte(4), TOKEN] {
        if other != TOKEN {
            world.state.insert(other, 1, U256::ZERO, tokens::token(Kind::Fee), []);
        }
        world.set(tokens::IMPLEMENTATION.into(), word(other));
        let tx = Tx::new(A, transfer(C, n(700)));
        assert_ne!(world.check(&tx).0, By::Program, "{other}");
    }
}

#[test]
fn ether_is_wrapped_by_calls_with_and_without_data() {
    let mut world = World::new(tokens::wrapper());
    for caller in [A, B] {
        world.state.insert(caller, 0, n(1 << 60), Default::default(), []);
    }
    for input in [Default::default(), tokens::input(0xd0e30db0, &[])] {
        let mut tx = Tx { value: n(5), ..Tx::new(A, input) };
        world.teach(&tx);
        (tx.value, tx.caller) = (n(12), B);
        assert_eq!(world.call(&tx), (By::Program, true));
    }
    assert_eq!(world.get(tokens::mapping(B.into_word(), 3)), n(24));
}
