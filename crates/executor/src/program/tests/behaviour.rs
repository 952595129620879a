//! What is learnt, and what must not be mistaken for it.

use banyan_primitives::{Address, U256};

use super::{
    By, Tx, World,
    tokens::{Kind, allowance_slot, approve, balance_slot, mint, token, transfer, transfer_from},
};

const A: Address = Address::repeat_byte(0xaa);
const B: Address = Address::repeat_byte(0xbb);
const C: Address = Address::repeat_byte(0xcc);

fn n(value: u64) -> U256 {
    U256::from(value)
}

/// A token of which A and B hold some.
fn world(kind: Kind) -> World {
    let mut world = World::new(token(kind));
    let stored = |amount: u64| if kind == Kind::Inverted { !n(amount) } else { n(amount) };
    world.set(balance_slot(A), stored(1_000_000));
    world.set(balance_slot(B), stored(1_000_000));
    world.set(n(3), super::tokens::word(A));
    world.set(n(7), n(1000));
    world
}

#[test]
fn a_transfer_is_learnt_and_answers_other_amounts_and_holders() {
    let mut world = world(Kind::Plain);
    world.teach(&Tx::new(A, transfer(B, n(5))));
    for (from, to, amount) in [(A, B, 7), (B, A, 1), (A, B, 999_993), (B, A, 0)] {
        assert_eq!(world.call(&Tx::new(from, transfer(to, n(amount)))), (By::Program, true));
    }
    assert_eq!(world.get(balance_slot(B)), n(1_999_999));
}

#[test]
fn the_other_functions_are_learnt() {
    let mut world = world(Kind::Plain);
    world.set(allowance_slot(A, C), n(500));
    world.set(allowance_slot(B, C), U256::MAX);
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
    let mut world = world(Kind::Plain);
    world.teach(&Tx::new(A, transfer(B, n(5))));
    assert_ne!(world.check(&Tx::new(A, transfer(A, n(5)))).0, By::Program);
    world.teach(&Tx::new(A, transfer(A, n(5))));
    assert_eq!(world.call(&Tx::new(B, transfer(B, n(5)))), (By::Program, true));
    assert_eq!(world.get(balance_slot(B)), n(1_000_000));
}

#[test]
fn what_fails_is_left_to_the_evm() {
    let mut world = world(Kind::Plain);
    world.teach(&Tx::new(A, transfer(B, n(5))));
    assert_eq!(world.call(&Tx::new(A, transfer(B, n(1_000_001)))), (By::Evm, false));
    assert_eq!(world.call(&Tx::new(A, transfer(Address::ZERO, n(1)))), (By::Evm, false));
    world.set(balance_slot(B), U256::MAX);
    assert_eq!(world.call(&Tx::new(A, transfer(B, n(1)))), (By::Evm, false));
}

#[test]
fn a_fresh_receiver_and_an_emptied_sender_need_no_path_of_their_own() {
    let mut world = world(Kind::Plain);
    world.teach(&Tx::new(A, transfer(B, n(5))));
    assert_eq!(world.call(&Tx::new(A, transfer(C, n(1_000_000)))), (By::Program, true));
    assert_eq!(world.get(balance_slot(A)), n(0));
}
