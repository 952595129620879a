//! What a root reads, and what it does when the store is damaged.

mod common;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use banyan_commitment::{CommitmentError, MemoryTrie, Trees, account_proof, rebuild, state_root};
use banyan_primitives::{
    Account, Address, B256, Bytes, SourceError, U256,
    trie::{
        HashedDiff, HashedStorageDiff, Leaf, Nibbles, NodeDiff, StorageNodeDiff, TrieId, TrieSource,
    },
};
use common::{Pool, SHAPES, Shape, rng};
use rand::Rng;

/// Counts calls and leaves handed out.
struct Counting<'a> {
    inner: &'a MemoryTrie,
    calls: AtomicUsize,
    leaves: AtomicUsize,
}

impl TrieSource for Counting<'_> {
    fn first_node(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
    ) -> Result<Option<(Nibbles, Bytes)>, SourceError> {
        self.calls.fetch_add(1, Relaxed);
        self.inner.first_node(trie, prefix)
    }

    fn leaves(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
        from: B256,
        limit: usize,
    ) -> Result<Vec<(B256, Leaf)>, SourceError> {
        self.calls.fetch_add(1, Relaxed);
        let leaves = self.inner.leaves(trie, prefix, from, limit)?;
        self.leaves.fetch_add(leaves.len(), Relaxed);
        Ok(leaves)
    }
}

/// `accounts` random accounts, the middle one with `slots` random slots.
fn state(accounts: usize, slots: usize) -> (MemoryTrie, B256) {
    let rng = &mut rng(1);
    let keys = common::keys(rng, Shape::Uniform, accounts);
    let contract = keys[keys.len() / 2];
    let mut alloc = HashedDiff::default();
    for key in keys {
        alloc.accounts.insert(key, Some(common::random_account(rng)));
    }
    let slots = common::keys(rng, Shape::Uniform, slots).into_iter();
    let slots = slots.map(|slot| (slot, U256::from(1))).collect();
    alloc.storage.insert(contract, HashedStorageDiff { wiped: false, slots });
    (MemoryTrie::genesis(&alloc).expect("a sound state").0, contract)
}

/// Calls and leaves that a root over `diff` takes.
fn reads(state: &MemoryTrie, diff: &HashedDiff) -> (usize, usize) {
    let source = Counting { inner: state, calls: 0.into(), leaves: 0.into() };
    state_root(&source, diff).expect("a sound state");
    (source.calls.into_inner(), source.leaves.into_inner())
}

/// A block that changes 50 accounts, adds 10 and deletes 10, and does the same to 20 slots of the
/// contract.
fn block(state: &MemoryTrie, contract: B256) -> HashedDiff {
    block_of(state, contract, 2)
}

fn block_of(state: &MemoryTrie, contract: B256, seed: u64) -> HashedDiff {
    let rng = &mut rng(seed);
    let mut diff = HashedDiff::default();
    let keys: Vec<B256> = state.accounts().keys().copied().collect();
    let slots: Vec<B256> = state.slots(&contract).expect("it has slots").keys().copied().collect();
    for index in 0..60 {
        let account = (index < 50).then(|| common::random_account(rng));
        diff.accounts.insert(keys[rng.random_range(0..keys.len())], account);
    }
    for key in common::keys(rng, Shape::Uniform, 10) {
        diff.accounts.insert(key, Some(Account::default()));
    }
    diff.accounts.insert(contract, Some(Account::default()));
    let change = diff.storage.entry(contract).or_default();
    for index in 0..10u64 {
        change.slots.insert(slots[rng.random_range(0..slots.len())], U256::from(index % 2));
    }
    change.slots.extend(common::keys(rng, Shape::Uniform, 10).into_iter().map(|k| (k, U256::ONE)));
    diff
}

#[test]
fn reads_follow_the_changed_keys_and_not_the_state() {
    let (small, contract) = state(2_000, 2_000);
    let (small_calls, small_leaves) = reads(&small, &block(&small, contract));
    let (large, contract) = state(100_000, 100_000);
    let (large_calls, large_leaves) = reads(&large, &block(&large, contract));
    // 90 changed keys; a path is 3 or 4 stored branches, mostly shared, and one scan of a few leaves, each
    // account among them with one look-up of its storage root.
    let report =
        format!("calls {small_calls} -> {large_calls}, leaves {small_leaves} -> {large_leaves}");
    println!("{report}");
    assert!(large_calls <= 90 * 8, "{report}");
    assert!(large_leaves <= 90 * 4, "{report}");
    assert!(large_calls <= small_calls * 2, "50 times the state: {report}");
}

