//! Total difficulty, which only decides where proof of stake begins (EIP-3675). It is not stored:
//! summed up from headers when a chain with a terminal difficulty imports around that point.

use std::num::NonZeroUsize;

use banyan_consensus::{InvalidBlock, validate_transition};
use banyan_primitives::{B256, Header, SealedHeader, U256};
use lru::LruCache;

use crate::{ChainError, machine::Chain};

const CAPACITY: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Total difficulties of recent proof-of-work blocks, their own included, by block hash.
#[derive(Debug)]
pub(crate) struct TotalDifficulties {
    known: LruCache<B256, U256>,
}

impl TotalDifficulties {
    pub(crate) fn new() -> Self {
        Self { known: LruCache::new(CAPACITY) }
    }
}

impl Chain {
    /// Checks that a block is proof of work or proof of stake as its ancestors' work demands.
    pub(crate) fn check_transition(
        &mut self,
        header: &Header,
        parent: &SealedHeader,
    ) -> Result<Result<(), InvalidBlock>, ChainError> {
        let merged = parent.difficulty.is_zero() && parent.number > 0;
        let terminal = self.spec.terminal_total_difficulty;
        if merged || terminal.is_none_or(|terminal| terminal.is_zero()) {
            return Ok(Ok(()));
        }
        let total = self.total_difficulty(parent)?;
        Ok(validate_transition(&self.spec, header, total))
    }

    fn total_difficulty(&mut self, header: &SealedHeader) -> Result<U256, ChainError> {
        let view = self.published.load_full();
        let mut open: Vec<(B256, U256)> = Vec::new();
        let (mut hash, mut total) = (header.hash(), U256::ZERO);
        loop {
            if let Some(known) = self.total_difficulties.known.get(&hash) {
                total = *known;
                break;
            }
            let Some(header) = view.header_by_hash(&hash)? else { break };
            open.push((hash, header.difficulty));
            if header.number == 0 {
                break;
            }
            hash = header.parent_hash;
        }
        for (hash, difficulty) in open.into_iter().rev() {
            total = total.saturating_add(difficulty);
            self.total_difficulties.known.put(hash, total);
        }
        Ok(total)
    }
}
