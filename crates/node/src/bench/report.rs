//! What was measured, as a table and as JSON.

use std::{fmt, time::Duration};

use banyan_primitives::B256;
use serde_json::{Value, json};

use super::Workload;
use crate::metrics::Metrics;

/// What `bench replay` measured.
#[derive(Clone, Debug)]
pub struct BenchReport {
    /// Seed of the blocks.
    pub(super) seed: u64,
    /// Gas limit of the blocks.
    pub(super) gas_limit: u64,
    /// Blocks by which headers lag, on a `wide` chain.
    pub(super) lag: Option<u64>,
    /// Accounts and slots at genesis, about.
    pub(super) keys: u64,
    /// One entry per workload.
    pub(super) results: Vec<WorkloadResult>,
}

/// One workload.
#[derive(Clone, Debug)]
pub(super) struct WorkloadResult {
    pub(super) workload: Workload,
    /// Transactions in all blocks, L1 attributes deposits included.
    pub(super) transactions: u64,
    pub(super) gas: u64,
    /// Hash of the last block: the same seed must give the same one.
    pub(super) head: B256,
    /// newPayload + forkchoiceUpdated of each block.
    pub(super) latencies: Vec<Duration>,
    /// Before the first block: until the state's tree was in memory.
    pub(super) prepare: Duration,
    /// From the last answer until everything is written and the threads have ended.
    pub(super) drain: Duration,
    /// Processor time of the process, driver included, drain included.
    pub(super) cpu: Duration,
    /// Handed to the system, drain included.
    pub(super) bytes_written: u64,
    pub(super) phases: Phases,
}

/// Seconds that all blocks spent in each phase. Persisting runs beside the others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Phases {
    pub(super) recover: f64,
    pub(super) execute: f64,
    pub(super) root: f64,
    persist: f64,
    /// Waiting for the root of an earlier block, of `root`.
    wait: f64,
}

impl Phases {
    /// Sums of the chain's histograms up to now.
    pub(super) fn read(metrics: &Metrics) -> Self {
        let sum = |phase: &str| metrics.sum_seconds(&format!("banyan_block_{phase}_seconds"));
        Self {
            recover: sum("recover"),
            execute: sum("execute"),
            root: sum("root"),
            persist: sum("persist"),
            wait: metrics.sum_seconds("banyan_root_wait_seconds"),
        }
    }

    /// What was added since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            recover: self.recover - before.recover,
            execute: self.execute - before.execute,
            root: self.root - before.root,
            persist: self.persist - before.persist,
            wait: self.wait - before.wait,
        }
    }

    fn entries(self) -> [(&'static str, f64); 4] {
        [
            ("recover", self.recover),
            ("execute", self.execute),
            ("root", self.root),
            ("persist", self.persist),
        ]
    }
}

impl WorkloadResult {
    pub(super) fn answer_seconds(&self) -> f64 {
        self.latencies.iter().sum::<Duration>().as_secs_f64()
    }

    /// What is done after the last transaction, root first of all, as a share of the answer times.
    pub(super) fn root_share(&self) -> f64 {
        self.phases.root / self.answer_seconds()
    }

    /// Latency below which this share of the blocks stayed.
    fn percentile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let index = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
        sorted.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }

    fn to_json(&self) -> Value {
        let answer = self.answer_seconds();
        let total = answer + self.drain.as_secs_f64();
        let phases: serde_json::Map<String, Value> = self
            .phases
            .entries()
            .into_iter()
            .map(|(name, seconds)| {
                let speed = json!(mgas_per_second(self.gas, seconds));
                (name.to_owned(), json!({ "seconds": seconds, "mgasPerSecond": speed }))
            })
            .collect();
        json!({
            "workload": self.workload.name(),
            "blocks": self.latencies.len(),
            "transactions": self.transactions,
            "gas": self.gas,
            "head": self.head,
            "rootClass": "R0",
            "durabilityClass": "D1",
            "prepareSeconds": self.prepare.as_secs_f64(),
            "answerSeconds": answer,
            "drainSeconds": self.drain.as_secs_f64(),
            "cpuSeconds": self.cpu.as_secs_f64(),
            "mgasPerSecond": mgas_per_second(self.gas, answer),
            "mgasPerSecondWithDrain": mgas_per_second(self.gas, total),
            "mgasPerCpuSecond": mgas_per_second(self.gas, self.cpu.as_secs_f64()),
            "latencyMs": {
                "p50": self.percentile_ms(0.5),
                "p90": self.percentile_ms(0.9),
                "p99": self.percentile_ms(0.99),
                "max": self.percentile_ms(1.0),
            },
            "rootShare": self.root_share(),
            "bytesWritten": self.bytes_written,
            "rootWaitSeconds": self.phases.wait,
            "phases": phases,
        })
    }
}

