//! One line per block; while catching up, one per second.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use banyan_chain::{CanonicalChange, ExecutedBlock};
use banyan_primitives::B256;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::timeout_at,
};

use crate::{progress::clock, status::unix_seconds};

/// More blocks than this in a second are told in one line.
const LINES_PER_PERIOD: u64 = 10;
/// The second.
const PERIOD: Duration = Duration::from_secs(1);

/// What is told of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockFacts {
    number: u64,
    hash: B256,
    txs: u64,
    gas: u64,
    execute: Duration,
    root: Duration,
    /// Between its timestamp and now.
    age: Duration,
}

impl BlockFacts {
    /// Of a block that became canonical now.
    pub(crate) fn of(executed: &ExecutedBlock) -> Self {
        let age = unix_seconds().saturating_sub(executed.block.header.timestamp);
        Self {
            number: executed.block.number(),
            hash: executed.block.hash(),
            txs: executed.block.senders.len() as u64,
            gas: executed.output.gas_used,
            execute: executed.timings.execute,
            root: executed.timings.root,
            age: Duration::from_secs(age),
        }
    }
}

/// A line of the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// About one block.
    Block(BlockFacts),
    /// About so many blocks; the facts are their sums, and number, hash and age of the last one.
    Blocks(u64, BlockFacts),
}

/// Tells of the blocks that join the chain, until it stops.
pub(crate) async fn log_blocks(mut changes: Receiver<Arc<CanonicalChange>>) {
    let mut log = BlockLog::new(Instant::now());
    loop {
        match next(&mut changes, &mut log).await {
            Ok(change) => {
                for executed in &change.included {
                    let lines = log.add(BlockFacts::of(executed), Instant::now());
                    lines.iter().for_each(|line| line.log());
                }
            }
            Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "blocks were not told of"),
            Err(RecvError::Closed) => return,
        }
    }
}

/// The next change. Blocks that wait to be told are told in the meantime.
async fn next(
    changes: &mut Receiver<Arc<CanonicalChange>>,
    log: &mut BlockLog,
) -> Result<Arc<CanonicalChange>, RecvError> {
    while let Some(due) = log.due() {
        match timeout_at(due.into(), changes.recv()).await {
            Ok(change) => return change,
            Err(_) => log.flush(Instant::now()).iter().for_each(|line| line.log()),
        }
    }
    changes.recv().await
}

/// Decides what is told when. Time comes in as an argument.
#[derive(Debug)]
pub(crate) struct BlockLog {
    period: Instant,
    in_period: u64,
    /// The last period had too many blocks for a line each.
    catching_up: bool,
    held: Option<(u64, BlockFacts)>,
}

impl BlockLog {
    /// Nothing told yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self { period: now, in_period: 0, catching_up: false, held: None }
    }

    /// The lines to write now that this block joined the chain.
    pub(crate) fn add(&mut self, block: BlockFacts, now: Instant) -> Vec<Line> {
        let mut lines: Vec<_> = self.flush(now).into_iter().collect();
        self.in_period += 1;
        if !self.catching_up && self.in_period <= LINES_PER_PERIOD {
            lines.push(Line::Block(block));
        } else {
            self.hold(block);
        }
        lines
    }

    /// What is left to be told, if its time has come.
    pub(crate) fn flush(&mut self, now: Instant) -> Option<Line> {
        if now.saturating_duration_since(self.period) < PERIOD {
            return None;
        }
        self.catching_up = self.in_period > LINES_PER_PERIOD;
        (self.period, self.in_period) = (now, 0);
        self.held.take().map(|(count, sum)| Line::Blocks(count, sum))
    }

    /// When [`Self::flush`] has something to tell.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.held.as_ref().map(|_| self.period + PERIOD)
    }

    fn hold(&mut self, block: BlockFacts) {
        self.held = Some(match self.held.take() {
            None => (1, block),
            Some((count, sum)) => {
                let sum = BlockFacts {
                    txs: sum.txs + block.txs,
                    gas: sum.gas + block.gas,
                    execute: sum.execute + block.execute,
                    root: sum.root + block.root,
                    ..block
                };
                (count + 1, sum)
            }
        });
    }
}

impl Line {
    /// Writes it.
    pub(crate) fn log(&self) {
        let (Self::Block(facts) | Self::Blocks(_, facts)) = self;
        let BlockFacts { number, hash, txs, gas, .. } = facts;
        let mgas_per_s = format!("{:.1}", mgas_per_second(*gas, facts.execute + facts.root));
        let root_ms = format!("{:.2}", facts.root.as_secs_f64() * 1e3);
        let age = clock(facts.age);
        match self {
            Self::Block(_) => {
                tracing::info!(number, %hash, txs, gas, %mgas_per_s, %root_ms, %age, "block");
            }
            Self::Blocks(count, _) => {
                tracing::info!(
                    count, number, %hash, txs, gas, %mgas_per_s, %root_ms, %age, "blocks"
                );
            }
        }
    }
}

fn mgas_per_second(gas: u64, elapsed: Duration) -> f64 {
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.0 { gas as f64 / 1e6 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64) -> BlockFacts {
        let ms = Duration::from_millis(1);
        let (hash, age) = (B256::with_last_byte(number as u8), Duration::ZERO);
        BlockFacts { number, hash, txs: 2, gas: 100, execute: ms, root: ms, age }
    }

    #[test]
    fn blocks_at_their_own_pace_have_a_line_each() {
        let start = Instant::now();
        let mut log = BlockLog::new(start);
        for number in 1..50 {
            let lines = log.add(block(number), start + Duration::from_millis(200 * number));
            assert_eq!(lines, [Line::Block(block(number))]);
            assert_eq!(log.due(), None);
        }
    }

    #[test]
    fn while_catching_up_there_is_one_line_a_second() {
        let start = Instant::now();
        let mut log = BlockLog::new(start);
        let mut lines = Vec::new();
        // 100 blocks a second for three seconds.
        for number in 0..300 {
            lines.extend(log.add(block(number), start + Duration::from_millis(10 * number)));
        }
        let single = lines.iter().take_while(|line| matches!(line, Line::Block(_))).count();
        assert_eq!((single, lines.len()), (10, 12));
        let Line::Blocks(count, sum) = &lines[10] else { panic!("{lines:?}") };
        assert_eq!((*count, sum.txs, sum.gas, sum.number), (90, 180, 9_000, 99));
        let Line::Blocks(100, _) = &lines[11] else { panic!("{lines:?}") };

        let due = log.due().unwrap();
        assert_eq!(due, start + Duration::from_secs(3));
        assert_eq!(log.flush(due - Duration::from_millis(1)), None);
        assert!(matches!(log.flush(due), Some(Line::Blocks(100, _))));
        assert_eq!(log.due(), None);
        let later = due + Duration::from_secs(2);
        log.flush(later);
        assert_eq!(log.add(block(300), later), [Line::Block(block(300))], "slow again");
    }

    #[test]
    fn speed_is_gas_by_time() {
        assert_eq!(mgas_per_second(30_000_000, Duration::from_millis(100)), 300.0);
        assert_eq!(mgas_per_second(1, Duration::ZERO), 0.0);
    }
}
