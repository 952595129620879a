//! `bench lag`: what a lag hides. Two nodes of a `wide` chain, one that builds and one that verifies,
//! first get a block every so often, then the verifier gets three times as many blocks as the lag at
//! once, then both go on as before. What waiting for roots took is told for each block by the nodes
//! themselves.

use std::{
    fmt,
    time::{Duration, Instant},
};

use banyan_chain::{BlockTimings, ChainConfig, Durability, Roots};
use banyan_primitives::B256;
use serde_json::{Value, json};

use super::{
    BenchConfig, Workload,
    replay::{Prepared, Stack, temporary_directory},
    workload::Generator,
};
use crate::{
    NodeError,
    engine::BuiltBlock,
    metrics::{Metrics, cpu_seconds},
};

/// What to measure.
#[derive(Clone, Debug)]
pub struct LagConfig {
    /// Workloads and blocks; without a lag it is 4.
    pub replay: BenchConfig,
    /// Time between blocks, but in the burst.
    pub interval: Duration,
    /// Memory for state roots, bytes; `None`: as much as a node takes.
    pub root_memory: Option<u64>,
}

/// Runs the benchmark. Blocks.
///
/// # Errors
/// A configuration that makes no sense, or a fault of ours.
pub fn bench_lag(config: &LagConfig) -> Result<LagReport, NodeError> {
    config.replay.check()?;
    let lag = config.replay.lag.unwrap_or(4);
    let replay = BenchConfig { lag: Some(lag), ..config.replay.clone() };
    let config = LagConfig { replay, ..config.clone() };
    let metrics = Metrics::install()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(NodeError::Runtime)?;
    let measure = |workload: &Workload| runtime.block_on(measure(&config, *workload, &metrics));
    let results = config.replay.workloads.iter().map(measure).collect::<Result<Vec<_>, _>>()?;
    Ok(LagReport { config, lag, results })
}

async fn measure(
    config: &LagConfig,
    workload: Workload,
    metrics: &Metrics,
) -> Result<LagResult, NodeError> {
    let replay = &config.replay;
    let (prepared, mut generator) = Prepared::at_genesis(replay, workload)?;
    let directory = temporary_directory(replay)?;
    let open = |name: &str| {
        let chain = replay.chain(Durability::Process);
        let root_memory = config.root_memory.unwrap_or(chain.root_memory);
        let chain = ChainConfig { root_memory, ..chain };
        prepared.open(&directory.path().join(name), chain)
    };
    let mut pair = Pair { builder: open("builder")?, verifier: open("verifier")? };
    pair.builder.wait_until_prepared().await?;
    pair.verifier.wait_until_prepared().await?;
    let burst = 3 * replay.lag.unwrap_or_default();
    let mut result = LagResult { workload, ..Default::default() };
    for _ in 0..replay.blocks {
        result.paced.push(pair.paced(config, &mut generator).await?);
    }
    let mut blocks = Vec::new();
    for _ in 0..burst {
        let transactions = generator.next_block(replay.gas_limit)?;
        blocks.push(pair.builder.build(replay.gas_limit, &transactions).await?);
    }
    let root_seconds = || metrics.sum_seconds("banyan_root_seconds");
    let (roots_before, cpu_before) = (root_seconds(), cpu_seconds().unwrap_or_default());
    for block in &blocks {
        result.burst.push(pair.verify(block).await?);
    }
    result.cpu = cpu_seconds().unwrap_or_default() - cpu_before;
    for _ in 0..burst {
        result.recovery.push(pair.paced(config, &mut generator).await?);
    }
    let roots = result.burst.len() + 2 * result.recovery.len();
    result.root = (root_seconds() - roots_before) / roots as f64;
    pair.builder.close().await?;
    pair.verifier.close().await?;
    Ok(result)
}

/// The two nodes.
struct Pair {
    builder: Stack,
    verifier: Stack,
}

