use std::{fmt, time::Duration};

use serde_json::{Value, json};

use super::client::Sent;

/// Figures of `bench ingest`.
#[derive(Clone, Debug)]
pub struct IngestReport {
    pub(super) connections: u32,
    pub(super) senders: u32,
    pub(super) rounds: Vec<Round>,
}

/// One round.
#[derive(Clone, Debug)]
pub(super) struct Round {
    pub(super) name: &'static str,
    pub(super) sent: Sent,
    /// Blocks committed meanwhile.
    pub(super) blocks: u64,
    /// Processor time of the node.
    pub(super) cpu: Duration,
}

impl Round {
    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.sent.accepted.max(1) as f64
    }

    fn per_second(&self) -> f64 {
        self.sent.accepted as f64 / self.sent.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    fn quantiles_ms(&self) -> [f64; 4] {
        self.sent.quantiles.map(|quantile| quantile.as_secs_f64() * 1e3)
    }

    fn to_json(&self) -> Value {
        let [p50, p99, p999, max] = self.quantiles_ms();
        json!({
            "round": self.name,
            "accepted": self.sent.accepted,
            "blocks": self.blocks,
            "accepted_per_second": self.per_second(),
            "cpu_us_per_transaction": self.cpu_us(),
            "latency_ms": { "p50": p50, "p99": p99, "p99_9": p999, "max": max },
        })
    }
}

impl IngestReport {
    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({
            "connections": self.connections,
            "senders": self.senders,
            "rounds": self.rounds.iter().map(Round::to_json).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for IngestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, senders, .. } = self;
        writeln!(f, "eth_sendRawTransaction, {connections} connections, {senders} senders")?;
        writeln!(f, "round    accepted  blocks      tx/s  cpu us/tx   p50 ms   p99 ms   max ms")?;
        for round in &self.rounds {
            let [p50, p99, _, max] = round.quantiles_ms();
            writeln!(
                f,
                "{:<8} {:>8} {:>7} {:>9.0} {:>10.1} {p50:>8.2} {p99:>8.2} {max:>8.2}",
                round.name,
                round.sent.accepted,
                round.blocks,
                round.per_second(),
                round.cpu_us(),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_per_accepted_transaction() {
        let sent = Sent { accepted: 1_000, elapsed: Duration::from_secs(2), ..Default::default() };
        let cpu = Duration::from_millis(80);
        let round = Round { name: "idle", sent, blocks: 0, cpu };
        assert_eq!((round.cpu_us(), round.per_second()), (80.0, 500.0));
        let report = IngestReport { connections: 8, senders: 5, rounds: vec![round] };
        assert_eq!(report.to_json()["rounds"][0]["cpu_us_per_transaction"], 80.0);
        assert_eq!(report.to_string().lines().count(), 3);
    }
}
