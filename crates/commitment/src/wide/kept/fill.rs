//! Reading the leaves of a state in order, to build the tree from them.

use banyan_primitives::{
    Account, B256, U256,
    trie::{Leaf, SlotKey, TrieSource},
};

use super::super::path::Spot;
use crate::CommitmentError;

/// Accounts, and slots, read at a time.
const CHUNK: usize = 1 << 14;

/// The accounts between two ids, and their slots, chunk by chunk: a large contract is no reason to
/// read anything twice.
#[derive(Debug)]
pub(super) struct Walk {
    /// Where the next chunk begins; `None` if all is read.
    next: Option<Next>,
    last: B256,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    /// With this account.
    Account(B256),
    /// With this slot of an account that was read itself.
    Slot(SlotKey),
}

impl Walk {
    pub(super) fn new(first: B256, last: B256) -> Self {
        Self { next: Some(Next::Account(first)), last }
    }

    /// The next leaves in order of path; `None` at the end.
    pub(super) fn chunk<S: TrieSource>(
        &mut self,
        source: &S,
    ) -> Result<Option<Vec<(Spot, Leaf)>>, CommitmentError> {
        let Some(next) = self.next else { return Ok(None) };
        let (accounts, from, to) = match next {
            Next::Account(first) => {
                let accounts = accounts(source, &first, &self.last)?;
                let full = accounts.len() == CHUNK;
                let to = accounts.last().filter(|_| full).map_or(self.last, |(id, _)| *id);
                (accounts, (first, B256::ZERO), to)
            }
            Next::Slot(from) => (Vec::new(), from, from.0),
        };
        let mut slots = Vec::new();
        let range = (from, (to, B256::repeat_byte(0xff)));
        let visit = &mut |key, value| slots.push((key, value));
        source.visit_slots((&range.0, &range.1), CHUNK, visit)?;
        let (read_to, next) = match slots.last() {
            Some(((id, slot), _)) if slots.len() == CHUNK => {
                let rest = after(slot).map(|slot| Next::Slot((*id, slot)));
                (*id, rest.or_else(|| self.account_after(id)))
            }
            _ => (to, self.account_after(&to)),
        };
        self.next = next;
        let accounts = accounts.into_iter().take_while(|(id, _)| *id <= read_to);
        let mut leaves: Vec<_> = accounts
            .map(|(id, account)| (Spot::account(&id), Leaf::Account(account)))
            .chain(
                slots
                    .into_iter()
                    .map(|((id, slot), value)| (Spot::slot(&id, &slot), Leaf::Slot(value))),
            )
            .collect();
        // Two sorted lists, nearly: a stable sort makes use of that.
        leaves.sort_by_key(|(spot, _)| *spot);
        Ok(Some(leaves))
    }

    fn account_after(&self, id: &B256) -> Option<Next> {
        after(id).filter(|id| *id <= self.last).map(Next::Account)
    }
}

fn accounts<S: TrieSource>(
    source: &S,
    first: &B256,
    last: &B256,
) -> Result<Vec<(B256, Account)>, CommitmentError> {
    let mut accounts = Vec::new();
    let visit = &mut |id, account| accounts.push((id, account));
    source.visit_accounts((first, last), CHUNK, visit)?;
    Ok(accounts)
}

fn after(key: &B256) -> Option<B256> {
    U256::from_be_bytes(key.0).checked_add(U256::from(1)).map(B256::from)
}

#[cfg(test)]
mod tests {
    use banyan_primitives::trie::{HashedDiff, HashedStorageDiff, NodeDiff};

    use super::*;
    use crate::MemoryTrie;

    fn id(byte: u8, number: u64) -> B256 {
        let mut id = B256::from(U256::from(number));
        id[0] = byte;
        id
    }

    #[test]
    fn every_leaf_is_read_once_and_a_large_contract_in_parts() {
        let mut diff = HashedDiff::default();
        let account = Some(Account { nonce: 1, ..Default::default() });
        diff.accounts.extend((0..CHUNK as u64 + 9).map(|n| (id(3, n), account)));
        diff.accounts.insert(B256::repeat_byte(0x1f), account);
        for (owner, count) in [(id(2, 7), CHUNK * 2), (id(3, 1), 40), (id(4, 0), CHUNK + 5)] {
            let slots = (0..count as u64).map(|n| (id(n as u8, n), U256::from(n + 1))).collect();
            diff.accounts.insert(owner, account);
            diff.storage.insert(owner, HashedStorageDiff { wiped: false, slots });
        }
        let mut state = MemoryTrie::default();
        state.apply(&diff, &NodeDiff::default());
        let mut walk = Walk::new(id(2, 0), id(4, 0));
        let mut found = Vec::new();
        while let Some(leaves) = walk.chunk(&state).unwrap() {
            assert!(leaves.is_sorted_by_key(|(spot, _)| *spot));
            found.extend(leaves.into_iter().map(|(spot, _)| spot));
        }
        let count = found.len();
        found.sort_unstable();
        found.dedup();
        assert_eq!((found.len(), count), (count, CHUNK + 9 + 2 + CHUNK * 3 + 45));
    }
}