impl BenchReport {
    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "benchmark": "replay",
            "seed": self.seed,
            "gasLimit": self.gas_limit,
            "rule": self.rule(),
            "lag": self.lag,
            "keys": self.keys,
            "results": self.results.iter().map(WorkloadResult::to_json).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "newPayload + forkchoiceUpdated, seed {}, gas limit {}, {} keys, {}; Mgas/s over answer \
             time, with drain, per CPU second; then Mgas/s by phase (persist runs beside the \
             others), and the root's share of the answer time",
            self.seed,
            self.gas_limit,
            self.keys,
            self.rule(),
        )?;
        writeln!(
            f,
            "{:<10} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} | {:>8} {:>8} {:>8} {:>8} {:>7}",
            "workload",
            "blocks",
            "txs",
            "Mgas",
            "answer",
            "+drain",
            "per CPU",
            "p50 ms",
            "recover",
            "execute",
            "root",
            "persist",
            "root %"
        )?;
        for result in &self.results {
            result.fmt_row(f)?;
        }
        Ok(())
    }
}

impl WorkloadResult {
    fn fmt_row(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = self.answer_seconds();
        write!(
            f,
            "{:<10} {:>6} {:>8} {:>8.0} {:>8.1} {:>8.1} {:>8.1} {:>8.1} |",
            self.workload.name(),
            self.latencies.len(),
            self.transactions,
            self.gas as f64 / 1e6,
            mgas_per_second(self.gas, answer).unwrap_or_default(),
            mgas_per_second(self.gas, answer + self.drain.as_secs_f64()).unwrap_or_default(),
            mgas_per_second(self.gas, self.cpu.as_secs_f64()).unwrap_or_default(),
            self.percentile_ms(0.5),
        )?;
        for (_, seconds) in self.phases.entries() {
            match mgas_per_second(self.gas, seconds) {
                Some(speed) => write!(f, " {speed:>8.0}")?,
                None => write!(f, " {:>8}", "-")?,
            }
        }
        writeln!(f, " {:>7.1}", self.root_share() * 100.0)
    }
}

/// `None` where nothing was measured.
pub(super) fn mgas_per_second(gas: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| gas as f64 / 1e6 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> BenchReport {
        let result = WorkloadResult {
            workload: Workload::Erc20,
            transactions: 300,
            gas: 30_000_000,
            head: B256::ZERO,
            latencies: [30, 10, 20].map(Duration::from_millis).to_vec(),
            prepare: Duration::from_millis(5),
            drain: Duration::from_millis(40),
            cpu: Duration::from_millis(120),
            bytes_written: 6_000,
            phases: Phases { execute: 0.03, ..Phases::default() },
        };
        let (lag, keys) = (None, 1_000);
        BenchReport { seed: 1, gas_limit: 60_000_000, lag, keys, results: vec![result] }
    }

    #[test]
    fn speeds_follow_from_gas_and_time() {
        let json = report().to_json();
        let result = &json["results"][0];
        assert_eq!(result["mgasPerSecond"], 500.0);
        assert_eq!(result["mgasPerSecondWithDrain"], 300.0);
        assert_eq!(result["mgasPerCpuSecond"], 250.0);
        assert_eq!(result["latencyMs"]["p50"], 20.0);
        assert_eq!(result["latencyMs"]["max"], 30.0);
        assert_eq!(result["phases"]["execute"]["mgasPerSecond"], 1000.0);
        assert_eq!(result["phases"]["root"]["mgasPerSecond"], Value::Null, "not measured");
    }

    #[test]
    fn rows_of_the_commitment_are_per_block() {
        let rows = BenchReport { lag: Some(4), ..report() }.commitment_rows();
        assert_eq!((&rows[0]["rule"], &rows[0]["case"]), (&json!("wide"), &json!("node")));
        assert_eq!(rows[0]["cpu_ms"], 40.0);
        assert_eq!(rows[0]["wall_ms"], 20.0);
        assert_eq!(rows[0]["bytes_written"], 2_000.0);
        assert_eq!(rows[0]["keys_in_state"], 1_000);
    }

    #[test]
    fn the_table_has_a_row_per_workload() {
        let text = report().to_string();
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().last().unwrap().starts_with("erc20"), "{text}");
    }
}
