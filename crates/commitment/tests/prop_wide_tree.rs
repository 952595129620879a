//! The `wide` tree in memory against a rebuild: chains of generated blocks with siblings and reorgs.

mod common;

use banyan_commitment::{
    MemoryTrie,
    wide::{WideTree, wide_rebuild},
};
use banyan_primitives::{
    B256, U256, keccak256,
    trie::{HashedDiff, NodeDiff},
};
use common::{Pool, SHAPES, rng};
use proptest::prelude::*;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Blocks that the tree can take back.
const KEEP: usize = 3;

/// Small blocks of all sorts of changes.
fn check_small(seed: u64, shape: usize, keys: usize, blocks: usize, changes: usize) {
    check(seed, shape, keys, blocks, |rng, pool, state| {
        let count = rng.random_range(0..=changes);
        pool.block(rng, state, count)
    });
}

/// Blocks on a random one of the last states each, mostly the last.
fn check(
    seed: u64,
    shape: usize,
    keys: usize,
    blocks: usize,
    block: impl Fn(&mut ChaCha8Rng, &Pool, &MemoryTrie) -> HashedDiff,
) {
    let rng = &mut rng(seed);
    let pool = Pool::new(rng, SHAPES[shape], keys);
    let mut tree = WideTree::build(&MemoryTrie::default(), KEEP).expect("a sound state");
    let mut chain = vec![(MemoryTrie::default(), tree.root())];
    let mut kept = 0;
    for _ in 0..blocks {
        let back = if rng.random_ratio(3, 4) { 0 } else { rng.random_range(0..=kept) };
        kept = KEEP.min(kept - back + 1);
        chain.truncate(chain.len() - back);
        let (mut state, root) = chain[chain.len() - 1].clone();
        if !tree.back_to(root) {
            // The same state had come twice, and the tree was at the later one.
            tree = WideTree::build(&state, KEEP).expect("a sound state");
        }
        assert_eq!(tree.root(), root);
        let diff = own_slots(block(rng, &pool, &state));
        let found = tree.advance(&state, &diff).expect("a sound state");
        state.apply(&diff, &NodeDiff::default());
        assert_eq!(found, wide_rebuild(&state).expect("a sound state"));
        chain.push((state, found));
    }
    let (state, root) = &chain[chain.len() - 1];
    let built = WideTree::build(state, KEEP).expect("a sound state");
    assert_eq!((built.root(), built.leaves()), (*root, tree.leaves()));
    assert!(!tree.back_to(B256::repeat_byte(1)));
}

/// Up to `count` accounts and as many slots of one contract: set, cleared, or left as they are.
fn large_block(rng: &mut ChaCha8Rng, pool: &Pool, state: &MemoryTrie, count: usize) -> HashedDiff {
    let mut diff = HashedDiff::default();
    for _ in 0..rng.random_range(0..=count) {
        let key = pool.accounts[rng.random_range(0..pool.accounts.len())];
        let after = match rng.random_range(0..4) {
            0 => None,
            1 => state.account(&key),
            _ => Some(common::random_account(rng)),
        };
        diff.accounts.insert(key, after);
    }
    let contract = pool.accounts[0];
    diff.accounts.insert(contract, Some(common::random_account(rng)));
    let slots = &mut diff.storage.entry(contract).or_default().slots;
    let most = rng.random_range(1..=4);
    for _ in 0..rng.random_range(0..=count) {
        let slot = pool.slots[rng.random_range(0..pool.slots.len())];
        slots.insert(slot, U256::from(rng.random_range(0..=most)));
    }
    diff
}

/// Ids of slots tell their account as well: those of two accounts are never the same.
fn own_slots(mut diff: HashedDiff) -> HashedDiff {
    for (account, change) in &mut diff.storage {
        let own = |slot: B256| keccak256([account.as_slice(), slot.as_slice()].concat());
        let slots = std::mem::take(&mut change.slots);
        change.slots = slots.into_iter().map(|(slot, value)| (own(slot), value)).collect();
    }
    diff
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..Default::default() })]

    /// Few keys: everything comes and goes.
    #[test]
    fn small_trees(seed: u64, shape in 0..3usize, keys in 1..12usize) {
        check_small(seed, shape, keys, 16, 4);
    }

    /// Slots enough for heaps of their own, which come and go.
    #[test]
    fn larger_trees(seed: u64, shape in 0..3usize, keys in 12..400usize) {
        check_small(seed, shape, keys, 8, 60);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..Default::default() })]

    /// Changes enough for several tasks in one heap.
    #[test]
    fn large_blocks(seed: u64, shape in 0..3usize, threads in 1..4usize) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a few threads").install(|| {
            check(seed, shape, 6000, 5, |rng, pool, state| large_block(rng, pool, state, 6000));
        });
    }
}

#[test]
fn the_last_blocks_can_be_taken_back_and_no_more() {
    let rng = &mut rng(9);
    let pool = Pool::new(rng, SHAPES[0], 300);
    let mut tree = WideTree::build(&MemoryTrie::default(), KEEP).expect("a sound state");
    let mut chain = vec![(MemoryTrie::default(), tree.root())];
    for _ in 0..2 * KEEP {
        let mut state = chain[chain.len() - 1].0.clone();
        let diff = own_slots(pool.block(rng, &state, 50));
        let root = tree.advance(&state, &diff).expect("a sound state");
        state.apply(&diff, &NodeDiff::default());
        chain.push((state, root));
    }
    assert!(!tree.back_to(chain[KEEP - 1].1));
    assert_eq!(tree.root(), chain[2 * KEEP].1);
    assert!(tree.back_to(chain[KEEP].1));
    assert_eq!(tree.root(), chain[KEEP].1);
    let built = WideTree::build(&chain[KEEP].0, KEEP).expect("a sound state");
    assert_eq!((built.root(), built.leaves()), (tree.root(), tree.leaves()));
}

/// A contract gets a heap of its own, loses it, and gets it back, by steps and at once.
#[test]
fn contracts_grow_and_shrink() {
    let rng = &mut rng(1);
    let pool = Pool::new(rng, SHAPES[0], 3000);
    let mut tree = WideTree::build(&MemoryTrie::default(), KEEP).expect("a sound state");
    let mut state = MemoryTrie::default();
    for (step, count) in [3000, 10, 40, 20, 0, 500, 5, 3000, 0].into_iter().enumerate() {
        let mut diff = HashedDiff::default();
        for account in pool.accounts.iter().take(300) {
            diff.accounts.insert(*account, Some(common::random_account(rng)));
        }
        for account in &pool.accounts[..2] {
            let change = diff.storage.entry(*account).or_default();
            change.wiped = step % 3 == 2;
            let slots = pool.slots.iter().enumerate();
            change.slots = slots
                .map(|(index, slot)| (*slot, U256::from(if index < count { index + 1 } else { 0 })))
                .collect();
        }
        let root = tree.advance(&state, &diff).expect("a sound state");
        state.apply(&diff, &NodeDiff::default());
        assert_eq!(root, wide_rebuild(&state).expect("a sound state"), "{count} slots");
    }
}
