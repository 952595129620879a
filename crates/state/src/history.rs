//! The way back: old values of the blocks below the persisted tip.

use std::collections::{BTreeMap, BTreeSet};

use banyan_primitives::{
    B256, B256Map, BlockRef, KeyRule, MESSAGE_PASSER_TRIE, SourceError,
    trie::{HashedDiff, HashedStorageDiff, NodeDiff},
};
use banyan_storage::{BlockRead, Marker, Read, StateRead, StorageError};

use crate::Layer;

/// Height of the oldest block whose state can be read.
pub fn oldest_state(txn: &dyn Read) -> Result<u64, StorageError> {
    match txn.first_block_changes()? {
        Some(number) => Ok(number.saturating_sub(1)),
        None => Ok(txn.marker(Marker::Tip)?.map_or(0, |tip| tip.number)),
    }
}

/// The change that leads from the persisted tip back to the state after block `number`: the value
/// there of every key that any later block changed. Nothing is wiped; every slot is listed.
///
/// Cost follows the keys changed since `number`, once each. Fails with [`SourceError::Stale`] if
/// the history does not reach back so far.
pub fn reverse_diff(txn: &dyn Read, number: u64) -> Result<HashedDiff, SourceError> {
    let tip = tip(txn)?;
    let mut diff = HashedDiff::default();
    for (address, slots) in changed_since(txn, number, tip.number)? {
        // Listed also where only storage changed: its root is part of the account's leaf.
        let account = match txn.account_history(&address, number)? {
            Some(before) => before,
            None => txn.account(&address)?,
        };
        diff.accounts.insert(address, account);
        if slots.is_empty() {
            continue;
        }
        let mut storage = HashedStorageDiff::default();
        for slot in slots {
            let value = match txn.slot_history(&address, &slot, number)? {
                Some(before) => before,
                None => txn.slot(&address, &slot)?,
            };
            storage.slots.insert(slot, value);
        }
        diff.storage.insert(address, storage);
    }
    Ok(diff)
}

/// [`reverse_diff`] as a layer on top of the tip, still without trie nodes. With nodes
/// ([`Layer::with_nodes`], from the root computed over it) it carries views, proofs and
/// [`crate::unwind`].
pub fn reverse_layer(txn: &dyn Read, number: u64) -> Result<Layer, SourceError> {
    let mut state = reverse_diff(txn, number)?;
    let mut withdrawals = None;
    if txn.keys() == KeyRule::Wide {
        // It has a history, but is no account.
        state.accounts.remove(&MESSAGE_PASSER_TRIE);
        withdrawals = state.storage.remove(&MESSAGE_PASSER_TRIE);
    }
    let parent = tip(txn)?;
    let hash = txn.canonical_hash(number)?.ok_or_else(|| {
        SourceError::Fault(format!("no canonical block at {number}, below the tip {parent}"))
    })?;
    let block = BlockRef::new(number, hash);
    // Code is never taken back from under a reader: what the old state names is stored.
    let (nodes, codes) = (NodeDiff::default(), B256Map::default());
    Ok(Layer { block, parent, state, withdrawals, nodes, codes })
}

fn tip(txn: &dyn Read) -> Result<BlockRef, SourceError> {
    txn.marker(Marker::Tip)?
        .ok_or_else(|| SourceError::Fault("the database holds no state yet".into()))
}

/// Hashed addresses and slots changed by the blocks above `number`, up to `tip`.
fn changed_since(
    txn: &dyn Read,
    number: u64,
    tip: u64,
) -> Result<BTreeMap<B256, BTreeSet<B256>>, SourceError> {
    let mut changed: BTreeMap<B256, BTreeSet<B256>> = BTreeMap::new();
    for later in number.saturating_add(1)..=tip {
        let Some(changes) = txn.block_changes(later)? else {
            let hash = txn.canonical_hash(number)?.unwrap_or_default();
            return Err(SourceError::Stale(hash));
        };
        for change in changes.accounts {
            changed.entry(change.address).or_default().extend(change.slots);
        }
    }
    Ok(changed)
}
