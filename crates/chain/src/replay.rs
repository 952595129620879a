//! After a crash: blocks that were acknowledged but are only in the journal are executed again, and
//! the labels are set as they were last answered.

use std::time::Instant;

use banyan_primitives::{B256, BlockRef};
use banyan_storage::{BlockRead, Journal, Markers};

use crate::{ChainError, ForkchoiceError, ForkchoiceState, PayloadStatus, machine::Chain};

impl Chain {
    /// Brings the chain to the newest acknowledged head. Only if the journal is damaged, or a block
    /// in it is not valid any more, to an older one. `progress` is told blocks done and in all.
    pub(crate) fn replay_journal(
        &mut self,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), ChainError> {
        // What is replayed is in the journal already, and heads on the way were not the last word.
        let Some(journal) = self.journal.take() else { return Ok(()) };
        let result = self.replay_newest(&journal, progress);
        self.journal = Some(journal);
        result
    }

    fn replay_newest(
        &mut self,
        journal: &Journal,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), ChainError> {
        for markers in journal.heads() {
            if let Some(path) = self.path_in_journal(journal, markers.head)?
                && self.replay(journal, &path, markers, progress)?
            {
                return Ok(());
            }
            tracing::error!(
                number = markers.head.number,
                hash = %markers.head.hash,
                "a head that was acknowledged cannot be restored from the journal; the consensus \
                 client has to send it again"
            );
        }
        Ok(())
    }

    /// The blocks from the database up to `head`, oldest first, all of them in the journal; `None`
    /// if one is missing.
    fn path_in_journal(
        &self,
        journal: &Journal,
        head: BlockRef,
    ) -> Result<Option<Vec<B256>>, ChainError> {
        let txn = self.db.read()?;
        let mut path = Vec::new();
        let mut next = head.hash;
        while txn.block_ref(&next)?.is_none() {
            let Some(parent) = journal.parent_of(&next) else { return Ok(None) };
            path.push(next);
            next = parent.hash;
        }
        path.reverse();
        Ok(Some(path))
    }

    /// False if a block or the labels turn out not to be valid.
    fn replay(
        &mut self,
        journal: &Journal,
        path: &[B256],
        markers: &Markers,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<bool, ChainError> {
        let started = Instant::now();
        for (done, hash) in path.iter().enumerate() {
            progress(done as u64, path.len() as u64);
            let Some(block) = journal.block(hash)? else { return Ok(false) };
            let status = self.on_new_payload(block)?;
            if !matches!(status, PayloadStatus::Valid(_)) {
                tracing::error!(%hash, ?status, "a block of the journal is not valid");
                return Ok(false);
            }
            // Block by block, so that they go to the database and do not pile up in memory.
            let state = ForkchoiceState { head: *hash, ..Default::default() };
            if !self.applies(state)? {
                return Ok(false);
            }
        }
        // A label that the journal does not have was dropped after the database was written.
        (self.safe, self.finalized) = (None, None);
        let hash = |label: Option<BlockRef>| label.map_or(B256::ZERO, |label| label.hash);
        let state = ForkchoiceState {
            head: markers.head.hash,
            safe: hash(markers.safe),
            finalized: hash(markers.finalized),
        };
        let applied = self.applies(state)?;
        if applied && !path.is_empty() {
            let elapsed_ms = started.elapsed().as_millis() as u64;
            let (blocks, head) = (path.len(), markers.head.number);
            tracing::info!(blocks, head, elapsed_ms, "restored from the journal");
        }
        Ok(applied)
    }

    fn applies(&mut self, state: ForkchoiceState) -> Result<bool, ChainError> {
        match self.on_forkchoice(state) {
            Ok((status, _)) => Ok(matches!(status, PayloadStatus::Valid(_))),
            Err(ForkchoiceError::Chain(error)) => Err(error),
            Err(error) => {
                tracing::error!(%error, ?state, "labels of the journal do not hold");
                Ok(false)
            }
        }
    }
}
