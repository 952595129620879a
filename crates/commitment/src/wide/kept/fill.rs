//! Reading the leaves of a state in order, to build the tree from them.

use banyan_primitives::{
    B256,
    trie::{Leaf, TrieSource},
};

use super::super::path::Spot;
use crate::{CommitmentError, walk};

/// Accounts, and slots, read at a time.
const CHUNK: usize = 1 << 14;

/// The leaves between two accounts, chunk by chunk.
#[derive(Debug)]
pub(super) struct Walk(walk::Walk);

impl Walk {
    pub(super) fn new(first: B256, last: B256) -> Self {
        Self(walk::Walk::new(first, last, CHUNK))
    }

    /// The next leaves in order of path; `None` at the end.
    pub(super) fn chunk<S: TrieSource>(
        &mut self,
        source: &S,
    ) -> Result<Option<Vec<(Spot, Leaf)>>, CommitmentError> {
        let Some(walk::Part { accounts, slots }) = self.0.next(source)? else { return Ok(None) };
        let accounts = accounts.into_iter().map(|(id, it)| (Spot::account(&id), Leaf::Account(it)));
        let slots = slots.into_iter().map(|((id, slot), it)| (Spot::slot(&id, &slot), it));
        let slots = slots.map(|(spot, value)| (spot, Leaf::Slot(value)));
        let mut leaves: Vec<_> = accounts.chain(slots).collect();
        // Two sorted lists, nearly: a stable sort makes use of that.
        leaves.sort_by_key(|(spot, _)| *spot);
        Ok(Some(leaves))
    }
}
