//! What the rounds showed, and how it is told.

use std::time::Duration;

use crate::inspect::Findings;

/// Complaints that are printed; the rest is counted.
const SHOWN: usize = 20;

/// Counts over all rounds.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Rounds that came to their end.
    pub(crate) rounds: u64,
    /// Kills while a request was under way.
    pub(crate) kills_in_request: u64,
    /// Kills between two requests.
    pub(crate) kills_between: u64,
    /// Further kills while the client was starting.
    pub(crate) kills_in_start: u64,
    /// Rounds in which an acknowledged head was lost.
    pub(crate) heads_lost: u64,
    /// Acknowledged blocks that were lost.
    pub(crate) blocks_lost: u64,
    /// The most in one round.
    pub(crate) most_lost: u64,
    /// Rounds in which the driver had to send blocks again.
    pub(crate) resent: u64,
    /// Rounds after which the data directory had to be thrown away.
    pub(crate) manual_repairs: u64,
    /// Restarts with safe or finalized other than acknowledged.
    pub(crate) labels_wrong: u64,
    /// Blocks and values that did not read as they should.
    pub(crate) unreadable: u64,
    /// Requests that a living client refused.
    pub(crate) refused: u64,
    /// Starts that failed, although a later one may have worked.
    pub(crate) failed_starts: u64,
    /// Ends of the process that nobody asked for, and requests without an answer.
    pub(crate) crashes: u64,
    /// Blocks of the acknowledged chain at the end.
    pub(crate) height: u64,
    /// Blocks built, whatever became of them.
    pub(crate) built: u64,
    /// Time from each start to the first answers.
    pub(crate) restarts: Vec<Duration>,
    complaints: Vec<String>,
}

impl Tally {
    /// Adds what a restart showed.
    pub(crate) fn add(&mut self, round: u64, findings: &Findings) {
        if findings.head_lost {
            self.heads_lost += 1;
            self.blocks_lost += findings.blocks_lost;
            self.most_lost = self.most_lost.max(findings.blocks_lost);
            self.complain(round, format!("head lost, {} blocks behind", findings.blocks_lost));
        }
        if let Some(labels) = &findings.labels_wrong {
            self.labels_wrong += 1;
            self.complain(round, labels.clone());
        }
        for what in &findings.unreadable {
            self.unreadable += 1;
            self.complain(round, what.clone());
        }
    }

    /// Keeps a line for the report, and prints it at once.
    pub(crate) fn complain(&mut self, round: u64, what: String) {
        let mut line = format!("round {round}: {what}");
        if line.len() > 400 {
            line = line.chars().take(400).collect::<String>() + " …";
        }
        eprintln!("{line}");
        self.complaints.push(line);
    }

    /// True if the client lost nothing and needed nobody.
    pub(crate) fn is_good(&self) -> bool {
        self.heads_lost
            + self.manual_repairs
            + self.labels_wrong
            + self.unreadable
            + self.refused
            + self.failed_starts
            + self.crashes
            == 0
    }

    /// The report.
    pub(crate) fn table(&self, client: &str, seed: u64) -> String {
        let mut sorted = self.restarts.clone();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(index).map_or(0, Duration::as_millis)
        };
        let rows = [
            ("rounds", format!("{} (seed {seed})", self.rounds)),
            ("kills in the middle of a request", self.kills_in_request.to_string()),
            ("kills between requests", self.kills_between.to_string()),
            ("further kills while starting", self.kills_in_start.to_string()),
            ("blocks built; height at the end", format!("{}; {}", self.built, self.height)),
            ("acknowledged heads lost", format!("{} rounds", self.heads_lost)),
            (
                "acknowledged blocks lost",
                format!("{}; {} at most in a round", self.blocks_lost, self.most_lost),
            ),
            ("rounds that needed blocks sent again", self.resent.to_string()),
            ("manual repairs", self.manual_repairs.to_string()),
            ("label errors", self.labels_wrong.to_string()),
            ("unreadable blocks and values", self.unreadable.to_string()),
            ("requests refused", self.refused.to_string()),
            ("starts that failed", self.failed_starts.to_string()),
            ("crashes and hangs", self.crashes.to_string()),
            (
                "restart to answering, ms",
                format!("p50 {}, p99 {}, max {}", at(50), at(99), at(100)),
            ),
        ];
        let mut table = format!("| {client} | |\n|---|---|\n");
        for (name, value) in rows {
            table += &format!("| {name} | {value} |\n");
        }
        let first = self.complaints.iter().take(SHOWN);
        first.for_each(|line| table += &format!("{line}\n"));
        if let Some(more) = self.complaints.len().checked_sub(SHOWN + 1) {
            table += &format!("and {} more\n", more + 1);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_head_is_no_good() {
        let mut tally = Tally::default();
        tally.add(1, &Findings::default());
        assert!(tally.is_good());
        tally.add(2, &Findings { head_lost: true, blocks_lost: 3, ..Default::default() });
        tally.add(3, &Findings { head_lost: true, blocks_lost: 2, ..Default::default() });
        assert!(!tally.is_good());
        assert_eq!((tally.heads_lost, tally.blocks_lost, tally.most_lost), (2, 5, 3));
        assert!(tally.table("x", 1).contains("| acknowledged heads lost | 2 rounds |"));
    }

    #[test]
    fn restart_times_are_ranked() {
        let restarts = (1..=200).rev().map(Duration::from_millis).collect();
        let table = Tally { restarts, ..Default::default() }.table("x", 1);
        assert!(table.contains("p50 100, p99 198, max 200"), "{table}");
    }
}
