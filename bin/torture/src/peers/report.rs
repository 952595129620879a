//! What the rounds showed, as a table and as JSON.

use std::{fmt::Write, time::Duration};

use serde_json::{Value, json};

use crate::{recording::Manifest, replay::Run};

/// All rounds of one workload.
pub(crate) struct Results {
    /// What was replayed.
    pub(crate) manifest: Manifest,
    /// Each client with its class and its rounds.
    pub(crate) clients: Vec<Rounds>,
}

/// The rounds of one client.
pub(crate) struct Rounds {
    /// Its name.
    pub(crate) name: String,
    /// Durability and root class, as somebody found them.
    pub(crate) class: String,
    /// In order.
    pub(crate) runs: Vec<Run>,
}

/// Median, least and most.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (least, most) = (values.first(), values.last());
        let [least, most] = [least, most].map(|value| value.copied().unwrap_or_default());
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            _ if values.is_empty() => 0.0,
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Self { median, least, most }
    }

    fn json(self) -> Value {
        json!({ "median": self.median, "least": self.least, "most": self.most })
    }
}

impl Rounds {
    fn spread(&self, value: impl Fn(&Run) -> f64) -> Spread {
        Spread::of(self.runs.iter().map(value).collect())
    }

    /// Answer times of all blocks of all rounds, newPayload and forkchoiceUpdated together.
    fn answers(&self) -> Vec<Duration> {
        let all = self.runs.iter().flat_map(|run| &run.answers);
        let mut all: Vec<Duration> = all.map(|[payload, choice]| *payload + *choice).collect();
        all.sort();
        all
    }
}

/// The value below which a share of the sorted `values` lies.
fn quantile(values: &[Duration], share: f64) -> Duration {
    let place = (values.len() as f64 * share).ceil() as usize;
    values.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

const HEAD: &str = "\
| workload | client | class | Mgas per CPU-s | with drain | Mgas/s | p50 ms | p99 ms | written MB | others |
|---|---|---|---|---|---|---|---|---|---|
";

impl Results {
    /// Rows of the first table.
    pub(crate) fn rows(&self) -> String {
        let gas = self.manifest.measured_gas() as f64 / 1e6;
        let mut text = String::new();
        for client in &self.clients {
            let answers = client.answers();
            let ms = |share| quantile(&answers, share).as_secs_f64() * 1e3;
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} | {:.0} % |",
                self.manifest.plan.workload,
                client.name,
                client.class,
                client.spread(|run| gas / run.used.seconds()).median,
                client.spread(|run| gas / run.drained.seconds()).median,
                client.spread(|run| gas / run.answered().as_secs_f64()).median,
                ms(0.5),
                ms(0.99),
                client.spread(|run| run.drained.written as f64 / 1e6).median,
                client.spread(|run| run.used.others() * 100.0).median,
            );
        }
        text
    }

    /// The first client against each other one, a round at a time: by gas per CPU-second, the same
    /// with drain, and by gas per second of answer time.
    fn ratios(&self) -> Vec<(&str, [Spread; 3])> {
        let Some((first, others)) = self.clients.split_first() else { return Vec::new() };
        let ratio = |other: &Rounds, cost: fn(&Run) -> f64| {
            let pairs = first.runs.iter().zip(&other.runs);
            Spread::of(pairs.map(|(ours, theirs)| cost(theirs) / cost(ours)).collect())
        };
        let costs: [fn(&Run) -> f64; 3] = [
            |run| run.used.seconds(),
            |run| run.drained.seconds(),
            |run| run.answered().as_secs_f64(),
        ];
        let all = |other| costs.map(|cost| ratio(other, cost));
        others.iter().map(|other| (other.name.as_str(), all(other))).collect()
    }

    /// Rows of the second table.
    fn ratio_rows(&self) -> String {
        let mut text = String::new();
        let cell = |it: Spread| format!("{:.2} ({:.2}–{:.2})", it.median, it.least, it.most);
        for (other, spreads) in self.ratios() {
            let name = &self.clients[0].name;
            let cells = spreads.map(cell).join(" | ");
            let _ =
                writeln!(text, "| {} | {name} : {other} | {cells} |", self.manifest.plan.workload);
        }
        text
    }

    /// Everything, block by block.
    pub(crate) fn json(&self) -> Value {
        let round = |run: &Run| {
            let micros = |times: &[Duration; 2]| json!(times.map(|time| time.as_micros() as u64));
            json!({
                "cpu_s": run.used.seconds(),
                "cpu_with_drain_s": run.drained.seconds(),
                "answered_s": run.answered().as_secs_f64(),
                "written_bytes": run.drained.written,
                "others": run.used.others(),
                "answers_us": run.answers.iter().map(micros).collect::<Value>(),
            })
        };
        let client = |it: &Rounds| {
            let rounds: Value = it.runs.iter().map(round).collect();
            json!({ "client": it.name, "class": it.class, "rounds": rounds })
        };
        let ratio = |(other, [cpu, drain, wall]): (&str, [Spread; 3])| {
            json!({
                "to": other,
                "gas_per_cpu_s": cpu.json(),
                "with_drain": drain.json(),
                "gas_per_s": wall.json(),
            })
        };
        json!({
            "manifest": self.manifest,
            "measured_gas": self.manifest.measured_gas(),
            "clients": self.clients.iter().map(client).collect::<Value>(),
            "ratios": self.ratios().into_iter().map(ratio).collect::<Value>(),
        })
    }
}

/// Both tables, in Markdown.
pub(crate) fn tables(results: &[Results]) -> String {
    let mut text = HEAD.to_owned();
    text.extend(results.iter().map(Results::rows));
    text +=
        "\n| workload | ratio of | gas per CPU-s | with drain | gas/s |\n|---|---|---|---|---|\n";
    text.extend(results.iter().map(Results::ratio_rows));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_its_median_in_the_middle() {
        let spread = |values: &[f64]| Spread::of(values.to_vec());
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Spread { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(spread(&[4.0, 1.0]), Spread { median: 2.5, least: 1.0, most: 4.0 });
        assert_eq!(spread(&[]).median, 0.0);
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let times: Vec<Duration> = (1..=10).map(Duration::from_millis).collect();
        assert_eq!(quantile(&times, 0.5), Duration::from_millis(5));
        assert_eq!(quantile(&times, 0.99), Duration::from_millis(10));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}
