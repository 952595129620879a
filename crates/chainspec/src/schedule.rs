//! The fork schedule: which fork is active at a block number or timestamp.

use crate::{BlobParams, Fork, OpFork};

/// Forks with their activations, each list in order of activation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// Forks by block number.
    pub(crate) blocks: Vec<(Fork, u64)>,
    /// Forks by timestamp; in force on proof-of-stake blocks only.
    pub(crate) times: Vec<(Fork, u64)>,
    /// OP forks by timestamp; empty on Ethereum chains.
    pub(crate) op: Vec<(OpFork, u64)>,
    /// Blob parameters by timestamp: forks and BPO steps.
    pub(crate) blobs: Vec<(BlobParams, u64)>,
}

impl Schedule {
    /// Newest Ethereum fork of a block; `merged` if it is a proof-of-stake block.
    pub(crate) fn fork(&self, number: u64, timestamp: u64, merged: bool) -> Fork {
        if merged {
            latest(&self.times, timestamp).unwrap_or(Fork::Paris)
        } else {
            latest(&self.blocks, number).unwrap_or(Fork::Frontier)
        }
    }

    /// Newest OP fork at a timestamp.
    pub(crate) fn op_fork(&self, timestamp: u64) -> Option<OpFork> {
        latest(&self.op, timestamp)
    }

    /// Blob parameters in force at a timestamp.
    pub(crate) fn blobs(&self, timestamp: u64) -> Option<BlobParams> {
        latest(&self.blobs, timestamp)
    }
}

/// The last entry that is active at `at`; of entries with the same activation the last one.
fn latest<T: Copy>(entries: &[(T, u64)], at: u64) -> Option<T> {
    entries.iter().rev().find(|(_, from)| *from <= at).map(|(entry, _)| *entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_active_fork_wins() {
        let schedule = Schedule {
            blocks: vec![(Fork::Homestead, 0), (Fork::Tangerine, 0), (Fork::London, 7)],
            times: vec![(Fork::Shanghai, 10), (Fork::Cancun, 20)],
            ..Default::default()
        };
        let cases = [
            (0, 0, false, Fork::Tangerine),
            (6, 99, false, Fork::Tangerine),
            (7, 99, false, Fork::London),
            (7, 9, true, Fork::Paris),
            (7, 10, true, Fork::Shanghai),
            (0, 20, true, Fork::Cancun),
        ];
        for (number, timestamp, merged, fork) in cases {
            assert_eq!(schedule.fork(number, timestamp, merged), fork, "{number} {timestamp}");
        }
        assert_eq!(schedule.op_fork(5), None);
    }
}