impl Pair {
    /// A block at its time: asked for, taken half an interval later, then verified.
    async fn paced(
        &mut self,
        config: &LagConfig,
        generator: &mut Generator,
    ) -> Result<Step, NodeError> {
        let gas_limit = config.replay.gas_limit;
        let transactions = generator.next_block(gas_limit)?;
        let began = tokio::time::Instant::now();
        let job = self.builder.start_build(gas_limit, &transactions).await?;
        tokio::time::sleep_until(began + config.interval / 2).await;
        let started = Instant::now();
        let block = self.builder.finish_build(&job).await?;
        let get = started.elapsed();
        self.builder.engine.new_payload(&block).await?;
        let built = timings(&self.builder, &block.hash)?;
        self.builder.engine.set_head(block.hash).await?;
        let verified = self.verify(&block).await?;
        tokio::time::sleep_until(began + config.interval).await;
        Ok(Step { get: Some((get, built.wait)), ..verified })
    }

    /// Sends a block to the verifier.
    async fn verify(&self, block: &BuiltBlock) -> Result<Step, NodeError> {
        let started = Instant::now();
        self.verifier.engine.new_payload(block).await?;
        let new = started.elapsed();
        let BlockTimings { execute, wait, .. } = timings(&self.verifier, &block.hash)?;
        let queue = self.verifier.chain.view().roots().map_or(0, Roots::queue_depth);
        self.verifier.engine.set_head(block.hash).await?;
        Ok(Step { get: None, new, execute, wait, queue, both: started.elapsed() })
    }
}

fn timings(stack: &Stack, hash: &B256) -> Result<BlockTimings, NodeError> {
    let view = stack.chain.view();
    let executed = view.executed(hash).map(|block| block.timings);
    executed.ok_or_else(|| NodeError::Bench(format!("block {hash} is not in memory")))
}

/// One block.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    /// getPayload, and how long the build waited for a root.
    get: Option<(Duration, Duration)>,
    /// newPayload, of which execution and waiting for a root.
    new: Duration,
    execute: Duration,
    wait: Duration,
    /// Roots under way after it.
    queue: usize,
    /// newPayload and forkchoiceUpdated.
    both: Duration,
}

impl Step {
    fn to_json(self, phase: &str) -> Value {
        json!({
            "phase": phase,
            "getPayloadMs": self.get.map(|(get, _)| ms(get)),
            "getPayloadRootWaitMs": self.get.map(|(_, wait)| ms(wait)),
            "newPayloadMs": ms(self.new),
            "executeMs": ms(self.execute),
            "newPayloadRootWaitMs": ms(self.wait),
            "queue": self.queue,
            "newPayloadAndForkchoiceMs": ms(self.both),
        })
    }
}

/// One workload.
#[derive(Clone, Debug, Default)]
struct LagResult {
    workload: Workload,
    paced: Vec<Step>,
    burst: Vec<Step>,
    recovery: Vec<Step>,
    /// Seconds that a root took, on average over burst and recovery.
    root: f64,
    /// Processor time of the burst.
    cpu: f64,
}

/// What `bench lag` measured.
#[derive(Clone, Debug)]
pub struct LagReport {
    config: LagConfig,
    lag: u64,
    results: Vec<LagResult>,
}

impl LagReport {
    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let results = self.results.iter().map(|result| {
            let rows = |phase, steps: &[Step]| -> Vec<Value> {
                steps.iter().map(|step| step.to_json(phase)).collect()
            };
            let rows = [
                rows("paced", &result.paced),
                rows("burst", &result.burst),
                rows("recovery", &result.recovery),
            ];
            json!({
                "workload": result.workload.name(),
                "rootMs": result.root * 1e3,
                "burstCpuSeconds": result.cpu,
                "blocks": rows.concat(),
            })
        });
        json!({
            "benchmark": "lag",
            "lag": self.lag,
            "seed": self.config.replay.seed,
            "gasLimit": self.config.replay.gas_limit,
            "senders": self.config.replay.senders,
            "intervalMs": self.config.interval.as_millis() as u64,
            "rootMemory": self.config.root_memory,
            "results": results.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for LagReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "headers lag {}, a block every {:?}, gas limit {}; milliseconds p50 / p99 / max, and \
             the wait for roots in them",
            self.lag, self.config.interval, self.config.replay.gas_limit
        )?;
        for result in &self.results {
            result.write(f, usize::try_from(self.lag).unwrap_or(usize::MAX))?;
        }
        Ok(())
    }
}

