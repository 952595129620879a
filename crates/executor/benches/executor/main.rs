//! `make bench-executor`: our executor against plain revm ("lean"), all in one process.
//!
//! Execution only, and its output (receipts and changes): senders are known, the state is in
//! memory, nothing is hashed afterwards. `sequential` is our oracle (`workers: 0`), `parallel` the
//! executor as a node has it, once per number of threads: one `Executor` lives through all rounds of
//! a workload, so that programs learnt in the unmeasured rounds serve in the measured ones. Every
//! round runs all contenders on the same block; figures are medians. CPU is that of the process,
//! all threads together.
//!
//! Settings are variables of the environment: `BANYAN_BENCH_ROUNDS` (15), `BANYAN_BENCH_FILTER`
//! (part of a workload's name), `BANYAN_BENCH_THREADS` (`1,2` and 4, 8, 16 where there are as many
//! cores), `BANYAN_BENCH_GAS` (one size for all synthetic blocks), `BANYAN_BENCH_OUT` (folder of
//! `executor.json`).

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step ends the benchmark"
)]

mod lean;
mod measure;
mod report;
mod workload;

use std::{env, fs, path::PathBuf, str::FromStr, thread};

/// What the environment asks for.
struct Settings {
    rounds: usize,
    filter: String,
    threads: Vec<usize>,
    gas: Option<u64>,
    out: Option<PathBuf>,
}

impl Settings {
    fn from_env() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = env::var("BANYAN_BENCH_THREADS").map_or_else(
            |_| [1, 2, 4, 8, 16].into_iter().filter(|threads| *threads <= cores.max(2)).collect(),
            |list| list.split(',').map(|threads| threads.trim().parse().unwrap()).collect(),
        );
        Self {
            rounds: setting("BANYAN_BENCH_ROUNDS").unwrap_or(15),
            filter: setting("BANYAN_BENCH_FILTER").unwrap_or_default(),
            threads,
            gas: setting("BANYAN_BENCH_GAS"),
            out: setting("BANYAN_BENCH_OUT"),
        }
    }
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}")))
}

fn main() {
    let settings = Settings::from_env();
    let mut rows = Vec::new();
    println!("{}", report::head(&settings.threads));
    for plan in workload::all(settings.gas) {
        if !plan.name.contains(&settings.filter) {
            continue;
        }
        let measured = measure::measure(&(plan.make)(), settings.rounds, &settings.threads);
        println!("{}", report::line(&measured));
        rows.extend(report::rows(&measured));
    }
    if let Some(folder) = settings.out {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("executor.json"), serde_json::to_vec_pretty(&rows).unwrap()).unwrap();
    }
}
