//! Whole chains from outside of the repository, block by block on a state in maps, with the roots
//! of every header. See `fixtures.rs` for where the files are expected; `opstack/NAME` holds the
//! unpacked genesis and engine traces of recorded OP chains.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod common;

use std::{collections::BTreeMap, path::Path};

use alloy_rlp::Decodable;
use banyan_chainspec::ChainSpec;
use banyan_executor::{MemoryState, execute_block, execute_block_with_roots};
use banyan_primitives::{
    B256, Block, BlockBody, Decodable2718, Header, RecoveredBlock, SealedBlock, Transaction, roots,
    signer,
};
use common::{Tally, bytes, files, hash, json, number, small};
use serde_json::Value;

/// Executes a block on the state of its parent and compares everything that its header says.
fn check_block(
    spec: &ChainSpec,
    block: &SealedBlock,
    parent: &MemoryState,
) -> Result<MemoryState, String> {
    let header = block.header.inner();
    let senders = block.body.transactions.iter().map(signer::sender_unchecked);
    let senders = senders.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let block = RecoveredBlock::new(block.clone(), senders);
    let mut parent = parent.clone();
    parent.block_hashes.insert(header.number - 1, header.parent_hash);
    let after = |diff: &_| {
        let mut state = parent.clone();
        state.apply(diff);
        state
    };
    let mut root = |diff: &_| Ok(after(diff).state_root());
    let output = execute_block_with_roots(spec, &block, &parent, &mut root);
    let output = output.map_err(|error| error.to_string())?;
    let requests_hash = output.requests.as_ref().map(|requests| requests.requests_hash());
    let blob_gas = spec.blob_params(header.timestamp).is_some_and(|blobs| blobs.max > 0);
    let (receipts_root, bloom) = roots::receipts_root_and_bloom(&output.receipts);
    for (what, same) in [
        ("gas used", output.gas_used == header.gas_used),
        ("receipts root", receipts_root == header.receipts_root),
        ("logs bloom", bloom == header.logs_bloom),
        ("requests hash", requests_hash == header.requests_hash),
        ("blob gas", !blob_gas || Some(output.blob_gas_used) == header.blob_gas_used),
        ("no-op in the diff", !output.diff.accounts.values().any(|change| change.is_noop())),
    ] {
        if !same {
            return Err(format!("block {}: {what}", header.number));
        }
    }
    let state = after(&output.diff);
    match state.state_root() == header.state_root {
        true => Ok(state),
        false => Err(format!("block {}: state root", header.number)),
    }
}

#[test]
#[ignore = "needs fixtures outside of the repository"]
fn blockchain_tests() {
    let mut tally = Tally::default();
    for path in files("blockchain") {
        for (name, test) in json(&path).as_object().unwrap() {
            tally.count(|| name.clone(), blockchain_test(test));
        }
    }
    tally.close("chains of valid blocks");
}

