//! State: flat accounts and slots, code, history, trie nodes. Keys are hashed.

use std::ops::ControlFlow;

use banyan_primitives::{
    Account, B256, Bytes, KeyRule, MESSAGE_PASSER_TRIE, U256,
    trie::{Nibbles, SlotKey, TrieId},
};

use crate::{
    Read, StorageError, Table, WriteTxn,
    codec::{
        account_history_key, change_key, damaged, decode_account, decode_account_before,
        decode_hash, decode_path, decode_value, encode_account, encode_account_before,
        encode_value, node_key, slot_history_key, slot_key,
    },
};

/// What one block changed: the keys under which the old values stand in the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockChanges {
    /// Hash of the block.
    pub hash: B256,
    /// Hashes of code that was new in the block.
    pub codes: Vec<B256>,
    /// Hashed accounts that changed, in order.
    pub accounts: Vec<AccountChange>,
}

/// What one block changed of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// Hashed address.
    pub address: B256,
    /// The account itself changed, not only its storage.
    pub account: bool,
    /// Hashed slots that changed, in order; those removed by a wipe included.
    pub slots: Vec<B256>,
}

/// Leaves or nodes in order of key.
type Entries<K, V> = Vec<(K, V)>;

/// What can be asked about state. Flat values are those after [`crate::Marker::Tip`].
pub trait StateRead: Read {
    /// An account at the tip.
    fn account(&self, address: &B256) -> Result<Option<Account>, StorageError> {
        self.get(Table::HashedAccounts, address.as_slice())?
            .map(|bytes| decode_account(&bytes))
            .transpose()
    }

    /// A slot at the tip; zero if absent.
    fn slot(&self, address: &B256, slot: &B256) -> Result<U256, StorageError> {
        self.get(slots_of(self.keys(), address), &slot_key(address, slot))?
            .map_or(Ok(U256::ZERO), |bytes| decode_value(&bytes))
    }

    /// Code by its hash.
    fn code(&self, hash: &B256) -> Result<Option<Bytes>, StorageError> {
        Ok(self.get(Table::Codes, hash.as_slice())?.map(Bytes::from))
    }

    /// The account after block `number`, if any later block up to the tip changed it. `None` means
    /// that it is as at the tip.
    fn account_history(
        &self,
        address: &B256,
        number: u64,
    ) -> Result<Option<Option<Account>>, StorageError> {
        let Some(later) = number.checked_add(1) else { return Ok(None) };
        let from = account_history_key(address, later);
        self.first(Table::AccountHistory, &from, address.as_slice())?
            .map(|(_, bytes)| decode_account_before(&bytes))
            .transpose()
    }

    /// The slot after block `number`, if any later block up to the tip changed it. `None` means
    /// that it is as at the tip.
    fn slot_history(
        &self,
        address: &B256,
        slot: &B256,
        number: u64,
    ) -> Result<Option<U256>, StorageError> {
        let Some(later) = number.checked_add(1) else { return Ok(None) };
        let from = slot_history_key(address, slot, later);
        self.first(Table::StorageHistory, &from, &slot_key(address, slot))?
            .map(|(_, bytes)| decode_value(&bytes))
            .transpose()
    }

