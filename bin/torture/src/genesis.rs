//! The chain that is tortured: a genesis file with many funded accounts and one contract.

use alloy_consensus::constants::ETH_TO_WEI;
use anyhow::Context;
use banyan_primitives::{Address, alloy_primitives::hex};
use serde_json::{Value, json};

use crate::wallet::{Wallet, filler};

/// The dev chain's genesis file: real predeploys, so that the L1 attributes do what they do.
const OP: &str = include_str!("../../../genesis/dev.json");
/// Ethereum genesis files by fork.
const ETHEREUM: &str = include_str!("../../../testdata/genesis/ethereum.json");

/// Where the contract lies that stores the second word of its calldata in the slot of the first.
pub(crate) const STORE: Address = Address::repeat_byte(0x5a);
/// `sstore(calldataload(0), calldataload(32))`.
const STORE_CODE: [u8; 7] = hex!("6020355f355500");
/// What every account but the senders has, wei.
pub(crate) const FUNDS: u128 = ETH_TO_WEI;

/// Which rules the chain follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// OP Stack, all forks up to Jovian.
    Jovian,
    /// Ethereum, Prague.
    Prague,
}

/// The genesis file, in geth's form, with `accounts` funded accounts.
pub(crate) fn genesis(rules: Rules, wallet: &Wallet, accounts: u32) -> anyhow::Result<Value> {
    let mut genesis = template(rules)?;
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

/// The chain id that the genesis file names.
pub(crate) fn chain_id(rules: Rules) -> anyhow::Result<u64> {
    template(rules)?["config"]["chainId"].as_u64().context("a genesis file has a chain id")
}

fn template(rules: Rules) -> anyhow::Result<Value> {
    match rules {
        Rules::Jovian => op(),
        Rules::Prague => prague(),
    }
}

fn op() -> anyhow::Result<Value> {
    let mut genesis: Value = serde_json::from_str(OP)?;
    let config = genesis["config"].as_object_mut().context("a genesis file has a config")?;
    // Forks that not every client knows yet.
    config.remove("osakaTime");
    config.remove("karstTime");
    Ok(genesis)
}

fn prague() -> anyhow::Result<Value> {
    let known: Vec<Value> = serde_json::from_str(ETHEREUM)?;
    let entry = known.into_iter().find(|entry| entry["name"] == "Prague");
    let mut genesis = entry.context("there is a genesis file for Prague")?["genesis"].take();
    genesis["gasLimit"] = json!("0x3938700");
    // geth wants to be told.
    genesis["config"]["blobSchedule"] = json!({
        "cancun": { "target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477 },
        "prague": { "target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716 },
    });
    Ok(genesis)
}
