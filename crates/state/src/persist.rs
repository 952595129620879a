//! Writing: nodes, blocks taken back, genesis. Layers are written by `batch`.
//!
//! The state in the database, its trie nodes and [`Marker::Tip`] move together, in the write
//! transaction of the caller, who adds blocks and the other markers and commits.

use banyan_primitives::{
    Account, Address, B256, BlockRef, Bytes, KeyRule, MESSAGE_PASSER, MESSAGE_PASSER_TRIE, U256,
    keccak256,
    trie::{HashedDiff, HashedStorageDiff, NodeDiff, TrieId},
};
use banyan_storage::{BlockRead, Marker, Read, StateRead, StorageError, WriteTxn};

use crate::Layer;

pub(crate) fn expect_tip(
    txn: &WriteTxn<'_>,
    parent: BlockRef,
    block: BlockRef,
) -> Result<(), StorageError> {
    match txn.marker(Marker::Tip)? {
        Some(tip) if tip == parent => Ok(()),
        Some(tip) => Err(StorageError::OutOfOrder(format!(
            "the way to {block} begins at {parent}, but the database stands at {tip}"
        ))),
        None => Err(StorageError::OutOfOrder(format!("{block} comes before genesis"))),
    }
}

/// Writes changed trie nodes.
pub fn write_nodes(txn: &WriteTxn<'_>, nodes: &NodeDiff) -> Result<(), StorageError> {
    for (path, node) in &nodes.accounts {
        txn.put_trie_node(TrieId::Accounts, path, node.as_ref())?;
    }
    for (address, storage) in &nodes.storage {
        if storage.wiped {
            txn.delete_storage_trie(address)?;
        }
        for (path, node) in &storage.nodes {
            txn.put_trie_node(TrieId::Storage(*address), path, node.as_ref())?;
        }
    }
    Ok(())
}

/// Writes the leaves that changed. What a wipe removes is listed with zero; `wiped` itself is not looked
/// at.
pub fn write_leaves(txn: &WriteTxn<'_>, state: &HashedDiff) -> Result<(), StorageError> {
    for (address, account) in &state.accounts {
        txn.put_account(address, account.as_ref())?;
    }
    state.storage.iter().try_for_each(|(address, storage)| write_slots(txn, address, storage))
}

fn write_slots(
    txn: &WriteTxn<'_>,
    address: &B256,
    storage: &HashedStorageDiff,
) -> Result<(), StorageError> {
    storage.slots.iter().try_for_each(|(slot, value)| txn.put_slot(address, slot, *value))
}

/// Takes the persisted state back to block `to`. `reverse` is [`crate::reverse_layer`] of `to`
/// with its trie nodes. Removes the history above `to`; blocks, the canonical chain and the other
/// markers are the caller's.
pub fn unwind(txn: &WriteTxn<'_>, to: BlockRef, reverse: &Layer) -> Result<(), StorageError> {
    expect_tip(txn, reverse.parent, to)?;
    if reverse.block != to {
        let block = reverse.block;
        return Err(StorageError::OutOfOrder(format!("reverse layer leads to {block}, not {to}")));
    }
    for number in to.number + 1..=reverse.parent.number {
        let changes = txn.block_changes(number)?.ok_or_else(|| {
            StorageError::OutOfOrder(format!("history of block {number} is not kept"))
        })?;
        txn.delete_block_changes(number, &changes)?;
    }
    write_leaves(txn, &reverse.state)?;
    if let Some(withdrawals) = &reverse.withdrawals {
        write_slots(txn, &MESSAGE_PASSER_TRIE, withdrawals)?;
    }
    write_nodes(txn, &reverse.nodes)?;
    txn.set_marker(Marker::Tip, to)
}

/// An account of the genesis allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    /// Address.
    pub address: Address,
    /// Nonce.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Code; empty if none.
    pub code: Bytes,
    /// Slots and values; zero values are ignored.
    pub storage: Vec<(U256, U256)>,
}

/// Writes the state after `genesis` into a database without state, and makes it the tip. Trie
/// nodes follow by [`write_nodes`], computed over [`crate::FlatState`] of the same transaction.
///
/// Everything is sorted by hashed key and appended, so that large allocations stay cheap.
pub fn write_genesis(
    txn: &WriteTxn<'_>,
    genesis: BlockRef,
    accounts: impl IntoIterator<Item = GenesisAccount>,
) -> Result<(), StorageError> {
    if let Some(tip) = txn.marker(Marker::Tip)? {
        return Err(StorageError::OutOfOrder(format!(
            "genesis {genesis} given, but the database stands at {tip}"
        )));
    }
    let keys = txn.keys();
    let mut sorted: Vec<_> =
        accounts.into_iter().map(|account| (keys.account(&account.address), account)).collect();
    sorted.sort_unstable_by_key(|(address, _)| *address);
    for (address, account) in sorted {
        write_genesis_account(txn, &address, &account)?;
        if keys == KeyRule::Wide && account.address == MESSAGE_PASSER {
            write_genesis_slots(txn, KeyRule::Keccak, &MESSAGE_PASSER_TRIE, &account)?;
        }
    }
    txn.set_marker(Marker::Tip, genesis)
}

fn write_genesis_account(
    txn: &WriteTxn<'_>,
    address: &B256,
    genesis: &GenesisAccount,
) -> Result<(), StorageError> {
    let mut account =
        Account { nonce: genesis.nonce, balance: genesis.balance, ..Default::default() };
    if !genesis.code.is_empty() {
        account.code_hash = keccak256(&genesis.code);
        txn.put_code(&account.code_hash, &genesis.code)?;
    }
    txn.append_account(address, &account)?;
    write_genesis_slots(txn, txn.keys(), address, genesis)
}

fn write_genesis_slots(
    txn: &WriteTxn<'_>,
    keys: KeyRule,
    address: &B256,
    genesis: &GenesisAccount,
) -> Result<(), StorageError> {
    let mut slots: Vec<_> = genesis
        .storage
        .iter()
        .filter(|(_, value)| !value.is_zero())
        .map(|(slot, value)| (keys.slot(&genesis.address, *slot), *value))
        .collect();
    slots.sort_unstable();
    for (slot, value) in slots {
        txn.append_slot(address, &slot, value)?;
    }
    Ok(())
}
