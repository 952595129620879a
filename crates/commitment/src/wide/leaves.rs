use banyan_primitives::{
    B256,
    trie::{Leaf, Nibbles, TrieId, TrieSource},
};

use super::{
    path::{Prefix, SHARED_BITS, Spot},
    tree::{Bucket, MANY},
};
use crate::{CommitmentError, error::damaged};

/// Leaves in order of path.
pub(crate) type Leaves = Vec<(Spot, Leaf)>;

/// Most accounts and most slots to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) accounts: usize,
    pub(crate) slots: usize,
}

/// Leaves below `prefix` in order of path; of accounts and slots no more than `limit` says, and which
/// of them is not said.
pub(crate) fn read_leaves<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
    limit: Limit,
) -> Result<Leaves, CommitmentError> {
    let mut leaves = if prefix.depth() <= SHARED_BITS {
        read_wide(source, prefix, limit)?
    } else {
        read_deep(source, prefix, limit)?
    };
    leaves.sort_unstable_by_key(|(spot, _)| *spot);
    Ok(leaves)
}

/// Every leaf of a bucket. `near` is a leaf below `prefix`, in the bucket or to be put there: mostly
/// it belongs to the same account as those in the bucket, which saves to look for the account.
pub(crate) fn read_bucket<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
    bucket: &Bucket,
    near: &Spot,
) -> Result<Leaves, CommitmentError> {
    let most = |count| if count == MANY { usize::MAX } else { usize::from(count) };
    // One more than there should be, so that too many are noticed.
    let more = |count| if count == 0 { 0 } else { most(count).saturating_add(1) };
    let complete = |leaves: &Leaves| {
        let slots = leaves.iter().filter(|(spot, _)| spot.is_slot()).count();
        let fits = |found: usize, count| count == MANY || found == usize::from(count);
        fits(slots, bucket.slots) && fits(leaves.len() - slots, bucket.accounts)
    };
    if prefix.depth() > SHARED_BITS && bucket.accounts == 0 && near.is_slot() {
        let leaves = slots_of(source, prefix, near.account_id(), more(bucket.slots))?;
        if complete(&leaves) {
            return Ok(leaves);
        }
    }
    let deep = prefix.depth() > SHARED_BITS;
    let accounts = if deep { usize::MAX } else { more(bucket.accounts) };
    let limit = Limit { accounts, slots: more(bucket.slots) };
    let leaves = read_leaves(source, prefix, limit)?;
    if complete(&leaves) { Ok(leaves) } else { Err(damage(prefix, "a bucket has other leaves")) }
}

/// A prefix of account ids: two ranges of the flat state.
fn read_wide<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
    limit: Limit,
) -> Result<Leaves, CommitmentError> {
    let (first, last) = prefix.ends();
    let (first, last) = (id(&first[..32]), id(&last[..32]));
    let mut leaves = Vec::new();
    if limit.accounts > 0 {
        let accounts = source.accounts_between(&first, &last, limit.accounts)?;
        let leaf = |(id, account): &_| (Spot::account(id), Leaf::Account(*account));
        leaves.extend(accounts.iter().map(leaf));
    }
    if limit.slots > 0 {
        let (lowest, highest) = ((first, B256::ZERO), (last, B256::repeat_byte(0xff)));
        let slots = source.slots_between(&lowest, &highest, limit.slots)?;
        let leaf = |(id, slot, value): &_| (Spot::slot(id, slot), Leaf::Slot(*value));
        leaves.extend(slots.iter().map(leaf));
    }
    Ok(leaves)
}

/// A prefix within the slots of an account, or of the few whose ids begin alike.
fn read_deep<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
    limit: Limit,
) -> Result<Leaves, CommitmentError> {
    let (first, _) = prefix.ends();
    let (mut lowest, mut highest) = (B256::ZERO, B256::repeat_byte(0xff));
    lowest[..8].copy_from_slice(&first[..8]);
    highest[..8].copy_from_slice(&first[..8]);
    let mut leaves = Vec::new();
    for (account, record) in source.accounts_between(&lowest, &highest, limit.accounts)? {
        let spot = Spot::account(&account);
        if prefix.contains(&spot) {
            leaves.push((spot, Leaf::Account(record)));
        }
        leaves.extend(slots_of(source, prefix, account, limit.slots)?);
    }
    Ok(leaves)
}

/// The slots of `account` below `prefix`, which is within them.
fn slots_of<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
    account: B256,
    limit: usize,
) -> Result<Leaves, CommitmentError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let (first, last) = prefix.ends();
    let range = ((account, id(&first[8..])), (account, id(&last[8..])));
    let slots = source.slots_between(&range.0, &range.1, limit)?;
    let leaf = |(_, slot, value): &_| (Spot::slot(&account, slot), Leaf::Slot(*value));
    Ok(slots.iter().map(leaf).collect())
}

fn id(bytes: &[u8]) -> B256 {
    B256::from_slice(bytes)
}

/// The error for rows that do not fit the flat state, or each other.
pub(crate) fn damage(prefix: &Prefix, what: &str) -> CommitmentError {
    let (path, _) = prefix.ends();
    let nibbles = Nibbles::unpack(&path[..32]).slice(..(prefix.depth() / 4).min(64));
    damaged(TrieId::Accounts, &nibbles, what)
}
