//! Chains and JSON helpers shared by the integration tests.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod block;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use banyan_chainspec::{ChainSpec, GenesisAccount};
use banyan_executor::MemoryState;
use banyan_primitives::{Address, B256, Bytes, U256};
use serde_json::{Map, Value, json as literal};

/// Ethereum's forks in order: the names fixtures have for them, the keys of a genesis file.
const FORKS: [(&str, &[&str]); 17] = [
    ("Frontier", &[]),
    ("Homestead", &["homesteadBlock"]),
    ("Dao", &["daoForkBlock"]),
    ("EIP150", &["eip150Block"]),
    ("EIP158", &["eip155Block", "eip158Block"]),
    ("Byzantium", &["byzantiumBlock"]),
    ("Constantinople", &["constantinopleBlock"]),
    ("ConstantinopleFix", &["petersburgBlock"]),
    ("Istanbul", &["istanbulBlock"]),
    ("Berlin", &["berlinBlock"]),
    ("London", &["londonBlock"]),
    ("ArrowGlacier", &["arrowGlacierBlock"]),
    ("Paris", &["terminalTotalDifficulty"]),
    ("Shanghai", &["shanghaiTime"]),
    ("Cancun", &["cancunTime"]),
    ("Prague", &["pragueTime"]),
    ("Osaka", &["osakaTime"]),
];
const OP_FORKS: [&str; 9] = [
    "regolithTime",
    "canyonTime",
    "ecotoneTime",
    "fjordTime",
    "graniteTime",
    "holoceneTime",
    "isthmusTime",
    "jovianTime",
    "karstTime",
];

/// The Ethereum chain of a fixture's `network`: a fork, active from the start with all before it,
/// or `AToBAt…`. `config` holds `chainid` and perhaps `blobSchedule`, as fixtures have it.
pub(crate) fn ethereum(network: &str, config: &Value) -> ChainSpec {
    let (first, rest) = network.split_once("To").unwrap_or((network, ""));
    let (last, at) = rest.split_once("At").unwrap_or((first, "0"));
    let at = match at {
        "Time15k" => literal!(15_000),
        "DiffC0000" => literal!(0xc0000),
        block => literal!(block.parse::<u64>().unwrap()),
    };
    let index = |name: &str| FORKS.iter().position(|(fork, _)| *fork == name).unwrap();
    let mut keys = Map::new();
    for (position, (name, fork_keys)) in FORKS.iter().enumerate().take(index(last) + 1) {
        if *name == "Dao" && last != "Dao" {
            continue;
        }
        let start = if position <= index(first) { literal!(0) } else { at.clone() };
        fork_keys.iter().for_each(|key| drop(keys.insert(key.to_string(), start.clone())));
    }
    keys.insert("daoForkSupport".into(), literal!(true));
    if let Some(Value::Object(schedule)) = config.get("blobSchedule") {
        keys.insert("blobSchedule".into(), blob_schedule(schedule));
    }
    spec(config.get("chainid").map_or(1, small), keys)
}

