//! Reading all of a state, a part at a time.

use banyan_primitives::{
    Account, B256, U256,
    trie::{SlotKey, TrieSource},
};

use crate::CommitmentError;

/// The accounts between two keys, and their slots, part by part: a large contract is no reason to
/// read anything twice. The state may change between two parts.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// Where the next part begins; `None` if all is read.
    next: Option<Next>,
    last: B256,
    /// Most accounts, and most slots, of a part.
    size: usize,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    /// With this account.
    Account(B256),
    /// With this slot of an account that was read itself.
    Slot(SlotKey),
}

/// What was read, in order of key.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) accounts: Vec<(B256, Account)>,
    /// Of these accounts; or all of one that was in an earlier part.
    pub(crate) slots: Vec<(SlotKey, U256)>,
}

impl Walk {
    /// Over all accounts, so many and as many slots at a time.
    pub fn all(size: usize) -> Self {
        Self::new(B256::ZERO, B256::repeat_byte(0xff), size)
    }

    /// From the first account to the last.
    pub(crate) fn new(first: B256, last: B256, size: usize) -> Self {
        Self { next: Some(Next::Account(first)), last, size: size.max(1) }
    }

    /// The next part; `None` at the end.
    pub(crate) fn next<S: TrieSource>(
        &mut self,
        source: &S,
    ) -> Result<Option<Part>, CommitmentError> {
        let Some(next) = self.next else { return Ok(None) };
        let mut part = Part::default();
        let (from, to) = match next {
            Next::Account(first) => {
                let visit = &mut |id, account| part.accounts.push((id, account));
                source.visit_accounts((&first, &self.last), self.size, visit)?;
                let full = part.accounts.len() == self.size;
                let to = part.accounts.last().filter(|_| full).map_or(self.last, |(id, _)| *id);
                ((first, B256::ZERO), to)
            }
            Next::Slot(from) => (from, from.0),
        };
        let visit = &mut |key, value| part.slots.push((key, value));
        source.visit_slots((&from, &(to, B256::repeat_byte(0xff))), self.size, visit)?;
        let (read_to, next) = match part.slots.last() {
            Some(((id, slot), _)) if part.slots.len() == self.size => {
                let rest = after(slot).map(|slot| Next::Slot((*id, slot)));
                (*id, rest.or_else(|| self.account_after(id)))
            }
            _ => (to, self.account_after(&to)),
        };
        self.next = next;
        part.accounts.truncate(part.accounts.partition_point(|(id, _)| *id <= read_to));
        Ok(Some(part))
    }

    fn account_after(&self, id: &B256) -> Option<Next> {
        after(id).filter(|id| *id <= self.last).map(Next::Account)
    }
}

fn after(key: &B256) -> Option<B256> {
    U256::from_be_bytes(key.0).checked_add(U256::from(1)).map(B256::from)
}

#[cfg(test)]
mod tests {
    use banyan_primitives::trie::{HashedDiff, HashedStorageDiff, NodeDiff};

    use super::*;
    use crate::MemoryTrie;

    const SIZE: usize = 100;

    fn id(byte: u8, number: u64) -> B256 {
        let mut id = B256::from(U256::from(number));
        id[0] = byte;
        id
    }

    #[test]
    fn every_leaf_is_read_once_and_a_large_contract_in_parts() {
        let mut diff = HashedDiff::default();
        let account = Some(Account { nonce: 1, ..Default::default() });
        diff.accounts.extend((0..SIZE as u64 + 9).map(|n| (id(3, n), account)));
        diff.accounts.insert(B256::repeat_byte(0x1f), account);
        for (owner, count) in [(id(2, 7), SIZE * 2), (id(3, 1), 40), (id(4, 0), SIZE + 5)] {
            let slots = (0..count as u64).map(|n| (id(n as u8, n), U256::from(n + 1))).collect();
            diff.accounts.insert(owner, account);
            diff.storage.insert(owner, HashedStorageDiff { wiped: false, slots });
        }
        let mut state = MemoryTrie::default();
        state.apply(&diff, &NodeDiff::default());
        let mut walk = Walk::new(id(2, 0), id(4, 0), SIZE);
        let (mut accounts, mut slots) = (Vec::new(), Vec::new());
        while let Some(part) = walk.next(&state).unwrap() {
            assert!(part.accounts.len() <= SIZE && part.slots.len() <= SIZE);
            accounts.extend(part.accounts.into_iter().map(|(id, _)| id));
            slots.extend(part.slots.into_iter().map(|(key, _)| key));
        }
        assert_eq!((accounts.len(), slots.len()), (SIZE + 9 + 2, SIZE * 3 + 45));
        assert!(accounts.is_sorted_by(|a, b| a < b) && slots.is_sorted_by(|a, b| a < b));
    }
}
