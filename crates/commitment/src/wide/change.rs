use std::cmp::Ordering;

use banyan_primitives::{
    B256, U256,
    trie::{HashedDiff, HashedStorageDiff, Leaf, TrieSource},
};

use super::{
    forest::{Forest, Node},
    path::Spot,
};
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
        changes.push((Spot::account(id), account.map(Leaf::Account)));
    }
    for (id, storage) in &diff.storage {
        if storage.wiped {
            wipe(parent, id, storage, &mut changes)?;
        }
        let leaf = |value: &U256| (!value.is_zero()).then_some(Leaf::Slot(*value));
        let slots = storage.slots.iter();
        changes.extend(slots.map(|(slot, value)| (Spot::slot(id, slot), leaf(value))));
    }
    // Two sorted lists, nearly: a stable sort makes use of that.
    changes.sort_by_key(|(spot, _)| *spot);
    Ok(changes)
}

/// Whether the only change is that of an account, to what it is already: an account is listed with
/// its slots even if its own leaf, which does not tell of them, stays as it is.
pub(crate) fn is_idle<S: TrieSource>(
    parent: &S,
    changes: &[Change],
) -> Result<bool, CommitmentError> {
    let [(spot, after)] = changes else { return Ok(false) };
    if spot.is_slot() {
        return Ok(false);
    }
    let (id, mut before) = (spot.account_id(), None);
    parent
        .visit_accounts((&id, &id), 1, &mut |_, account| before = Some(Leaf::Account(account)))?;
    Ok(before == *after)
}

/// The slots that a wipe takes away.
fn wipe<S: TrieSource>(
    parent: &S,
    id: &B256,
    storage: &HashedStorageDiff,
    changes: &mut Vec<Change>,
) -> Result<(), CommitmentError> {
    let (first, last) = ((*id, B256::ZERO), (*id, B256::repeat_byte(0xff)));
    parent.visit_slots((&first, &last), usize::MAX, &mut |(_, slot), _| {
        if !storage.slots.contains_key(&slot) {
            changes.push((Spot::slot(id, &slot), None));
        }
    })?;
    Ok(())
}

/// Leaves that are laid out, in order.
pub(crate) type Leaves = Vec<(Spot, Node)>;

/// Writes `leaves` with `changes`, both in order, to `after`; false if that makes no difference.
pub(crate) fn apply(
    forest: &mut Forest,
    leaves: &Leaves,
    changes: &[Change],
    after: &mut Leaves,
) -> bool {
    let (mut old, mut new) = (leaves.iter().peekable(), changes.iter().peekable());
    let mut differs = false;
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return differs,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let before = if order == Ordering::Greater { None } else { old.next() };
        let change = if order == Ordering::Less { None } else { new.next() };
        match (before, change) {
            (before, None) => after.extend(before),
            (None, Some((_, None))) => {}
            (Some(_), Some((_, None))) => differs = true,
            (Some((spot, node)), Some((_, Some(leaf)))) if forest.is_leaf(*node, leaf) => {
                after.push((*spot, *node));
            }
            (_, Some((spot, Some(leaf)))) => {
                after.push((*spot, forest.leaf(spot, leaf)));
                differs = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use banyan_primitives::Account;

    use super::*;

    fn slot(byte: u8, value: u64) -> (Spot, Leaf) {
        let id = B256::repeat_byte(byte);
        (Spot::slot(&id, &id), Leaf::Slot(U256::from(value)))
    }

    fn check(leaves: &[(Spot, Leaf)], changes: &[Change], expected: Option<&[(Spot, Leaf)]>) {
        let mut forest = Forest::default();
        let laid_out = |(spot, leaf): &_| (*spot, forest.leaf(spot, leaf));
        let leaves: Vec<_> = leaves.iter().map(laid_out).collect();
        let mut after = Vec::new();
        let differs = apply(&mut forest, &leaves, changes, &mut after);
        assert_eq!(differs, expected.is_some());
        let expected = expected.unwrap_or_default();
        let same = |((spot, node), (other, leaf)): (&(Spot, Node), &_)| {
            spot == other && forest.is_leaf(*node, leaf)
        };
        assert!(!differs || after.len() == expected.len() && after.iter().zip(expected).all(same));
    }

    #[test]
    fn leaves_are_added_replaced_and_removed() {
        let leaves = [slot(2, 2), slot(4, 4), slot(6, 6)];
        let set = |byte, value| (slot(byte, 0).0, Some(slot(byte, value).1));
        let gone = |byte| (slot(byte, 0).0, None);
        let changes = [set(1, 1), set(4, 5), gone(5), gone(6), set(7, 7)];
        check(&leaves, &changes, Some(&[slot(1, 1), slot(2, 2), slot(4, 5), slot(7, 7)]));
    }

    #[test]
    fn changes_that_change_nothing_are_noticed() {
        let same = (slot(4, 0).0, Some(slot(4, 4).1));
        check(&[slot(2, 2), slot(4, 4)], &[same, (slot(5, 0).0, None)], None);
        check(&[], &[(slot(5, 0).0, None)], None);
        let id = B256::repeat_byte(9);
        let account = |nonce| Leaf::Account(Account { nonce, ..Default::default() });
        let at = Spot::account(&id);
        check(&[slot(2, 2), (at, account(1))], &[(at, Some(account(1)))], None);
        check(&[(at, account(1))], &[(at, Some(account(2)))], Some(&[(at, account(2))]));
    }
}