impl LagResult {
    fn write(&self, f: &mut fmt::Formatter<'_>, lag: usize) -> fmt::Result {
        writeln!(f, "{}, a root takes {:.1}", self.workload, self.root * 1e3)?;
        for (phase, steps) in [("paced", &self.paced), ("after", &self.recovery)] {
            let of = |time: fn(&Step) -> Duration| Spread::of(steps.iter().map(time));
            let get = of(|step| step.get.unwrap_or_default().0);
            let get_wait = of(|step| step.get.unwrap_or_default().1);
            let (new, wait) = (of(|step| step.new), of(|step| step.wait));
            writeln!(
                f,
                "  {phase}: getPayload {get}, wait {get_wait}; newPayload {new}, wait {wait}"
            )?;
        }
        let within = &self.burst[..lag.min(self.burst.len())];
        let beyond = &self.burst[within.len()..];
        for (phase, steps) in [("within the lag", within), ("beyond it", beyond)] {
            let mean = |time: fn(&Step) -> Duration| {
                ms(steps.iter().map(time).sum::<Duration>()) / steps.len().max(1) as f64
            };
            let (both, execute) = (mean(|step| step.both), mean(|step| step.execute));
            let wait = mean(|step| step.wait);
            let queue = steps.iter().map(|step| step.queue).max().unwrap_or_default();
            writeln!(
                f,
                "  burst, {phase}: {both:.1} a block (mean), execution {execute:.1}, wait {wait:.1}, \
                 queue up to {queue}"
            )?;
        }
        let steps = self.burst.iter().map(|step| (step.both, step.wait, step.queue));
        let list: Vec<_> = steps
            .map(|(both, wait, queue)| format!("{:.0} ({:.0}, {queue})", ms(both), ms(wait)))
            .collect();
        writeln!(f, "  burst, block by block (wait, queue): {}", list.join(" "))
    }
}

/// Half of the times are below the first, 99 of 100 below the second, all below the last, ms.
struct Spread([f64; 3]);

impl Spread {
    fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.map(ms).collect();
        times.sort_unstable_by(f64::total_cmp);
        let last = times.len().saturating_sub(1) as f64;
        let at = |share: f64| times.get((share * last).round() as usize).copied();
        Self([0.5, 0.99, 1.0].map(|share| at(share).unwrap_or_default()))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = self.0;
        write!(f, "{p50:.1} / {p99:.1} / {max:.1}")
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_both_ends_of_a_burst() {
        let step = |wait| Step {
            get: Some((Duration::from_millis(2), Duration::ZERO)),
            wait: Duration::from_millis(wait),
            both: Duration::from_millis(100 + wait),
            queue: 1 + wait as usize / 10,
            ..Default::default()
        };
        let result = LagResult {
            paced: vec![step(0); 3],
            burst: vec![step(0), step(30)],
            recovery: vec![step(0)],
            ..Default::default()
        };
        let replay = BenchConfig {
            workloads: vec![Workload::Transfers],
            blocks: 3,
            gas_limit: 1,
            senders: 1,
            grown: None,
            lag: Some(1),
            seed: 1,
            directory: None,
            persist_threshold: None,
            executor: Default::default(),
        };
        let config = LagConfig { replay, interval: Duration::from_secs(1), root_memory: None };
        let report = LagReport { config, lag: 1, results: vec![result] };
        let text = report.to_string();
        assert!(text.contains("getPayload 2.0 / 2.0 / 2.0, wait 0.0 / 0.0 / 0.0"), "{text}");
        assert!(text.contains("beyond it: 130.0 a block (mean)"), "{text}");
        assert!(text.contains("100 (0, 1) 130 (30, 4)"), "{text}");
        let rows = &report.to_json()["results"][0]["blocks"];
        assert_eq!((rows.as_array().unwrap().len(), &rows[3]["phase"]), (6, &json!("burst")));
    }
}
