//! State roots with 10^6 keys in memory: the tree that is kept against the walker over stored nodes,
//! on the same blocks in turns. Processor time, medians.
//!
//! ```text
//! cargo bench -p banyan-commitment --bench tree -- [keys] [rounds] [threads] [batch]
//! ```
//!
//! With a batch size the tree alone has its turns with it, for a profiler.
#![allow(missing_docs, unreachable_pub, reason = "a program")]

#[path = "../../tests/common/mod.rs"]
mod common;
mod measure;
mod workload;

use std::env;

use banyan_commitment::{Trees, state_root};
use banyan_primitives::keccak256;
use measure::{Times, time};
use workload::Workload;

/// Changed keys of a block.
const BATCHES: [usize; 3] = [1_000, 5_000, 20_000];

fn main() {
    let numbers: Vec<usize> = env::args().filter_map(|word| word.parse().ok()).collect();
    let number = |index, default| numbers.get(index).copied().unwrap_or(default);
    let (keys, rounds, threads) = (number(0, 1_000_000), number(1, 9), number(2, 1));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    println!("{keys} keys, {rounds} rounds, {threads} threads; CPU ms (wall ms), us per key");
    println!("keccak256 of 532 bytes: {:.0} ns (918 in the design note)", keccak_ns());
    pool.install(|| {
        for workload in [Workload::uniform(keys), Workload::nested(keys)] {
            match numbers.get(3) {
                Some(batch) => profile(workload, rounds, *batch),
                None => measure(workload, rounds),
            }
        }
    });
}

/// How fast the machine is at the moment: a full branch, hashed alone.
fn keccak_ns() -> f64 {
    let mut times = Times::default();
    for round in 0..10 {
        let mut branch = [round as u8; 532];
        times.add(round, time(|| (0..1000).for_each(|_| branch[0] = keccak256(branch)[0])));
    }
    times.cpu() * 1e3
}

/// A tree with everything in memory.
fn full(workload: &mut Workload) -> Trees {
    let trees = Trees::new(usize::MAX);
    let warm = workload.touch_all();
    let output = trees.state_root(&workload.state, &warm).expect("memory does not fail");
    workload.state.apply(&warm, &output.nodes);
    trees
}

fn profile(mut workload: Workload, rounds: usize, batch: usize) {
    let trees = full(&mut workload);
    let mut times = Times::default();
    for round in 0..rounds + 1 {
        let diff = workload.block(batch);
        let kept = || trees.state_root(&workload.state, &diff).expect("memory does not fail");
        let output = times.add(round, time(kept));
        workload.state.apply(&diff, &output.nodes);
    }
    println!("{:8} {batch:6}  tree {}", workload.name, times.report(batch));
}

fn measure(mut workload: Workload, rounds: usize) {
    let trees = full(&mut workload);
    for batch in BATCHES {
        let (mut tree, mut walker) = (Times::default(), Times::default());
        for round in 0..rounds + 1 {
            let diff = workload.block(batch);
            let source = &workload.state;
            let kept = || trees.state_root(source, &diff).expect("memory does not fail");
            let walked = || state_root(source, &diff).expect("memory does not fail");
            // Each other round the other one goes first; the first round is not counted.
            let early = (round % 2 == 0).then(|| walker.add(round, time(walked)));
            let output = tree.add(round, time(kept));
            let other = early.unwrap_or_else(|| walker.add(round, time(walked)));
            assert_eq!(output.root, other.root);
            workload.state.apply(&diff, &output.nodes);
        }
        let bytes = trees.bytes() >> 20;
        println!(
            "{:8} {batch:6}  tree {}  walker {}  {:.2}x  {bytes} MiB",
            workload.name,
            tree.report(batch),
            walker.report(batch),
            walker.cpu() / tree.cpu(),
        );
    }
}
