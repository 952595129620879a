use banyan_primitives::{
    B256,
    trie::{Leaf, TrieSource},
};

use super::path::{Prefix, SHARED_BITS, Spot};
use crate::CommitmentError;

/// At most `limit` leaves below `prefix`, in order of path. If there are more, which of them is not
/// said.
pub(crate) fn read_leaves<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
    limit: usize,
) -> Result<Vec<(Spot, Leaf)>, CommitmentError> {
    let mut leaves = if prefix.depth() <= SHARED_BITS {
        read_wide(source, prefix, limit)?
    } else {
        read_deep(source, prefix, limit)?
    };
    leaves.sort_unstable_by_key(|(spot, _)| *spot);
    leaves.truncate(limit);
    Ok(leaves)
}

/// A prefix of account ids: two ranges of the flat state.
fn read_wide<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
    limit: usize,
) -> Result<Vec<(Spot, Leaf)>, CommitmentError> {
    let (first, last) = prefix.ends();
    let (first, last) = (id(&first[..32]), id(&last[..32]));
    let accounts = source.accounts_between(&first, &last, limit)?;
    let (lowest, highest) = ((first, B256::ZERO), (last, B256::repeat_byte(0xff)));
    let slots = source.slots_between(&lowest, &highest, limit)?;
    let mut leaves = Vec::with_capacity(accounts.len() + slots.len());
    leaves
        .extend(accounts.iter().map(|(id, account)| (Spot::account(id), Leaf::Account(*account))));
    leaves.extend(slots.iter().map(|(id, slot, value)| (Spot::slot(id, slot), Leaf::Slot(*value))));
    Ok(leaves)
}

/// A prefix within the slots of an account, or of the few whose ids begin alike.
fn read_deep<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
    limit: usize,
) -> Result<Vec<(Spot, Leaf)>, CommitmentError> {
    let (first, last) = prefix.ends();
    let (mut lowest, mut highest) = (B256::ZERO, B256::repeat_byte(0xff));
    lowest[..8].copy_from_slice(&first[..8]);
    highest[..8].copy_from_slice(&first[..8]);
    let mut leaves = Vec::new();
    for (account, record) in source.accounts_between(&lowest, &highest, limit)? {
        let spot = Spot::account(&account);
        if prefix.contains(&spot) {
            leaves.push((spot, Leaf::Account(record)));
        }
        let range = ((account, id(&first[8..])), (account, id(&last[8..])));
        let slots = source.slots_between(&range.0, &range.1, limit)?;
        leaves.extend(
            slots.iter().map(|(_, slot, value)| (Spot::slot(&account, slot), Leaf::Slot(*value))),
        );
    }
    Ok(leaves)
}

fn id(bytes: &[u8]) -> B256 {
    B256::from_slice(bytes)
}
