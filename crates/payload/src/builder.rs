//! One attempt at a block: forced transactions, then the pool, then the seal.

use std::{sync::Arc, time::Instant};

use banyan_chain::{SealRequest, record_execution, seal};
use banyan_chainspec::{ChainSpec, Fork};
use banyan_consensus::{
    AttributesError, attributes_extra_data, blob_base_fee, is_activation_block, next_base_fee,
    next_excess_blob_gas,
};
use banyan_executor::{
    BlockAccesses, BlockContext, BlockExecutor, BlockOutput, ExecutionError, Executor, TxError,
    TxOutcome,
};
use banyan_primitives::{Address, Encodable2718, Header, StateSource, Transaction, U256, signer};
use banyan_state::{SharedView, StateView};
use banyan_txpool::{PoolHandle, PooledTransaction};

use crate::{BuilderConfig, BuiltPayload, DaLimits, candidates::Candidates, job::Job};

/// No transaction is cheaper, so below this much gas a block is full.
const MIN_TX_GAS: u64 = 21_000;
/// A block's gas limit moves by less than 1/1024 of its parent's.
const GAS_LIMIT_BOUND_DIVISOR: u64 = 1024;
const MIN_GAS_LIMIT: u64 = 5_000;
/// EIP-7934: 10 MiB less 2 MiB for the rest of a beacon block; and some room for header and
/// withdrawals.
const MAX_TRANSACTION_BYTES: usize = (8 << 20) - (64 << 10);

/// Why a job gave no block.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BuildError {
    /// A forced transaction cannot be executed, or the attributes do not fit: the CL's fault.
    #[error(transparent)]
    Attributes(#[from] AttributesError),
    /// Our own fault.
    #[error("building failed: {0}")]
    Fault(String),
}

/// What building takes from its surroundings.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    pub(crate) spec: &'a ChainSpec,
    pub(crate) executor: &'a Executor,
    pub(crate) pool: &'a PoolHandle,
    pub(crate) config: &'a BuilderConfig,
    pub(crate) limits: DaLimits,
}

/// A block that is being filled.
struct Draft<'a, S: StateSource> {
    executor: BlockExecutor<'a, S>,
    context: BlockContext,
    content: Content,
}

/// What is in a block.
#[derive(Default)]
struct Content {
    transactions: Vec<Transaction>,
    senders: Vec<Address>,
    blob_transactions: Vec<Arc<PooledTransaction>>,
    fees: U256,
    da_size: u64,
    bytes: usize,
}

impl Content {
    fn push(&mut self, tx: Transaction, sender: Address, outcome: &TxOutcome) {
        self.fees += U256::from(outcome.effective_tip) * U256::from(outcome.gas_used);
        self.da_size = self.da_size.saturating_add(outcome.da_size);
        self.bytes += tx.encode_2718_len();
        self.transactions.push(tx);
        self.senders.push(sender);
    }
}

impl<S: StateSource> Draft<'_, S> {
    fn gas_left(&self) -> u64 {
        self.context.gas_limit.saturating_sub(self.executor.gas_used())
    }
}