    /// What a block at or below the tip changed; `None` if its history is not kept.
    fn block_changes(&self, number: u64) -> Result<Option<BlockChanges>, StorageError> {
        let prefix = number.to_be_bytes();
        let mut changes: Option<BlockChanges> = None;
        self.scan(Table::BlockChanges, &prefix, &mut |key, value| {
            match (key.strip_prefix(prefix.as_slice()), &mut changes) {
                (None, _) => return Ok(ControlFlow::Break(())),
                (Some([]), _) => changes = Some(decode_block_changes(value)?),
                (Some(address), Some(changes)) => {
                    changes.accounts.push(decode_change(decode_hash(address)?, value)?);
                }
                (Some(_), None) => return Err(damaged("changes without block", key)),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(changes)
    }

    /// Height of the oldest block whose changes are kept. The state after the block before it is
    /// the oldest that can be read.
    fn first_block_changes(&self) -> Result<Option<u64>, StorageError> {
        let Some((key, _)) = self.first(Table::BlockChanges, &[], &[])? else { return Ok(None) };
        let (number, _) = key.split_first_chunk::<8>().ok_or_else(|| damaged("number", &key))?;
        Ok(Some(u64::from_be_bytes(*number)))
    }

    /// Accounts at the tip in order, `from` ≤ key < `end` (`None`: no upper end), at most `limit`.
    fn accounts(
        &self,
        from: &B256,
        end: Option<&B256>,
        limit: usize,
    ) -> Result<Entries<B256, Account>, StorageError> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        self.scan(Table::HashedAccounts, from.as_slice(), &mut |key, value| {
            let key = decode_hash(key)?;
            if end.is_some_and(|end| key >= *end) {
                return Ok(ControlFlow::Break(()));
            }
            found.push((key, decode_account(value)?));
            Ok(until(found.len() == limit))
        })?;
        Ok(found)
    }

    /// Slots of an account at the tip in order, `from` ≤ key < `end` (`None`: no upper end), at
    /// most `limit`. Never zero.
    fn slots(
        &self,
        address: &B256,
        from: &B256,
        end: Option<&B256>,
        limit: usize,
    ) -> Result<Entries<B256, U256>, StorageError> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        self.scan(slots_of(self.keys(), address), &slot_key(address, from), &mut |key, value| {
            let Some(slot) = key.strip_prefix(address.as_slice()) else {
                return Ok(ControlFlow::Break(()));
            };
            let slot = decode_hash(slot)?;
            if end.is_some_and(|end| slot >= *end) {
                return Ok(ControlFlow::Break(()));
            }
            found.push((slot, decode_value(value)?));
            Ok(until(found.len() == limit))
        })?;
        Ok(found)
    }

    /// Visits accounts at the tip in order, `first` ≤ key ≤ `last`, at most `limit`.
    fn visit_accounts(
        &self,
        (first, last): (&B256, &B256),
        limit: usize,
        visit: &mut dyn FnMut(B256, Account),
    ) -> Result<(), StorageError> {
        let mut left = limit;
        self.scan(Table::HashedAccounts, first.as_slice(), &mut |key, value| {
            if left == 0 || key > last.as_slice() {
                return Ok(ControlFlow::Break(()));
            }
            visit(decode_hash(key)?, decode_account(value)?);
            left -= 1;
            Ok(until(left == 0))
        })
    }

    /// Visits slots of all accounts at the tip in order of (account, slot), `first` ≤ key ≤ `last`,
    /// at most `limit`. Never zero.
    fn visit_slots(
        &self,
        (first, last): (&SlotKey, &SlotKey),
        limit: usize,
        visit: &mut dyn FnMut(SlotKey, U256),
    ) -> Result<(), StorageError> {
        let mut left = limit;
        let end = slot_key(&last.0, &last.1);
        self.scan(Table::HashedStorages, &slot_key(&first.0, &first.1), &mut |key, value| {
            if left == 0 || key > end.as_slice() {
                return Ok(ControlFlow::Break(()));
            }
            let (address, slot) = key.split_at_checked(32).ok_or_else(|| damaged("slot", key))?;
            visit((decode_hash(address)?, decode_hash(slot)?), decode_value(value)?);
            left -= 1;
            Ok(until(left == 0))
        })
    }

    /// The first stored node of a trie, in order of path, whose path starts with `prefix`.
    fn first_trie_node(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
    ) -> Result<Option<(Nibbles, Bytes)>, StorageError> {
        let (table, key) = node_key(trie, prefix);
        let above = key.len() - prefix.len();
        let mut found = None;
        self.scan(table, &key, &mut |at, node| {
            if at.starts_with(&key) {
                let path = decode_path(at.get(above..).unwrap_or_default())?;
                found = Some((path, Bytes::copy_from_slice(node)));
            }
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// Root entries of the storage tries of these accounts, which are in order. One look-up tells of
    /// all up to the next account that has storage.
    fn storage_roots(&self, accounts: &[B256]) -> Result<Vec<Option<Bytes>>, StorageError> {
        let mut found = vec![None; accounts.len()];
        let mut index = 0;
        while let Some(account) = accounts.get(index) {
            let (table, from) = node_key(TrieId::Storage(*account), &Nibbles::new());
            let Some((key, entry)) = self.first(table, &from, &[])? else { break };
            let Some((owner, path)) = key.split_first_chunk::<32>() else {
                return Err(StorageError::Damaged("a stored node of no account".to_owned()));
            };
            index += accounts[index..].partition_point(|account| account.0 < *owner);
            if accounts.get(index).is_some_and(|account| account.0 == *owner) {
                if !path.is_empty() {
                    let what = format!("storage trie of {} without root entry", B256::new(*owner));
                    return Err(StorageError::Damaged(what));
                }
                found[index] = Some(entry.into());
                index += 1;
            }
        }
        Ok(found)
    }

    /// Stored nodes of a trie whose path starts with `prefix` and is ≥ `from`, in order of path, at
    /// most `limit`.
    fn trie_nodes(
        &self,
        trie: TrieId,
        from: &Nibbles,
        prefix: &Nibbles,
        limit: usize,
    ) -> Result<Entries<Nibbles, Bytes>, StorageError> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        let (table, start) = node_key(trie, from.max(prefix));
        let (_, prefix) = node_key(trie, prefix);
        let (_, root) = node_key(trie, &Nibbles::new());
        self.scan(table, &start, &mut |key, value| {
            if !key.starts_with(&prefix) {
                return Ok(ControlFlow::Break(()));
            }
            let path = decode_path(key.get(root.len()..).unwrap_or_default())?;
            found.push((path, Bytes::copy_from_slice(value)));
            Ok(until(found.len() == limit))
        })?;
        Ok(found)
    }
}

impl<R: Read + ?Sized> StateRead for R {}

/// Where the flat slots of an account are. The message passer's keccak keys are kept apart from keys
/// of another kind: what is in `HashedStorages` is the state, each slot once.
fn slots_of(keys: KeyRule, address: &B256) -> Table {
    match keys {
        KeyRule::Wide if *address == MESSAGE_PASSER_TRIE => Table::WithdrawalSlots,
        KeyRule::Keccak | KeyRule::Wide => Table::HashedStorages,
    }
}

fn until(done: bool) -> ControlFlow<()> {
    if done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Block hash, then hashes of new code.
fn decode_block_changes(bytes: &[u8]) -> Result<BlockChanges, StorageError> {
    let mut hashes = decode_hashes(bytes)?.into_iter();
    let hash = hashes.next().ok_or_else(|| damaged("block changes", bytes))?;
    Ok(BlockChanges { hash, codes: hashes.collect(), accounts: Vec::new() })
}

/// 1 if the account itself changed, else 0; then hashed slots.
fn decode_change(address: B256, bytes: &[u8]) -> Result<AccountChange, StorageError> {
    match bytes.split_first() {
        Some((account @ (0 | 1), slots)) => {
            Ok(AccountChange { address, account: *account == 1, slots: decode_hashes(slots)? })
        }
        _ => Err(damaged("account change", bytes)),
    }
}

fn decode_hashes(bytes: &[u8]) -> Result<Vec<B256>, StorageError> {
    match bytes.as_chunks::<32>() {
        (hashes, []) => Ok(hashes.iter().map(B256::from).collect()),
        _ => Err(damaged("list of hashes", bytes)),
    }
}

impl WriteTxn<'_> {
    /// Sets an account of the flat state; `None` removes it.
    pub fn put_account(
        &self,
        address: &B256,
        account: Option<&Account>,
    ) -> Result<(), StorageError> {
        let (table, key) = (Table::HashedAccounts, address.as_slice());
        match account {
            Some(account) => self.put(table, key, &encode_account(account)),
            None => self.delete(table, key).map(drop),
        }
    }

    /// Sets a slot of the flat state; zero removes it.
    pub fn put_slot(&self, address: &B256, slot: &B256, value: U256) -> Result<(), StorageError> {
        let (table, key) = (slots_of(self.keys(), address), slot_key(address, slot));
        if value.is_zero() {
            self.delete(table, &key).map(drop)
        } else {
            self.put(table, &key, &encode_value(value))
        }
    }

    /// Adds an account above all others (genesis).
    pub fn append_account(&self, address: &B256, account: &Account) -> Result<(), StorageError> {
        self.append(Table::HashedAccounts, address.as_slice(), &encode_account(account))
    }

    /// Adds a non-zero slot above all others (genesis).
    pub fn append_slot(
        &self,
        address: &B256,
        slot: &B256,
        value: U256,
    ) -> Result<(), StorageError> {
        let table = slots_of(self.keys(), address);
        self.append(table, &slot_key(address, slot), &encode_value(value))
    }

    /// Stores code; false if it was there already.
    pub fn put_code(&self, hash: &B256, code: &[u8]) -> Result<bool, StorageError> {
        if self.get(Table::Codes, hash.as_slice())?.is_some() {
            return Ok(false);
        }
        self.put(Table::Codes, hash.as_slice(), code)?;
        Ok(true)
    }

    /// Records an account as it was before block `number`.
    pub fn put_account_history(
        &self,
        address: &B256,
        number: u64,
        before: Option<&Account>,
    ) -> Result<(), StorageError> {
        let key = account_history_key(address, number);
        self.put(Table::AccountHistory, &key, &encode_account_before(before))
    }

    /// Records a slot as it was before block `number`.
    pub fn put_slot_history(
        &self,
        address: &B256,
        slot: &B256,
        number: u64,
        before: U256,
    ) -> Result<(), StorageError> {
        let key = slot_history_key(address, slot, number);
        self.put(Table::StorageHistory, &key, &encode_value(before))
    }

    /// Records what block `number` changed.
    pub fn put_block_changes(
        &self,
        number: u64,
        changes: &BlockChanges,
    ) -> Result<(), StorageError> {
        let mut head = changes.hash.to_vec();
        head.extend(changes.codes.iter().flatten());
        self.put(Table::BlockChanges, &number.to_be_bytes(), &head)?;
        for change in &changes.accounts {
            let mut value = vec![u8::from(change.account)];
            value.extend(change.slots.iter().flatten());
            self.put(Table::BlockChanges, &change_key(number, &change.address), &value)?;
        }
        Ok(())
    }

    /// Removes the history of block `number`, and the code that was new in it.
    pub fn delete_block_changes(
        &self,
        number: u64,
        changes: &BlockChanges,
    ) -> Result<(), StorageError> {
        for change in &changes.accounts {
            let address = &change.address;
            if change.account {
                self.delete(Table::AccountHistory, &account_history_key(address, number))?;
            }
            for slot in &change.slots {
                self.delete(Table::StorageHistory, &slot_history_key(address, slot, number))?;
            }
            self.delete(Table::BlockChanges, &change_key(number, address))?;
        }
        for code in &changes.codes {
            self.delete(Table::Codes, code.as_slice())?;
        }
        self.delete(Table::BlockChanges, &number.to_be_bytes()).map(drop)
    }

    /// Sets a stored trie node; `None` removes it.
    pub fn put_trie_node(
        &self,
        trie: TrieId,
        path: &Nibbles,
        node: Option<&Bytes>,
    ) -> Result<(), StorageError> {
        let (table, key) = node_key(trie, path);
        match node {
            Some(node) => self.put(table, &key, node),
            None => self.delete(table, &key).map(drop),
        }
    }

    /// Removes every stored node of a storage trie.
    pub fn delete_storage_trie(&self, address: &B256) -> Result<(), StorageError> {
        self.delete_prefix(Table::StorageTrie, address.as_slice())
    }
}
