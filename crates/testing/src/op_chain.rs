use anyhow::Context;
use banyan_chainspec::ChainSpec;
use serde_json::{Map, Value, json};

/// OP forks with a time of their own, in order: field of a genesis file, and the Ethereum fork
/// that comes with it.
const LADDER: &[(&str, Option<&str>)] = &[
    ("regolith", None),
    ("canyon", Some("shanghai")),
    ("delta", None),
    ("ecotone", Some("cancun")),
    ("fjord", None),
    ("granite", None),
    ("holocene", None),
    ("isthmus", Some("prague")),
    ("jovian", None),
];

/// EIP-1559 parameters: elasticity, denominator, denominator since Canyon.
pub type FeeParameters = [u64; 3];

/// Those of OP Mainnet and OP Sepolia.
pub const FEE_PARAMETERS: FeeParameters = [6, 50, 250];

/// The rules of an OP chain. `time` tells when a fork activates, by its name in small letters.
pub fn op_spec(
    chain_id: u64,
    fees: FeeParameters,
    time: impl Fn(&str) -> Option<u64>,
) -> anyhow::Result<ChainSpec> {
    let mut config = Map::new();
    config.insert("chainId".into(), chain_id.into());
    let blocks = [
        "homestead",
        "eip150",
        "eip155",
        "eip158",
        "byzantium",
        "constantinople",
        "petersburg",
        "istanbul",
        "muirGlacier",
        "berlin",
        "london",
        "arrowGlacier",
        "grayGlacier",
        "mergeNetsplit",
        "bedrock",
    ];
    for fork in blocks {
        config.insert(format!("{fork}Block"), 0.into());
    }
    config.insert("terminalTotalDifficulty".into(), 0.into());
    for (fork, ethereum) in LADDER {
        if let Some(time) = time(fork) {
            for name in [Some(fork), ethereum.as_ref()].into_iter().flatten() {
                config.insert(format!("{name}Time"), time.into());
            }
        }
    }
    let [elasticity, denominator, canyon] = fees;
    config.insert(
        "optimism".into(),
        json!({
            "eip1559Elasticity": elasticity,
            "eip1559Denominator": denominator,
            "eip1559DenominatorCanyon": canyon,
        }),
    );
    let genesis = json!({
        "config": Value::Object(config),
        "nonce": "0x0",
        "timestamp": "0x0",
        "extraData": extra_data(&time),
        "gasLimit": "0x1c9c380",
        "difficulty": "0x0",
        "mixHash": format!("0x{}", "0".repeat(64)),
        "coinbase": format!("0x{}", "0".repeat(40)),
        "baseFeePerGas": "0x3b9aca00",
        "alloc": {},
    });
    ChainSpec::from_genesis_json(&genesis.to_string()).context("genesis of an OP chain")
}

/// The rules of an OP chain with every fork up to `last` active from the start.
pub fn op_spec_at(last: &str) -> anyhow::Result<ChainSpec> {
    let position = |fork: &str| LADDER.iter().position(|(name, _)| *name == fork);
    let last = position(last);
    op_spec(10, FEE_PARAMETERS, |fork| (position(fork) <= last).then_some(0))
}

/// Since Holocene a header carries the fee parameters; the genesis header does too.
fn extra_data(time: &impl Fn(&str) -> Option<u64>) -> &'static str {
    match (time("holocene"), time("jovian")) {
        (_, Some(0)) => "0x01000000fa000000060000000000000000",
        (Some(0), _) => "0x00000000fa00000006",
        _ => "0x",
    }
}
