//! `make bench-executor`: our executor against a plain revm loop ("lean"), interleaved in one process.
//!
//! Execution only: senders are known, the state is in memory, nothing is hashed afterwards. Every
//! round runs both on the same block; figures are medians. CPU is the thread's own clock. Rows go to
//! `executor.json` in the folder named by `BANYAN_BENCH_OUT` as well.

#![allow(missing_docs, clippy::unwrap_used, reason = "a failed step ends the benchmark")]

mod lean;
mod workload;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use banyan_executor::BlockExecutor;
use serde_json::{Value, json};

use self::workload::Workload;

/// CPU and wall time of one run.
#[derive(Clone, Copy)]
struct Time {
    cpu: Duration,
    wall: Duration,
}

/// Runs `work` and takes its time. The processor time of a thread is the first number of Linux's
/// `schedstat`, nanoseconds; elsewhere the wall clock stands in.
fn time<T>(work: impl FnOnce() -> T) -> (Time, T) {
    let (cpu, wall) = (thread_cpu(), Instant::now());
    let result = work();
    let wall = wall.elapsed();
    let cpu = match (cpu, thread_cpu()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => wall,
    };
    (Time { cpu, wall }, result)
}

fn thread_cpu() -> Option<Duration> {
    // Reading it brings the figure up to date.
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Our sequential executor, as newPayload uses it but for the begin and end of the block.
fn sequential(workload: &Workload) -> u64 {
    let context = workload.context.clone();
    let mut executor = BlockExecutor::new(&workload.spec, context, &workload.state);
    executor.reserve(workload.transactions.len());
    for (tx, sender) in &workload.transactions {
        executor.execute(tx, *sender).unwrap();
    }
    executor.finish(&[], Some(&[])).unwrap().gas_used
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn row(workload: &Workload, contender: &str, gas: u64, times: &[Time], lean: &[Time]) -> Value {
    let cpu = |times: &[Time]| median(times.iter().map(|time| time.cpu).collect());
    let wall = |times: &[Time]| median(times.iter().map(|time| time.wall).collect());
    json!({
        "workload": workload.name, "contender": contender, "threads": 1,
        "txs": workload.transactions.len(), "gas": gas,
        "cpu_ms": cpu(times), "wall_ms": wall(times),
        "cpu_vs_lean": cpu(times) / cpu(lean), "wall_vs_lean": wall(times) / wall(lean),
    })
}

fn measure(workload: &Workload, rounds: usize) -> Vec<Value> {
    let (mut lean, mut ours) = (Vec::new(), Vec::new());
    let (mut lean_gas, mut gas) = (0, 0);
    for round in 0..=rounds {
        let (lean_time, used) = time(|| lean::run(workload));
        lean_gas = used;
        let (time, used) = time(|| sequential(workload));
        gas = used;
        // The first round warms caches and allocator.
        if round > 0 {
            lean.push(lean_time);
            ours.push(time);
        }
    }
    assert_eq!(gas, lean_gas, "{}: the contenders disagree", workload.name);
    vec![row(workload, "lean", gas, &lean, &lean), row(workload, "sequential", gas, &ours, &lean)]
}

fn main() {
    let setting = |name: &str| std::env::var(name).ok();
    let number = |name: &str| setting(name).and_then(|text| text.parse().ok());
    let rounds = number("BANYAN_BENCH_ROUNDS").unwrap_or(15) as usize;
    let gas_limit = number("BANYAN_BENCH_GAS").unwrap_or(60_000_000);
    let mut rows = Vec::new();
    println!("{:<24} {:>7} {:>10} {:>10} {:>8}", "workload", "txs", "lean ms", "ours ms", "ratio");
    for workload in Workload::all(gas_limit) {
        let measured = measure(&workload, rounds);
        let [lean, ours] = &measured[..] else { return };
        let cell = |row: &Value, key: &str| row[key].as_f64().unwrap_or_default();
        println!(
            "{:<24} {:>7} {:>10.2} {:>10.2} {:>8.2}",
            workload.name,
            workload.transactions.len(),
            cell(lean, "cpu_ms"),
            cell(ours, "cpu_ms"),
            cell(ours, "cpu_vs_lean")
        );
        rows.extend(measured);
    }
    if let Some(folder) = setting("BANYAN_BENCH_OUT").map(PathBuf::from) {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("executor.json"), serde_json::to_vec_pretty(&rows).unwrap()).unwrap();
    }
}
