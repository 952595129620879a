//! The tree in memory against the walker over stored nodes, a rebuild and `alloy-trie`: chains of
//! generated blocks with siblings and reorgs, budgets down to nothing, and several threads.

mod common;

use banyan_commitment::{Filled, MemoryTrie, RootOutput, Trees, Walk, rebuild, state_root};
use banyan_primitives::{
    B256,
    trie::{HashedDiff, HashedStorageDiff},
};
use common::{Pool, SHAPES, Shape, alloy_state_root, rng};
use proptest::prelude::*;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPoolBuilder;

/// What the trees may hold: all, some, next to nothing, nothing.
const BUDGETS: [usize; 4] = [usize::MAX, 60_000, 8_000, 0];

/// One run: which keys, how many blocks, how large.
#[derive(Clone, Copy, Debug)]
struct Run {
    seed: u64,
    shape: Shape,
    budget: usize,
    keys: usize,
    blocks: usize,
    changes: usize,
}

/// Blocks on a random one of the last states each, mostly the last.
fn check(run: Run) {
    let rng = &mut rng(run.seed);
    let pool = Pool::new(rng, run.shape, run.keys);
    let trees = Trees::new(run.budget);
    let mut states = vec![MemoryTrie::default()];
    let mut walk = Walk::all(rng.random_range(1..40));
    for block in 0..run.blocks {
        let back =
            if rng.random_ratio(3, 4) { 0 } else { rng.random_range(0..states.len().min(5)) };
        let mut state = states[states.len() - 1 - back].clone();
        let count = rng.random_range(0..=run.changes);
        let diff = pool.block(rng, &state, count);
        let expected = state_root(&state, &diff).expect("a sound state");
        if rng.random() {
            let touched = touched(rng, &pool, &diff);
            trees.reveal(&state, &touched).expect("a sound state");
        }
        if rng.random() {
            trees.fill(&state, &mut walk).expect("a sound state");
        }
        let before = before(rng, &state, &diff);
        let output = trees.state_root_knowing(&state, &diff, before).expect("a sound state");
        assert_eq!(output.root, expected.root, "block {block} of {run:?}");
        assert!(output == expected, "nodes or storage roots of block {block} of {run:?}");
        state.apply(&diff, &output.nodes);
        if rng.random() {
            trees.settle(output.root);
        }
        assert!(trees.bytes() <= run.budget.saturating_add(run.budget / 4).max(400));
        if block % 4 == 0 {
            assert_eq!(output.root, rebuild(&state).expect("a sound state").root);
            assert_eq!(output.root, alloy_state_root(&state), "block {block} of {run:?}");
        }
        states.push(state);
    }
}

/// What a block's keys had before; or some of that, or nothing.
fn before(rng: &mut ChaCha8Rng, state: &MemoryTrie, diff: &HashedDiff) -> HashedDiff {
    let mut before = HashedDiff::default();
    let share = rng.random_range(0..=6);
    for key in diff.accounts.keys().filter(|_| rng.random_ratio(share.min(3), 3)) {
        before.accounts.insert(*key, state.account(key));
    }
    for (account, change) in &diff.storage {
        let old = state.slots(account);
        let value = |slot| old.and_then(|old| old.get(slot)).copied().unwrap_or_default();
        let slots = change.slots.keys().map(|slot| (*slot, value(slot)));
        let slots = slots.filter(|_| rng.random_ratio(share.min(3), 3)).collect();
        let wiped = change.wiped && old.is_none_or(|old| old.is_empty());
        before.storage.insert(*account, HashedStorageDiff { wiped, slots });
    }
    before
}

/// Some of what a block changes, and some other keys.
fn touched(rng: &mut ChaCha8Rng, pool: &Pool, diff: &HashedDiff) -> Vec<(B256, Vec<B256>)> {
    let mut touched = Vec::new();
    for account in diff.accounts.keys().chain(&pool.accounts) {
        if rng.random_ratio(2, 3) {
            let changed = diff.storage.get(account).into_iter().flat_map(|it| it.slots.keys());
            let slots = changed.chain(pool.slots.iter().take(3)).copied();
            touched.push((*account, slots.filter(|_| rng.random_ratio(2, 3)).collect()));
        }
    }
    touched
}

