//! Contenders, and their times on one workload.

use std::{
    env, fmt, iter, thread,
    time::{Duration, Instant},
};

use banyan_executor::{BlockOutput, ExecutionStats, Executor, ExecutorConfig, ProgramMode};
use rustix::time::{ClockId, clock_gettime};

use crate::{
    lean::{self, Style},
    workload::Workload,
};

/// Rounds before the measured ones: caches, allocator, and what executors learn.
const WARM_UP: usize = 2;
/// Between two runs, so that idle workers of the last one have gone to sleep.
const PAUSE: Duration = Duration::from_micros(500);

/// Who executes the block.
enum Contender {
    Lean(Style),
    Ours(Box<Executor>),
}

/// What a contender did in one run.
struct Run {
    cpu: Duration,
    wall: Duration,
    gas: u64,
    stats: ExecutionStats,
    output: Option<BlockOutput>,
}

/// Medians of a contender on a workload.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// `lean`, `sequential` or `parallel`.
    pub(crate) contender: &'static str,
    /// Threads that execute.
    pub(crate) threads: usize,
    /// Processor time of all threads, ms.
    pub(crate) cpu_ms: f64,
    /// ms.
    pub(crate) wall_ms: f64,
    /// Which way of being lean.
    pub(crate) style: Option<Style>,
    /// Of the last run.
    pub(crate) stats: ExecutionStats,
    /// Processor time as a multiple of lean's.
    pub(crate) cpu_vs_lean: f64,
    /// Time as a multiple of lean's.
    pub(crate) wall_vs_lean: f64,
}

/// A workload's figures: lean, sequential, parallel with ever more threads.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) workload: String,
    pub(crate) txs: usize,
    pub(crate) gas: u64,
    pub(crate) figures: Vec<Figure>,
}

impl Measured {
    pub(crate) fn lean(&self) -> &Figure {
        &self.figures[0]
    }

    pub(crate) fn sequential(&self) -> &Figure {
        &self.figures[1]
    }

    pub(crate) fn parallel(&self, threads: usize) -> Option<&Figure> {
        self.figures[2..].iter().find(|figure| figure.threads == threads)
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lean(style) => write!(f, "lean ({style:?})"),
            Self::Ours(executor) => write!(f, "{} workers", executor.config().workers),
        }
    }
}

impl Contender {
    fn run(&self, workload: &Workload) -> Result<Run, String> {
        match self {
            Self::Lean(style) => {
                let (cpu, wall, result) = time(|| lean::run(workload, *style));
                let gas = result?.gas_used;
                Ok(Run { cpu, wall, gas, stats: ExecutionStats::default(), output: None })
            }
            Self::Ours(executor) => {
                let Workload { spec, block, state, .. } = workload;
                let (cpu, wall, result) = time(|| executor.execute_block(spec, block, state));
                let execution = result.map_err(|error| error.to_string())?;
                let (output, stats) = (execution.output, execution.stats);
                Ok(Run { cpu, wall, gas: output.gas_used, stats, output: Some(output) })
            }
        }
    }

    fn figure(&self, runs: &[Run]) -> Figure {
        let (contender, threads, style) = match self {
            Self::Lean(style) => ("lean", 1, Some(*style)),
            Self::Ours(executor) => match executor.config().workers {
                0 => ("sequential", 1, None),
                threads => ("parallel", threads, None),
            },
        };
        Figure {
            contender,
            threads,
            cpu_ms: median(runs.iter().map(|run| run.cpu).collect()),
            wall_ms: median(runs.iter().map(|run| run.wall).collect()),
            style,
            stats: runs.last().map(|run| run.stats).unwrap_or_default(),
            cpu_vs_lean: 1.0,
            wall_vs_lean: 1.0,
        }
    }
}

