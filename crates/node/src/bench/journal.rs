//! `bench journal`: what durability costs. Three nodes, one without a journal, one that survives the
//! death of the process, one that survives power loss, get the same blocks in one run, each block at
//! its own time and each node first equally often, as a chain with that block time would.

use std::{
    fmt,
    time::{Duration, Instant},
};

use banyan_chain::Durability;
use serde_json::{Value, json};

use super::{
    BenchConfig, Workload,
    replay::{prepare, temporary_directory},
};
use crate::NodeError;

/// The classes that are compared; the first one is what the others are measured against.
const CLASSES: [(&str, Durability); 3] =
    [("D0", Durability::Off), ("D1", Durability::Process), ("D2", Durability::Power)];

/// Runs the benchmark: a block every `interval`. Blocks.
///
/// # Errors
/// A configuration that makes no sense, or a fault of ours.
pub fn bench_journal(config: &BenchConfig, interval: Duration) -> Result<JournalReport, NodeError> {
    config.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(NodeError::Runtime)?;
    let measure = |workload: &Workload| runtime.block_on(measure(config, *workload, interval));
    let results = config.workloads.iter().map(measure).collect::<Result<Vec<_>, _>>()?;
    Ok(JournalReport { seed: config.seed, gas_limit: config.gas_limit, interval, results })
}

async fn measure(
    config: &BenchConfig,
    workload: Workload,
    interval: Duration,
) -> Result<Tax, NodeError> {
    let prepared = prepare(config, workload).await?;
    let blocks = &prepared.blocks;
    let directory = temporary_directory(config)?;
    let mut stacks = Vec::new();
    for (name, durability) in CLASSES {
        let chain = config.chain(durability);
        stacks.push(prepared.open(&directory.path().join(name), chain)?);
    }
    let mut latencies = vec![Vec::with_capacity(blocks.len()); CLASSES.len()];
    let turn = interval / CLASSES.len() as u32;
    for (number, block) in blocks.iter().enumerate() {
        for place in 0..CLASSES.len() {
            let class = (number + place) % CLASSES.len();
            let next = tokio::time::Instant::now() + turn;
            let started = Instant::now();
            stacks[class].engine.new_payload(block).await?;
            stacks[class].engine.set_head(block.hash).await?;
            latencies[class].push(started.elapsed());
            tokio::time::sleep_until(next).await;
        }
    }
    for stack in stacks {
        stack.close().await?;
    }
    let transactions: u64 = blocks.iter().map(|block| block.transactions).sum();
    Ok(Tax { workload, transactions_per_block: transactions / blocks.len() as u64, latencies })
}

/// One workload: the answer times of every block, by class.
#[derive(Clone, Debug)]
struct Tax {
    workload: Workload,
    transactions_per_block: u64,
    latencies: Vec<Vec<Duration>>,
}

impl Tax {
    /// Median answer time of a class, milliseconds.
    fn median_ms(&self, class: usize) -> f64 {
        median(self.latencies[class].iter().map(|time| time.as_secs_f64() * 1e3).collect())
    }

    /// Median over the blocks of (answer time − answer time without a journal), as a share of the
    /// median without one.
    fn tax(&self, class: usize) -> f64 {
        let pairs = self.latencies[class].iter().zip(&self.latencies[0]);
        let differences =
            pairs.map(|(with, without)| (with.as_secs_f64() - without.as_secs_f64()) * 1e3);
        median(differences.collect()) / self.median_ms(0)
    }

    fn to_json(&self) -> Value {
        let classes: serde_json::Map<String, Value> = (0..CLASSES.len())
            .map(|class| {
                let value = json!({ "medianMs": self.median_ms(class), "tax": self.tax(class) });
                (CLASSES[class].0.to_owned(), value)
            })
            .collect();
        json!({
            "workload": self.workload.name(),
            "blocks": self.latencies[0].len(),
            "transactionsPerBlock": self.transactions_per_block,
            "classes": classes,
        })
    }
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// What `bench journal` measured.
#[derive(Clone, Debug)]
pub struct JournalReport {
    seed: u64,
    gas_limit: u64,
    interval: Duration,
    results: Vec<Tax>,
}

impl JournalReport {
    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "benchmark": "journal",
            "seed": self.seed,
            "gasLimit": self.gas_limit,
            "intervalMs": self.interval.as_millis() as u64,
            "results": self.results.iter().map(Tax::to_json).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for JournalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "newPayload + forkchoiceUpdated, a block every {:?}, seed {}, gas limit {}: median ms \
             without a journal (D0), with it (D1), flushed (D2); tax = median paired difference",
            self.interval, self.seed, self.gas_limit
        )?;
        let heads = ["workload", "blocks", "txs", "D0 ms", "D1 ms", "D2 ms", "D1 tax", "D2 tax"];
        let [workload, rest @ ..] = heads;
        write!(f, "{workload:<10}")?;
        for head in rest {
            write!(f, " {head:>8}")?;
        }
        writeln!(f)?;
        for tax in &self.results {
            write!(f, "{:<10} {:>8}", tax.workload.name(), tax.latencies[0].len())?;
            write!(f, " {:>8}", tax.transactions_per_block)?;
            for class in 0..CLASSES.len() {
                write!(f, " {:>8.2}", tax.median_ms(class))?;
            }
            for class in 1..CLASSES.len() {
                write!(f, " {:>7.1}%", tax.tax(class) * 100.0)?;
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
    fn the_tax_is_the_median_of_paired_differences() {
        let ms = |times: [u64; 3]| times.map(Duration::from_millis).to_vec();
        let tax = Tax {
            workload: Workload::Transfers,
            transactions_per_block: 1,
            latencies: vec![ms([100, 200, 100]), ms([105, 205, 300]), ms([110, 150, 110])],
        };
        assert_eq!(tax.median_ms(0), 100.0);
        assert!((tax.tax(1) - 0.05).abs() < 1e-9, "{}", tax.tax(1));
        assert!((tax.tax(2) - 0.10).abs() < 1e-9, "{}", tax.tax(2));
        let interval = Duration::from_secs(1);
        let report = JournalReport { seed: 1, gas_limit: 1, interval, results: vec![tax] };
        assert!(report.to_string().contains("5.0%"), "{report}");
        assert_eq!(report.to_json()["results"][0]["classes"]["D1"]["medianMs"], 205.0);
    }
}
