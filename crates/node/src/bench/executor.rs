//! `bench executor`: what the executor brings to newPayload. Two nodes in one process, which differ
//! in the executor alone, get the same blocks in one run, a block at a time and each node first
//! equally often. Between two answers everything is written, so that no node works for the other.

use std::{
    fmt,
    time::{Duration, Instant},
};

use banyan_chain::Durability;
use banyan_executor::ExecutorConfig;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use super::{
    BenchConfig, Workload,
    journal::median,
    replay::{Stack, prepare, temporary_directory},
    report::{Phases, mgas_per_second},
};
use crate::{NodeError, engine::BuiltBlock, metrics::Metrics};

/// How often it is looked whether a node has written its blocks.
const WRITTEN_POLL: Duration = Duration::from_millis(1);

/// Runs the benchmark: the executor of `config` against another one. Blocks.
///
/// # Errors
/// A configuration that makes no sense, or a fault of ours.
pub fn bench_executor(
    config: &BenchConfig,
    against: &ExecutorConfig,
) -> Result<ExecutorReport, NodeError> {
    config.check()?;
    let metrics = Metrics::install()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(NodeError::Runtime)?;
    let executors = [against.clone(), config.executor.clone()];
    let measure =
        |workload: &Workload| runtime.block_on(measure(config, *workload, &executors, &metrics));
    let results = config.workloads.iter().map(measure).collect::<Result<Vec<_>, _>>()?;
    let workers = executors.map(|executor| executor.workers);
    Ok(ExecutorReport { seed: config.seed, gas_limit: config.gas_limit, workers, results })
}

async fn measure(
    config: &BenchConfig,
    workload: Workload,
    executors: &[ExecutorConfig; 2],
    metrics: &Metrics,
) -> Result<Comparison, NodeError> {
    let prepared = prepare(config, workload).await?;
    let blocks = &prepared.blocks;
    let directory = temporary_directory(config)?;
    let mut stacks = Vec::new();
    for (name, executor) in ["one", "other"].into_iter().zip(executors) {
        let mut chain = config.chain(Durability::Process);
        chain.executor = executor.clone();
        chain.persist_threshold = 1;
        let path = directory.path().join(name);
        stacks.push(prepared.open(&path, chain)?);
    }
    let mut runs = [Vec::new(), Vec::new()];
    for (number, block) in blocks.iter().enumerate() {
        for place in 0..stacks.len() {
            let turn = (number + place) % stacks.len();
            runs[turn].push(run(&stacks[turn], block, metrics).await?);
        }
    }
    for stack in stacks {
        stack.close().await?;
    }
    Ok(Comparison {
        workload,
        transactions: blocks.iter().map(|block| block.transactions).sum(),
        gas: blocks.iter().map(|block| block.gas_used).sum(),
        runs,
    })
}

/// Times newPayload; makes the block head and waits until it is written.
async fn run(stack: &Stack, block: &BuiltBlock, metrics: &Metrics) -> Result<Run, NodeError> {
    let phases = Phases::read(metrics);
    let (cpu, started) = (cpu_time(), Instant::now());
    stack.engine.new_payload(block).await?;
    let (wall, cpu) = (started.elapsed(), cpu_time().saturating_sub(cpu));
    let phases = Phases::read(metrics).since(phases);
    stack.engine.set_head(block.hash).await?;
    loop {
        let view = stack.chain.view();
        if view.persisted_number() >= view.head().number {
            break;
        }
        tokio::time::sleep(WRITTEN_POLL).await;
    }
    Ok(Run { wall, cpu, execute: phases.execute, root: phases.root })
}

/// Processor time of all threads so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), nanoseconds)
}

/// One newPayload.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    wall: Duration,
    /// Of all threads.
    cpu: Duration,
    /// Seconds.
    execute: f64,
    /// Seconds.
    root: f64,
}

