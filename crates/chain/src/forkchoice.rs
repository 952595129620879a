//! `forkchoiceUpdated`: moving head, safe and finalized, forwards, sideways and back.

use std::{sync::Arc, time::Instant};

use banyan_primitives::{B256, BlockRef, RecoveredBlock, SealedHeader};
use banyan_storage::Markers;

use crate::{
    CanonicalChange, ChainError, ChainView, ExecutedBlock, ForkchoiceError, ForkchoiceState,
    PayloadStatus, machine::Chain,
};

/// A way from the present head to a new one.
struct Path {
    /// Newest block that both chains share.
    ancestor: BlockRef,
    /// Blocks above it on the new chain, oldest first.
    included: Vec<Arc<ExecutedBlock>>,
}

impl Chain {
    /// Applies a forkchoice state as a whole or not at all: safe and finalized are checked before
    /// the head moves. A head that is an ancestor of the present one rewinds the chain.
    pub(crate) fn on_forkchoice(
        &mut self,
        state: ForkchoiceState,
    ) -> Result<(PayloadStatus, Arc<ChainView>), ForkchoiceError> {
        if state.head.is_zero() {
            return Err(ForkchoiceError::InvalidState("head block hash is zero".into()));
        }
        if let Some(verdict) = self.invalid.get(&state.head) {
            let latest_valid = Some(verdict.latest_valid);
            let status = PayloadStatus::Invalid { latest_valid, error: verdict.error };
            return Ok((status, self.published.load_full()));
        }
        let Some(head) = self.find_head(&state.head)? else {
            return Ok((PayloadStatus::Syncing, self.published.load_full()));
        };
        let moved = self.tree.head().hash() != head.hash();
        if moved {
            self.wait_for_disk()?;
        }
        let path = self.path_to(&head)?;
        let finalized = self.find_label("finalized", state.finalized, &path, &head)?;
        let safe = self.find_label("safe", state.safe, &path, &head)?;
        let (safe, finalized) = self.labels_after(path.ancestor.number, safe, finalized);
        check_order(finalized.as_ref(), safe.as_ref())?;
        self.settle_above(path.ancestor)?;
        let before = self.acknowledged();
        let after = markers(&head, safe.as_ref(), finalized.as_ref());
        self.make_durable(&path.included, after)?;
        let reverted = if moved { self.move_head_or_withdraw(&path, before)? } else { Vec::new() };
        (self.safe, self.finalized) = (safe, finalized);
        let view = self.publish();
        self.retry_roots()?;
        if moved {
            self.commitments.settle(head.state_root);
            self.announce(reverted, path.included, &view);
        }
        self.persist_if_due()?;
        Ok((PayloadStatus::Valid(head.hash()), view))
    }

    fn find_head(&mut self, hash: &B256) -> Result<Option<SealedHeader>, ChainError> {
        if let Some(header) = self.available_header(hash)? {
            return Ok(Some(header));
        }
        if self.buffer.contains(hash) || !self.restore_reverted(hash)? {
            return Ok(None);
        }
        self.available_header(hash)
    }

    /// Climbs from the new head down to the canonical chain.
    fn path_to(&self, head: &SealedHeader) -> Result<Path, ForkchoiceError> {
        let mut path = Path { ancestor: head.into(), included: Vec::new() };
        while !self.tree.is_canonical(&path.ancestor) {
            let Some(block) = self.tree.get(&path.ancestor.hash) else { break };
            path.ancestor = block.block.parent_ref();
            path.included.push(Arc::clone(block));
        }
        path.included.reverse();
        let depth = self.tree.head().number.saturating_sub(path.ancestor.number);
        if depth > self.config.max_reorg_depth {
            let limit = self.config.max_reorg_depth;
            let error = format!("{depth} blocks back to {}, the limit is {limit}", path.ancestor);
            return Err(ForkchoiceError::TooDeep(error));
        }
        Ok(path)
    }

    /// The header of a safe or finalized block: known, and an ancestor of the head (or the head).
    fn find_label(
        &self,
        label: &str,
        hash: B256,
        path: &Path,
        head: &SealedHeader,
    ) -> Result<Option<SealedHeader>, ForkchoiceError> {
        if hash.is_zero() {
            return Ok(None);
        }
        if hash == head.hash() {
            return Ok(Some(head.clone()));
        }
        if let Some(block) = path.included.iter().find(|block| block.block.hash() == hash) {
            return Ok(Some(block.block.block.header.clone()));
        }
        let invalid =
            |what: &str| ForkchoiceError::InvalidState(format!("{label} block {hash} is {what}"));
        let Some(header) = self.available_header(&hash)? else {
            return Err(invalid("not available"));
        };
        let canonical = match self.tree.get(&hash) {
            Some(_) => self.tree.is_canonical(&(&header).into()),
            None => true,
        };
        if !canonical || header.number > path.ancestor.number {
            return Err(invalid("not an ancestor of the head"));
        }
        Ok(Some(header))
    }

