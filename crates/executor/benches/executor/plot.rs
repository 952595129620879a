//! The conflict sweep as a picture: speed-up over our sequential executor against the share of
//! conflicting transactions, a line per number of threads.

use std::fmt::Write as _;

use crate::{measure::Measured, verdict::speed_up, workload::SWEEP};

/// Of the whole picture, and of the part where the lines are.
const SIZE: (f64, f64) = (640.0, 400.0);
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
const WIDTH: f64 = 470.0;
const HEIGHT: f64 = 300.0;

/// Distinct for people who cannot tell red from green.
const COLOURS: [&str; 5] = ["#555555", "#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// The picture; `None` if the sweep was not measured.
pub(crate) fn svg(all: &[Measured]) -> Option<String> {
    let steps: Vec<_> = all.iter().filter_map(|row| Some((share(row)?, row))).collect();
    let threads: Vec<_> =
        steps.first()?.1.figures[2..].iter().map(|figure| figure.threads).collect();
    let line = |threads| -> Vec<(f64, f64)> {
        let point =
            |(share, row): &(f64, &Measured)| Some((*share, speed_up(row, row.parallel(threads)?)));
        steps.iter().filter_map(point).collect()
    };
    let lines: Vec<_> = threads.iter().map(|threads| (*threads, line(*threads))).collect();
    let highest = lines.iter().flat_map(|(_, line)| line).map(|(_, y)| *y).fold(2.0, f64::max);
    Some(draw(&lines, highest.ceil()))
}

/// Percent, out of the workload's name.
fn share(row: &Measured) -> Option<f64> {
    let rest = row.workload.strip_prefix(SWEEP)?.trim_start_matches(", ");
    rest.trim_end_matches(" %").parse().ok()
}

fn draw(lines: &[(usize, Vec<(f64, f64)>)], top: f64) -> String {
    let x = |share: f64| LEFT + WIDTH * share / 100.0;
    let y = |speed_up: f64| TOP + HEIGHT * (1.0 - speed_up / top);
    let (width, height) = SIZE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for step in 0..=(top * 2.0) as u32 {
        let value = f64::from(step) / 2.0;
        let stroke = if step == 2 { "#000000" } else { "#dddddd" };
        rule(&mut svg, (x(0.0), y(value)), (x(100.0), y(value)), stroke);
        label(&mut svg, (LEFT - 8.0, y(value) + 4.0), "end", &format!("{value:.1}"));
    }
    for share in (0..=100).step_by(20).map(f64::from) {
        label(&mut svg, (x(share), TOP + HEIGHT + 20.0), "middle", &format!("{share:.0} %"));
    }
    for (index, (threads, line)) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let points: String = line
            .iter()
            .map(|(share, value)| format!("{:.1},{:.1} ", x(*share), y(*value)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.trim_end()
        );
        let row = TOP + 10.0 + 20.0 * index as f64;
        rule(&mut svg, (x(100.0) + 12.0, row), (x(100.0) + 32.0, row), colour);
        let name = if *threads == 1 { "1 thread".into() } else { format!("{threads} threads") };
        label(&mut svg, (x(100.0) + 38.0, row + 4.0), "start", &name);
    }
    label(&mut svg, (LEFT, 22.0), "start", "Speed-up over our sequential executor (wall)");
    let below = (x(50.0), TOP + HEIGHT + 42.0);
    label(&mut svg, below, "middle", "swaps on one pool, the others each on their own");
    svg + "</svg>\n"
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