impl Builder<'_> {
    /// Builds one block. `forced_done` is called once the forced transactions are executed.
    pub(crate) fn build(
        &self,
        job: &Job,
        forced_done: impl FnOnce(),
    ) -> Result<BuiltPayload, BuildError> {
        let started = Instant::now();
        let state = self.parent_state(job)?;
        let state = SharedView::new(&state, self.executor.config().workers);
        let context = self.context(job)?;
        let (output, accesses, content) = self.executor.build(
            self.spec,
            context.clone(),
            &state,
            |executor| -> Result<_, BuildError> {
                let context = context.clone();
                let mut draft = Draft { executor, context, content: Content::default() };
                self.execute(&mut draft, job, forced_done)?;
                record_execution(draft.context.number, &draft.executor.stats());
                let withdrawals = job.attributes.withdrawals.as_ref().map(|list| list.as_slice());
                let (output, accesses) = draft.executor.finish_with_accesses(&[], withdrawals)?;
                Ok((output, accesses, draft.content))
            },
        )?;
        if job.is_over() {
            // Sealing would cost time now that somebody is in a hurry, and take the tries in memory
            // back to the parent while the chain goes on.
            return Err(BuildError::Fault("the job has its block".into()));
        }
        self.seal(context, (output, accesses, content), job, &state, started)
    }

    /// System calls, forced transactions, the pool's.
    fn execute<S: StateSource>(
        &self,
        draft: &mut Draft<'_, S>,
        job: &Job,
        forced_done: impl FnOnce(),
    ) -> Result<(), BuildError> {
        draft.executor.begin()?;
        self.force(draft, &job.attributes.transactions)?;
        forced_done();
        let activation = is_activation_block(self.spec, &job.parent, job.attributes.timestamp);
        if !job.attributes.no_tx_pool && !activation {
            self.fill(draft, job)?;
        }
        Ok(())
    }

    fn parent_state(&self, job: &Job) -> Result<StateView, BuildError> {
        let state = job.view.trie_state_at(&job.parent.hash()).map_err(|error| fault(&error))?;
        state.ok_or_else(|| BuildError::Fault("the parent block is gone".into()))
    }

    fn context(&self, job: &Job) -> Result<BlockContext, BuildError> {
        let (parent, attributes) = (job.parent.inner(), &job.attributes);
        let timestamp = attributes.timestamp;
        let base_fee =
            next_base_fee(self.spec, parent, timestamp).map_err(|error| fault(&error))?;
        Ok(BlockContext {
            number: parent.number + 1,
            timestamp,
            parent_hash: job.parent.hash(),
            beneficiary: attributes.suggested_fee_recipient,
            gas_limit: attributes.gas_limit.unwrap_or_else(|| self.next_gas_limit(parent)),
            base_fee,
            difficulty: U256::ZERO,
            prev_randao: attributes.prev_randao,
            excess_blob_gas: next_excess_blob_gas(self.spec, parent, timestamp),
            parent_beacon_root: attributes.parent_beacon_block_root,
            slot_number: attributes.slot_number,
        })
    }

    /// The parent's gas limit, moved towards the configured one as far as a block may.
    fn next_gas_limit(&self, parent: &Header) -> u64 {
        let step = (parent.gas_limit / GAS_LIMIT_BOUND_DIVISOR).saturating_sub(1);
        let low = parent.gas_limit.saturating_sub(step).max(MIN_GAS_LIMIT);
        let high = parent.gas_limit.saturating_add(step);
        self.config.gas_limit.unwrap_or(parent.gas_limit).clamp(low, high.max(low))
    }

    /// Forced transactions must all be executable, in order.
    fn force<S: StateSource>(
        &self,
        draft: &mut Draft<'_, S>,
        forced: &[Transaction],
    ) -> Result<(), BuildError> {
        let known = |hash: &_| self.pool.known_sender(hash);
        let senders = signer::senders(forced, known)
            .map_err(|(index, error)| attributes_error(index, &error))?;
        draft.executor.offer(forced.iter().cloned().zip(senders.iter().copied()).collect());
        for (index, (tx, sender)) in forced.iter().zip(senders).enumerate() {
            match draft.executor.execute(tx, sender) {
                Ok(outcome) => draft.content.push(tx.clone(), sender, &outcome),
                Err(TxError::Source(error)) => return Err(fault(&error)),
                Err(error) => return Err(attributes_error(index, &error)),
            }
        }
        Ok(())
    }

    /// Takes from the pool what fits, best tip first, until the block is full or wanted.
    fn fill<S: StateSource>(&self, draft: &mut Draft<'_, S>, job: &Job) -> Result<(), BuildError> {
        let rules = draft.context.rules(self.spec);
        let blob_fee = draft.context.excess_blob_gas.map_or(0, |gas| blob_base_fee(&rules, gas));
        let best = self.pool.best(draft.context.base_fee.unwrap_or(0), blob_fee);
        let mut candidates = Candidates::new(best);
        loop {
            if job.is_wanted() || draft.gas_left() < MIN_TX_GAS {
                break;
            }
            if let Some(ahead) = candidates.look_ahead(draft.gas_left()) {
                draft.executor.offer(ahead);
            }
            let Some(tx) = candidates.next() else { break };
            let too_large =
                rules.is(Fork::Osaka) && draft.content.bytes + tx.size > MAX_TRANSACTION_BYTES;
            // The pool judges sidecars by the head's fork; this block may be the first of Osaka.
            let stale_sidecar = tx
                .sidecar
                .as_ref()
                .is_some_and(|blobs| blobs.is_eip4844() == rules.is(Fork::Osaka));
            if too_large || stale_sidecar || !self.fits_da(&draft.content, tx.da_size) {
                candidates.skip_sender(tx.sender);
                continue;
            }
            match draft.executor.execute(&tx.tx, tx.sender) {
                Ok(outcome) => {
                    draft.content.push(tx.tx.clone(), tx.sender, &outcome);
                    if tx.sidecar.is_some() {
                        draft.content.blob_transactions.push(tx);
                    }
                }
                Err(TxError::NonceTooLow) => {}
                Err(TxError::DoesNotFit(_) | TxError::Invalid(_)) => {
                    candidates.skip_sender(tx.sender)
                }
                Err(TxError::Source(error)) => return Err(fault(&error)),
            }
        }
        Ok(())
    }

    fn fits_da(&self, content: &Content, size: u64) -> bool {
        let DaLimits { max_tx_size, max_block_size } = self.limits;
        let block_size = content.da_size.saturating_add(size);
        (max_tx_size == 0 || size <= max_tx_size)
            && (max_block_size == 0 || block_size <= max_block_size)
    }

    fn seal(
        &self,
        context: BlockContext,
        (output, accesses, content): (BlockOutput, Option<Arc<BlockAccesses>>, Content),
        job: &Job,
        state: &SharedView<'_>,
        started: Instant,
    ) -> Result<BuiltPayload, BuildError> {
        let request = SealRequest {
            context,
            extra_data: attributes_extra_data(self.spec, &job.attributes, &self.config.extra_data)?,
            transactions: content.transactions,
            senders: content.senders,
            withdrawals: job.attributes.withdrawals.clone(),
            execute: started.elapsed(),
        };
        let executed = seal(self.spec, job.view.commitments(), state, request, output)
            .map_err(|error| fault(&error))?;
        Ok(BuiltPayload {
            executed: Arc::new(executed.with_accesses(accesses)),
            fees: content.fees,
            blob_transactions: content.blob_transactions,
            parent_beacon_block_root: job.attributes.parent_beacon_block_root,
        })
    }
}

fn attributes_error(index: usize, error: &impl std::fmt::Display) -> BuildError {
    AttributesError(format!("transaction {index} cannot be executed: {error}")).into()
}

fn fault(error: &impl std::fmt::Display) -> BuildError {
    BuildError::Fault(error.to_string())
}

impl From<ExecutionError> for BuildError {
    fn from(error: ExecutionError) -> Self {
        fault(&error)
    }
}

#[cfg(test)]
mod tests;
