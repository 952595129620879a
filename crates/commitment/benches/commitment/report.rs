//! What was measured: lines and tables for people, rows for programs.

use std::{collections::BTreeSet, fmt, fmt::Write as _, str::FromStr};

use serde_json::{Value, json};

use crate::{
    mdbx::Run,
    measure::{Cost, median},
    workload::Shape,
};

/// Whose root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// The keccak trie that is kept in memory.
    Mpt,
    /// The keccak trie read from stored nodes.
    Walker,
    Wide,
    Nomt,
}

impl Rule {
    pub(crate) const ALL: [Self; 4] = [Self::Mpt, Self::Walker, Self::Wide, Self::Nomt];
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Mpt => "mpt",
            Self::Walker => "walker",
            Self::Wide => "wide",
            Self::Nomt => "nomt",
        })
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|rule| rule.to_string() == name);
        named.ok_or_else(|| format!("unknown rule {name}"))
    }
}

/// Where the state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Ram,
    Disk,
}

/// Medians of one rule on the blocks of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) place: Place,
    /// The flat state is part of it, and all is flushed to the disk.
    pub(crate) flushed: bool,
    pub(crate) rule: Rule,
    pub(crate) shape: Shape,
    /// Keys in the state.
    pub(crate) keys: usize,
    pub(crate) batch: usize,
    pub(crate) threads: usize,
    pub(crate) cost: Cost,
    pub(crate) bytes: Option<f64>,
    /// Mean size of a proof.
    pub(crate) proof: Option<f64>,
    /// CPU ms of the root and of what is written.
    phases: Option<[f64; 2]>,
    /// CPU ms, within the sum, of threads that spin while they wait for the disk.
    pub(crate) polled: f64,
    /// CPU ms and bytes of the flat state, where it is not in the sum.
    pub(crate) flat: Option<[f64; 2]>,
    /// Of the stored nodes in the database.
    pub(crate) node_bytes: Option<u64>,
}

impl Row {
    /// A row without figures.
    pub(crate) fn new(
        (place, flushed): (Place, bool),
        (shape, keys): (Shape, usize),
        (batch, threads): (usize, usize),
    ) -> Self {
        let (rule, cost) = (Rule::Mpt, Cost::default());
        let (bytes, proof, phases, flat, node_bytes) = (None, None, None, None, None);
        Self {
            place,
            flushed,
            rule,
            shape,
            keys,
            batch,
            threads,
            cost,
            bytes,
            proof,
            phases,
            flat,
            node_bytes,
            polled: 0.0,
        }
    }

    /// The row of a rule in memory.
    pub(crate) fn with(&self, rule: Rule, costs: &[Cost]) -> Self {
        let cpu = median(costs.iter().map(|cost| cost.cpu));
        let wall = median(costs.iter().map(|cost| cost.wall));
        Self { rule, cost: Cost { cpu, wall }, ..self.clone() }
    }

    /// The row of a rule in a database.
    pub(crate) fn with_runs(&self, rule: Rule, runs: &[Run]) -> Self {
        let of = |value: fn(&Run) -> f64| median(runs.iter().map(value));
        let (compute, write) = (of(|run| run.compute.cpu), of(|run| run.write.cpu));
        let cpu = of(|run| run.compute.cpu + run.write.cpu);
        let wall = of(|run| run.compute.wall + run.write.wall);
        let flat = [of(|run| run.flat.cpu), of(|run| run.flat_bytes as f64)];
        Self {
            rule,
            cost: Cost { cpu, wall },
            bytes: Some(of(|run| run.bytes as f64)),
            phases: Some([compute, write]),
            polled: of(|run| run.polled),
            flat: (!self.flushed).then_some(flat),
            ..self.clone()
        }
    }

    /// What rows of other rules have in common with this one.
    pub(crate) fn like(&self, other: &Self) -> bool {
        self.blocks() == other.blocks()
    }

    fn blocks(&self) -> (Place, bool, Shape, usize, usize, usize) {
        (self.place, self.flushed, self.shape, self.keys, self.threads, self.batch)
    }

