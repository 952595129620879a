//! `newPayload`: a block comes in and is found valid, invalid, or waiting for its parent.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use banyan_consensus::{
    InvalidBlock, validate_activation, validate_body, validate_header, validate_ommers,
};
use banyan_primitives::{B256, RecoveredBlock, SealedBlock, SealedHeader, roots};

use crate::{ChainError, ExecutedBlock, PayloadStatus, execute::Verdict, machine::Chain};

/// Ommers may be children of the six nearest ancestors.
const OMMER_DEPTH: usize = 7;

impl Chain {
    /// Validates and inserts a block. `Err` is our own fault, never the block's.
    pub(crate) fn on_new_payload(
        &mut self,
        block: RecoveredBlock,
    ) -> Result<PayloadStatus, ChainError> {
        let hash = block.hash();
        if self.is_known_valid(&hash)? {
            return Ok(PayloadStatus::Valid(hash));
        }
        if let Some(status) = self.known_invalid(&block) {
            return Ok(status);
        }
        let Some(parent) = self.find_parent(&block)? else {
            self.buffer.insert(block);
            return Ok(PayloadStatus::Syncing);
        };
        let verdict = match self.built.pop(&hash) {
            Some(built) => Ok(built),
            None => self.validate_and_execute(&block, &parent)?.map(Arc::new),
        };
        match verdict {
            Ok(executed) => {
                let started = Instant::now();
                self.put_on_tree(executed)?;
                metrics::histogram!("banyan_block_insert_seconds").record(started.elapsed());
                Ok(PayloadStatus::Valid(hash))
            }
            Err(error) => Ok(self.reject(&block, &parent, &error)),
        }
    }

    /// Keeps a block that we built and executed ourselves, until its newPayload comes.
    pub(crate) fn on_built(&mut self, block: Arc<ExecutedBlock>) -> Result<(), ChainError> {
        let hash = block.block.hash();
        if !self.is_known_valid(&hash)? {
            self.built.put(hash, block);
        }
        Ok(())
    }

    /// A valid block joins the tree. It becomes durable when it is made head (`make_durable`).
    fn put_on_tree(&mut self, block: Arc<ExecutedBlock>) -> Result<(), ChainError> {
        let tip = block.block_ref();
        if let Some(accesses) = &block.accesses {
            self.accesses.put(block.block.hash(), Arc::clone(accesses));
        }
        self.tree.insert(block);
        self.publish();
        self.want_roots(tip)?;
        self.retry_roots()
    }

    /// Executes blocks that waited for `parent`, and those that waited for them. Called after the
    /// answer to the parent went out.
    pub(crate) fn connect_waiting(&mut self, parent: B256) -> Result<(), ChainError> {
        let mut parents = VecDeque::from([parent]);
        while let Some(parent) = parents.pop_front() {
            for child in self.buffer.take_children(&parent) {
                if self.is_stopping() {
                    return Ok(());
                }
                parents.push_back(child.hash());
                self.on_new_payload(child)?;
            }
        }
        Ok(())
    }

    fn is_known_valid(&self, hash: &B256) -> Result<bool, ChainError> {
        Ok(self.available_header(hash)?.is_some())
    }

    fn known_invalid(&mut self, block: &RecoveredBlock) -> Option<PayloadStatus> {
        let hash = block.hash();
        let verdict = match self.invalid.get(&hash) {
            Some(verdict) => verdict,
            None => self.invalid.inherit(&block.header.parent_hash, hash)?,
        };
        let latest_valid = Some(verdict.latest_valid);
        Some(PayloadStatus::Invalid { latest_valid, error: verdict.error })
    }

    /// The parent's header once its state can be had; executes reverted ancestors again if needed.
    fn find_parent(&mut self, block: &RecoveredBlock) -> Result<Option<SealedHeader>, ChainError> {
        let hash = block.header.parent_hash;
        match self.available_header(&hash)? {
            Some(header) => Ok(Some(header)),
            None if self.restore_reverted(&hash)? => self.available_header(&hash),
            None => Ok(None),
        }
    }

