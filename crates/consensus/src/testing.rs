//! Chains for this crate's tests.

use banyan_chainspec::ChainSpec;
use serde_json::{Value, json};

const BLOCKS: [&str; 11] = [
    "homesteadBlock",
    "eip150Block",
    "eip155Block",
    "eip158Block",
    "byzantiumBlock",
    "constantinopleBlock",
    "petersburgBlock",
    "istanbulBlock",
    "muirGlacierBlock",
    "berlinBlock",
    "londonBlock",
];
const TIMES: [&str; 5] = ["shanghaiTime", "cancunTime", "pragueTime", "osakaTime", "amsterdamTime"];
const OP_TIMES: [&str; 9] = [
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
/// When the forks of [`optimism`] become active.
pub(crate) const OP_START: u64 = 50;

fn spec(config: Value) -> ChainSpec {
    let file = json!({"config": config, "gasLimit": "0x1c9c380", "difficulty": 0, "alloc": {}});
    ChainSpec::from_genesis_json(&file.to_string()).unwrap()
}

fn up_to(config: &mut Value, keys: &[&str], last: &str, at: u64) {
    let count = keys.iter().position(|key| *key == last).map_or(0, |index| index + 1);
    for key in &keys[..count] {
        config[*key] = json!(at);
    }
}

/// A proof-of-work chain with the given forks, and those before them at block 0. Glacier forks are
/// there only if given.
pub(crate) fn ethereum(forks: &[(&str, u64)]) -> ChainSpec {
    let mut config = json!({"chainId": 1});
    for (fork, _) in forks {
        let last = if fork.ends_with("GlacierBlock") && *fork != "muirGlacierBlock" {
            "londonBlock"
        } else {
            fork
        };
        up_to(&mut config, &BLOCKS, last, 0);
    }
    config["muirGlacierBlock"] = Value::Null;
    for (fork, at) in forks {
        config[*fork] = json!(at);
    }
    spec(config)
}

/// The proof-of-work forks of mainnet's first years.
pub(crate) fn mainnet_blocks() -> ChainSpec {
    spec(json!({
        "chainId": 1, "homesteadBlock": 1_150_000, "daoForkBlock": 1_920_000,
        "daoForkSupport": true, "eip150Block": 2_463_000, "eip155Block": 2_675_000,
        "eip158Block": 2_675_000, "byzantiumBlock": 4_370_000
    }))
}

/// A proof-of-stake chain with all forks up to the given one (Paris if none) at genesis.
pub(crate) fn merged(forks: &[&str]) -> ChainSpec {
    let mut config = json!({"chainId": 1, "terminalTotalDifficulty": 0});
    up_to(&mut config, &BLOCKS, "londonBlock", 0);
    for fork in forks {
        up_to(&mut config, &TIMES, fork, 0);
    }
    spec(config)
}

/// An OP chain with all forks up to the given one at [`OP_START`].
pub(crate) fn optimism(fork: &str) -> ChainSpec {
    let mut config = json!({
        "chainId": 901, "bedrockBlock": 0,
        "optimism": {"eip1559Elasticity": 6, "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250}
    });
    up_to(&mut config, &BLOCKS, "londonBlock", 0);
    up_to(&mut config, &OP_TIMES, fork, OP_START);
    spec(config)
}
