//! Accounts: balance, code, storage, nonce.

use std::collections::BTreeMap;

use banyan_primitives::{Account, Address, B256, Bytes, StateSource, U256};
use serde::Serialize;

use crate::{
    args::Args,
    block_id::BlockId,
    error::{RpcError, RpcResult},
    quantity::{Big, Quantity},
    shared::Shared,
};

/// `(address, block?)`
fn address_and_block(mut args: Args<'_>) -> RpcResult<(Address, BlockId)> {
    let address = args.address()?;
    let block = args.optional()?.unwrap_or_default();
    args.end()?;
    Ok((address, block))
}

fn account(shared: &Shared, address: &Address, block: BlockId) -> RpcResult<Account> {
    let (_, state) = shared.state(&shared.view(), block)?;
    Ok(state.account(address)?.unwrap_or_default())
}

/// Balance, wei.
pub(super) fn balance(shared: &Shared, args: Args<'_>) -> RpcResult<Big> {
    let (address, block) = address_and_block(args)?;
    Ok(Big(account(shared, &address, block)?.balance))
}

/// Code; empty if none.
pub(super) fn code(shared: &Shared, args: Args<'_>) -> RpcResult<Bytes> {
    let (address, block) = address_and_block(args)?;
    let (_, state) = shared.state(&shared.view(), block)?;
    match state.account(&address)?.filter(Account::has_code) {
        Some(account) => Ok(state.code(&account.code_hash)?),
        None => Ok(Bytes::new()),
    }
}

/// Nonce; for `pending` that after the account's executable transactions in the pool.
pub(super) fn transaction_count(shared: &Shared, args: Args<'_>) -> RpcResult<Quantity> {
    let (address, block) = address_and_block(args)?;
    let pooled = match block.is_pending() {
        true => shared.context.pool.next_nonce(&address).unwrap_or_default(),
        false => 0,
    };
    Ok(Quantity(account(shared, &address, block)?.nonce.max(pooled)))
}

/// `(address, slot, block?)`: 32 bytes.
pub(super) fn storage_at(shared: &Shared, mut args: Args<'_>) -> RpcResult<B256> {
    let address = args.address()?;
    let key: String = args.required()?;
    let block: BlockId = args.optional()?.unwrap_or_default();
    args.end()?;
    let slot = StorageKey::parse(&key)?.slot;
    let (_, state) = shared.state(&shared.view(), block)?;
    Ok(state.storage(&address, slot)?.into())
}

/// Most slots in one request.
const MAX_SLOTS: usize = 1024;

/// `({address: [slot]}, block?)`: the values, 32 bytes each, in the same form.
pub(super) fn storage_values(
    shared: &Shared,
    mut args: Args<'_>,
) -> RpcResult<BTreeMap<Address, Vec<B256>>> {
    let wanted: BTreeMap<Address, Vec<String>> = args.required()?;
    let block: BlockId = args.optional()?.unwrap_or_default();
    args.end()?;
    match wanted.values().map(Vec::len).sum::<usize>() {
        0 => return Err(RpcError::params("empty request")),
        slots if slots > MAX_SLOTS => {
            return Err(RpcError::params(format!("too many slots (max {MAX_SLOTS})")));
        }
        _ => {}
    }
    let (_, state) = shared.state(&shared.view(), block)?;
    let read = |address: &Address, key: &String| -> RpcResult<B256> {
        Ok(state.storage(address, StorageKey::parse(key)?.slot)?.into())
    };
    wanted
        .iter()
        .map(|(address, keys)| {
            let values = keys.iter().map(|key| read(address, key)).collect::<RpcResult<_>>()?;
            Ok((*address, values))
        })
        .collect()
}

/// What `eth_getAccountInfo` answers.
#[derive(Debug, Serialize)]
pub(super) struct AccountInfo {
    balance: Big,
    nonce: Quantity,
    code: Bytes,
}

/// Balance, nonce and code in one.
pub(super) fn account_info(shared: &Shared, args: Args<'_>) -> RpcResult<AccountInfo> {
    let (address, block) = address_and_block(args)?;
    let (_, state) = shared.state(&shared.view(), block)?;
    let account = state.account(&address)?.unwrap_or_default();
    let code = if account.has_code() { state.code(&account.code_hash)? } else { Bytes::new() };
    Ok(AccountInfo { balance: Big(account.balance), nonce: Quantity(account.nonce), code })
}

/// A slot as callers write it: any hexadecimal text of at most 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StorageKey {
    /// The slot.
    pub(crate) slot: U256,
    /// Written in full: answered in full.
    is_full: bool,
}

impl StorageKey {
    /// Reads the keys of one request.
    pub(crate) fn parse_all(texts: &[String]) -> RpcResult<Vec<Self>> {
        if texts.len() > MAX_SLOTS {
            return Err(RpcError::params(format!("too many slots (max {MAX_SLOTS})")));
        }
        texts.iter().map(|text| Self::parse(text)).collect()
    }

    /// Reads a key with geth's complaints.
    pub(crate) fn parse(text: &str) -> RpcResult<Self> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        if digits.len() > 64 {
            return Err(RpcError::params(format!(
                "storage key too long (want at most 32 bytes): {text:?}"
            )));
        }
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(RpcError::params(format!("invalid hex in storage key: {text:?}")));
        }
        let digits = if digits.is_empty() { "0" } else { digits };
        let slot = U256::from_str_radix(digits, 16)
            .map_err(|_| RpcError::params(format!("invalid hex in storage key: {text:?}")))?;
        Ok(Self { slot, is_full: digits.len() >= 63 })
    }

    /// The key as proofs repeat it.
    pub(crate) fn text(&self) -> String {
        if self.is_full { B256::from(self.slot).to_string() } else { format!("{:#x}", self.slot) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_keys_are_read_as_geth_reads_them() {
        let full = "0x0000000000000000000000000000000000000000000000000000000000000007";
        let cases = [("0x0", 0, "0x0"), ("0x07", 7, "0x7"), ("7", 7, "0x7"), (full, 7, full)];
        for (text, slot, echoed) in cases {
            let key = StorageKey::parse(text).unwrap();
            assert_eq!(key.slot, U256::from(slot));
            assert_eq!(key.text(), echoed);
        }
    }

    #[test]
    fn bad_storage_keys_are_refused_in_the_words_of_the_fixtures() {
        let error = StorageKey::parse("0xasdf").unwrap_err();
        assert_eq!(error, RpcError::params("invalid hex in storage key: \"0xasdf\""));
        let long = format!("0x{}", "0".repeat(65));
        let error = StorageKey::parse(&long).unwrap_err();
        let message = format!("storage key too long (want at most 32 bytes): \"{long}\"");
        assert_eq!(error, RpcError::params(message));
    }
}
