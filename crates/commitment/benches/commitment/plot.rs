//! Costs as pictures, both axes by powers.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    report::{Place, Row, millions},
    workload::Shape,
};

/// Of the whole picture, and of the part where the lines are.
const SIZE: (f64, f64) = (680.0, 400.0);
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
const WIDTH: f64 = 430.0;
const HEIGHT: f64 = 300.0;

/// Distinct for people who cannot tell red from green.
const COLOURS: [&str; 8] =
    ["#0072b2", "#56b4e9", "#009e73", "#d55e00", "#e69f00", "#cc79a7", "#555555", "#000000"];

/// Lines by name.
type Lines = BTreeMap<String, Vec<(f64, f64)>>;

/// Cost against the size of the state, blocks of the middle size.
pub(crate) fn by_size(rows: &[Row]) -> Option<String> {
    let batches = distinct(rows, |row| row.batch);
    let batch = *batches.get(batches.len() / 2)?;
    let lines = lines(rows, |row| (row.batch == batch).then_some(row.keys));
    let below = format!("keys in the state; blocks of {batch} keys");
    draw(&lines, &below, &distinct(rows, |row| row.keys), &millions)
}

/// Cost against the size of blocks, in the smallest state.
pub(crate) fn by_batch(rows: &[Row]) -> Option<String> {
    let keys = *distinct(rows, |row| row.keys).first()?;
    let lines = lines(rows, |row| (row.keys == keys).then_some(row.batch));
    let below = format!("keys changed by a block; {} in the state", millions(keys));
    draw(&lines, &below, &distinct(rows, |row| row.batch), &|batch| batch.to_string())
}

fn distinct(rows: &[Row], value: fn(&Row) -> usize) -> Vec<usize> {
    let mut all: Vec<_> = rows.iter().map(value).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Microseconds of CPU for each changed key, nested states, one thread.
fn lines(rows: &[Row], x: impl Fn(&Row) -> Option<usize>) -> Lines {
    let mut lines = Lines::new();
    let shown = |row: &&Row| row.threads == 1 && row.shape == Shape::Nested;
    for row in rows.iter().filter(shown) {
        let Some(x) = x(row) else { continue };
        let what = match (row.place, row.flushed) {
            (Place::Ram, _) => "memory",
            (_, false) => "database",
            (_, true) => "with state, flushed",
        };
        let line = lines.entry(format!("{what}: {}", row.rule)).or_default();
        line.push((x as f64, row.cost.cpu * 1e3 / row.batch as f64));
    }
    lines
}

fn draw(
    lines: &Lines,
    below: &str,
    marks: &[usize],
    name: &dyn Fn(usize) -> String,
) -> Option<String> {
    let points = || lines.values().flatten();
    let (low, high) = (*marks.first()? as f64, *marks.last()? as f64 * 1.001);
    let least = points().map(|(_, y)| *y).fold(f64::MAX, f64::min).log2().floor();
    let most = points().map(|(_, y)| *y).fold(f64::MIN, f64::max).log2().ceil();
    if least >= most {
        return None;
    }
    let x = |value: f64| LEFT + WIDTH * (value / low).ln() / (high / low).ln();
    let y = |power: f64| TOP + HEIGHT * (most - power) / (most - least);
    let (width, height) = SIZE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for power in least as i32..=most as i32 {
        let at = y(f64::from(power));
        rule(&mut svg, (LEFT, at), (LEFT + WIDTH, at), "#dddddd");
        label(&mut svg, (LEFT - 8.0, at + 4.0), "end", &2f64.powi(power).to_string());
    }
    for mark in marks {
        label(&mut svg, (x(*mark as f64), TOP + HEIGHT + 20.0), "middle", &name(*mark));
    }
    for (index, (name, line)) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let mut path = String::new();
        for (at, value) in line {
            let at = (x(*at), y(value.log2()));
            let _ = write!(path, "{:.1},{:.1} ", at.0, at.1);
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                at.0, at.1
            );
        }
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.trim_end()
        );
        let row = TOP + 10.0 + 20.0 * index as f64;
        rule(&mut svg, (LEFT + WIDTH + 12.0, row), (LEFT + WIDTH + 30.0, row), colour);
        label(&mut svg, (LEFT + WIDTH + 36.0, row + 4.0), "start", name);
    }
    let title = "CPU per changed key, microseconds; accounts and slots, one thread";
    label(&mut svg, (LEFT, 22.0), "start", title);
    label(&mut svg, (LEFT + WIDTH / 2.0, TOP + HEIGHT + 42.0), "middle", below);
    Some(svg + "</svg>\n")
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64), stroke: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{stroke}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn label(svg: &mut String, at: (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>",
        at.0, at.1
    );
}