fn check_with_threads(threads: usize, run: Run) {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| check(run));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..Default::default() })]

    /// Few keys: branches collapse, extensions split, tries become empty and come back.
    #[test]
    fn small_tries(seed: u64, shape in 0..3usize, budget in 0..4usize, keys in 1..12usize) {
        let (shape, budget) = (SHAPES[shape], BUDGETS[budget]);
        check(Run { seed, shape, budget, keys, blocks: 16, changes: 4 });
    }

    /// Tries of several levels.
    #[test]
    fn larger_tries(seed: u64, shape in 0..3usize, budget in 0..4usize, keys in 12..150usize) {
        let (shape, budget) = (SHAPES[shape], BUDGETS[budget]);
        check(Run { seed, shape, budget, keys, blocks: 10, changes: 24 });
    }
}

/// Batches that are split by nibbles, on any number of threads.
#[test]
fn large_batches_on_one_to_eight_threads() {
    for threads in 1..=8 {
        let shape = SHAPES[threads % 3];
        let budget = BUDGETS[threads % 4];
        let run = Run { seed: threads as u64, shape, budget, keys: 3000, blocks: 4, changes: 900 };
        check_with_threads(threads, run);
    }
}

#[test]
#[ignore = "slow: a hundred thousand batches take minutes; make test-slow"]
fn a_hundred_thousand_batches() {
    for seed in 0..8400 {
        let rng = &mut rng(seed);
        let shape = SHAPES[rng.random_range(0..3)];
        let budget = BUDGETS[rng.random_range(0..4)];
        let (keys, changes) = (rng.random_range(1..200), rng.random_range(1..40));
        let threads = rng.random_range(1..=8);
        check_with_threads(threads, Run { seed, shape, budget, keys, blocks: 12, changes });
    }
}

/// Roots and reveals of siblings from many threads at once.
#[test]
fn threads_may_ask_for_siblings_at_the_same_time() {
    let rng = &mut rng(5);
    let pool = Pool::new(rng, Shape::Uniform, 400);
    let mut state = MemoryTrie::default();
    let trees = Trees::new(60_000);
    for _ in 0..6 {
        let siblings: Vec<_> = (0..6).map(|_| pool.block(rng, &state, 120)).collect();
        std::thread::scope(|scope| {
            for diff in &siblings {
                let (trees, state) = (&trees, &state);
                scope.spawn(move || {
                    let keys = diff.accounts.keys().map(|key| (*key, Vec::new()));
                    trees.reveal(state, &keys.collect::<Vec<_>>()).expect("a sound state");
                    let output = trees.state_root(state, diff).expect("a sound state");
                    assert!(output == state_root(state, diff).expect("a sound state"));
                });
            }
        });
        let diff = &siblings[rng.random_range(0..siblings.len())];
        let nodes = state_root(&state, diff).expect("a sound state").nodes;
        state.apply(diff, &nodes);
    }
}

#[test]
fn filling_ends_with_all_in_memory_or_with_the_budget() {
    let rng = &mut rng(11);
    let pool = Pool::new(rng, Shape::Uniform, 2000);
    let mut state = MemoryTrie::default();
    let diff = pool.block(rng, &state, 1500);
    let nodes = state_root(&state, &diff).expect("a sound state").nodes;
    state.apply(&diff, &nodes);
    let mut full = 0;
    for budget in [usize::MAX, 100_000] {
        let (trees, mut walk) = (Trees::new(budget), Walk::all(20));
        while trees.fill(&state, &mut walk).expect("a sound state") == Filled::Some {}
        let bytes = trees.bytes();
        full = full.max(bytes);
        assert!(bytes <= budget && bytes >= full.min(budget / 8 * 7), "{bytes} of {budget}");
    }
    let leaves = state.accounts().len()
        + pool.accounts.iter().filter_map(|key| state.slots(key)).map(|it| it.len()).sum::<usize>();
    assert!(full > leaves * 80, "{full} bytes for {leaves} leaves");
}

/// A step from a state to one of its children.
struct Step {
    parent: usize,
    diff: HashedDiff,
    before: HashedDiff,
    expected: RootOutput,
}

