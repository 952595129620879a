//! What was measured: a table for people, rows for programs.

use serde_json::{Value, json};

use crate::measure::{Figure, Measured};

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
        let (cpu, wall) = (figure.cpu_ms / lean.cpu_ms, figure.wall_ms / lean.wall_ms);
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
pub(crate) fn rows(measured: &Measured) -> impl Iterator<Item = Value> {
    let lean = measured.lean();
    measured.figures.iter().map(move |figure| {
        let mut row = json!({
            "workload": measured.workload,
            "contender": figure.contender,
            "threads": figure.threads,
            "txs": measured.txs,
            "gas": measured.gas,
            "cpu_ms": figure.cpu_ms,
            "wall_ms": figure.wall_ms,
            "cpu_vs_lean": figure.cpu_ms / lean.cpu_ms,
            "wall_vs_lean": figure.wall_ms / lean.wall_ms,
        });
        match figure.style {
            Some(_) => row["style"] = style(figure).into(),
            None => row["stats"] = stats(figure),
        }
        row
    })
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
