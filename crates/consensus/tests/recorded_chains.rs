//! Blocks that other clients made or accepted pass every rule.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may panic

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use alloy_rlp::Decodable;
use banyan_chainspec::{ChainSpec, Fork, OpFork};
use banyan_consensus::{
    PayloadAttributes, attributes_extra_data, validate_attributes, validate_body, validate_header,
    validate_ommers, validate_transition,
};
use banyan_primitives::{
    Block, BlockBody, Bytes, Decodable2718, Header, Sealable, SealedBlock, Transaction, U256, roots,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The test chain of execution-apis: proof of work from Frontier to Gray Glacier, then all forks up
/// to the second BPO step.
#[test]
fn a_chain_through_all_ethereum_forks_passes() {
    let cases =
        std::fs::read_to_string(workspace().join("testdata/genesis/ethereum.json")).unwrap();
    let cases: Value = serde_json::from_str(&cases).unwrap();
    let case = cases.as_array().unwrap().iter().find(|case| case["name"] == "execution-apis");
    let spec = ChainSpec::from_genesis_json(&case.unwrap()["genesis"].to_string()).unwrap();
    let file = std::fs::read(workspace().join("testdata/chains/execution-apis.rlp")).unwrap();
    let (mut rest, mut blocks) = (file.as_slice(), Vec::<SealedBlock>::new());
    let mut parent = spec.genesis_header.clone();
    let mut total_difficulty = parent.difficulty;
    while !rest.is_empty() {
        let block = SealedBlock::seal(Block::decode(&mut rest).unwrap());
        let number = block.number();
        validate_header(&spec, &block.header, &parent).unwrap_or_else(|e| panic!("{number}: {e}"));
        validate_transition(&spec, &block.header, total_difficulty).unwrap();
        validate_body(&spec, &block).unwrap_or_else(|e| panic!("{number}: {e}"));
        let ancestors: Vec<_> = blocks.iter().rev().collect();
        validate_ommers(&spec, &block, &ancestors).unwrap();
        total_difficulty += block.header.difficulty;
        parent = block.header.clone();
        blocks.push(block);
    }
    assert_eq!(parent.number, 54);
    assert_eq!(spec.rules_of(&parent).fork, Fork::Osaka);
    assert_eq!(spec.rules_of(&parent).blobs.unwrap().max, 21);
    assert!(total_difficulty >= spec.terminal_total_difficulty.unwrap_or(U256::MAX));
}

/// Headers that op-geth built under op-node, from Canyon to Karst with every fork in between.
#[test]
fn headers_of_an_op_chain_through_its_forks_pass() {
    let folder = workspace().join("testdata/chains");
    let genesis = std::fs::read_to_string(folder.join("op-staged.json")).unwrap();
    let spec = ChainSpec::from_genesis_json(&genesis).unwrap();
    let file = std::fs::read(folder.join("op-staged-headers.rlp")).unwrap();
    let mut rest = file.as_slice();
    let mut parent = Header::decode(&mut rest).unwrap().seal_slow();
    let mut forks = Vec::new();
    while !rest.is_empty() {
        let header = Header::decode(&mut rest).unwrap().seal_slow();
        validate_header(&spec, &header, &parent)
            .unwrap_or_else(|e| panic!("{}: {e}", header.number));
        forks.extend(spec.rules_of(&header).op);
        parent = header;
    }
    forks.dedup();
    use OpFork::*;
    assert_eq!(forks, [Canyon, Ecotone, Fjord, Granite, Holocene, Isthmus, Jovian, Karst]);
}

/// The recorded conversations between op-node and op-geth, which lie outside the repository:
/// attributes are accepted, lead to the recorded `extraData`, and the blocks pass.
#[test]
fn recorded_op_conversations_pass() {
    let shared = std::env::var("BANYAN_SHARED")
        .map_or_else(|_| workspace().join("../shared"), PathBuf::from);
    let fixtures = shared.join("opstack/fixtures");
    if !fixtures.is_dir() {
        eprintln!("skipped: no {} (set BANYAN_SHARED)", fixtures.display());
        return;
    }
    for name in ["jovian", "karst", "staged"] {
        let folder = fixtures.join(name);
        let spec = ChainSpec::from_genesis_json(&unpack(&folder.join("genesis.json.gz"))).unwrap();
        let trace = unpack(&folder.join("engine-trace-verifier.jsonl.gz"));
        let calls = trace.lines().filter(|line| !line.trim().is_empty());
        let calls: Vec<Value> = calls.map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(replay(&spec, &calls) > 30, "{name}");
    }
}

fn unpack(path: &Path) -> String {
    let output = Command::new("gzip").arg("-dc").arg(path).output();
    String::from_utf8(output.expect("the gzip command is installed").stdout).unwrap()
}

/// Checks all calls; the number of blocks.
fn replay(spec: &ChainSpec, calls: &[Value]) -> u64 {
    let mut parent = spec.genesis_header.clone();
    let mut asked = None;
    for call in calls {
        let (method, params) = (call["method"].as_str().unwrap(), &call["params"]);
        if method.starts_with("engine_forkchoiceUpdated") && !params[1].is_null() {
            let attributes = attributes(&params[1]);
            validate_attributes(spec, &parent, &attributes).unwrap();
            asked = Some(attributes_extra_data(spec, &attributes, &Bytes::new()).unwrap());
        }
        if method.starts_with("engine_newPayload") {
            let block = payload(&params[0], &params[2]);
            assert_eq!(json!(block.hash()), params[0]["blockHash"]);
            validate_header(spec, &block.header, &parent).unwrap();
            validate_body(spec, &block).unwrap();
            assert_eq!(asked.take(), Some(block.header.extra_data.clone()));
            parent = block.header;
        }
    }
    parent.number
}

fn transactions(list: &Value) -> Vec<Transaction> {
    let bytes: Vec<Bytes> = get(list);
    bytes.iter().map(|bytes| Transaction::decode_2718(&mut &bytes[..]).unwrap()).collect()
}

fn get<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn number(value: &Value) -> u64 {
    u64::try_from(get::<U256>(value)).unwrap()
}

fn attributes(json: &Value) -> PayloadAttributes {
    PayloadAttributes {
        timestamp: number(&json["timestamp"]),
        prev_randao: get(&json["prevRandao"]),
        suggested_fee_recipient: get(&json["suggestedFeeRecipient"]),
        withdrawals: get(&json["withdrawals"]),
        parent_beacon_block_root: get(&json["parentBeaconBlockRoot"]),
        transactions: transactions(&json["transactions"]),
        gas_limit: Some(number(&json["gasLimit"])),
        eip1559_params: get(&json["eip1559Params"]),
        min_base_fee: json["minBaseFee"].as_u64(),
        ..Default::default()
    }
}

/// The block of a payload, put together by way of the JSON form of headers.
fn payload(json: &Value, beacon_root: &Value) -> SealedBlock {
    let transactions = transactions(&json["transactions"]);
    let same = [
        "parentHash",
        "stateRoot",
        "receiptsRoot",
        "logsBloom",
        "gasLimit",
        "gasUsed",
        "timestamp",
        "extraData",
        "baseFeePerGas",
        "blobGasUsed",
        "excessBlobGas",
        "withdrawalsRoot",
    ];
    let mut header = json!({
        "sha3Uncles": roots::ommers_hash(&[]),
        "miner": json["feeRecipient"],
        "transactionsRoot": roots::transactions_root(&transactions),
        "difficulty": "0x0",
        "number": json["blockNumber"],
        "mixHash": json["prevRandao"],
        "nonce": "0x0000000000000000",
        "parentBeaconBlockRoot": beacon_root,
    });
    for key in same {
        header[key] = json[key].clone();
    }
    // Isthmus payloads are recognised by their root; before it the list of withdrawals is empty.
    if header["withdrawalsRoot"].is_null() {
        header["withdrawalsRoot"] = json!(roots::withdrawals_root(&[]));
    } else {
        header["requestsHash"] = json!(banyan_primitives::Requests::default().requests_hash());
    }
    let header: Header = get(&header);
    let body = BlockBody { transactions, ommers: vec![], withdrawals: get(&json["withdrawals"]) };
    SealedBlock { header: header.seal_slow(), body }
}

/// Writes the headers of the recorded `staged` chain; how `op-staged-headers.rlp` was made.
#[test]
#[ignore = "makes test data"]
fn write_op_headers() {
    let shared = PathBuf::from(std::env::var("BANYAN_SHARED").unwrap());
    let folder = shared.join("opstack/fixtures/staged");
    let mut genesis: Value =
        serde_json::from_str(&unpack(&folder.join("genesis.json.gz"))).unwrap();
    let spec = ChainSpec::from_genesis_json(&genesis.to_string()).unwrap();
    genesis["alloc"] = json!({});
    let out = workspace().join("testdata/chains");
    std::fs::write(out.join("op-staged.json"), genesis.to_string() + "\n").unwrap();
    let mut headers = alloy_rlp::encode(spec.genesis_header.inner());
    for line in unpack(&folder.join("engine-trace-verifier.jsonl.gz")).lines() {
        let Ok(call) = serde_json::from_str::<Value>(line) else { continue };
        if call["method"].as_str().is_some_and(|m| m.starts_with("engine_newPayload")) {
            let block = payload(&call["params"][0], &call["params"][2]);
            headers.extend(alloy_rlp::encode(block.header.inner()));
        }
    }
    std::fs::write(out.join("op-staged-headers.rlp"), headers).unwrap();
}
