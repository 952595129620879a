//! Bytes of keys and values. Numbers in keys are big-endian, so that byte order is number order.

use banyan_primitives::{
    Account, B256, BlockRef, KECCAK_EMPTY, U256,
    trie::{Nibbles, TrieId},
};

use crate::{StorageError, Table};

/// `number ‖ block hash`.
pub(crate) fn block_key(block: BlockRef) -> [u8; 40] {
    join(&[&block.number.to_be_bytes(), block.hash.as_slice()])
}

/// Inverse of [`block_key`].
pub(crate) fn decode_block(bytes: &[u8]) -> Result<BlockRef, StorageError> {
    let (number, hash) =
        bytes.split_first_chunk::<8>().ok_or_else(|| damaged("block reference", bytes))?;
    Ok(BlockRef::new(u64::from_be_bytes(*number), decode_hash(hash)?))
}

pub(crate) fn decode_hash(bytes: &[u8]) -> Result<B256, StorageError> {
    B256::try_from(bytes).map_err(|_| damaged("hash", bytes))
}

pub(crate) fn decode_number(bytes: &[u8]) -> Result<u64, StorageError> {
    Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| damaged("number", bytes))?))
}

/// `hashed address ‖ hashed slot`.
pub(crate) fn slot_key(address: &B256, slot: &B256) -> [u8; 64] {
    join(&[address.as_slice(), slot.as_slice()])
}

/// `hashed address ‖ number`.
pub(crate) fn account_history_key(address: &B256, number: u64) -> [u8; 40] {
    join(&[address.as_slice(), &number.to_be_bytes()])
}

/// `hashed address ‖ hashed slot ‖ number`.
pub(crate) fn slot_history_key(address: &B256, slot: &B256, number: u64) -> [u8; 72] {
    join(&[address.as_slice(), slot.as_slice(), &number.to_be_bytes()])
}

/// `number ‖ hashed address`.
pub(crate) fn change_key(number: u64, address: &B256) -> [u8; 40] {
    join(&[&number.to_be_bytes(), address.as_slice()])
}

/// Table and key of a stored trie node: one nibble a byte, after the hashed address in a storage
/// trie.
pub(crate) fn node_key(trie: TrieId, path: &Nibbles) -> (Table, Vec<u8>) {
    match trie {
        TrieId::Accounts => (Table::AccountTrie, path.to_vec()),
        TrieId::Storage(address) => {
            (Table::StorageTrie, [address.as_slice(), &path.to_vec()].concat())
        }
    }
}

/// Path of a stored trie node, from the bytes after the hashed address.
pub(crate) fn decode_path(bytes: &[u8]) -> Result<Nibbles, StorageError> {
    if bytes.len() > 64 || bytes.iter().any(|nibble| *nibble > 15) {
        return Err(damaged("trie path", bytes));
    }
    Ok(Nibbles::from_nibbles_unchecked(bytes))
}

const HAS_CODE: u8 = 0x80;

/// `[has code (bit 7), nonce length (bits 0-3)] [balance length] nonce balance [code hash]`,
/// numbers big-endian without leading zeros. Never empty.
pub(crate) fn encode_account(account: &Account) -> Vec<u8> {
    let nonce = account.nonce.to_be_bytes();
    let nonce = trim(&nonce);
    let balance = account.balance.to_be_bytes::<32>();
    let balance = trim(&balance);
    let mut bytes = Vec::with_capacity(2 + nonce.len() + balance.len() + 32);
    bytes.push(nonce.len() as u8 | if account.has_code() { HAS_CODE } else { 0 });
    bytes.push(balance.len() as u8);
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(balance);
    if account.has_code() {
        bytes.extend_from_slice(account.code_hash.as_slice());
    }
    bytes
}

/// Inverse of [`encode_account`].
pub(crate) fn decode_account(bytes: &[u8]) -> Result<Account, StorageError> {
    parse_account(bytes).ok_or_else(|| damaged("account", bytes))
}

fn parse_account(bytes: &[u8]) -> Option<Account> {
    let ([flags, balance_length], rest) = bytes.split_first_chunk::<2>()?;
    let (nonce, rest) = rest.split_at_checked(usize::from(flags & !HAS_CODE))?;
    let (balance, code) = rest.split_at_checked(usize::from(*balance_length))?;
    let code_hash = match (flags & HAS_CODE != 0, code.is_empty()) {
        (true, _) => B256::try_from(code).ok()?,
        (false, true) => KECCAK_EMPTY,
        (false, false) => return None,
    };
    let nonce = u64::try_from(U256::try_from_be_slice(nonce)?).ok()?;
    Some(Account { nonce, balance: U256::try_from_be_slice(balance)?, code_hash })
}

/// History form: empty if the account did not exist.
pub(crate) fn encode_account_before(account: Option<&Account>) -> Vec<u8> {
    account.map(encode_account).unwrap_or_default()
}

/// Inverse of [`encode_account_before`].
pub(crate) fn decode_account_before(bytes: &[u8]) -> Result<Option<Account>, StorageError> {
    if bytes.is_empty() { Ok(None) } else { decode_account(bytes).map(Some) }
}

/// Big-endian without leading zeros; zero is empty.
pub(crate) fn encode_value(value: U256) -> Vec<u8> {
    trim(&value.to_be_bytes::<32>()).to_vec()
}

/// Inverse of [`encode_value`].
pub(crate) fn decode_value(bytes: &[u8]) -> Result<U256, StorageError> {
    let mut word = [0; 32];
    let place = word.len().checked_sub(bytes.len()).and_then(|zeros| word.get_mut(zeros..));
    place.ok_or_else(|| damaged("storage value", bytes))?.copy_from_slice(bytes);
    Ok(U256::from_be_bytes(word))
}

pub(crate) fn damaged(what: &str, bytes: &[u8]) -> StorageError {
    StorageError::Damaged(format!("{what} of {} bytes is malformed", bytes.len()))
}

fn trim(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// Joins parts whose lengths add up to `N`.
fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut rest = bytes.as_mut_slice();
    for part in parts {
        let (head, tail) = rest.split_at_mut(part.len());
        head.copy_from_slice(part);
        rest = tail;
    }
    bytes
}
