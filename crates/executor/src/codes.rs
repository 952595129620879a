//! Contract code, analysed once: the analysis of jump destinations costs more than many a call.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use banyan_primitives::{B256, B256Map};
use revm::state::Bytecode;

/// So much code is kept, bytes; then all of it is forgotten.
const MOST_BYTES: usize = 256 << 20;

/// Analysed code by hash, shared by blocks and threads. What it holds is true for ever.
#[derive(Debug, Default)]
pub(crate) struct CodeCache(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    codes: B256Map<Bytecode>,
    bytes: usize,
}

impl CodeCache {
    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, hash: &B256) -> Option<Bytecode> {
        self.known().codes.get(hash).cloned()
    }

    pub(crate) fn insert(&self, hash: B256, code: Bytecode) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.bytes > MOST_BYTES {
            *known = Known::default();
        }
        // Code and a bit for each of its bytes.
        known.bytes += code.len() + code.len() / 8;
        known.codes.insert(hash, code);
    }
}
