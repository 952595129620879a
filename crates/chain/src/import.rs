//! `import`: blocks from a file, proof-of-work ones included, each made head as it comes.

use banyan_primitives::{B256, RecoveredBlock};

use crate::{ChainError, ForkchoiceError, ForkchoiceState, PayloadStatus, machine::Chain};

impl Chain {
    /// Validates a block and makes it the head. A block that is canonical already changes nothing.
    pub(crate) fn on_import(&mut self, block: RecoveredBlock) -> Result<PayloadStatus, ChainError> {
        let (hash, number) = (block.hash(), block.number());
        if self.published.load().canonical_hash(number)? == Some(hash) {
            return Ok(PayloadStatus::Valid(hash));
        }
        let status = self.on_new_payload(block)?;
        if !matches!(status, PayloadStatus::Valid(_)) {
            return Ok(status);
        }
        let state = ForkchoiceState { head: hash, safe: B256::ZERO, finalized: B256::ZERO };
        match self.on_forkchoice(state) {
            Ok((status, _)) => Ok(status),
            Err(ForkchoiceError::Chain(error)) => Err(error),
            Err(error) => Err(ChainError::Fault(error.to_string())),
        }
    }
}
