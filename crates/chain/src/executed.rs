use std::{sync::Arc, time::Duration};

use banyan_executor::{BlockAccesses, BlockOutput, ExecutionStats};
use banyan_primitives::{B256, B256Map, BlockRef, RecoveredBlock};
use banyan_state::Layer;

/// How long the phases of a block took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockTimings {
    /// Running the transactions.
    pub execute: Duration,
    /// State root and trie nodes.
    pub root: Duration,
    /// Waiting for the root of an earlier block, where headers lag; part of `root`.
    pub wait: Duration,
}

/// A block that was executed and found right: the one currency of the node.
#[derive(Clone, Debug)]
pub struct ExecutedBlock {
    /// The block with senders.
    pub block: RecoveredBlock,
    /// Receipts, gas, requests, diff.
    pub output: Arc<BlockOutput>,
    /// Its state and trie node changes.
    pub layer: Arc<Layer>,
    /// How long it took.
    pub timings: BlockTimings,
    /// What it touched, if that was kept.
    pub accesses: Option<Arc<BlockAccesses>>,
    /// Index of each transaction, by hash.
    transactions: B256Map<usize>,
}

impl ExecutedBlock {
    /// Joins a block with what executing it gave.
    pub fn new(
        block: RecoveredBlock,
        output: BlockOutput,
        layer: Layer,
        timings: BlockTimings,
    ) -> Self {
        let transactions = block.body.transactions.iter().enumerate();
        let transactions = transactions.map(|(index, tx)| (*tx.hash(), index)).collect();
        let (output, layer) = (Arc::new(output), Arc::new(layer));
        Self { block, output, layer, timings, accesses: None, transactions }
    }

    /// With what it touched.
    pub fn with_accesses(self, accesses: Option<Arc<BlockAccesses>>) -> Self {
        Self { accesses, ..self }
    }

    /// Height and hash.
    pub fn block_ref(&self) -> BlockRef {
        self.block.block_ref()
    }

    /// Index of a transaction in the block.
    pub fn index_of(&self, tx_hash: &B256) -> Option<usize> {
        self.transactions.get(tx_hash).copied()
    }
}

/// Counts how a block was executed, and logs it.
pub fn record_execution(number: u64, stats: &ExecutionStats) {
    let counts = [
        ("banyan_executor_transactions_total", stats.transactions),
        ("banyan_executor_run_ahead_total", stats.run_ahead),
        ("banyan_executor_valid_total", stats.valid),
        ("banyan_executor_stale_total", stats.stale),
        ("banyan_executor_by_committer_total", stats.by_committer),
        ("banyan_executor_transfers_total", stats.transfers),
        ("banyan_executor_programs_total", stats.programs),
        ("banyan_executor_program_misses_total", stats.program_misses),
        ("banyan_executor_program_checks_total", stats.program_checks),
    ];
    for (name, count) in counts {
        metrics::counter!(name).increment(count);
    }
    tracing::debug!(
        number,
        transactions = stats.transactions,
        run_ahead = stats.run_ahead,
        valid = stats.valid,
        stale = stats.stale,
        by_committer = stats.by_committer,
        transfers = stats.transfers,
        programs = stats.programs,
        program_misses = stats.program_misses,
        "executed"
    );
}
