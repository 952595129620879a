//! Proofs made here, checked by the stand-alone verifier.

use banyan_commitment::{
    MemoryTrie,
    wide::{wide_proof, wide_root},
};
use banyan_primitives::{B256, trie::Leaf};
use banyan_wide_proof::{EMPTY, Hash, Key, ProofError, account_value, verify};
use rand::{Rng, seq::IndexedRandom};

use crate::{
    common::{Pool, SHAPES, Shape, as_alloc, rng},
    naive,
};

/// The state with its rows.
fn stored(mut state: MemoryTrie) -> MemoryTrie {
    let all = as_alloc(&state);
    state = MemoryTrie::default();
    let output = wide_root(&state, &all).unwrap();
    state.apply(&all, &output.nodes);
    state
}

pub(crate) fn value(leaf: &Leaf) -> Hash {
    match leaf {
        Leaf::Slot(value) => value.to_be_bytes(),
        Leaf::Account(a) => account_value(a.nonce, &a.balance.to_be_bytes(), &a.code_hash.0),
    }
}

/// Proves `key` and verifies; returns the proof.
fn check(state: &MemoryTrie, root: B256, key: &Key, expected: Option<Leaf>) -> Vec<u8> {
    let proof = wide_proof(state, key).unwrap();
    assert_eq!((proof.root, proof.leaf), (root, expected));
    let verified = verify(&root.0, key, &proof.proof).unwrap();
    assert_eq!(verified, expected.as_ref().map(value));
    proof.proof.to_vec()
}

#[test]
fn what_is_there_and_what_is_not_is_proven() {
    for (shape, accounts, slots) in SHAPES.into_iter().flat_map(|shape| {
        [(0, 1), (1, 1), (2, 3), (40, 30), (200, 300)].map(|(a, s)| (shape, a, s))
    }) {
        let state = match accounts {
            0 => MemoryTrie::default(),
            _ => stored(crate::state(5, shape, accounts, slots)),
        };
        let root = naive::root(&state);
        let rng = &mut rng(9);
        let absent = Pool::new(rng, shape, 40);
        for (id, account) in state.accounts() {
            check(&state, root, &Key::of_account_id(id.0), Some(Leaf::Account(*account)));
            for (slot, value) in state.slots(id).into_iter().flatten() {
                check(&state, root, &Key::of_slot_id(&id.0, slot.0), Some(Leaf::Slot(*value)));
            }
            let slot = absent.slots.choose(rng).unwrap();
            check(&state, root, &Key::of_slot_id(&id.0, slot.0), None);
        }
        for id in &absent.accounts {
            check(&state, root, &Key::of_account_id(id.0), None);
            check(&state, root, &Key::of_slot_id(&id.0, id.0), None);
        }
    }
}

#[test]
fn a_proof_with_a_byte_changed_proves_nothing_else() {
    let state = stored(crate::state(5, Shape::Uniform, 60, 40));
    let root = naive::root(&state);
    let (id, _) = state.accounts().iter().nth(7).unwrap();
    let owner = state.accounts().keys().find(|id| state.slots(id).is_some()).unwrap();
    let slot = state.slots(owner).unwrap().keys().next().unwrap();
    let absent = B256::repeat_byte(0x5a);
    for key in [
        Key::of_account_id(id.0),
        Key::of_slot_id(&owner.0, slot.0),
        Key::of_account_id(absent.0),
        Key::of_slot_id(&owner.0, absent.0),
    ] {
        let proof = wide_proof(&state, &key).unwrap();
        for at in 0..proof.proof.len() {
            for flip in [1, 0x10, 0x80, 0xff] {
                let mut bytes = proof.proof.to_vec();
                bytes[at] ^= flip;
                assert!(verify(&root.0, &key, &bytes).is_err(), "byte {at} changed by {flip:#x}");
            }
        }
        for length in 0..proof.proof.len() {
            assert!(verify(&root.0, &key, &proof.proof[..length]).is_err());
        }
        let longer = [&proof.proof[..], &[0; 32]].concat();
        assert_eq!(verify(&root.0, &key, &longer), Err(ProofError::Malformed));
        assert_eq!(verify(&EMPTY, &key, &proof.proof), Err(ProofError::OtherRoot));
    }
}

#[test]
fn a_proof_of_one_key_is_none_of_another() {
    let state = stored(crate::state(6, Shape::Uniform, 200, 20));
    let root = naive::root(&state);
    let keys: Vec<_> = state.accounts().keys().map(|id| Key::of_account_id(id.0)).collect();
    for pair in keys.windows(2) {
        let proof = wide_proof(&state, &pair[0]).unwrap().proof;
        assert!(verify(&root.0, &pair[1], &proof).is_err());
        // Nor is there a way to call a leaf that is there somebody else's.
        let mut other = vec![2];
        other.extend(&proof[1..proof.len() - 32]);
        other.extend(pair[0].id());
        other.extend(&proof[proof.len() - 32..]);
        assert!(verify(&root.0, &pair[0], &other).is_err());
    }
}

#[test]
fn random_bytes_prove_nothing() {
    let rng = &mut rng(11);
    let key = Key::of_account_id([0x33; 32]);
    for _ in 0..20_000 {
        let length = rng.random_range(0..200);
        let mut bytes: Vec<u8> = (0..length).map(|_| rng.random()).collect();
        if let [kind, high, low, ..] = bytes.as_mut_slice() {
            (*kind, *high, *low) = (*kind % 3, 0, *low % 32);
        }
        assert!(verify(&[0x44; 32], &key, &bytes).is_err());
    }
}

/// The figure that the design promises: 32 bytes for each of log2 N + 4 levels, and 128.
#[test]
fn proofs_are_short() {
    let state = stored(crate::state(8, Shape::Uniform, 20_000, 40));
    let root = naive::root(&state);
    let leaves = naive::leaves(&state);
    let mut bytes = 0;
    for (key, _) in leaves.iter().step_by(37) {
        let proof = wide_proof(&state, key).unwrap().proof;
        assert!(verify(&root.0, key, &proof).unwrap().is_some());
        bytes += proof.len();
    }
    let mean = bytes as f64 / leaves.iter().step_by(37).count() as f64;
    let limit = 32.0 * ((leaves.len() as f64).log2() + 4.0) + 128.0;
    println!("{} leaves: {mean:.0} bytes a proof, at most {limit:.0}", leaves.len());
    assert!(mean <= limit, "{mean} bytes");
}
