use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use banyan_chainspec::ChainSpec;
use banyan_primitives::{Address, B256, Bloom, Bytes, address};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    alloc::{Alloc, genesis_alloc},
    number::Number,
};

/// Deposit contract that the fixtures assume on every chain (EIP-6110).
const DEPOSIT_CONTRACT: Address = address!("0x00000000219ab540356cbb839cbe05303d7705fa");

/// Forks in order, as fixtures name them, with the fields of a genesis file that switch them on.
const LADDER: &[(&str, &[&str])] = &[
    ("Frontier", &[]),
    ("Homestead", &["homesteadBlock"]),
    ("EIP150", &["eip150Block"]),
    ("EIP158", &["eip155Block", "eip158Block"]),
    ("Byzantium", &["byzantiumBlock"]),
    ("Constantinople", &["constantinopleBlock"]),
    ("ConstantinopleFix", &["petersburgBlock"]),
    ("Istanbul", &["istanbulBlock"]),
    ("MuirGlacier", &["muirGlacierBlock"]),
    ("Berlin", &["berlinBlock"]),
    ("London", &["londonBlock"]),
    ("ArrowGlacier", &["arrowGlacierBlock"]),
    ("GrayGlacier", &["grayGlacierBlock"]),
    ("Paris", &["terminalTotalDifficulty"]),
    ("Shanghai", &["shanghaiTime"]),
    ("Cancun", &["cancunTime"]),
    ("Prague", &["pragueTime"]),
    ("Osaka", &["osakaTime"]),
    ("BPO1", &["bpo1Time"]),
    ("BPO2", &["bpo2Time"]),
    ("BPO3", &["bpo3Time"]),
    ("BPO4", &["bpo4Time"]),
    ("BPO5", &["bpo5Time"]),
    ("Amsterdam", &["amsterdamTime"]),
];

/// `config` of a fixture.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct FixtureConfig {
    #[serde(default)]
    pub(crate) chainid: Option<Number>,
    #[serde(default, rename = "blobSchedule")]
    pub(crate) blob_schedule: BTreeMap<String, BlobSchedule>,
}

/// Blob limits of one fork.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlobSchedule {
    target: Number,
    max: Number,
    base_fee_update_fraction: Number,
}

/// A header as fixtures write it: `genesisBlockHeader`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FixtureHeader {
    pub(crate) parent_hash: B256,
    pub(crate) coinbase: Address,
    pub(crate) state_root: B256,
    pub(crate) bloom: Bloom,
    pub(crate) difficulty: Number,
    pub(crate) number: Number,
    pub(crate) gas_limit: Number,
    pub(crate) gas_used: Number,
    pub(crate) timestamp: Number,
    pub(crate) extra_data: Bytes,
    pub(crate) mix_hash: B256,
    pub(crate) nonce: Number,
    pub(crate) base_fee_per_gas: Option<Number>,
    pub(crate) blob_gas_used: Option<Number>,
    pub(crate) excess_blob_gas: Option<Number>,
    pub(crate) slot_number: Option<Number>,
    pub(crate) hash: B256,
}

/// The chain of a fixture. Fails if the genesis block does not get the hash that the fixture says.
pub(crate) fn chain_spec(
    network: &str,
    config: &FixtureConfig,
    header: &FixtureHeader,
    pre: &Alloc,
) -> anyhow::Result<ChainSpec> {
    let spec = spec_from(network, config, header, genesis_alloc(pre))?;
    let found = spec.genesis_header.hash();
    ensure!(
        found == header.hash,
        "genesis hash {found}, expected {} (state root {}, expected {})",
        header.hash,
        spec.genesis_header.state_root,
        header.state_root
    );
    Ok(spec)
}

/// The rules of a network, for fixtures that have no chain.
pub(crate) fn rules_only(network: &str, config: &FixtureConfig) -> anyhow::Result<ChainSpec> {
    let header = FixtureHeader { gas_limit: Number(5000.try_into()?), ..Default::default() };
    spec_from(network, config, &header, json!({}))
}

fn spec_from(
    network: &str,
    config: &FixtureConfig,
    header: &FixtureHeader,
    alloc: Value,
) -> anyhow::Result<ChainSpec> {
    let mut fields = forks(network)?;
    let chain_id = config.chainid.map_or(Some(1), Number::as_u64).context("chain id too large")?;
    fields.insert("chainId".into(), chain_id.into());
    fields.insert("depositContractAddress".into(), DEPOSIT_CONTRACT.to_string().into());
    if !config.blob_schedule.is_empty() {
        fields.insert("blobSchedule".into(), blob_schedule(&config.blob_schedule));
    }
    let text = genesis_json(fields, header, alloc).to_string();
    ChainSpec::from_genesis_json(&text).with_context(|| format!("genesis of {network}"))
}