/// One workload: every block on the one node and on the other.
#[derive(Clone, Debug)]
struct Comparison {
    workload: Workload,
    transactions: u64,
    gas: u64,
    runs: [Vec<Run>; 2],
}

/// Picks what is compared, in seconds.
type Measure = fn(&Run) -> f64;

const MEASURES: [(&str, Measure); 4] = [
    ("newPayload", |run| run.wall.as_secs_f64()),
    ("execute", |run| run.execute),
    ("root", |run| run.root),
    ("cpu", |run| run.cpu.as_secs_f64()),
];

impl Comparison {
    /// Speed of a node in all blocks.
    fn speed(&self, node: usize, measure: Measure) -> Option<f64> {
        mgas_per_second(self.gas, self.runs[node].iter().map(measure).sum())
    }

    /// How many times faster the second node was: the median over the blocks.
    fn gain(&self, measure: Measure) -> f64 {
        let pairs = self.runs[0].iter().zip(&self.runs[1]);
        median(pairs.map(|(one, other)| measure(one) / measure(other).max(1e-9)).collect())
    }

    fn to_json(&self) -> Value {
        let measures: serde_json::Map<String, Value> = MEASURES
            .into_iter()
            .map(|(name, measure)| {
                let value = json!({
                    "mgasPerSecond": [self.speed(0, measure), self.speed(1, measure)],
                    "gain": self.gain(measure),
                });
                (name.to_owned(), value)
            })
            .collect();
        json!({
            "workload": self.workload.name(),
            "blocks": self.runs[0].len(),
            "transactions": self.transactions,
            "gas": self.gas,
            "rootClass": "R0",
            "durabilityClass": "D1",
            "measures": measures,
        })
    }
}

/// What `bench executor` measured.
#[derive(Clone, Debug)]
pub struct ExecutorReport {
    seed: u64,
    gas_limit: u64,
    workers: [usize; 2],
    results: Vec<Comparison>,
}

impl ExecutorReport {
    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "benchmark": "executor",
            "seed": self.seed,
            "gasLimit": self.gas_limit,
            "workers": self.workers,
            "results": self.results.iter().map(Comparison::to_json).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for ExecutorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, other] = self.workers;
        writeln!(
            f,
            "newPayload, seed {}, gas limit {}, {one} against {other} workers: Mgas/s of either, \
             and how many times faster the second was (median over the blocks, paired)",
            self.seed, self.gas_limit
        )?;
        write!(f, "{:<10} {:>6} {:>8}", "workload", "blocks", "txs")?;
        for (name, _) in MEASURES {
            write!(f, " | {name:>10} {other:>8} {:>7}", "gain")?;
        }
        writeln!(f)?;
        for result in &self.results {
            let blocks = result.runs[0].len();
            write!(f, "{:<10} {blocks:>6} {:>8}", result.workload.name(), result.transactions)?;
            for (_, measure) in MEASURES {
                let speed = |node| result.speed(node, measure).unwrap_or_default();
                let gain = result.gain(measure);
                write!(f, " | {:>10.0} {:>8.0} {gain:>6.2}x", speed(0), speed(1))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gain_is_the_median_of_paired_ratios() {
        let run = |ms| Run { wall: Duration::from_millis(ms), ..Run::default() };
        let comparison = Comparison {
            workload: Workload::Mixed,
            transactions: 10,
            gas: 600_000_000,
            runs: [vec![run(100), run(300), run(200)], vec![run(50), run(100), run(300)]],
        };
        let (_, wall) = MEASURES[0];
        assert!((comparison.gain(wall) - 2.0).abs() < 1e-9);
        assert!((comparison.speed(0, wall).unwrap() - 1000.0).abs() < 1e-6);
        let results = vec![comparison];
        let report = ExecutorReport { seed: 1, gas_limit: 60_000_000, workers: [0, 2], results };
        assert_eq!(report.to_json()["results"][0]["measures"]["newPayload"]["gain"], 2.0);
        assert_eq!(report.to_string().lines().count(), 3, "{report}");
    }
}