    pub(crate) fn json(&self) -> Value {
        let case = if self.place == Place::Ram { "ram" } else { "mdbx" };
        json!({
            "case": case,
            "rule": self.rule.to_string(),
            "shape": self.shape.to_string(),
            "flushed": self.flushed,
            "keys_in_state": self.keys,
            "batch": self.batch,
            "threads": self.threads,
            "cpu_ms": self.cost.cpu,
            "wall_ms": self.cost.wall,
            "bytes_written": self.bytes,
            "proof_bytes": self.proof,
            "compute_ms": self.phases.map(|phases| phases[0]),
            "write_ms": self.phases.map(|phases| phases[1]),
            "polled_ms": self.polled,
            "flat_ms": self.flat.map(|flat| flat[0]),
            "flat_bytes": self.flat.map(|flat| flat[1]),
            "node_bytes": self.node_bytes,
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shape, keys, batch, threads, rule, cost, .. } = self;
        let what = match (self.place, self.flushed) {
            (Place::Ram, _) => "ram",
            (_, false) => "tree",
            (_, true) => "all, flushed",
        };
        let per_key = cost.cpu * 1e3 / *batch as f64;
        write!(
            f,
            "{what:12} {shape:8}{:>5} b={batch:<6}t={threads} {rule:7} {:8.2} ms cpu {:8.2} wall \
             {per_key:6.2} us/key",
            millions(*keys),
            cost.cpu,
            cost.wall,
        )?;
        if let (Some([compute, write]), Some(bytes)) = (self.phases, self.bytes) {
            write!(f, "; {compute:.2} + {write:.2}, {:.2} MB", bytes / 1e6)?;
        }
        if self.polled > 0.0 {
            write!(f, "; {:.2} of it polling", self.polled)?;
        }
        if let Some([cpu, bytes]) = self.flat {
            write!(f, "; flat {cpu:.2}, {:.2} MB", bytes / 1e6)?;
        }
        let per_key = |bytes| bytes as f64 / *keys as f64;
        self.node_bytes.map_or(Ok(()), |bytes| write!(f, "; {:.1} B/key", per_key(bytes)))
    }
}

/// `10M`, or all digits.
pub(crate) fn millions(keys: usize) -> String {
    match keys % 1_000_000 {
        0 => format!("{}M", keys / 1_000_000),
        _ => keys.to_string(),
    }
}

/// Tables to paste: a line for all rules on the same blocks.
pub(crate) fn tables(rows: &[Row]) -> String {
    let titles = [
        ((Place::Ram, false), "In memory: CPU ms (wall)", [Rule::Mpt, Rule::Walker, Rule::Wide]),
        (
            (Place::Disk, false),
            "Tree in the database: CPU ms of root + writing, MB",
            [Rule::Walker, Rule::Wide, Rule::Nomt],
        ),
        (
            (Place::Disk, true),
            "With the flat state, flushed: CPU ms (wall), MB",
            [Rule::Walker, Rule::Wide, Rule::Nomt],
        ),
    ];
    let mut text = String::new();
    for (kind, title, rules) in titles {
        let mine: Vec<_> = rows.iter().filter(|row| (row.place, row.flushed) == kind).collect();
        if mine.is_empty() {
            continue;
        }
        let there = |rule: &Rule| mine.iter().any(|row| row.rule == *rule);
        let rules: Vec<_> = rules.into_iter().filter(there).collect();
        let _ = writeln!(text, "\n{title}\n");
        table(&mut text, &mine, &rules);
    }
    text
}

fn table(text: &mut String, rows: &[&Row], rules: &[Rule]) {
    let heads: String = rules.iter().map(|rule| format!(" `{rule}` |")).collect();
    let others: Vec<_> = rules.iter().filter(|rule| **rule != Rule::Wide).collect();
    let ratios: String = others.iter().map(|rule| format!(" {rule} / wide |")).collect();
    let _ = writeln!(text, "| blocks | state | threads | keys |{heads}{ratios}");
    let _ = writeln!(text, "|{}", "---|".repeat(4 + rules.len() + others.len()));
    let lines: BTreeSet<_> = rows.iter().map(|row| row.blocks()).collect();
    for line in lines {
        let of = |rule| rows.iter().find(|row| row.rule == rule && row.blocks() == line);
        let (_, _, shape, keys, threads, batch) = line;
        let _ = write!(text, "| {shape} | {} | {threads} | {batch} |", millions(keys));
        for rule in rules {
            let _ = write!(text, " {} |", of(*rule).map(|row| row.cell()).unwrap_or_default());
        }
        for rule in &others {
            let ratio = of(**rule).zip(of(Rule::Wide)).map(|(a, b)| a.cost.cpu / b.cost.cpu);
            let _ = write!(text, " {} |", ratio.map(|x| format!("{x:.2}")).unwrap_or_default());
        }
        text.push('\n');
    }
}

impl Row {
    fn cell(&self) -> String {
        let Cost { cpu, wall } = self.cost;
        match (self.phases, self.bytes) {
            (Some([compute, write]), Some(bytes)) if !self.flushed => {
                format!("{compute:.1} + {write:.1}, {:.1} MB", bytes / 1e6)
            }
            (_, Some(bytes)) => {
                let least = cpu - self.polled;
                let range =
                    if self.polled > 0.0 { format!("{least:.1}–") } else { String::new() };
                format!("{range}{cpu:.1} ({wall:.1}), {:.1} MB", bytes / 1e6)
            }
            _ => format!("{cpu:.2} ({wall:.2})"),
        }
    }
}
