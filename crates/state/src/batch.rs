//! Writing layers into the database, many at a time.

use std::collections::{BTreeMap, BTreeSet};

use banyan_primitives::{
    Account, B256, BlockRef, MESSAGE_PASSER_TRIE, U256,
    trie::{HashedDiff, HashedStorageDiff, NodeChanges, NodeDiff},
};
use banyan_storage::{AccountChange, BlockChanges, Marker, StateRead, StorageError, WriteTxn};

use crate::{Layer, persist::expect_tip, write_leaves, write_nodes};

/// Writes the child of the persisted tip: flat state, history, trie nodes, code, and the tip.
pub fn persist_layer(txn: &WriteTxn<'_>, layer: &Layer) -> Result<(), StorageError> {
    persist_layers(txn, [layer])
}

/// Writes layers on top of the persisted tip, oldest first, as if one after the other: the history
/// has each of them. The flat state and the nodes are written once, however often they change.
pub fn persist_layers<'a>(
    txn: &WriteTxn<'_>,
    layers: impl IntoIterator<Item = &'a Layer>,
) -> Result<(), StorageError> {
    let mut batch = Batch::default();
    for layer in layers {
        batch.add(txn, layer)?;
    }
    batch.finish(txn)
}

/// What the layers so far have changed and is not written yet.
#[derive(Default)]
struct Batch {
    /// The newest of them.
    tip: Option<BlockRef>,
    state: HashedDiff,
    nodes: NodeDiff,
}

impl Batch {
    /// Writes a layer's history, and takes over its state.
    fn add(&mut self, txn: &WriteTxn<'_>, layer: &Layer) -> Result<(), StorageError> {
        let (block, parent) = (layer.block, layer.parent);
        match self.tip {
            None => expect_tip(txn, parent, block)?,
            Some(tip) if tip == parent => {}
            Some(tip) => {
                let error = format!("the way to {block} begins at {parent}, not at {tip}");
                return Err(StorageError::OutOfOrder(error));
            }
        }
        if block.number != parent.number + 1 {
            return Err(StorageError::OutOfOrder(format!("{block} is not the child of {parent}")));
        }
        let number = block.number;
        let mut changes = BlockChanges { hash: block.hash, ..Default::default() };
        for (hash, code) in layer.codes.iter().collect::<BTreeMap<_, _>>() {
            if txn.put_code(hash, code)? {
                changes.codes.push(*hash);
            }
        }
        let (accounts, storage) = (&layer.state.accounts, &layer.state.storage);
        let withdrawals = layer.withdrawals.as_ref().map(|_| &MESSAGE_PASSER_TRIE);
        let keys = accounts.keys().chain(storage.keys()).chain(withdrawals);
        for address in keys.collect::<BTreeSet<_>>() {
            let change = AccountChange {
                address: *address,
                account: match accounts.get(address) {
                    Some(account) => self.account(txn, number, address, *account)?,
                    None => false,
                },
                slots: match layer.storage(address) {
                    Some(storage) => self.slots(txn, number, address, storage)?,
                    None => Vec::new(),
                },
            };
            if change.account || !change.slots.is_empty() {
                changes.accounts.push(change);
            }
        }
        txn.put_block_changes(number, &changes)?;
        add_nodes(&mut self.nodes, &layer.nodes);
        self.tip = Some(block);
        Ok(())
    }

    /// Writes an account's old value; false if it is unchanged.
    fn account(
        &mut self,
        txn: &WriteTxn<'_>,
        number: u64,
        address: &B256,
        account: Option<Account>,
    ) -> Result<bool, StorageError> {
        let before = match self.state.accounts.get(address) {
            Some(before) => *before,
            None => txn.account(address)?,
        };
        if before == account {
            return Ok(false);
        }
        txn.put_account_history(address, number, before.as_ref())?;
        self.state.accounts.insert(*address, account);
        Ok(true)
    }

    /// Writes old values of slots; a wipe records every slot it removes. Returns the slots that
    /// changed, in order.
    fn slots(
        &mut self,
        txn: &WriteTxn<'_>,
        number: u64,
        address: &B256,
        storage: &HashedStorageDiff,
    ) -> Result<Vec<B256>, StorageError> {
        let pending = &mut self.state.storage.entry(*address).or_default().slots;
        let wiped = match storage.wiped {
            true => wipe(txn, address, pending, &storage.slots)?,
            false => BTreeMap::new(),
        };
        let mut changed = Vec::new();
        for (slot, value) in if storage.wiped { &wiped } else { &storage.slots } {
            let before = match pending.get(slot) {
                Some(before) => *before,
                None => txn.slot(address, slot)?,
            };
            if before == *value {
                continue;
            }
            txn.put_slot_history(address, slot, number, before)?;
            pending.insert(*slot, *value);
            changed.push(*slot);
        }
        Ok(changed)
    }

    /// Writes the state after the newest layer.
    fn finish(self, txn: &WriteTxn<'_>) -> Result<(), StorageError> {
        write_leaves(txn, &self.state)?;
        write_nodes(txn, &self.nodes)?;
        self.tip.map_or(Ok(()), |tip| txn.set_marker(Marker::Tip, tip))
    }
}

/// Adds the nodes of a later block.
fn add_nodes(nodes: &mut NodeDiff, later: &NodeDiff) {
    let changes = |changes: &NodeChanges| changes.clone().into_iter();
    nodes.accounts.extend(changes(&later.accounts));
    for (trie, later) in &later.storage {
        let before = nodes.storage.entry(*trie).or_default();
        if later.wiped {
            *before = later.clone();
        } else {
            before.nodes.extend(changes(&later.nodes));
        }
    }
}

/// The slots of an account after all are wiped and `after` is set: those that go with zero.
fn wipe(
    txn: &WriteTxn<'_>,
    address: &B256,
    pending: &BTreeMap<B256, U256>,
    after: &BTreeMap<B256, U256>,
) -> Result<BTreeMap<B256, U256>, StorageError> {
    let stored = txn.slots(address, &B256::ZERO, None, usize::MAX)?;
    let before = stored.into_iter().map(|(slot, _)| slot).chain(pending.keys().copied());
    let mut wiped: BTreeMap<_, _> = before.map(|slot| (slot, U256::ZERO)).collect();
    wiped.extend(after);
    Ok(wiped)
}