fn genesis_json(config: Map<String, Value>, header: &FixtureHeader, alloc: Value) -> Value {
    let mut genesis = json!({
        "config": config,
        "nonce": header.nonce.to_hex(),
        "timestamp": header.timestamp.to_hex(),
        "extraData": header.extra_data.to_string(),
        "gasLimit": header.gas_limit.to_hex(),
        "difficulty": header.difficulty.to_hex(),
        "mixHash": header.mix_hash.to_string(),
        "coinbase": header.coinbase.to_string(),
        "number": header.number.to_hex(),
        "gasUsed": header.gas_used.to_hex(),
        "parentHash": header.parent_hash.to_string(),
        "alloc": alloc,
    });
    let optional = [
        ("baseFeePerGas", header.base_fee_per_gas),
        ("blobGasUsed", header.blob_gas_used),
        ("excessBlobGas", header.excess_blob_gas),
        ("slotNumber", header.slot_number),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            genesis[name] = value.to_hex().into();
        }
    }
    genesis
}

fn blob_schedule(schedule: &BTreeMap<String, BlobSchedule>) -> Value {
    let entries = schedule.iter().map(|(fork, limits)| {
        let limits = json!({
            "target": limits.target.saturating_u64(),
            "max": limits.max.saturating_u64(),
            "baseFeeUpdateFraction": limits.base_fee_update_fraction.saturating_u64(),
        });
        (fork.to_lowercase(), limits)
    });
    Value::Object(entries.collect())
}

/// The fork fields of a genesis file for a network name: `Osaka`, `ShanghaiToCancunAtTime15k`,
/// `BerlinToLondonAt5`, `ArrowGlacierToParisAtDiffC0000`, `HomesteadToDaoAt5`.
fn forks(network: &str) -> anyhow::Result<Map<String, Value>> {
    let mut fields = Map::new();
    let Some((from, rest)) = network.split_once("To") else {
        activate(&mut fields, 0, position(network)?, &json!(0));
        return Ok(fields);
    };
    let (to, at) = rest.split_once("At").with_context(|| format!("unknown network {network}"))?;
    let from = position(from)?;
    activate(&mut fields, 0, from, &json!(0));
    if to == "Dao" {
        fields.insert("daoForkBlock".into(), moment(at)?);
        fields.insert("daoForkSupport".into(), true.into());
    } else {
        activate(&mut fields, from + 1, position(to)?, &moment(at)?);
    }
    Ok(fields)
}

/// Switches the rungs `first..=last` of the ladder on. Before the merge the time of one is a block.
fn activate(fields: &mut Map<String, Value>, first: usize, last: usize, at: &Value) {
    for (_, names) in LADDER.iter().take(last + 1).skip(first) {
        for name in *names {
            fields.insert((*name).into(), at.clone());
        }
    }
}

fn position(fork: &str) -> anyhow::Result<usize> {
    // Other names of the same rules.
    let fork = match fork {
        "Petersburg" => "ConstantinopleFix",
        "Merge" => "Paris",
        other => other,
    };
    let found = LADDER.iter().position(|(name, _)| *name == fork);
    found.with_context(|| format!("unknown fork {fork}"))
}

/// `5`, `Time15k` (a timestamp) or `DiffC0000` (a total difficulty, hex).
fn moment(text: &str) -> anyhow::Result<Value> {
    if let Some(time) = text.strip_prefix("Time") {
        let (digits, unit) = match time.strip_suffix('k') {
            Some(digits) => (digits, 1000),
            None => (time, 1),
        };
        return Ok(json!(digits.parse::<u64>()? * unit));
    }
    if let Some(difficulty) = text.strip_prefix("Diff") {
        return Ok(json!(u64::from_str_radix(difficulty.trim_start_matches("0x"), 16)?));
    }
    match text.parse::<u64>() {
        Ok(number) => Ok(json!(number)),
        Err(_) => bail!("unknown activation {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(network: &str, expected: &[(&str, Option<u64>)]) {
        let fields = forks(network).unwrap();
        for (field, value) in expected {
            let found = fields.get(*field).and_then(Value::as_u64);
            assert_eq!(found, *value, "{network}: {field}");
        }
    }

    #[test]
    fn network_names_switch_forks_on() {
        check("Frontier", &[("homesteadBlock", None)]);
        check("Berlin", &[("berlinBlock", Some(0)), ("londonBlock", None)]);
        check("BerlinToLondonAt5", &[("berlinBlock", Some(0)), ("londonBlock", Some(5))]);
        check("HomesteadToDaoAt5", &[("daoForkBlock", Some(5)), ("eip150Block", None)]);
        let ttd = "terminalTotalDifficulty";
        check("ArrowGlacierToParisAtDiffC0000", &[(ttd, Some(0xC0000)), ("shanghaiTime", None)]);
        check("ParisToShanghaiAtTime15k", &[(ttd, Some(0)), ("shanghaiTime", Some(15_000))]);
        check("BPO1ToBPO2AtTime15k", &[("bpo1Time", Some(0)), ("bpo2Time", Some(15_000))]);
        check("EIP158ToByzantiumAt5", &[("eip155Block", Some(0)), ("byzantiumBlock", Some(5))]);
        assert!(forks("Nowhere").is_err());
    }
}
