use std::cell::Cell;

use banyan_primitives::{
    Account, B256,
    trie::{Leaf, Nibbles, TrieId, TrieSource},
};

use super::{
    path::{Prefix, SHARED_BITS, Spot},
    tree::{Bucket, MANY},
};
use crate::{CommitmentError, error::damaged};

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
) -> Result<Vec<(Spot, Leaf)>, CommitmentError> {
    let mut leaves = Vec::new();
    visit_leaves(source, prefix, limit, &mut |spot, leaf| leaves.push((spot, leaf)))?;
    leaves.sort_unstable_by_key(|(spot, _)| *spot);
    distinct(prefix, &leaves)?;
    Ok(leaves)
}

/// Sorted leaves must have paths of their own.
pub(crate) fn distinct<T: AsRef<Spot>>(
    prefix: &Prefix,
    leaves: &[T],
) -> Result<(), CommitmentError> {
    let same = |pair: &[T]| matches!(pair, [a, b] if a.as_ref().same_path(b.as_ref()));
    if leaves.windows(2).any(same) {
        return Err(damage(prefix, "two leaves with one path"));
    }
    Ok(())
}

fn visit_leaves<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
    limit: Limit,
    visit: &mut impl FnMut(Spot, Leaf),
) -> Result<(), CommitmentError> {
    if prefix.depth() <= SHARED_BITS {
        visit_wide(source, prefix, limit, visit)
    } else {
        visit_deep(source, prefix, limit, visit)
    }
}

/// Visits every leaf of a bucket: accounts in order, then slots in order. `near` is a leaf below
/// `prefix`, in the bucket or to be put there: mostly it belongs to the same account as those in the
/// bucket, which saves to look for the account.
pub(crate) fn visit_bucket<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
    bucket: &Bucket,
    near: &Spot,
    visit: &mut impl FnMut(Spot, Leaf),
) -> Result<(), CommitmentError> {
    // One more than there should be, so that too many are noticed.
    let more = |count| match count {
        0 => 0,
        MANY => usize::MAX,
        count => usize::from(count) + 1,
    };
    let (accounts, slots) = (Cell::new(0), Cell::new(0));
    let mut counted = |spot: Spot, leaf| {
        let count = if spot.is_slot() { &slots } else { &accounts };
        count.set(count.get() + 1);
        visit(spot, leaf);
    };
    let deep = prefix.depth() > SHARED_BITS;
    if deep && bucket.accounts == 0 && near.is_slot() {
        let account = near.account_id();
        visit_slots(source, prefix, account, more(bucket.slots), &mut counted)?;
        if slots.get() < usize::from(bucket.slots) {
            // Slots of another account whose id begins alike: somebody worked hard for that.
            for (other, _) in accounts_of(source, prefix)? {
                if other != account {
                    visit_slots(source, prefix, other, more(bucket.slots), &mut counted)?;
                }
            }
        }
    } else {
        let limit = Limit { accounts: more(bucket.accounts), slots: more(bucket.slots) };
        visit_leaves(source, prefix, limit, &mut counted)?;
    }
    let fits = |found: usize, count| found == usize::from(count) || count == MANY;
    if fits(accounts.get(), bucket.accounts) && fits(slots.get(), bucket.slots) {
        return Ok(());
    }
    Err(damage(prefix, "a bucket has other leaves"))
}

/// A prefix of account ids: two ranges of the flat state.
fn visit_wide<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
    limit: Limit,
    visit: &mut impl FnMut(Spot, Leaf),
) -> Result<(), CommitmentError> {
    let (first, last) = prefix.ends();
    let (first, last) = (id(&first[..32]), id(&last[..32]));
    if limit.accounts > 0 {
        let visit = &mut |id, account| visit(Spot::account(&id), Leaf::Account(account));
        source.visit_accounts((&first, &last), limit.accounts, visit)?;
    }
    if limit.slots > 0 {
        let range = ((first, B256::ZERO), (last, B256::repeat_byte(0xff)));
        let visit = &mut |(id, slot), value| visit(Spot::slot(&id, &slot), Leaf::Slot(value));
        source.visit_slots((&range.0, &range.1), limit.slots, visit)?;
    }
    Ok(())
}

/// A prefix within the slots of an account, or of the few whose ids begin alike.
fn visit_deep<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
    limit: Limit,
    visit: &mut impl FnMut(Spot, Leaf),
) -> Result<(), CommitmentError> {
    let accounts = accounts_of(source, prefix)?;
    for (account, record) in &accounts {
        let spot = Spot::account(account);
        if prefix.contains(&spot) {
            visit(spot, Leaf::Account(*record));
        }
    }
    for (account, _) in accounts {
        visit_slots(source, prefix, account, limit.slots, visit)?;
    }
    Ok(())
}

/// The accounts whose slots can be below `prefix`, which is within them: hardly ever more than one.
fn accounts_of<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
) -> Result<Vec<(B256, Account)>, CommitmentError> {
    let (first, _) = prefix.ends();
    let (mut lowest, mut highest) = (B256::ZERO, B256::repeat_byte(0xff));
    lowest[..8].copy_from_slice(&first[..8]);
    highest[..8].copy_from_slice(&first[..8]);
    let mut accounts = Vec::new();
    let visit = &mut |account, record| accounts.push((account, record));
    source.visit_accounts((&lowest, &highest), usize::MAX, visit)?;
    Ok(accounts)
}

/// The slots of `account` below `prefix`, which is within them.
fn visit_slots<S: TrieSource>(
    source: &S,
    prefix: &Prefix,
    account: B256,
    limit: usize,
    visit: &mut impl FnMut(Spot, Leaf),
) -> Result<(), CommitmentError> {
    if limit > 0 {
        let (first, last) = prefix.ends();
        let range = ((account, id(&first[8..])), (account, id(&last[8..])));
        let visit = &mut |(_, slot), value| visit(Spot::slot(&account, &slot), Leaf::Slot(value));
        source.visit_slots((&range.0, &range.1), limit, visit)?;
    }
    Ok(())
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