#[test]
fn an_empty_diff_reads_one_node_and_changes_nothing() {
    let (state, _) = state(500, 10);
    let source = Counting { inner: &state, calls: 0.into(), leaves: 0.into() };
    let output = state_root(&source, &HashedDiff::default()).unwrap();
    assert_eq!(output.root, rebuild(&state).unwrap().root);
    assert_eq!(output.nodes, NodeDiff::default());
    assert_eq!(source.calls.into_inner(), 1);
}

/// One node tells where the state is; the rest is in memory. A leaf that an insertion pushes down or
/// a collapse pulls up is read once more, for its value.
#[test]
fn a_tree_in_memory_does_not_read_what_a_block_before_it_touched() {
    let (mut state, contract) = state(2_000, 2_000);
    let trees = Trees::new(usize::MAX);
    let touch = touch_all(&state, contract);
    let nodes = trees.state_root(&state, &touch).unwrap().nodes;
    state.apply(&touch, &nodes);
    let block = block(&state, contract);
    for _sibling in 0..2 {
        let source = Counting { inner: &state, calls: 0.into(), leaves: 0.into() };
        let output = trees.state_root(&source, &block).unwrap();
        assert_eq!(output, state_root(&state, &block).unwrap());
        let calls = source.calls.into_inner();
        assert!((1..=1 + 40).contains(&calls), "{calls}");
        assert_eq!(calls - 1, source.leaves.into_inner(), "{calls}");
    }
}

/// A root on the parent of the head, of a sibling, takes the tree back; the next block of the chain
/// finds it where it was.
#[test]
fn a_tree_that_went_back_for_a_sibling_goes_forth_again() {
    let (genesis, contract) = state(2_000, 2_000);
    let trees = Trees::new(usize::MAX);
    let touch = touch_all(&genesis, contract);
    let nodes = trees.state_root(&genesis, &touch).unwrap().nodes;
    let mut parent = genesis;
    parent.apply(&touch, &nodes);
    let mut head = parent.clone();
    for seed in 2..5 {
        let block = block_of(&head, contract, seed);
        let root = trees.state_root_knowing(&head, &block, before(&head, &block)).unwrap();
        head.apply(&block, &root.nodes);
        trees.settle(root.root);
    }
    let full = trees.bytes();
    let sibling = block_of(&parent, contract, 6);
    for (state, seed) in [(&parent, 6), (&head, 7), (&parent, 8), (&head, 9)] {
        let block = if seed == 6 { sibling.clone() } else { block_of(state, contract, seed) };
        let output = trees.state_root(state, &block).unwrap();
        assert_eq!(output, state_root(state, &block).unwrap());
        assert!(trees.bytes() > full / 10 * 9, "{} of {full} bytes", trees.bytes());
    }
}

/// Two blocks on the same parent; then a root on that parent's parent, and blocks on both of them and
/// on their children: from whichever to whichever, the tree stays in memory.
#[test]
fn a_tree_finds_the_way_to_siblings_that_were_never_head() {
    let (genesis, contract) = state(2_000, 2_000);
    let trees = Trees::new(usize::MAX);
    let touch = touch_all(&genesis, contract);
    let nodes = trees.state_root(&genesis, &touch).unwrap().nodes;
    let mut states = vec![genesis];
    states[0].apply(&touch, &nodes);
    // Which block is built on which.
    let parents = [0, 1, 1, 0, 2, 3, 4, 5, 2, 0, 8, 9];
    let mut full = 0;
    for (seed, parent) in parents.into_iter().enumerate() {
        let mut state = states[parent].clone();
        let block = block_of(&state, contract, 2 + seed as u64);
        let known = before(&state, &block);
        let output = trees.state_root_knowing(&state, &block, known).unwrap();
        assert_eq!(output, state_root(&state, &block).unwrap());
        full = full.max(trees.bytes());
        assert!(trees.bytes() > full / 10 * 9, "{} of {full} bytes, {seed}", trees.bytes());
        state.apply(&block, &output.nodes);
        states.push(state);
    }
}

