//! Incremental roots against a rebuild and against `alloy-trie`, over generated chains of blocks,
//! forward and back.

mod common;

use banyan_commitment::{MemoryTrie, RootOutput, rebuild, state_root, storage_root};
use banyan_primitives::trie::{HashedDiff, NodeChanges, TrieId};
use common::{Pool, SHAPES, alloy_state_root, alloy_storage_root, as_alloc, rng, undo};
use proptest::prelude::*;
use rand::Rng;

/// Every change listed is a change.
fn assert_minimal(before: &MemoryTrie, trie: TrieId, changes: &NodeChanges) {
    for (path, node) in changes {
        let old = before.nodes(trie).and_then(|nodes| nodes.get(path));
        assert_ne!(old, node.as_ref(), "{path:?} of {trie:?} did not change");
    }
}

/// Computes the root of `diff` on `state`, applies it and compares with everything there is.
fn advance(state: &mut MemoryTrie, diff: &HashedDiff) -> RootOutput {
    let output = state_root(state, diff).expect("a sound state");
    assert_minimal(state, TrieId::Accounts, &output.nodes.accounts);
    for (account, change) in output.nodes.storage.iter().filter(|(_, change)| !change.wiped) {
        assert_minimal(state, TrieId::Storage(*account), &change.nodes);
    }
    state.apply(diff, &output.nodes);
    assert_eq!(output.root, alloy_state_root(state), "the root by alloy-trie");
    assert_eq!(output.root, rebuild(state).expect("sound").root, "the root from scratch");
    let (rebuilt, _) = MemoryTrie::genesis(&as_alloc(state)).expect("a sound state");
    assert_eq!(*state, rebuilt, "the stored nodes");
    assert_eq!(output.storage_roots.len(), diff.storage.len());
    for (account, root) in &output.storage_roots {
        assert_eq!(*root, alloy_storage_root(state.slots(account)), "storage root of {account}");
        assert_eq!(*root, storage_root(state, *account).expect("sound"));
    }
    output
}

/// A chain of blocks forward, then back to the start by the diffs that undo them.
fn there_and_back(seed: u64, shape: usize, pool_size: usize, blocks: usize, changes: usize) {
    let rng = &mut rng(seed);
    let pool = Pool::new(rng, SHAPES[shape], pool_size);
    let mut state = MemoryTrie::default();
    let mut past = Vec::new();
    for _ in 0..blocks {
        let count = rng.random_range(0..=changes);
        let diff = pool.block(rng, &state, count);
        let before = state.clone();
        let back = undo(&before, &diff);
        let output = advance(&mut state, &diff);
        past.push((before, back, output.root));
    }
    let mut root = alloy_state_root(&state);
    while let Some((before, back, after_root)) = past.pop() {
        assert_eq!(root, after_root);
        root = advance(&mut state, &back).root;
        assert_eq!(state, before, "state and nodes before the block");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..Default::default() })]

    /// Few keys, so that branches collapse, extensions split and accounts come back often.
    #[test]
    fn small_tries_there_and_back(seed: u64, shape in 0..3usize, pool in 1..12usize) {
        there_and_back(seed, shape, pool, 12, 4);
    }

    /// Tries of several levels.
    #[test]
    fn larger_tries_there_and_back(seed: u64, shape in 0..3usize, pool in 12..150usize) {
        there_and_back(seed, shape, pool, 6, 24);
    }
}

/// Enough changes that branches are updated in parallel, enough leaves that a rebuild goes child
/// by child, in the account trie and in a storage trie.
#[test]
fn many_changes_on_a_large_state() {
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let rng = &mut rng(seed as u64);
        let accounts = common::keys(rng, shape, 6000);
        let slots = common::keys(rng, shape, 6000);
        let large = accounts[accounts.len() / 2];
        let mut state = MemoryTrie::default();
        for block in 0..4 {
            let mut diff = HashedDiff::default();
            for key in &accounts {
                if block == 0 || rng.random_ratio(1, 5) {
                    let account = common::random_account(rng);
                    let keep = *key == large || rng.random_ratio(9, 10);
                    diff.accounts.insert(*key, keep.then_some(account));
                }
            }
            diff.accounts.entry(large).or_insert_with(|| state.account(&large));
            let change = diff.storage.entry(large).or_default();
            for slot in &slots {
                if block == 0 || rng.random_ratio(1, 5) {
                    let value = rng.random_range(0..10u64);
                    change.slots.insert(*slot, banyan_primitives::U256::from(value));
                }
            }
            advance(&mut state, &diff);
        }
    }
}
