//! Genesis blocks have the hashes that other clients computed for the same files.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may panic

use std::{path::PathBuf, process::Command};

use banyan_chainspec::{ChainSpec, Commitment, Fork, OpFork, WideParams};
use banyan_primitives::B256;
use serde_json::{Value, json};

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn ethereum_genesis_blocks_of_every_fork_have_the_known_hash() {
    let file = workspace().join("testdata/genesis/ethereum.json");
    let cases: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    for case in cases.as_array().unwrap() {
        let spec = ChainSpec::from_genesis_json(&case["genesis"].to_string()).unwrap();
        let hash: B256 = case["hash"].as_str().unwrap().parse().unwrap();
        assert_eq!(spec.genesis_header.hash(), hash, "{}", case["name"]);
    }
}

/// `dev.json` is the genesis of a test chain with other accounts and another time. Undone, these
/// changes must give the hash that op-geth's code computed for that chain.
#[test]
fn the_dev_chain_has_the_contracts_of_its_source_unchanged() {
    let file = workspace().join("genesis/dev.json");
    let mut genesis: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    genesis["timestamp"] = json!("0x6b015208");
    let alloc = genesis["alloc"].as_object_mut().unwrap();
    alloc.retain(|_, account| account.get("code").is_some());
    for funded in [
        "3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
        "70997970c51812dc3a010c7d01b50e0d17dc79c8",
        "90f79bf6eb2c4f870365e785982e1f101e93b906",
        "f39fd6e51aad88f6f4ce6ab8827279cfffb92266",
    ] {
        alloc.insert(funded.into(), json!({"balance": "0xd3c21bcecceda1000000"}));
    }
    let spec = ChainSpec::from_genesis_json(&genesis.to_string()).unwrap();
    let expected = "0x1c30bf9cd214490695b2ed0d4ea705c48be0a70d30a6467c26a467e6ff113681";
    assert_eq!(spec.genesis_header.hash(), expected.parse::<B256>().unwrap());
}

#[test]
fn the_dev_chain_has_all_forks_and_ten_funded_accounts() {
    let spec = ChainSpec::dev();
    assert_eq!((spec.chain_id, spec.is_op()), (901, true));
    let rules = spec.rules_of(&spec.genesis_header);
    assert_eq!((rules.fork, rules.op), (Fork::Osaka, Some(OpFork::Karst)));
    let ether = banyan_primitives::U256::from(10u64).pow(banyan_primitives::U256::from(18));
    let funded =
        spec.alloc.values().filter(|a| a.balance == ether * banyan_primitives::U256::from(10_000));
    assert_eq!(funded.count(), 10);
    assert!(spec.genesis_header.withdrawals_root.is_some());
}

/// op-node starts only if the execution client's genesis block is the one of its configuration.
#[test]
fn the_wide_chain_is_the_dev_chain_but_for_its_commitment_and_fits_its_rollup_configuration() {
    let read = |name: &str| -> Value {
        let text = std::fs::read_to_string(workspace().join("genesis").join(name)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let (mut wide, rollup) = (read("wide.json"), read("wide.rollup.json"));
    let spec = ChainSpec::from_genesis_json(&wide.to_string()).unwrap();
    assert_eq!(spec.commitment, Commitment::Wide(WideParams { lag: 4, root_interval: 1 }));
    let hash: B256 = rollup["genesis"]["l2"]["hash"].as_str().unwrap().parse().unwrap();
    assert_eq!(spec.genesis_header.hash(), hash);
    assert_eq!(rollup["l2_chain_id"].as_u64(), Some(spec.chain_id));
    assert_eq!(rollup["genesis"]["l2_time"].as_u64(), Some(spec.genesis_header.timestamp));
    assert_eq!(rollup["karst_time"].as_u64(), spec.op_activation_time(OpFork::Karst));
    wide["config"].as_object_mut().unwrap().remove("commitment");
    wide["config"]["chainId"] = json!(901);
    assert_eq!(wide, read("dev.json"));
}

/// Larger genesis files of recorded OP chains; they lie outside the repository.
#[test]
fn recorded_op_chains_have_the_hash_of_their_rollup_configuration() {
    let shared = std::env::var("BANYAN_SHARED")
        .map_or_else(|_| workspace().join("../shared"), PathBuf::from);
    let fixtures = shared.join("opstack/fixtures");
    if !fixtures.is_dir() {
        eprintln!("skipped: no {} (set BANYAN_SHARED)", fixtures.display());
        return;
    }
    for name in ["jovian", "karst", "staged"] {
        let folder = fixtures.join(name);
        let unpacked = Command::new("gzip")
            .arg("-dc")
            .arg(folder.join("genesis.json.gz"))
            .output()
            .expect("the gzip command is installed");
        let rollup = std::fs::read_to_string(folder.join("rollup.json")).unwrap();
        let rollup: Value = serde_json::from_str(&rollup).unwrap();
        let spec =
            ChainSpec::from_genesis_json(&String::from_utf8(unpacked.stdout).unwrap()).unwrap();
        let expected: B256 = rollup["genesis"]["l2"]["hash"].as_str().unwrap().parse().unwrap();
        assert_eq!(spec.genesis_header.hash(), expected, "{name}");
        for (fork, key) in [
            (OpFork::Canyon, "canyon_time"),
            (OpFork::Jovian, "jovian_time"),
            (OpFork::Karst, "karst_time"),
        ] {
            assert_eq!(spec.op_activation_time(fork), rollup[key].as_u64(), "{name} {key}");
        }
    }
}
