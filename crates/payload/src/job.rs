use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use banyan_chain::{ChainView, ExecutedBlock};
use banyan_consensus::PayloadAttributes;
use banyan_primitives::{B256, SealedHeader, U256, alloy_primitives::B64};
use banyan_txpool::PooledTransaction;
use tokio::sync::watch;

use crate::BuildError;

/// A finished block and what the Engine API tells about it.
#[derive(Clone, Debug)]
pub struct BuiltPayload {
    /// The block, executed.
    pub executed: Arc<ExecutedBlock>,
    /// What the beneficiary earns, wei (`blockValue`).
    pub fees: U256,
    /// Blob transactions in the block, in order, with their sidecars.
    pub blob_transactions: Vec<Arc<PooledTransaction>>,
    /// Parent beacon block root of the attributes (OP payload envelopes since Ecotone).
    pub parent_beacon_block_root: Option<B256>,
}

/// Limits of data availability (`miner_setMaxDASize`), bytes of estimated compressed size; zero
/// means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DaLimits {
    /// Per transaction.
    pub max_tx_size: u64,
    /// Per block.
    pub max_block_size: u64,
}

/// One build job. Shared between the build thread and those who ask for its block.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: B64,
    pub(crate) parent: SealedHeader,
    pub(crate) view: Arc<ChainView>,
    pub(crate) attributes: PayloadAttributes,
    pub(crate) started: Instant,
    /// Somebody waits for the block: seal what there is. Also ends further attempts.
    pub(crate) wanted: AtomicBool,
    /// Best block so far.
    pub(crate) best: watch::Sender<Option<Result<BuiltPayload, BuildError>>>,
}

impl Job {
    pub(crate) fn new(
        id: B64,
        parent: SealedHeader,
        view: Arc<ChainView>,
        attributes: PayloadAttributes,
    ) -> Self {
        let best = watch::Sender::new(None);
        let wanted = AtomicBool::new(false);
        Self { id, parent, view, attributes, started: Instant::now(), wanted, best }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// True if there is a block, and another one is of no use: somebody has taken it, or nobody will.
    pub(crate) fn is_over(&self) -> bool {
        self.is_wanted() && matches!(&*self.best.borrow(), Some(Ok(_)))
    }

    /// True if the first attempt gave no block.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(&*self.best.borrow(), Some(Err(_)))
    }

    /// A newer job waits for the build thread, or the chain has gone on: no further attempts at a
    /// block that is there.
    pub(crate) fn supersede(&self) {
        if self.best.borrow().is_some() {
            self.wanted.store(true, Ordering::Relaxed);
        }
    }

    /// Publishes a block if it earns more than the best one, or is the first.
    pub(crate) fn offer(&self, result: Result<BuiltPayload, BuildError>) {
        self.best.send_if_modified(|best| {
            let better = match (&best, &result) {
                (Some(Ok(old)), Ok(new)) => {
                    new.fees > old.fees
                        || new.executed.output.gas_used > old.executed.output.gas_used
                }
                (Some(Ok(_)), Err(_)) => false,
                _ => true,
            };
            if better {
                *best = Some(result);
            }
            better
        });
    }
}