fn blockchain_test(test: &Value) -> Result<(), String> {
    let config = test.get("config").cloned().unwrap_or_default();
    let mut spec = common::ethereum(test["network"].as_str().unwrap(), &config);
    spec.alloc = common::alloc(&test["pre"]);
    let genesis = common::state(&test["pre"]);
    let genesis_hash = hash(&test["genesisBlockHeader"]["hash"]);
    let mut states = BTreeMap::from([(genesis_hash, genesis)]);
    for block in test["blocks"].as_array().unwrap() {
        // What makes a block invalid is mostly not for execution to say.
        if block.as_object().unwrap().keys().any(|key| key.starts_with("expectException")) {
            continue;
        }
        let block = Block::decode(&mut bytes(&block["rlp"]).as_ref()).map_err(|e| e.to_string())?;
        let block = SealedBlock::seal(block);
        let parent = states.get(&block.header.parent_hash).ok_or("unknown parent")?;
        let state = check_block(&spec, &block, parent)?;
        states.insert(block.hash(), state);
    }
    if let Some(expected) = test.get("postState") {
        let state = &states[&hash(&test["lastblockhash"])];
        let expected = common::state(expected);
        if (&state.accounts, &state.storage) != (&expected.accounts, &expected.storage) {
            return Err("post state".into());
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs fixtures outside of the repository"]
fn op_chains() {
    let mut tally = Tally::default();
    for genesis in files("opstack").iter().filter(|path| path.ends_with("genesis.json")) {
        let spec = ChainSpec::from_genesis_json(&std::fs::read_to_string(genesis).unwrap());
        let spec = spec.unwrap();
        for side in ["sequencer", "verifier"] {
            let trace = genesis.with_file_name(format!("engine-trace-{side}.jsonl"));
            let blocks = op_chain(&spec, &trace);
            println!("{}: {blocks:?} blocks", trace.display());
            tally.count(|| trace.display().to_string(), blocks.map(drop));
        }
    }
    tally.close("OP chains");
}

fn op_chain(spec: &ChainSpec, trace: &Path) -> Result<usize, String> {
    let genesis = MemoryState::from_alloc(&spec.alloc);
    let mut states = BTreeMap::from([(spec.genesis_header.hash(), genesis)]);
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        let call: Value = serde_json::from_str(line).unwrap();
        let valid = call["result"]["status"] == "VALID";
        if !call["method"].as_str().unwrap().starts_with("engine_newPayload") || !valid {
            continue;
        }
        let block = op_block(spec, &call["params"])?;
        if states.contains_key(&block.hash()) {
            continue;
        }
        let parent = states.get(&block.header.parent_hash).ok_or("unknown parent")?;
        let state = check_block(spec, &block, parent)?;
        states.insert(block.hash(), state);
    }
    Ok(states.len() - 1)
}

/// The block of a payload; its hash proves that nothing was left out.
fn op_block(spec: &ChainSpec, params: &Value) -> Result<SealedBlock, String> {
    let payload = &params[0];
    let transactions = payload["transactions"].as_array().unwrap().iter();
    let transactions: Vec<_> = transactions
        .map(|tx| Transaction::decode_2718_exact(&bytes(tx)))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let optional = |name: &str| payload.get(name).map(small);
    let timestamp = small(&payload["timestamp"]);
    let rules = spec.rules_at(small(&payload["blockNumber"]), timestamp);
    let isthmus = rules.is_op(banyan_chainspec::OpFork::Isthmus);
    let withdrawals_root = match isthmus {
        true => Some(hash(&payload["withdrawalsRoot"])),
        false => Some(roots::withdrawals_root(&[])),
    };
    let header = Header {
        parent_hash: hash(&payload["parentHash"]),
        ommers_hash: banyan_primitives::EMPTY_OMMER_ROOT_HASH,
        beneficiary: payload["feeRecipient"].as_str().unwrap().parse().unwrap(),
        state_root: hash(&payload["stateRoot"]),
        transactions_root: roots::transactions_root(&transactions),
        receipts_root: hash(&payload["receiptsRoot"]),
        withdrawals_root,
        logs_bloom: payload["logsBloom"].as_str().unwrap().parse().unwrap(),
        difficulty: Default::default(),
        number: small(&payload["blockNumber"]),
        gas_limit: small(&payload["gasLimit"]),
        gas_used: small(&payload["gasUsed"]),
        timestamp,
        mix_hash: B256::from(number(&payload["prevRandao"])),
        nonce: Default::default(),
        base_fee_per_gas: optional("baseFeePerGas"),
        blob_gas_used: optional("blobGasUsed"),
        excess_blob_gas: optional("excessBlobGas"),
        parent_beacon_block_root: params.get(2).map(hash),
        requests_hash: isthmus.then_some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH),
        extra_data: bytes(&payload["extraData"]),
        ..Default::default()
    };
    let withdrawals = Some(Default::default());
    let body = BlockBody { transactions, withdrawals, ..Default::default() };
    let block = SealedBlock::seal(Block { header, body });
    match block.hash() == hash(&payload["blockHash"]) {
        true => Ok(block),
        false => Err(format!("block {}: hash", block.number())),
    }
}

/// The callback only matters before Byzantium.
#[test]
fn without_roots_is_the_same_since_byzantium() {
    let spec = common::ethereum("Byzantium", &Value::Null);
    let header = Header { number: 1, difficulty: "1".parse().unwrap(), ..Default::default() };
    let block = SealedBlock::seal(Block { header, body: BlockBody::default() });
    let block = RecoveredBlock::new(block, Vec::new());
    let state = MemoryState::default();
    let plain = execute_block(&spec, &block, &state).unwrap();
    let mut never = |_: &_| panic!("no root is needed");
    assert_eq!(execute_block_with_roots(&spec, &block, &state, &mut never).unwrap(), plain);
}
