//! Built without the feature `peers`: none of them can be opened.

use std::path::Path;

use banyan_primitives::trie::HashedDiff;

use crate::{Result, mdbx::Run};

pub(crate) struct Peer;

impl Peer {
    pub(crate) fn new(_folder: &Path, _parts: &[HashedDiff]) -> Result<Self> {
        Err("built without the feature `peers`".into())
    }

    pub(crate) fn reopen(&mut self, _folder: &Path, _threads: usize) -> Result<()> {
        Ok(())
    }

    pub(crate) fn commit(&self, _diff: &HashedDiff) -> Result<Run> {
        Ok(Run::default())
    }
}
