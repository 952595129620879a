//! Rows of `commitment.json` that the node contributes (`make bench-commitment`): what a block costs in
//! the whole of it, and what of that is the root.

use serde_json::{Value, json};

use super::{BenchReport, report::WorkloadResult};

impl BenchReport {
    /// A row per workload: CPU and wall time per block in milliseconds, bytes written per block.
    pub fn commitment_rows(&self) -> Vec<Value> {
        self.results.iter().map(|result| self.row(result)).collect()
    }

    fn row(&self, result: &WorkloadResult) -> Value {
        let blocks = result.latencies.len().max(1) as f64;
        let ms = |seconds: f64| seconds * 1e3 / blocks;
        json!({
            "case": "node",
            "rule": self.rule(),
            "lag": self.lag,
            "workload": result.workload.name(),
            "keys_in_state": self.keys,
            "batch": null,
            "transactions": result.transactions as f64 / blocks,
            "gas": result.gas as f64 / blocks,
            "threads": rayon::current_num_threads(),
            "cpu_ms": ms(result.cpu.as_secs_f64()),
            "wall_ms": ms(result.answer_seconds()),
            "root_ms": ms(result.phases.root),
            "root_share": result.root_share(),
            "bytes_written": result.bytes_written as f64 / blocks,
            "proof_bytes": null,
        })
    }

    pub(super) fn rule(&self) -> &'static str {
        if self.lag.is_some() { "wide" } else { "mpt" }
    }
}
