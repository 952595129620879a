//! The chain that is tortured: a genesis file with many funded accounts and one contract.

use alloy_consensus::constants::ETH_TO_WEI;
use anyhow::Context;
use banyan_primitives::{Address, alloy_primitives::hex};
use blackbox::genesis::Rules;
use serde_json::{Value, json};

use crate::wallet::{Wallet, filler};

/// Where the contract lies that stores the second word of its calldata in the slot of the first.
pub(crate) const STORE: Address = Address::repeat_byte(0x5a);
/// `sstore(calldataload(0), calldataload(32))`.
const STORE_CODE: [u8; 7] = hex!("6020355f355500");
/// What every account but the senders has, wei.
pub(crate) const FUNDS: u128 = ETH_TO_WEI;

/// The genesis file, in geth's form, with `accounts` funded accounts.
pub(crate) fn genesis(rules: Rules, wallet: &Wallet, accounts: u32) -> anyhow::Result<Value> {
    let mut genesis = rules.genesis()?;
    let alloc = genesis["alloc"].as_object_mut().context("a genesis file has an alloc")?;
    for address in wallet.senders() {
        alloc.insert(address.to_string(), json!({ "balance": "0xffffffffffffffffffffffff" }));
    }
    for index in 0..accounts {
        alloc.insert(filler(index).to_string(), json!({ "balance": format!("{FUNDS:#x}") }));
    }
    let store = json!({ "balance": "0x0", "code": hex::encode_prefixed(STORE_CODE) });
    alloc.insert(STORE.to_string(), store);
    Ok(genesis)
}
