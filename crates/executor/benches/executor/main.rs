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
//! cores), `BANYAN_BENCH_RECORD=1` (what is touched is recorded, too), `BANYAN_BENCH_GAS` (one size
//! for all synthetic blocks), `BANYAN_BENCH_OUT` (folder of `executor.json` and `conflict.svg`), `BANYAN_BENCH_DETAILS=1` (counts below each line),
//! `BANYAN_FIXTURES` (folder with the archive `mainnet-blocks`).

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step ends the benchmark"
)]

mod lean;
mod measure;
mod plot;
mod report;
mod verdict;
mod workload;

use std::{env, fs, path::PathBuf, process::ExitCode, str::FromStr, thread};

use self::workload::{Fixtures, OP};

/// Where fixtures lie if nothing else is said: beside the repository.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures");

/// What the environment asks for.
struct Settings {
    rounds: usize,
    filter: String,
    threads: Vec<usize>,
    gas: Option<u64>,
    fixtures: PathBuf,
    details: bool,
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
            fixtures: setting("BANYAN_FIXTURES").unwrap_or_else(|| FIXTURES.into()),
            details: setting::<u8>("BANYAN_BENCH_DETAILS").is_some_and(|on| on > 0),
            out: setting("BANYAN_BENCH_OUT"),
        }
    }
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}")))
}

/// Rounds of blocks that take long.
const ROUNDS_OF_LONG: usize = 5;
/// Gas of a real block that takes long.
const LONG: u64 = 500_000_000;

fn main() -> ExitCode {
    let settings = Settings::from_env();
    let fixtures = Fixtures::load(&settings.fixtures);
    if let Err(error) = &fixtures {
        println!(
            "left out for lack of fixtures: ERC-20, AMM, conflict sweep, real blocks ({error})"
        );
    }
    let (mut all, mut wrong) = (Vec::new(), 0);
    println!("{}", report::head(&settings.threads));
    for plan in workload::all(settings.gas, fixtures.ok()) {
        if !plan.name.contains(&settings.filter) {
            continue;
        }
        let workload = (plan.make)();
        let long = workload.name.starts_with(OP) && workload.block.header.gas_used > LONG;
        let most = if long { ROUNDS_OF_LONG } else { usize::MAX };
        match measure::measure(&workload, settings.rounds.min(most), &settings.threads) {
            Ok(measured) => {
                println!("{}", report::line(&measured));
                if settings.details {
                    print!("{}", report::details(&measured));
                }
                all.push(measured);
            }
            Err(error) => {
                println!("{:<38} WRONG: {error}", workload.name);
                wrong += 1;
            }
        }
    }
    let mainnet = report::mainnet(&all);
    for row in &mainnet {
        println!("{}", report::line(row));
    }
    println!("\n{}", verdict::table(&all));
    if let Some(folder) = settings.out {
        fs::create_dir_all(&folder).unwrap();
        let rows: Vec<_> = all.iter().chain(&mainnet).flat_map(report::rows).collect();
        fs::write(folder.join("executor.json"), serde_json::to_vec_pretty(&rows).unwrap()).unwrap();
        if let Some(svg) = plot::svg(&all) {
            fs::write(folder.join("conflict.svg"), svg).unwrap();
        }
    }
    if wrong > 0 {
        println!("{wrong} workloads with a wrong result: neither measured nor in the verdicts");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
