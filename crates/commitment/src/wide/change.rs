use std::cmp::Ordering;

use banyan_primitives::{
    B256,
    trie::{HashedDiff, HashedStorageDiff, Leaf, TrieSource},
};

use super::{leaves::Leaves, path::Spot};
use crate::CommitmentError;

/// A leaf afterwards; `None` if it is gone.
pub(crate) type Change = (Spot, Option<Leaf>);

/// The changes of a block in order of path.
pub(crate) fn changes<S: TrieSource>(
    parent: &S,
    diff: &HashedDiff,
) -> Result<Vec<Change>, CommitmentError> {
    let slots: usize = diff.storage.values().map(|storage| storage.slots.len()).sum();
    let mut changes = Vec::with_capacity(diff.accounts.len() + slots);
    for (id, account) in &diff.accounts {
        // An account is listed with its slots even if its own leaf, which does not tell of them,
        // stays as it is: to look is cheaper than to hash its bucket again.
        let same = diff.storage.contains_key(id)
            && parent.accounts_between(id, id, 1)?.first().map(|(_, account)| *account) == *account;
        if !same {
            changes.push((Spot::account(id), account.map(Leaf::Account)));
        }
    }
    for (id, storage) in &diff.storage {
        let slot = |(slot, value)| (Spot::slot(id, slot), leaf(value));
        if storage.wiped {
            changes.extend(wiped(parent, id, storage)?);
        }
        changes.extend(storage.slots.iter().map(|(key, value)| slot((key, *value))));
    }
    // Two sorted lists, nearly: a stable sort makes use of that.
    changes.sort_by_key(|(spot, _)| *spot);
    Ok(changes)
}

fn leaf(value: banyan_primitives::U256) -> Option<Leaf> {
    (!value.is_zero()).then_some(Leaf::Slot(value))
}

/// The slots that a wipe takes away.
fn wiped<S: TrieSource>(
    parent: &S,
    id: &B256,
    storage: &HashedStorageDiff,
) -> Result<Vec<Change>, CommitmentError> {
    let (first, last) = ((*id, B256::ZERO), (*id, B256::repeat_byte(0xff)));
    let old = parent.slots_between(&first, &last, usize::MAX)?.into_iter();
    let gone = old.filter(|(_, slot, _)| !storage.slots.contains_key(slot));
    Ok(gone.map(|(id, slot, _)| (Spot::slot(&id, &slot), None)).collect())
}

/// `leaves` with `changes`, both in order; `None` if that makes no difference.
pub(crate) fn apply(leaves: &Leaves, changes: &[Change]) -> Option<Leaves> {
    let mut after = Vec::with_capacity(leaves.len() + changes.len());
    let (mut old, mut new) = (leaves.iter().peekable(), changes.iter().peekable());
    let mut differs = false;
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let before = if order == Ordering::Greater { None } else { old.next() };
        let change = if order == Ordering::Less { None } else { new.next() };
        let now = match change {
            Some((spot, leaf)) => leaf.map(|leaf| (*spot, leaf)),
            None => before.copied(),
        };
        differs |= now != before.copied();
        after.extend(now);
    }
    differs.then_some(after)
}

#[cfg(test)]
mod tests {
    use banyan_primitives::U256;

    use super::*;

    fn slot(byte: u8, value: u64) -> (Spot, Leaf) {
        let id = B256::repeat_byte(byte);
        (Spot::slot(&id, &id), Leaf::Slot(U256::from(value)))
    }

    fn change((spot, leaf): (Spot, Leaf)) -> Change {
        (spot, Some(leaf))
    }

    #[test]
    fn leaves_are_added_replaced_and_removed() {
        let leaves = vec![slot(2, 2), slot(4, 4), slot(6, 6)];
        let gone = |byte| (slot(byte, 0).0, None);
        let changes =
            [change(slot(1, 1)), change(slot(4, 5)), gone(5), gone(6), change(slot(7, 7))];
        let after = vec![slot(1, 1), slot(2, 2), slot(4, 5), slot(7, 7)];
        assert_eq!(apply(&leaves, &changes), Some(after));
    }

    #[test]
    fn changes_that_change_nothing_are_noticed() {
        let leaves = vec![slot(2, 2), slot(4, 4)];
        assert_eq!(apply(&leaves, &[change(slot(4, 4)), (slot(5, 0).0, None)]), None);
        assert_eq!(apply(&Vec::new(), &[(slot(5, 0).0, None)]), None);
    }
}