/// An existing leaf that a branch names is not read to be changed: of 120 changed keys of 4,000 those
/// are spared that have a place to themselves, two fifths.
#[test]
fn a_leaf_that_is_known_to_exist_is_not_read() {
    let (state, contract) = state(2_000, 2_000);
    let mut block = HashedDiff::default();
    block.accounts.insert(contract, Some(Account::default()));
    for (key, account) in state.accounts().iter().step_by(30) {
        block.accounts.insert(*key, Some(Account { nonce: account.nonce + 1, ..*account }));
    }
    let slots = state.slots(&contract).expect("it has slots").keys().step_by(30);
    let slots: BTreeMap<_, _> = slots.map(|key| (*key, U256::from(9))).collect();
    block.storage.insert(contract, HashedStorageDiff { wiped: false, slots });
    let reads = |before| {
        let source = Counting { inner: &state, calls: 0.into(), leaves: 0.into() };
        let output = Trees::new(usize::MAX).state_root_knowing(&source, &block, before).unwrap();
        assert_eq!(output, state_root(&state, &block).unwrap());
        source.leaves.into_inner()
    };
    let (all, spared) = (reads(HashedDiff::default()), reads(before(&state, &block)));
    assert!(spared + 40 <= all, "{spared} of {all}");
}

/// The values that the keys of a block have in `state`.
fn before(state: &MemoryTrie, block: &HashedDiff) -> HashedDiff {
    let mut before = HashedDiff::default();
    for key in block.accounts.keys() {
        before.accounts.insert(*key, state.account(key));
    }
    for (account, change) in &block.storage {
        let old = state.slots(account);
        let value = |slot| old.and_then(|old| old.get(slot)).copied().unwrap_or_default();
        let slots = change.slots.keys().map(|slot| (*slot, value(slot))).collect();
        before.storage.insert(*account, HashedStorageDiff { wiped: false, slots });
    }
    before
}

/// A block that changes every account and all slots of the contract.
fn touch_all(state: &MemoryTrie, contract: B256) -> HashedDiff {
    let mut touch = HashedDiff::default();
    for (key, account) in state.accounts() {
        touch.accounts.insert(*key, Some(Account { nonce: account.nonce + 1, ..*account }));
    }
    let slots = state.slots(&contract).expect("it has slots").iter();
    let slots = slots.map(|(key, value)| (*key, value ^ U256::from(2))).collect();
    touch.storage.insert(contract, HashedStorageDiff { wiped: false, slots });
    touch
}

/// Branches from older and older blocks. The tree undoes the blocks between, some reads each, and
/// holds what it held before.
#[test]
fn a_tree_goes_back_over_64_blocks_and_stays_in_memory() {
    let (mut state, contract) = state(2_000, 2_000);
    let trees = Trees::new(usize::MAX);
    let mut states = Vec::new();
    for seed in 0..64 {
        let block = match seed {
            0 => touch_all(&state, contract),
            _ => block_of(&state, contract, seed),
        };
        let before = before(&state, &block);
        let nodes = trees.state_root_knowing(&state, &block, before).unwrap().nodes;
        state.apply(&block, &nodes);
        states.push(state.clone());
    }
    for (back, state) in states.iter().rev().enumerate().step_by(9) {
        let block = touch_all(state, contract);
        let source = Counting { inner: state, calls: 0.into(), leaves: 0.into() };
        let output = trees.state_root_knowing(&source, &block, before(state, &block)).unwrap();
        assert_eq!(output, state_root(state, &block).unwrap());
        let calls = source.calls.into_inner();
        // A tree that holds nothing reads 3,400 times.
        assert!(calls <= 1000, "{back} blocks back: {calls} reads");
    }
}