/// An Ethereum chain of proof of stake with the rules of `fork`.
pub(crate) fn merged(fork: &str) -> ChainSpec {
    let blobs = literal!({"target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477});
    ethereum(fork, &literal!({"blobSchedule": {"Cancun": blobs, "Prague": blobs, "Osaka": blobs}}))
}

/// Names in lower case, numbers as numbers.
fn blob_schedule(schedule: &Map<String, Value>) -> Value {
    let lower = |(name, value): (&String, &Value)| {
        let numbers = value.as_object().unwrap().iter();
        let numbers: Map<_, _> = numbers.map(|(k, v)| (k.clone(), literal!(small(v)))).collect();
        (name.to_lowercase(), Value::Object(numbers))
    };
    Value::Object(schedule.iter().map(lower).collect())
}

/// An OP chain on which everything up to the fork of key `last` is active from the start.
pub(crate) fn op(last: &str) -> ChainSpec {
    op_with(last, &[])
}

/// As [`op`], with further keys of a genesis file.
pub(crate) fn op_with(last: &str, more: &[(&str, u64)]) -> ChainSpec {
    let mut keys = Map::new();
    let (_, until_london) = FORKS.split_at(1);
    for (_, forks) in until_london.iter().take(12).filter(|(name, _)| *name != "Dao") {
        forks.iter().for_each(|key| drop(keys.insert(key.to_string(), literal!(0))));
    }
    keys.insert("bedrockBlock".into(), literal!(0));
    let count = OP_FORKS.iter().position(|key| *key == last).map_or(0, |index| index + 1);
    for key in &OP_FORKS[..count] {
        keys.insert(key.to_string(), literal!(0));
        let implied = match *key {
            "canyonTime" => "shanghaiTime",
            "ecotoneTime" => "cancunTime",
            "isthmusTime" => "pragueTime",
            "karstTime" => "osakaTime",
            _ => continue,
        };
        keys.insert(implied.into(), literal!(0));
    }
    let parameters = literal!({
        "eip1559Elasticity": 6, "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250
    });
    keys.insert("optimism".into(), parameters);
    keys.extend(more.iter().map(|(key, value)| (key.to_string(), literal!(value))));
    spec(901, keys)
}

/// Ethereum's main chain.
pub(crate) fn mainnet() -> ChainSpec {
    let keys = literal!({
        "homesteadBlock": 1_150_000, "daoForkBlock": 1_920_000, "daoForkSupport": true,
        "eip150Block": 2_463_000, "eip155Block": 2_675_000, "eip158Block": 2_675_000,
        "byzantiumBlock": 4_370_000, "constantinopleBlock": 7_280_000,
        "petersburgBlock": 7_280_000, "istanbulBlock": 9_069_000, "muirGlacierBlock": 9_200_000,
        "berlinBlock": 12_244_000, "londonBlock": 12_965_000, "arrowGlacierBlock": 13_773_000,
        "grayGlacierBlock": 15_050_000, "shanghaiTime": 1_681_338_455u64,
        "cancunTime": 1_710_338_135u64, "terminalTotalDifficulty": "58750000000000000000000",
        "blobSchedule": {"cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477}},
    });
    let Value::Object(keys) = keys else { unreachable!() };
    spec(1, keys)
}

fn spec(chain_id: u64, mut config: Map<String, Value>) -> ChainSpec {
    config.insert("chainId".into(), literal!(chain_id));
    let mut genesis = literal!({
        "config": config, "alloc": {}, "gasLimit": "0x1c9c380", "difficulty": "0x0",
        "extraData": "0x", "timestamp": "0x0", "nonce": "0x0",
    });
    let active = |key| genesis["config"].get(key) == Some(&literal!(0));
    let [holocene, isthmus, jovian] = ["holoceneTime", "isthmusTime", "jovianTime"].map(active);
    if jovian {
        genesis["extraData"] = literal!("0x01000000fa000000060000000000000000");
    } else if holocene {
        genesis["extraData"] = literal!("0x00000000fa00000006");
    }
    if isthmus {
        // Storage root of an absent message passer.
        genesis["withdrawalsRoot"] = literal!(banyan_primitives::EMPTY_ROOT_HASH);
    }
    ChainSpec::from_genesis_json(&genesis.to_string()).unwrap()
}

/// A number in hex, perhaps with leading zeros, or in JSON.
pub(crate) fn number(value: &Value) -> U256 {
    match value {
        Value::String(text) if text == "0x" => U256::ZERO,
        Value::String(text) => text.parse().unwrap(),
        value => U256::from(value.as_u64().unwrap()),
    }
}

/// A number that fits 64 bits.
pub(crate) fn small(value: &Value) -> u64 {
    number(value).to()
}

/// Bytes in hex.
pub(crate) fn bytes(value: &Value) -> Bytes {
    value.as_str().unwrap().parse().unwrap()
}

/// A hash in hex.
pub(crate) fn hash(value: &Value) -> B256 {
    value.as_str().unwrap().parse().unwrap()
}

/// Accounts as fixtures list them: address → nonce, balance, code, storage.
pub(crate) fn alloc(pre: &Value) -> BTreeMap<Address, GenesisAccount> {
    let account = |(address, account): (&String, &Value)| {
        let storage = account["storage"].as_object().unwrap().iter();
        let account = GenesisAccount {
            nonce: small(&account["nonce"]),
            balance: number(&account["balance"]),
            code: account.get("code").map(bytes).unwrap_or_default(),
            storage: storage.map(|(slot, value)| (slot.parse().unwrap(), number(value))).collect(),
        };
        (address.parse().unwrap(), account)
    };
    pre.as_object().unwrap().iter().map(account).collect()
}

/// The state of such a list.
pub(crate) fn state(pre: &Value) -> MemoryState {
    MemoryState::from_alloc(&alloc(pre))
}

/// The files below `part` of the fixtures; empty, with a word about it, if they are not there.
pub(crate) fn files(part: &str) -> Vec<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fixtures");
    let root = std::env::var_os("BANYAN_FIXTURES").map_or(default, PathBuf::from);
    let mut found = Vec::new();
    let mut folders = vec![root.join(part)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|end| end == "json") => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    if found.is_empty() {
        println!("SKIPPED: no fixtures in {}", root.join(part).display());
    }
    found
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Counts passes, prints failures, and fails the test at the end if there was one.
#[derive(Default)]
pub(crate) struct Tally {
    passed: usize,
    failed: Vec<String>,
}

impl Tally {
    pub(crate) fn count(&mut self, name: impl Fn() -> String, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(error) => self.failed.push(format!("{}: {error}", name())),
        }
    }

    pub(crate) fn close(self, what: &str) {
        self.failed.iter().for_each(|failure| println!("FAILED {failure}"));
        println!("{what}: {} passed, {} failed", self.passed, self.failed.len());
        assert!(self.failed.is_empty());
    }
}
