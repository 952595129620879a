//! State roots in memory: incremental, and beside it from scratch by us and by `alloy-trie`.
//!
//! One block changes keys of accounts without storage: 75 % updates, 20 % inserts, 5 % deletes,
//! uniform. No database: what is measured is walking, encoding and hashing.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Duration;

use banyan_commitment::{MemoryTrie, rebuild, state_root};
use banyan_primitives::trie::HashedDiff;
use common::{Shape, alloy_state_root, keys, random_account, rng};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rand::seq::index::sample;

fn state(accounts: usize) -> MemoryTrie {
    let rng = &mut rng(1);
    let mut alloc = HashedDiff::default();
    for key in keys(rng, Shape::Uniform, accounts) {
        alloc.accounts.insert(key, Some(random_account(rng)));
    }
    MemoryTrie::genesis(&alloc).expect("memory does not fail").0
}

fn block(state: &MemoryTrie, changed: usize) -> HashedDiff {
    let rng = &mut rng(2);
    let old: Vec<_> = state.accounts().keys().collect();
    let mut diff = HashedDiff::default();
    for (index, picked) in sample(rng, old.len(), changed * 4 / 5).into_iter().enumerate() {
        let account = (index >= changed / 20).then(|| random_account(rng));
        diff.accounts.insert(*old[picked], account);
    }
    for key in keys(rng, Shape::Uniform, changed / 5) {
        diff.accounts.insert(key, Some(random_account(rng)));
    }
    diff
}

fn roots(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("root");
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    for accounts in [100_000, 1_000_000] {
        let state = state(accounts);
        for changed in [1_000, 5_000] {
            let diff = block(&state, changed);
            let id = BenchmarkId::new(format!("incremental/{accounts}"), changed);
            group.bench_function(id, |bencher| bencher.iter(|| state_root(&state, &diff)));
        }
        if accounts == 100_000 {
            let id = |name: &str| BenchmarkId::new(name, accounts);
            group.bench_function(id("rebuild"), |bencher| bencher.iter(|| rebuild(&state)));
            let hash_builder = || alloy_state_root(&state);
            group.bench_function(id("alloy_hash_builder"), |bencher| bencher.iter(hash_builder));
        }
    }
    group.finish();
}

criterion_group!(benches, roots);
criterion_main!(benches);