    /// Waits for a write in flight that goes beyond `ancestor`. Before the journal is told anything:
    /// the end of that write lets the journal go of blocks.
    fn settle_above(&mut self, ancestor: BlockRef) -> Result<(), ChainError> {
        match self.persister.target().is_some_and(|target| ancestor.number < target) {
            true => self.finish_persisting(),
            false => Ok(()),
        }
    }

    /// Makes the new chain canonical; gives back the blocks that left it, oldest first.
    fn move_head(&mut self, path: &Path) -> Result<Vec<RecoveredBlock>, ChainError> {
        // The disk first: if it fails, nothing has moved.
        let unwound = match path.ancestor.number < self.tree.persisted().number {
            true => Some(self.unwind_database(path.ancestor)?),
            false => None,
        };
        let cut = self.tree.truncate(path.ancestor.number);
        let mut reverted = Vec::new();
        if let Some((tip, blocks)) = unwound {
            self.tree.unwind_persisted(tip);
            reverted = blocks;
        }
        reverted.extend(cut.iter().map(|block| block.block.clone()));
        for block in &path.included {
            self.tree.append(Arc::clone(block));
        }
        Ok(reverted)
    }

    /// Moves the head; if that fails, takes back what the journal was told.
    fn move_head_or_withdraw(
        &mut self,
        path: &Path,
        before: Markers,
    ) -> Result<Vec<RecoveredBlock>, ChainError> {
        self.move_head(path).inspect_err(|_| {
            if let Err(error) = self.make_durable(&[], before) {
                tracing::error!(%error, "the journal names a head that was not acknowledged");
            }
        })
    }

    /// The one place between "decided" and "answered": writes the acknowledgement to the journal.
    fn make_durable(
        &mut self,
        blocks: &[Arc<ExecutedBlock>],
        markers: Markers,
    ) -> Result<(), ChainError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let started = Instant::now();
        journal
            .append(blocks.iter().map(|block| &block.block), markers)
            .map_err(|error| ChainError::Write(error.to_string()))?;
        if !blocks.is_empty() {
            metrics::histogram!("banyan_block_journal_seconds").record(started.elapsed());
        }
        Ok(())
    }

    /// The labels as they were last answered.
    fn acknowledged(&self) -> Markers {
        markers(self.tree.head(), self.safe.as_ref(), self.finalized.as_ref())
    }

    /// Safe and finalized after a move: a zero hash leaves a label as it is, unless its block has
    /// left the chain above `ancestor`, or safe would fall behind finalized.
    fn labels_after(
        &self,
        ancestor: u64,
        safe: Option<SealedHeader>,
        finalized: Option<SealedHeader>,
    ) -> (Option<SealedHeader>, Option<SealedHeader>) {
        let still_there = |old: &Option<SealedHeader>| {
            old.as_ref().filter(|header| header.number <= ancestor).cloned()
        };
        let finalized = finalized.or_else(|| still_there(&self.finalized));
        let height = |label: &SealedHeader| label.number;
        let behind = |safe: &SealedHeader| Some(safe.number) < finalized.as_ref().map(height);
        let kept = || match still_there(&self.safe) {
            Some(safe) if behind(&safe) => finalized.clone(),
            kept => kept,
        };
        let safe = safe.or_else(kept);
        (safe, finalized)
    }

    fn announce(
        &self,
        reverted: Vec<RecoveredBlock>,
        included: Vec<Arc<ExecutedBlock>>,
        view: &Arc<ChainView>,
    ) {
        metrics::gauge!("banyan_chain_head_number").set(view.head().number as f64);
        if !reverted.is_empty() {
            metrics::counter!("banyan_chain_reorgs_total").increment(1);
            tracing::warn!(
                depth = reverted.len(),
                included = included.len(),
                head = view.head().number,
                hash = %view.head().hash(),
                "chain reorganised"
            );
        }
        let change = CanonicalChange { reverted, included, view: Arc::clone(view) };
        // An error only says that nobody listens.
        let _ = self.changes.send(Arc::new(change));
    }
}

fn markers(
    head: &SealedHeader,
    safe: Option<&SealedHeader>,
    finalized: Option<&SealedHeader>,
) -> Markers {
    Markers { head: head.into(), safe: safe.map(Into::into), finalized: finalized.map(Into::into) }
}

fn check_order(
    finalized: Option<&SealedHeader>,
    safe: Option<&SealedHeader>,
) -> Result<(), ForkchoiceError> {
    match (finalized, safe) {
        (Some(finalized), Some(safe)) if finalized.number > safe.number => {
            let error =
                format!("finalized block {} is above safe {}", finalized.number, safe.number);
            Err(ForkchoiceError::InvalidState(error))
        }
        _ => Ok(()),
    }
}
