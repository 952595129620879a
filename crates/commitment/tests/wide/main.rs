//! The `wide` rule against the definition of its tree.

#[path = "../common/mod.rs"]
mod common;
mod naive;

use banyan_commitment::{MemoryTrie, wide::wide_rebuild};
use banyan_primitives::{
    B256,
    trie::{HashedDiff, NodeDiff},
};
use common::{Pool, SHAPES, Shape, as_alloc, keys, random_account, rng};
use rand::Rng;

/// `accounts` accounts; every fourth has up to `slots` slots.
fn state(seed: u64, shape: Shape, accounts: usize, slots: usize) -> MemoryTrie {
    let rng = &mut rng(seed);
    let mut diff = HashedDiff::default();
    for key in keys(rng, shape, accounts) {
        diff.accounts.insert(key, Some(random_account(rng)));
        if rng.random_range(0..4) == 0 {
            let count = rng.random_range(1..=slots);
            let storage = &mut diff.storage.entry(key).or_default().slots;
            for slot in keys(rng, shape, count) {
                storage.insert(slot, rng.random::<u64>().try_into().unwrap_or_default());
            }
        }
    }
    let mut state = MemoryTrie::default();
    state.apply(&diff, &NodeDiff::default());
    state
}

#[test]
fn a_rebuild_is_the_tree_of_the_definition() {
    assert_eq!(wide_rebuild(&MemoryTrie::default()).unwrap(), B256::ZERO);
    for shape in SHAPES {
        for (accounts, slots) in [(1, 1), (2, 1), (3, 40), (300, 40)] {
            for seed in 0..4 {
                let state = state(seed, shape, accounts, slots);
                assert_eq!(wide_rebuild(&state).unwrap(), naive::root(&state), "{shape:?} {seed}");
            }
        }
    }
}

#[test]
fn a_large_state_is_rebuilt_in_parts() {
    for state in [state(1, Shape::Uniform, 30_000, 3), state(2, Shape::Uniform, 5, 30_000)] {
        assert_eq!(wide_rebuild(&state).unwrap(), naive::root(&state));
    }
}
