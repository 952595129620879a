//! The `wide` rule against the definition of its tree.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

#[path = "../common/mod.rs"]
mod common;
mod naive;
mod proofs;
mod vectors;

use banyan_commitment::{
    MemoryTrie,
    wide::{wide_check, wide_proof, wide_rebuild, wide_root},
};
use banyan_primitives::{
    B256,
    trie::{HashedDiff, NodeDiff, TrieId},
};
use common::{Pool, SHAPES, Shape, as_alloc, keys, random_account, rng, undo};
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
                let root = wide_rebuild(&state).unwrap();
                assert_eq!(root, naive::root(&state), "{shape:?} {seed}");
                let whole = banyan_wide_proof::root_of(&naive::leaves(&state));
                assert_eq!(whole, Some(root.0), "{shape:?} {seed}");
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

/// A block of the pool. The slots of the pool are the same for all accounts, but ids of slots are
/// not: without the account in them two slots of accounts that begin alike would have one path.
fn block(
    pool: &Pool,
    rng: &mut rand_chacha::ChaCha8Rng,
    state: &MemoryTrie,
    count: usize,
) -> HashedDiff {
    let mut diff = pool.block(rng, state, count);
    for (account, storage) in &mut diff.storage {
        let slots = std::mem::take(&mut storage.slots).into_iter();
        let own = |(mut slot, value): (B256, _)| {
            for (at, byte) in account.iter().enumerate() {
                slot[16 + at % 8] ^= byte;
            }
            (slot, value)
        };
        storage.slots = slots.map(own).collect();
    }
    diff
}

/// Applies `diff`; the new root must be that of the definition, and the rows those of the new state.
fn commit(state: &mut MemoryTrie, diff: &HashedDiff, what: &str) -> B256 {
    let output = wide_root(state, diff).unwrap_or_else(|error| panic!("{what}: {error}"));
    state.apply(diff, &output.nodes);
    assert_eq!(output.root, naive::root(state), "{what}");
    let stats = wide_check(state).unwrap_or_else(|error| panic!("{what}: {error}"));
    let stored = state.nodes(TrieId::Accounts).into_iter().flat_map(|rows| rows.keys().copied());
    assert_eq!(stats.rows, stored.collect::<Vec<_>>(), "{what}: rows that nothing leads to");
    assert_eq!(stats.leaves as usize, naive::leaves(state).len());
    output.root
}

fn blocks(shape: Shape, size: usize, rounds: usize, seed: u64) {
    let rng = &mut rng(seed);
    let pool = Pool::new(rng, shape, size);
    let mut state = MemoryTrie::default();
    for round in 0..rounds {
        let count = rng.random_range(1..=size / 2 + 1);
        let diff = block(&pool, rng, &state, count);
        let what = format!("{shape:?}, {size} keys, seed {seed}, round {round}");
        let (before, old) = (state.clone(), wide_rebuild(&state).unwrap());
        commit(&mut state, &diff, &what);
        if round % 3 == 0 {
            let back = undo(&before, &diff);
            assert_eq!(commit(&mut state, &back, &what), old, "{what}, undone");
            commit(&mut state, &diff, &what);
        }
    }
    let gone = state.accounts().keys().map(|key| (*key, None)).collect();
    let mut diff = HashedDiff { accounts: gone, ..as_alloc(&state) };
    for storage in diff.storage.values_mut() {
        (storage.wiped, storage.slots) = (true, Default::default());
    }
    assert_eq!(commit(&mut state, &diff, "everything deleted"), B256::ZERO);
    assert_eq!(state, MemoryTrie::default());
}

#[test]
fn blocks_have_the_root_of_the_definition() {
    for shape in SHAPES {
        for seed in 0..3 {
            blocks(shape, 2, 20, seed);
            blocks(shape, 12, 20, seed);
            blocks(shape, 60, 12, seed);
        }
    }
}

#[test]
fn a_large_block_is_done_in_tasks() {
    let mut state = MemoryTrie::default();
    let all = as_alloc(&self::state(3, Shape::Uniform, 20_000, 60));
    commit(&mut state, &all, "genesis");
    let half: Vec<_> = all.accounts.keys().step_by(2).copied().collect();
    let mut diff = HashedDiff::default();
    for key in half {
        diff.accounts.insert(key, None);
        if let Some(slots) = state.slots(&key) {
            let gone = slots.keys().map(|slot| (*slot, Default::default())).collect();
            let storage = banyan_primitives::trie::HashedStorageDiff { wiped: false, slots: gone };
            diff.storage.insert(key, storage);
        }
    }
    let back = undo(&state, &diff);
    commit(&mut state, &diff, "half of it deleted");
    let root = commit(&mut state, &back, "and back");
    assert_eq!(root, wide_rebuild(&state).unwrap());
}

/// Stored bytes that changed by themselves give an error or another root, but no panic and no endless
/// loop.
#[test]
fn damaged_rows_never_panic() {
    let mut state = MemoryTrie::default();
    let all = as_alloc(&self::state(4, Shape::Uniform, 200, 60));
    commit(&mut state, &all, "genesis");
    let rng = &mut rng(12);
    let pool = Pool::new(rng, Shape::Uniform, 40);
    let leaves = naive::leaves(&state);
    let rows: Vec<_> = state.nodes(TrieId::Accounts).unwrap().clone().into_iter().collect();
    for _ in 0..200 {
        let (path, row) = &rows[rng.random_range(0..rows.len())];
        let mut row = row.to_vec();
        let at = rng.random_range(0..row.len().min(60));
        row[at] ^= rng.random_range(1..=255u8);
        if rng.random_range(0..10) == 0 {
            row.truncate(at);
        }
        let mut damaged = state.clone();
        let accounts = [(*path, Some(row.into()))].into();
        damaged.apply(&HashedDiff::default(), &NodeDiff { accounts, ..Default::default() });
        let diff = block(&pool, rng, &damaged, 20);
        let (key, _) = leaves[rng.random_range(0..leaves.len())];
        let _ = (wide_root(&damaged, &diff), wide_proof(&damaged, &key), wide_check(&damaged));
    }
}

#[test]
#[ignore = "slow: a hundred thousand blocks, minutes; cargo test --workspace --test wide -- --ignored"]
fn very_many_blocks_have_the_root_of_the_definition() {
    for seed in 0..1500 {
        for shape in SHAPES {
            blocks(shape, 3, 12, seed);
            blocks(shape, 20, 10, seed);
        }
    }
}