/// States of which each is made from one of the last ones.
fn branches(rng: &mut ChaCha8Rng, shape: Shape) -> (Vec<MemoryTrie>, Vec<Step>) {
    let pool = Pool::new(rng, shape, 120);
    let (mut states, mut steps) = (vec![MemoryTrie::default()], Vec::new());
    for _ in 0..24 {
        let parent = states.len() - 1 - rng.random_range(0..states.len().min(4));
        let mut state = states[parent].clone();
        let diff = pool.block(rng, &state, 20);
        let expected = state_root(&state, &diff).expect("a sound state");
        let mut before = HashedDiff::default();
        before.accounts.extend(diff.accounts.keys().map(|key| (*key, state.account(key))));
        for (account, change) in &diff.storage {
            let old = state.slots(account);
            let value = |slot| old.and_then(|old| old.get(slot)).copied().unwrap_or_default();
            let slots = change.slots.keys().map(|slot| (*slot, value(slot))).collect();
            let wiped = change.wiped && old.is_none_or(|old| old.is_empty());
            before.storage.insert(*account, HashedStorageDiff { wiped, slots });
        }
        state.apply(&diff, &expected.nodes);
        states.push(state);
        steps.push(Step { parent, diff, before, expected });
    }
    (states, steps)
}

/// A builder and a validator on different branches, reading ahead, filling, moves of the head: whoever
/// comes first, every root is right.
#[test]
fn threads_may_ask_for_any_branch_at_the_same_time() {
    for seed in 0..12 {
        let (shape, budget) = (SHAPES[seed as usize % 3], BUDGETS[seed as usize % 4]);
        let (states, steps) = branches(&mut rng(seed), shape);
        let trees = Trees::new(budget);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (trees, states, steps) = (&trees, &states, &steps);
                scope.spawn(move || {
                    let rng = &mut rng(1000 * (seed + 1) + thread);
                    let mut walk = Walk::all(9);
                    for _ in 0..80 {
                        let step = &steps[rng.random_range(0..steps.len())];
                        let parent = &states[step.parent];
                        match rng.random_range(0..8) {
                            0 => trees.settle(step.expected.root),
                            1 => {
                                trees.fill(parent, &mut walk).expect("a sound state");
                            }
                            2..4 => {
                                let slots = |key| {
                                    let change = step.diff.storage.get(key);
                                    change.into_iter().flat_map(|it| it.slots.keys()).copied()
                                };
                                let keys = step.diff.accounts.keys();
                                let keys = keys.map(|key| (*key, slots(key).collect()));
                                let keys: Vec<_> = keys.collect();
                                trees.reveal(parent, &keys).expect("a sound state");
                            }
                            _ => {
                                let before = step.before.clone();
                                let output = trees.state_root_knowing(parent, &step.diff, before);
                                assert!(output.expect("a sound state") == step.expected);
                            }
                        }
                    }
                });
            }
        });
    }
}

/// Blocks that touch other keys each: what was not used for long is let go, and not all of it.
#[test]
fn a_tree_keeps_to_its_budget() {
    let rng = &mut rng(7);
    let pool = Pool::new(rng, Shape::Uniform, 4000);
    let budget = 300_000;
    let (trees, mut state) = (Trees::new(budget), MemoryTrie::default());
    let mut full = 0;
    for block in 0..200 {
        let accounts = pool.accounts.iter().skip(block * 20 % 4000).take(20);
        let accounts = accounts.map(|key| (*key, Some(common::random_account(rng))));
        let diff = HashedDiff { accounts: accounts.collect(), ..Default::default() };
        let output = trees.state_root(&state, &diff).expect("a sound state");
        assert!(output == state_root(&state, &diff).expect("a sound state"));
        state.apply(&diff, &output.nodes);
        trees.settle(output.root);
        assert!(trees.bytes() <= budget + budget / 4);
        full += usize::from(trees.bytes() > budget / 2);
    }
    assert!(full > 60, "more than half full after {full} blocks of 200");
}

#[test]
fn storage_of_an_unlisted_account_is_refused() {
    let mut diff = HashedDiff::default();
    diff.storage.entry(Default::default()).or_default();
    assert!(Trees::new(0).state_root(&MemoryTrie::default(), &diff).is_err());
}
