//! What was measured: a table for people, rows for programs.

use banyan_executor::ExecutionStats;
use serde_json::{Value, json};

use crate::{
    measure::{Figure, Measured},
    workload::MAINNET,
};

/// Name and widths of the columns.
pub(crate) fn head(threads: &[usize]) -> String {
    let columns = ["sequential".to_owned()]
        .into_iter()
        .chain(threads.iter().map(|threads| format!("parallel {threads}")))
        .map(|contender| format!("{contender:>15}"))
        .collect::<String>();
    format!(
        "{:<38} {:>6} {:>7} {:>9} {:<8}{columns}\n{:<38} {:>6} {:>7} {:>9} {:<8}{}",
        "workload",
        "txs",
        "Mgas",
        "lean",
        "",
        "",
        "",
        "",
        "cpu ms",
        "",
        format!("{:>15}", "cpu   wall").repeat(1 + threads.len())
    )
}

/// One workload: lean's time, the others as multiples of it.
pub(crate) fn line(measured: &Measured) -> String {
    let lean = measured.lean();
    let ratios = measured.figures[1..].iter().map(|figure| {
        let (cpu, wall) = (figure.cpu_vs_lean, figure.wall_vs_lean);
        format!("{:>15}", format!("{cpu:.2}  {wall:.2}"))
    });
    format!(
        "{:<38} {:>6} {:>7.1} {:>9.2} {:<8}{}",
        measured.workload,
        measured.txs,
        measured.gas as f64 / 1e6,
        lean.cpu_ms,
        style(lean),
        ratios.collect::<String>()
    )
}

fn style(figure: &Figure) -> String {
    figure.style.map(|style| format!("{style:?}").to_lowercase()).unwrap_or_default()
}

/// The rows of one workload.
pub(crate) fn rows(measured: &Measured) -> impl Iterator<Item = Value> + '_ {
    measured.figures.iter().map(|figure| {
        let mut row = json!({
            "workload": measured.workload,
            "contender": figure.contender,
            "threads": figure.threads,
            "txs": measured.txs,
            "gas": measured.gas,
            "cpu_ms": figure.cpu_ms,
            "wall_ms": figure.wall_ms,
            "cpu_vs_lean": figure.cpu_vs_lean,
            "wall_vs_lean": figure.wall_vs_lean,
        });
        match figure.style {
            Some(_) => row["style"] = style(figure).into(),
            None => row["stats"] = stats(figure),
        }
        row
    })
}

/// How the last runs of one workload went, a line per number of threads.
pub(crate) fn details(measured: &Measured) -> String {
    let line = |figure: &Figure| {
        let stats = stats(figure);
        let counts = stats.as_object().into_iter().flatten();
        let counts = counts.map(|(name, count)| format!("  {name} {count}")).collect::<String>();
        format!("    {} threads:{counts}\n", figure.threads)
    };
    measured.figures[2..].iter().map(line).collect()
}

/// How the last run of a contender went.
fn stats(figure: &Figure) -> Value {
    let stats = figure.stats;
    json!({
        "run_ahead": stats.run_ahead,
        "valid": stats.valid,
        "stale": stats.stale,
        "by_committer": stats.by_committer,
        "transfers": stats.transfers,
        "programs": stats.programs,
        "program_misses": stats.program_misses,
    })
}

/// The mainnet blocks as one, their sum with the geometric means of their ratios; and the block
/// where two threads do worst.
pub(crate) fn mainnet(all: &[Measured]) -> Vec<Measured> {
    let blocks: Vec<_> = all.iter().filter(|row| row.workload.starts_with(MAINNET)).collect();
    let slowest = |row: &&&Measured| row.parallel(2).map_or(1.0, |figure| figure.wall_vs_lean);
    let worst = blocks.iter().max_by(|a, b| slowest(a).total_cmp(&slowest(b)));
    let Some(worst) = worst else { return Vec::new() };
    let figure = |contender: usize| {
        let figures = || blocks.iter().map(|block| &block.figures[contender]);
        Figure {
            cpu_ms: figures().map(|figure| figure.cpu_ms).sum(),
            wall_ms: figures().map(|figure| figure.wall_ms).sum(),
            cpu_vs_lean: geomean(figures().map(|figure| figure.cpu_vs_lean)),
            wall_vs_lean: geomean(figures().map(|figure| figure.wall_vs_lean)),
            style: None,
            stats: ExecutionStats::default(),
            ..worst.figures[contender].clone()
        }
    };
    let mean = Measured {
        workload: format!("{MAINNET}, geomean"),
        txs: blocks.iter().map(|block| block.txs).sum(),
        gas: blocks.iter().map(|block| block.gas).sum(),
        figures: (0..worst.figures.len()).map(figure).collect(),
    };
    let number = worst.workload.trim_start_matches(MAINNET);
    let worst = Measured { workload: format!("{MAINNET}, worst:{number}"), ..(**worst).clone() };
    vec![mean, worst]
}

fn geomean(ratios: impl Iterator<Item = f64>) -> f64 {
    let (count, logs) = ratios.fold((0, 0.0), |(n, sum), ratio| (n + 1, sum + ratio.ln()));
    (logs / f64::from(count.max(1))).exp()
}