    /// Brings a block that was persisted and then reverted back into memory, with its ancestors
    /// down to the canonical chain. False if the block is unknown.
    pub(crate) fn restore_reverted(&mut self, hash: &B256) -> Result<bool, ChainError> {
        let mut missing = Vec::new();
        let mut next = *hash;
        while self.available_header(&next)?.is_none() {
            if let Some(block) = self.tree.get(&next) {
                // In memory, but over a base that was reverted since.
                next = self.tree.branch(block.block_ref()).base.hash;
                continue;
            }
            let Some(block) = self.reverted_block(&next)? else { return Ok(false) };
            next = block.header.parent_hash;
            missing.push(block);
        }
        for block in missing.into_iter().rev() {
            if self.is_stopping() {
                return Err(ChainError::Stopped);
            }
            let Some(parent) = self.available_header(&block.header.parent_hash)? else {
                return Ok(false);
            };
            match self.validate_and_execute(&block, &parent)? {
                Ok(executed) => self.put_on_tree(Arc::new(executed))?,
                Err(error) => {
                    return Err(ChainError::Fault(format!(
                        "block {} was valid and is not any more: {error}",
                        block.block_ref()
                    )));
                }
            }
        }
        Ok(true)
    }

    fn reject(
        &mut self,
        block: &RecoveredBlock,
        parent: &SealedHeader,
        error: &InvalidBlock,
    ) -> PayloadStatus {
        let hash = block.hash();
        // By the Engine API a proof-of-work ancestor is named by the zero hash.
        let proof_of_work = !parent.difficulty.is_zero();
        let latest_valid = if proof_of_work { B256::ZERO } else { parent.hash() };
        tracing::warn!(%hash, parent = %parent.hash(), %error, "invalid block");
        if body_is_the_headers(block) {
            self.invalid.insert(hash, latest_valid, error.to_string());
        }
        PayloadStatus::Invalid { latest_valid: Some(latest_valid), error: error.to_string() }
    }

    /// All rules of a block on its parent: header, body, execution, output, roots.
    pub(crate) fn validate_and_execute(
        &mut self,
        block: &RecoveredBlock,
        parent: &SealedHeader,
    ) -> Result<Verdict, ChainError> {
        if let Err(error) = self.validate_before_execution(block, parent)? {
            return Ok(Err(error));
        }
        self.want_roots(parent.into())?;
        let verdict = self.with_state(parent.into(), |chain, view| chain.execute(block, view))?;
        if let Ok(executed) = &verdict {
            metrics::histogram!("banyan_block_execute_seconds").record(executed.timings.execute);
            metrics::histogram!("banyan_block_root_seconds").record(executed.timings.root);
            metrics::counter!("banyan_block_gas_total").increment(executed.output.gas_used);
        }
        Ok(verdict)
    }

    fn validate_before_execution(
        &mut self,
        block: &RecoveredBlock,
        parent: &SealedHeader,
    ) -> Result<Result<(), InvalidBlock>, ChainError> {
        let mut checks = validate_header(&self.spec, &block.header, parent)
            .and_then(|()| validate_body(&self.spec, block))
            .and_then(|()| {
                let (time, transactions) = (block.header.timestamp, &block.body.transactions);
                validate_activation(&self.spec, parent, time, transactions)
            });
        if checks.is_ok() {
            checks = self.check_transition(&block.header, parent)?;
        }
        if checks.is_err() || block.body.ommers.is_empty() {
            return Ok(checks);
        }
        let ancestors = self.ancestors(parent)?;
        let ancestors: Vec<&SealedBlock> = ancestors.iter().map(|found| &*found.block).collect();
        Ok(validate_ommers(&self.spec, block, &ancestors))
    }

    /// The nearest ancestors of a block, its parent first, with their ommers.
    fn ancestors(&self, parent: &SealedHeader) -> Result<Vec<RecoveredBlock>, ChainError> {
        let view = self.published.load();
        let mut found = Vec::with_capacity(OMMER_DEPTH);
        let mut hash = parent.hash();
        while found.len() < OMMER_DEPTH {
            let Some(block) = view.block_by_hash(&hash)? else { break };
            hash = block.header.parent_hash;
            found.push(block);
        }
        Ok(found)
    }
}

/// True if the body is the one that the header commits to. A block file may join a good header
/// with a foreign body; the verdict on that says nothing about the hash.
fn body_is_the_headers(block: &RecoveredBlock) -> bool {
    let (header, body) = (&block.header, &block.body);
    header.transactions_root == roots::transactions_root(&body.transactions)
        && header.ommers_hash == roots::ommers_hash(&body.ommers)
}
