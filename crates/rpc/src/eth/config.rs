//! `eth_config` (EIP-7910): the fork in force, the next and the last one.

use std::collections::BTreeMap;

use alloy_eips::{
    eip2124::ForkHash, eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use banyan_chainspec::{Activation, BlobParams, ChainSpec, Fork, Rules};
use banyan_executor::precompiles;
use banyan_primitives::{Address, Bytes};
use serde::Serialize;

use crate::{args::Args, error::RpcResult, quantity::Quantity, shared::Shared};

/// The answer. `last` is the furthest fork that is scheduled; null without a next one, as in geth.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Config {
    current: ForkConfig,
    next: Option<ForkConfig>,
    last: Option<ForkConfig>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ForkConfig {
    activation_time: u64,
    blob_schedule: Option<BlobSchedule>,
    chain_id: Quantity,
    fork_id: Bytes,
    precompiles: BTreeMap<String, Address>,
    system_contracts: BTreeMap<&'static str, Address>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BlobSchedule {
    target: u64,
    max: u64,
    base_fee_update_fraction: u64,
}

impl From<BlobParams> for BlobSchedule {
    fn from(params: BlobParams) -> Self {
        let BlobParams { target, max, update_fraction } = params;
        Self { target, max, base_fee_update_fraction: update_fraction }
    }
}

/// By the head's time.
pub(super) fn config(shared: &Shared, args: Args<'_>) -> RpcResult<Config> {
    args.end()?;
    Ok(config_at(shared.spec(), shared.view().head().timestamp))
}

fn config_at(spec: &ChainSpec, now: u64) -> Config {
    let times = fork_times(spec);
    let current = times.iter().rev().find(|time| **time <= now).copied().unwrap_or_default();
    let next = times.iter().find(|time| **time > now).map(|time| fork_config(spec, *time));
    let last = times.last().filter(|_| next.is_some()).map(|time| fork_config(spec, *time));
    Config { current: fork_config(spec, current), next, last }
}

/// Times of all forks after genesis, in order, each once.
fn fork_times(spec: &ChainSpec) -> Vec<u64> {
    let genesis = spec.genesis_header.timestamp;
    let time = |at| match at {
        Activation::Time(time) if time > genesis => Some(time),
        Activation::Time(_) | Activation::Block(_) => None,
    };
    let mut times: Vec<_> = spec.forks().iter().filter_map(|fork| time(fork.at)).collect();
    times.sort_unstable();
    times.dedup();
    times
}

/// The rules from `time` on; zero for those of genesis.
fn fork_config(spec: &ChainSpec, time: u64) -> ForkConfig {
    let rules = spec.rules_at(u64::MAX, time.max(spec.genesis_header.timestamp));
    ForkConfig {
        activation_time: time,
        // OP chains have the rules, but no blobs.
        blob_schedule: rules.blobs.filter(|blobs| blobs.max > 0).map(BlobSchedule::from),
        chain_id: Quantity(spec.chain_id),
        fork_id: fork_id(spec, time),
        precompiles: precompiles(&rules).into_iter().collect(),
        system_contracts: system_contracts(spec, &rules),
    }
}

/// Checksum over genesis and all forks up to `time` (EIP-2124, EIP-6122). All forks by number have
/// passed on a chain that has forks by time.
fn fork_id(spec: &ChainSpec, time: u64) -> Bytes {
    let genesis = &spec.genesis_header;
    let mut blocks: Vec<u64> = spec
        .forks()
        .iter()
        .filter_map(|fork| match fork.at {
            Activation::Block(number) if number > genesis.number => Some(number),
            Activation::Block(_) | Activation::Time(_) => None,
        })
        .collect();
    blocks.sort_unstable();
    blocks.dedup();
    let times = fork_times(spec).into_iter().take_while(|fork| *fork <= time);
    let mut hash = ForkHash::from(genesis.hash());
    blocks.into_iter().chain(times).for_each(|fork| hash += fork);
    hash.0.into()
}

fn system_contracts(spec: &ChainSpec, rules: &Rules) -> BTreeMap<&'static str, Address> {
    let mut contracts = BTreeMap::new();
    if rules.is(Fork::Cancun) {
        contracts.insert("BEACON_ROOTS_ADDRESS", BEACON_ROOTS_ADDRESS);
    }
    if rules.is(Fork::Prague) {
        contracts.insert("HISTORY_STORAGE_ADDRESS", HISTORY_STORAGE_ADDRESS);
    }
    // OP chains have no requests.
    if rules.is(Fork::Prague) && rules.op.is_none() {
        contracts.extend([
            ("CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS", CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS),
            ("DEPOSIT_CONTRACT_ADDRESS", spec.deposit_contract),
            ("WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS", WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS),
        ]);
    }
    contracts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> ChainSpec {
        let genesis = json!({
            "config": {
                "chainId": 7, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0,
                "eip158Block": 0, "byzantiumBlock": 0, "constantinopleBlock": 0,
                "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0,
                "terminalTotalDifficulty": 0, "shanghaiTime": 0, "cancunTime": 1000,
                "pragueTime": 2000, "osakaTime": 3000,
                "blobSchedule": {
                    "cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3338477},
                    "prague": {"target": 6, "max": 9, "baseFeeUpdateFraction": 5007716},
                    "osaka": {"target": 6, "max": 9, "baseFeeUpdateFraction": 5007716},
                },
            },
            "difficulty": "0x0", "gasLimit": "0x1c9c380", "timestamp": "0x0", "alloc": {},
        });
        ChainSpec::from_genesis_json(&genesis.to_string()).unwrap()
    }

    #[test]
    fn current_next_and_last_follow_the_time() {
        let times = |now| {
            let config = config_at(&spec(), now);
            let time = |fork: Option<ForkConfig>| fork.map(|fork| fork.activation_time);
            (config.current.activation_time, time(config.next), time(config.last))
        };
        assert_eq!(times(999), (0, Some(1000), Some(3000)));
        assert_eq!(times(2000), (2000, Some(3000), Some(3000)));
        assert_eq!(times(3000), (3000, None, None));
    }

    #[test]
    fn each_fork_has_its_own_id_and_contracts() {
        let config = config_at(&spec(), 0);
        let (next, last) = (config.next.unwrap(), config.last.unwrap());
        assert_eq!(config.current.blob_schedule, None);
        assert!(config.current.system_contracts.is_empty());
        assert_eq!(next.system_contracts.len(), 1);
        assert_eq!(last.system_contracts.len(), 5);
        assert!(last.precompiles.contains_key("P256VERIFY"));
        assert!(!next.precompiles.contains_key("P256VERIFY"));
        assert_ne!(config.current.fork_id, next.fork_id);
        assert_ne!(next.fork_id, last.fork_id);
        let plain = ForkHash::from(spec().genesis_header.hash());
        assert_eq!(config.current.fork_id, Bytes::from(plain.0));
    }
}