/// All contenders on one workload, in turns: each round begins with another one. An error if they do
/// not agree on what the block does.
pub(crate) fn measure(
    workload: &Workload,
    rounds: usize,
    threads: &[usize],
) -> Result<Measured, String> {
    let contenders = contenders(workload, threads)?;
    agree(workload, &contenders)?;
    let gas = workload.block.header.gas_used;
    let mut runs: Vec<Vec<Run>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds.max(1) {
        for turn in 0..contenders.len() {
            let index = (round + turn) % contenders.len();
            thread::sleep(PAUSE);
            let mut run = contenders[index].run(workload)?;
            if run.gas != gas {
                return Err(format!("{}: gas {} in round {round}", contenders[index], run.gas));
            }
            run.output = None;
            runs[index].push(run);
        }
    }
    let figures = contenders.iter().zip(&runs).map(|(contender, runs)| contender.figure(runs));
    let (lean, ours): (Vec<_>, Vec<_>) = figures.partition(|figure| figure.style.is_some());
    let lean = lean.into_iter().min_by(|a, b| a.cpu_ms.total_cmp(&b.cpu_ms)).unwrap();
    let ours = ours.into_iter().map(|figure| Figure {
        cpu_vs_lean: figure.cpu_ms / lean.cpu_ms,
        wall_vs_lean: figure.wall_ms / lean.wall_ms,
        ..figure
    });
    let figures = iter::once(lean.clone()).chain(ours).collect();
    let txs = workload.block.senders.len();
    Ok(Measured { workload: workload.name.clone(), txs, gas, figures })
}

/// Whether accesses are recorded, too.
fn record() -> bool {
    env::var("BANYAN_BENCH_RECORD").is_ok_and(|value| value == "1")
}

fn contenders(workload: &Workload, threads: &[usize]) -> Result<Vec<Contender>, String> {
    let ours = |config: ExecutorConfig| Contender::Ours(Box::new(Executor::new(config)));
    let parallel = |&workers: &usize| {
        ours(ExecutorConfig { workers, programs: ProgramMode::On, perturb: None, record: record() })
    };
    let gas = workload.block.header.gas_used;
    let works =
        |style: &Style| lean::run(workload, *style).is_ok_and(|output| output.gas_used == gas);
    let lean = [Style::Commit, Style::Journal].into_iter().filter(works).map(Contender::Lean);
    let mut all: Vec<_> = lean.collect();
    if all.is_empty() {
        return Err(format!("plain revm does not use {gas} gas"));
    }
    all.push(ours(ExecutorConfig::SEQUENTIAL));
    all.extend(threads.iter().map(parallel));
    Ok(all)
}

/// Sees to it, before any time is taken, that all do the same.
fn agree(workload: &Workload, contenders: &[Contender]) -> Result<(), String> {
    let mut expected: Option<BlockOutput> = None;
    for _ in 0..WARM_UP {
        for contender in contenders {
            let run = contender.run(workload).map_err(|error| format!("{contender}: {error}"))?;
            if run.gas != workload.block.header.gas_used {
                return Err(format!("{contender}: gas {}", run.gas));
            }
            match (&expected, run.output) {
                (Some(expected), Some(output)) if *expected != output => {
                    return Err(format!("{contender}: {}", difference(expected, &output)));
                }
                (None, output) => expected = output,
                _ => {}
            }
        }
    }
    Ok(())
}

/// The first thing that differs.
fn difference(expected: &BlockOutput, found: &BlockOutput) -> String {
    let receipts = expected.receipts.iter().zip(&found.receipts).enumerate();
    for (index, (expected, found)) in receipts {
        if expected != found {
            return format!("receipt {index} is {found:?}, expected {expected:?}");
        }
    }
    let (wanted, diff) = (&expected.diff.accounts, &found.diff.accounts);
    for address in wanted.keys().chain(diff.keys()) {
        let (wanted, found) = (wanted.get(address), diff.get(address));
        if wanted != found {
            return format!("account {address} is {found:?}, expected {wanted:?}");
        }
    }
    "codes, requests or blob gas differ".into()
}

/// Runs `work`; the result is dropped by the caller, after the clocks have stopped.
fn time<T>(work: impl FnOnce() -> T) -> (Duration, Duration, T) {
    let (cpu, wall) = (process_cpu(), Instant::now());
    let result = work();
    let wall = wall.elapsed();
    (process_cpu().saturating_sub(cpu), wall, result)
}

/// Processor time of the process, all threads.
fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().unwrap_or_default())
}

/// In ms.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}
