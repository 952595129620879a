//! State roots with 10^6 keys in memory: the `mpt` tree that is kept, the `wide` one, and the walker
//! over stored nodes, on the same blocks in turns. Processor time, medians.
//!
//! ```text
//! cargo bench -p banyan-commitment --bench tree -- [keys] [rounds] [threads] [batch]
//! ```
//!
//! With a batch size the tree alone has its turns with it, for a profiler. Settings:
//! `BANYAN_BENCH_OUT` (folder for the rows, `ram.json`).
#![allow(missing_docs, unreachable_pub, reason = "a program")]

#[path = "../../tests/common/mod.rs"]
mod common;
mod measure;
mod workload;

use std::{env, fs, path::PathBuf};

use banyan_commitment::{
    Trees, state_root,
    wide::{WideTree, wide_rebuild},
};
use banyan_primitives::keccak256;
use measure::{Times, time};
use serde_json::{Value, json};
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
    let mut rows = Vec::new();
    pool.install(|| {
        for workload in [Workload::uniform(keys), Workload::nested(keys)] {
            match numbers.get(3) {
                Some(batch) => profile(workload, rounds, *batch),
                None => rows.append(&mut measure(workload, rounds, threads)),
            }
        }
    });
    if let Some(folder) = env::var_os("BANYAN_BENCH_OUT") {
        let folder = PathBuf::from(folder);
        fs::create_dir_all(&folder).expect("the folder for the rows");
        let path = folder.join("ram.json");
        fs::write(path, Value::from(rows).to_string()).expect("the folder for the rows");
    }
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

fn measure(mut workload: Workload, rounds: usize, threads: usize) -> Vec<Value> {
    let mut rows = Vec::new();
    let trees = full(&mut workload);
    let mut wide_tree = WideTree::build(&workload.state, 2).expect("memory does not fail");
    for batch in BATCHES {
        let mut times: [Times; 3] = Default::default();
        for round in 0..rounds + 1 {
            let diff = workload.block(batch);
            let source = &workload.state;
            let mut roots = [None, None];
            // Each round another one goes first; the first round is not counted.
            for turn in 0..3 {
                let contender = (round + turn) % 3;
                let times = &mut times[contender];
                match contender {
                    0 => {
                        roots[0] = Some(times.add(round, time(|| trees.state_root(source, &diff))))
                    }
                    1 => roots[1] = Some(times.add(round, time(|| state_root(source, &diff)))),
                    _ => {
                        times
                            .add(round, time(|| wide_tree.advance(source, &diff)))
                            .expect("memory");
                    }
                }
            }
            let [kept, walked] = roots.map(|root| root.expect("a turn").expect("memory"));
            assert_eq!(kept.root, walked.root);
            workload.state.apply(&diff, &kept.nodes);
        }
        let [mpt, walker, wide] = &times;
        for (rule, times) in [("mpt", mpt), ("mpt walker", walker), ("wide", wide)] {
            rows.push(json!({
                "case": "ram", "workload": workload.name, "rule": rule, "threads": threads,
                "keys_in_state": workload.keys(), "batch": batch,
                "cpu_ms": times.cpu(), "wall_ms": times.wall(),
            }));
        }
        println!(
            "{:8} {batch:6}  mpt {}  walker {} {:.2}x  wide {}  mpt/wide {:.2}",
            workload.name,
            mpt.report(batch),
            walker.report(batch),
            walker.cpu() / mpt.cpu(),
            wide.report(batch),
            mpt.cpu() / wide.cpu(),
        );
    }
    let expected = wide_rebuild(&workload.state).expect("memory does not fail");
    assert_eq!(wide_tree.root(), expected);
    println!("{:8} mpt {} MiB", workload.name, trees.bytes() >> 20);
    rows
}
