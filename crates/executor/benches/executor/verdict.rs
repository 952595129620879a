//! The targets, and what of them was met.

use crate::{
    measure::{Figure, Measured},
    workload::{MAINNET, OP, SWEEP},
};

/// The number of one workload that a target is about; `None` where it is not measured.
type Value = fn(&Measured) -> Option<f64>;

/// A bar that every workload of some names has to pass.
struct Target {
    text: &'static str,
    /// How the names of its workloads begin.
    names: &'static [&'static str],
    value: Value,
    bar: Bar,
}

/// What counts as passing.
enum Bar {
    AtMost(f64),
    AtLeast(f64),
    /// The geometric mean is at least this.
    Mean(f64),
    /// There is none: the figure is only shown.
    None,
}

const ALL: &[&str] = &[""];

const TARGETS: &[Target] = &[
    Target {
        text: "sequential, CPU of lean, all rows",
        names: ALL,
        value: |row| Some(row.sequential().cpu_vs_lean),
        bar: Bar::AtMost(1.0),
    },
    Target {
        text: "transfers on one core, CPU of lean",
        names: &["transfers"],
        value: |row| row.parallel(1).map(|figure| figure.cpu_vs_lean),
        bar: Bar::AtMost(0.35),
    },
    Target {
        text: "ERC-20 on one core, CPU of lean",
        names: &["erc20"],
        value: |row| row.parallel(1).map(|figure| figure.cpu_vs_lean),
        bar: Bar::AtMost(0.5),
    },
    Target {
        text: "ERC-20 on two cores, wall of lean",
        names: &["erc20"],
        value: |row| row.parallel(2).map(|figure| figure.wall_vs_lean),
        bar: Bar::AtMost(0.3),
    },
    Target {
        text: "AMM independent on two cores, speed-up over lean",
        names: &["amm v2, independent", "amm v3, independent"],
        value: speed_up_over_lean,
        bar: Bar::AtLeast(1.7),
    },
    Target {
        text: "AMM one pool on two cores, wall of our sequential",
        names: &["amm v2, one pool", "amm v3, one pool"],
        value: |row| row.parallel(2).map(|figure| figure.wall_ms / row.sequential().wall_ms),
        bar: Bar::AtMost(1.02),
    },
    Target {
        text: "mainnet blocks on two cores, speed-up over lean, geomean",
        names: &[MAINNET],
        value: speed_up_over_lean,
        bar: Bar::Mean(1.4),
    },
    Target {
        text: "mainnet blocks on two cores, speed-up over lean, worst",
        names: &[MAINNET],
        value: speed_up_over_lean,
        bar: Bar::AtLeast(0.98),
    },
    Target {
        text: "OP-stack block on two cores, speed-up over lean",
        names: &[OP],
        value: speed_up_over_lean,
        bar: Bar::None,
    },
    Target {
        text: "total CPU on two cores, of our sequential, all rows",
        names: ALL,
        value: |row| row.parallel(2).map(|figure| figure.cpu_ms / row.sequential().cpu_ms),
        bar: Bar::AtMost(1.15),
    },
    Target {
        text: "conflict sweep on two cores, speed-up over our sequential",
        names: &[SWEEP],
        value: |row| row.parallel(2).map(|figure| speed_up(row, figure)),
        bar: Bar::AtLeast(0.98),
    },
];

fn speed_up_over_lean(row: &Measured) -> Option<f64> {
    row.parallel(2).map(|figure| 1.0 / figure.wall_vs_lean)
}

/// Wall time of our sequential executor over that of `figure`.
pub(crate) fn speed_up(row: &Measured, figure: &Figure) -> f64 {
    row.sequential().wall_ms / figure.wall_ms
}

/// The table of targets, one line each: bar, worst figure and its workload, PASS or MISS.
pub(crate) fn table(all: &[Measured]) -> String {
    let mut text = format!("{:<58} {:>9} {:>9}  {:<5} worst at\n", "target", "bar", "measured", "");
    for target in TARGETS {
        text += &line(target, all);
        text.push('\n');
    }
    text
}

fn line(target: &Target, all: &[Measured]) -> String {
    let named = |row: &&Measured| target.names.iter().any(|name| row.workload.starts_with(name));
    let values = all.iter().filter(named).filter_map(|row| Some(((target.value)(row)?, row)));
    let mut values: Vec<_> = values.collect();
    // Worst first.
    values.sort_by(|(a, _), (b, _)| match target.bar {
        Bar::AtMost(_) => b.total_cmp(a),
        _ => a.total_cmp(b),
    });
    let (bar, measured, passed) = match (&target.bar, values.first()) {
        (_, None) => return format!("{:<58} {:>9} {:>9}  -", target.text, "", ""),
        (Bar::AtMost(bar), Some((worst, _))) => (format!("≤ {bar:.2}"), *worst, worst <= bar),
        (Bar::AtLeast(bar), Some((worst, _))) => (format!("≥ {bar:.2}"), *worst, worst >= bar),
        (Bar::Mean(bar), _) => {
            let logs: f64 = values.iter().map(|(value, _)| value.ln()).sum();
            let mean = (logs / values.len() as f64).exp();
            (format!("≥ {bar:.2}"), mean, mean >= *bar)
        }
        (Bar::None, Some((worst, _))) => (String::new(), *worst, true),
    };
    let word = match target.bar {
        Bar::None => "",
        _ if passed => "PASS",
        _ => "MISS",
    };
    let worst = values.first().map(|(_, row)| row.workload.as_str()).unwrap_or_default();
    format!("{:<58} {bar:>9} {measured:>9.3}  {word:<5} {worst}", target.text)
}
