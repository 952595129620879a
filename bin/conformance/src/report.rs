use std::{collections::BTreeMap, fmt::Write, time::Duration};

use serde_json::json;

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As the fixture says.
    Passed,
    /// Not as the fixture says; what differs.
    Failed(String),
    /// Failed, and stands in the list of expected failures; its reason there.
    ExpectedFailure(String),
    /// Passed, although it stands in that list: the entry must go.
    UnexpectedPass(String),
}

impl Outcome {
    /// True if nobody need look at it.
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Passed | Self::ExpectedFailure(_))
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::ExpectedFailure(_) => "expected failure",
            Self::UnexpectedPass(_) => "unexpected pass",
        }
    }

    fn reason(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Failed(reason) | Self::ExpectedFailure(reason) => reason,
            Self::UnexpectedPass(_) => "passes now: take it off the list of expected failures",
        }
    }
}

/// The result of one case.
#[derive(Clone, Debug)]
pub struct ResultLine {
    /// File below the folder that was given.
    pub file: String,
    /// Name of the case.
    pub id: String,
    /// Its rules.
    pub fork: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub elapsed: Duration,
}

/// The results of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One line per case.
    pub lines: Vec<ResultLine>,
    /// What was not run: reason → how many files or entries, and a file with one.
    pub skipped: BTreeMap<&'static str, (usize, String)>,
    /// Duration of the whole run.
    pub elapsed: Duration,
}

/// Counts of one row: passed, failed, expected.
#[derive(Default)]
struct Counts([usize; 3]);

impl Counts {
    fn add(&mut self, outcome: &Outcome) {
        self.0[match outcome {
            Outcome::Passed => 0,
            Outcome::Failed(_) | Outcome::UnexpectedPass(_) => 1,
            Outcome::ExpectedFailure(_) => 2,
        }] += 1;
    }
}

impl Report {
    /// True if there is no unexpected result.
    pub fn is_good(&self) -> bool {
        self.lines.iter().all(|line| line.outcome.is_good())
    }

    /// Notes a file that is not run.
    pub(crate) fn skip(&mut self, file: &str, reason: &'static str) {
        let entry = self.skipped.entry(reason).or_insert_with(|| (0, file.to_owned()));
        entry.0 += 1;
    }

    /// Brings the lines into an order that does not depend on the threads.
    pub(crate) fn finish(&mut self, elapsed: Duration) {
        self.lines.sort_by(|a, b| (&a.file, &a.id).cmp(&(&b.file, &b.id)));
        self.elapsed = elapsed;
    }

    /// What was not run and why, for people.
    pub(crate) fn skipped_text(&self) -> String {
        let mut text = String::new();
        for (reason, (count, example)) in &self.skipped {
            let _ = writeln!(text, "not run: {count} ({reason}), e.g. {example}");
        }
        text
    }

    /// The table for people, with the first `show` failures.
    pub fn table(&self, show: usize) -> String {
        let mut rows: BTreeMap<(&str, &str), Counts> = BTreeMap::new();
        let mut total = Counts::default();
        for line in &self.lines {
            rows.entry((folder(&line.file), &line.fork)).or_default().add(&line.outcome);
            total.add(&line.outcome);
        }
        let mut text = format!(
            "{:<30} {:<30} {:>8} {:>8} {:>8}\n",
            "folder", "rules", "passed", "failed", "expected"
        );
        let mut row = |folder: &str, fork: &str, Counts([passed, failed, expected]): &Counts| {
            let _ = writeln!(text, "{folder:<30} {fork:<30} {passed:>8} {failed:>8} {expected:>8}");
        };
        for ((folder, fork), counts) in &rows {
            row(folder, fork, counts);
        }
        row("total", "", &total);
        text.push_str(&self.skipped_text());
        self.write_failures(&mut text, show);
        let _ = writeln!(text, "{} cases in {:.1} s", self.lines.len(), self.elapsed.as_secs_f64());
        text
    }

    fn write_failures(&self, text: &mut String, show: usize) {
        let failures = || self.lines.iter().filter(|line| !line.outcome.is_good());
        for line in failures().take(show) {
            let _ = writeln!(text, "\nFAILED {}\n  in {}", line.id, line.file);
            let _ = writeln!(text, "  {}", line.outcome.reason());
        }
        let more = failures().count().saturating_sub(show);
        if more > 0 {
            let _ = writeln!(text, "\n{more} more failures (--show N, --json FILE)");
        }
    }

    /// Every result, for programs.
    pub fn to_json(&self) -> String {
        let lines = self.lines.iter().map(|line| {
            json!({
                "file": line.file,
                "id": line.id,
                "rules": line.fork,
                "outcome": line.outcome.name(),
                "reason": line.outcome.reason(),
                "elapsed_ms": line.elapsed.as_secs_f64() * 1000.0,
            })
        });
        let skipped = self.skipped.iter().map(|(reason, (count, example))| {
            json!({ "reason": reason, "count": count, "example": example })
        });
        let report = json!({
            "good": self.is_good(),
            "elapsed_s": self.elapsed.as_secs_f64(),
            "cases": lines.collect::<Vec<_>>(),
            "not_run": skipped.collect::<Vec<_>>(),
        });
        format!("{report:#}\n")
    }
}

/// The first folder of a file's name: the archive.
fn folder(file: &str) -> &str {
    file.split_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, outcome: Outcome) -> ResultLine {
        let file = "engine-x/a.json".to_owned();
        ResultLine { file, id: id.into(), fork: "Osaka".into(), outcome, elapsed: Duration::ZERO }
    }

    #[test]
    fn an_expected_failure_is_good_and_an_unexpected_pass_is_not() {
        let mut report = Report::default();
        report.lines.push(line("a", Outcome::Passed));
        report.lines.push(line("b", Outcome::ExpectedFailure("later".into())));
        assert!(report.is_good());
        report.lines.push(line("c", Outcome::UnexpectedPass("later".into())));
        assert!(!report.is_good());
        let table = report.table(5);
        assert!(table.contains("FAILED c"), "{table}");
        let row = table.lines().find(|row| row.starts_with("engine-x")).unwrap();
        assert_eq!(
            row.split_whitespace().collect::<Vec<_>>(),
            ["engine-x", "Osaka", "1", "1", "1"]
        );
    }
}
