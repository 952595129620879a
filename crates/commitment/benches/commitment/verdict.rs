//! The targets, and what of them was met.

use crate::{
    report::{Place, Row, Rule, millions},
    workload::Shape,
};

/// A bar for every row of some kind.
struct Target {
    text: &'static str,
    place: (Place, bool),
    rule: Rule,
    batches: &'static [usize],
    value: fn(&Row, &Rows<'_>) -> Option<f64>,
    bar: Bar,
}

#[derive(Clone, Copy)]
enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

/// All rows, and the speed of the machine.
struct Rows<'a> {
    rows: &'a [Row],
    keccak_ns: f64,
}

impl Rows<'_> {
    /// The row of another rule on the same blocks.
    fn beside(&self, row: &Row, rule: Rule) -> Option<&Row> {
        self.rows.iter().find(|other| other.rule == rule && other.like(row))
    }
}

const RAM: (Place, bool) = (Place::Ram, false);
const TREE: (Place, bool) = (Place::Disk, false);
const ALL: (Place, bool) = (Place::Disk, true);

const TARGETS: &[Target] = &[
    Target {
        text: "memory, 1,000 keys: CPU of mpt by wide",
        place: RAM,
        rule: Rule::Wide,
        batches: &[1_000],
        value: |row, all| cpu(all.beside(row, Rule::Mpt)?, row),
        bar: Bar::AtLeast(2.5),
    },
    Target {
        text: "memory, 5,000 keys: CPU of mpt by wide",
        place: RAM,
        rule: Rule::Wide,
        batches: &[5_000],
        value: |row, all| cpu(all.beside(row, Rule::Mpt)?, row),
        bar: Bar::AtLeast(2.0),
    },
    Target {
        text: "memory, 20,000 keys: CPU of mpt by wide",
        place: RAM,
        rule: Rule::Wide,
        batches: &[20_000],
        value: |row, all| cpu(all.beside(row, Rule::Mpt)?, row),
        bar: Bar::AtLeast(1.7),
    },
    Target {
        text: "memory: CPU of mpt by the walker",
        place: RAM,
        rule: Rule::Mpt,
        batches: &[],
        value: |row, all| cpu(row, all.beside(row, Rule::Walker)?),
        bar: Bar::AtMost(1.0),
    },
    Target {
        text: "memory: CPU of mpt by the prototype, by its keccak",
        place: RAM,
        rule: Rule::Mpt,
        batches: &[],
        value: prototype,
        bar: Bar::AtMost(1.0),
    },
    Target {
        text: "database: CPU of the walker by wide",
        place: TREE,
        rule: Rule::Wide,
        batches: &[5_000, 20_000],
        value: |row, all| cpu(all.beside(row, Rule::Walker)?, row),
        bar: Bar::AtLeast(2.0),
    },
    Target {
        text: "database: bytes of wide by the walker's",
        place: TREE,
        rule: Rule::Wide,
        batches: &[5_000, 20_000],
        value: |row, all| Some(row.bytes? / all.beside(row, Rule::Walker)?.bytes?),
        bar: Bar::AtMost(0.55),
    },
    Target {
        text: "flushed, 5,000 keys: CPU of nomt by wide",
        place: ALL,
        rule: Rule::Wide,
        batches: &[5_000],
        value: |row, all| cpu(all.beside(row, Rule::Nomt)?, row),
        bar: Bar::AtLeast(1.5),
    },
    Target {
        text: "flushed, 20,000 keys: CPU of nomt by wide",
        place: ALL,
        rule: Rule::Wide,
        batches: &[20_000],
        value: |row, all| cpu(all.beside(row, Rule::Nomt)?, row),
        bar: Bar::AtLeast(2.0),
    },
    Target {
        text: "flushed, 5,000 keys: nomt by wide, less polling",
        place: ALL,
        rule: Rule::Wide,
        batches: &[5_000],
        value: |row, all| unpolled(all.beside(row, Rule::Nomt)?, row),
        bar: Bar::AtLeast(1.5),
    },
    Target {
        text: "flushed, 20,000 keys: nomt by wide, less polling",
        place: ALL,
        rule: Rule::Wide,
        batches: &[20_000],
        value: |row, all| unpolled(all.beside(row, Rule::Nomt)?, row),
        bar: Bar::AtLeast(2.0),
    },
    Target {
        text: "flushed: bytes of wide by nomt's",
        place: ALL,
        rule: Rule::Wide,
        batches: &[5_000, 20_000],
        value: |row, all| Some(row.bytes? / all.beside(row, Rule::Nomt)?.bytes?),
        bar: Bar::AtMost(1.0),
    },
    Target {
        text: "proof of wide by 32 (log2 N + 4) + 128 bytes",
        place: TREE,
        rule: Rule::Wide,
        batches: &[],
        value: |row, _| Some(row.proof? / (32.0 * ((row.keys as f64).log2() + 4.0) + 128.0)),
        bar: Bar::AtMost(1.0),
    },
];

fn cpu(one: &Row, other: &Row) -> Option<f64> {
    Some(one.cost.cpu / other.cost.cpu)
}

/// As [`cpu`], without the threads that spin while they wait for the disk: a lower bound.
fn unpolled(one: &Row, other: &Row) -> Option<f64> {
    Some((one.cost.cpu - one.polled) / other.cost.cpu)
}

/// The design note's prototype: 10^6 keys, one thread, keccak256 of a full branch in 918 ns.
fn prototype(row: &Row, all: &Rows<'_>) -> Option<f64> {
    let noted = match row.batch {
        1_000 => 4.57,
        5_000 => 16.4,
        20_000 => 46.0,
        _ => return None,
    };
    let same = (row.shape, row.keys, row.threads) == (Shape::Uniform, 1_000_000, 1);
    same.then(|| row.cost.cpu / noted * 918.0 / all.keccak_ns)
}

/// A line for each target: bar, worst figure and where, PASS or MISS.
pub(crate) fn table(rows: &[Row], keccak_ns: f64) -> String {
    let mut text = format!("{:<52} {:>7} {:>9}  {:<5} worst at\n", "target", "bar", "measured", "");
    for target in TARGETS {
        text += &line(target, &Rows { rows, keccak_ns });
        text.push('\n');
    }
    text
}

fn line(target: &Target, all: &Rows<'_>) -> String {
    let mine = |row: &&Row| {
        let batch = target.batches.is_empty() || target.batches.contains(&row.batch);
        batch && (row.place, row.flushed) == target.place && row.rule == target.rule
    };
    let values = all.rows.iter().filter(mine);
    let values = values.filter_map(|row| Some(((target.value)(row, all)?, row)));
    let order = |a: &f64, b: &f64| match target.bar {
        Bar::AtMost(_) => b.total_cmp(a),
        Bar::AtLeast(_) => a.total_cmp(b),
    };
    let Some((worst, row)) = values.min_by(|(a, _), (b, _)| order(a, b)) else {
        return format!("{:<52} {:>7} {:>9}  -", target.text, "", "");
    };
    let (bar, passed) = match target.bar {
        Bar::AtMost(bar) => (format!("≤ {bar:.2}"), worst <= bar),
        Bar::AtLeast(bar) => (format!("≥ {bar:.2}"), worst >= bar),
    };
    let word = if passed { "PASS" } else { "MISS" };
    let Row { shape, keys, batch, threads, .. } = row;
    format!(
        "{:<52} {bar:>7} {worst:>9.3}  {word:<5} {shape}, {} keys, {batch} changed, {threads} threads",
        target.text,
        millions(*keys)
    )
}