/// What was revealed is not read again: one node tells where the state is.
#[test]
fn a_root_does_not_read_what_was_revealed() {
    let (state, contract) = state(2_000, 2_000);
    let trees = Trees::new(usize::MAX);
    // The tree stands at this state from now on.
    trees.state_root(&state, &HashedDiff::default()).unwrap();
    let block = block(&state, contract);
    let slots = |account| block.storage.get(account).into_iter().flat_map(|it| it.slots.keys());
    let keys = block.accounts.keys().map(|key| (*key, slots(key).copied().collect()));
    trees.reveal(&state, &keys.collect::<Vec<_>>()).unwrap();
    let source = Counting { inner: &state, calls: 0.into(), leaves: 0.into() };
    let output = trees.state_root(&source, &block).unwrap();
    assert_eq!(output, state_root(&state, &block).unwrap());
    // A branch that is left with one child opens that, whose key nobody could have named.
    let calls = source.calls.into_inner();
    assert!((1..=1 + 12).contains(&calls), "{calls}");
}

#[test]
fn wiped_storage_is_not_read() {
    let (state, contract) = state(100, 5_000);
    let change = HashedStorageDiff { wiped: true, slots: [(B256::ZERO, U256::ONE)].into() };
    let diff = HashedDiff {
        accounts: [(contract, Some(Account::default()))].into(),
        storage: [(contract, change)].into(),
    };
    let (calls, _) = reads(&state, &diff);
    assert!(calls < 30, "{calls}");
}

#[test]
fn storage_of_an_unlisted_account_is_refused() {
    let (state, contract) = state(10, 10);
    let mut diff = HashedDiff::default();
    diff.storage.entry(contract).or_default().slots.insert(B256::ZERO, U256::ONE);
    let error = state_root(&state, &diff).unwrap_err();
    assert!(matches!(error, CommitmentError::UnlistedAccount(account) if account == contract));
}

/// All stored nodes, as (trie, path).
fn stored(state: &MemoryTrie) -> Vec<(TrieId, Nibbles)> {
    let tries = state.accounts().keys().map(|key| TrieId::Storage(*key));
    let tries = tries.chain([TrieId::Accounts]);
    tries
        .flat_map(|trie| state.nodes(trie).into_iter().flatten().map(move |(p, _)| (trie, *p)))
        .collect()
}

/// A copy of `state` with one stored node replaced or removed.
fn damage(state: &MemoryTrie, trie: TrieId, path: Nibbles, node: Option<Bytes>) -> MemoryTrie {
    let changes = [(path, node)].into();
    let mut nodes = NodeDiff::default();
    match trie {
        TrieId::Accounts => nodes.accounts = changes,
        TrieId::Storage(account) => {
            nodes.storage.insert(account, StorageNodeDiff { wiped: false, nodes: changes });
        }
    }
    let mut damaged = state.clone();
    damaged.apply(&HashedDiff::default(), &nodes);
    damaged
}

/// Whatever the stored bytes are, the answer is a result, never a panic; and a missing branch on
/// the way is noticed.
#[test]
fn damaged_nodes_never_panic() {
    for seed in 0..60u64 {
        let rng = &mut rng(seed);
        let pool = Pool::new(rng, SHAPES[seed as usize % 3], 40);
        let mut state = MemoryTrie::default();
        for _ in 0..3 {
            let diff = pool.block(rng, &state, 30);
            let nodes = state_root(&state, &diff).unwrap().nodes;
            state.apply(&diff, &nodes);
        }
        let diff = pool.block(rng, &state, 20);
        for (trie, path) in stored(&state) {
            let mut bytes = state.nodes(trie).unwrap()[&path].to_vec();
            let index = rng.random_range(0..bytes.len().min(40));
            bytes[index] ^= 1 << rng.random_range(0..8);
            let _ = state_root(&damage(&state, trie, path, Some(bytes.into())), &diff);
            let _ = state_root(&damage(&state, trie, path, None), &diff);
            let _ = account_proof(&damage(&state, trie, path, None), Address::ZERO, &[U256::ZERO]);
        }
    }
}

#[test]
fn a_missing_root_branch_is_noticed() {
    let (state, contract) = state(500, 10);
    let missing = damage(&state, TrieId::Accounts, Nibbles::new(), None);
    let diff = HashedDiff { accounts: [(contract, None)].into(), ..Default::default() };
    let error = state_root(&missing, &diff).unwrap_err();
    assert!(matches!(error, CommitmentError::Damaged(_)), "{error}");
}
