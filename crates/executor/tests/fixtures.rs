//! Published test vectors. They lie outside of the repository: unpack them into `target/fixtures`
//! (or name another folder in `BANYAN_FIXTURES`) and run
//! `cargo test -p banyan-executor --test fixtures -- --ignored --nocapture`.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod common;

use std::collections::BTreeMap;

use banyan_chainspec::{ChainSpec, Fork};
use banyan_executor::{BlockContext, BlockExecutor, MemoryState, l1_cost, l1_fee_receipts};
use banyan_primitives::{
    Address, B256, Block, BlockBody, Decodable2718, Header, SealedBlock, Transaction, TxDeposit,
    U256, address, keccak256, roots, signer,
};
use common::{Tally, bytes, files, hash, json, number, small};
use serde_json::Value;

#[test]
#[ignore = "needs fixtures outside of the repository; takes minutes"]
fn state_tests() {
    let mut tally = Tally::default();
    let mut specs = BTreeMap::new();
    for path in files("state") {
        let file = json(&path);
        for (name, test) in file.as_object().unwrap() {
            for (fork, entries) in test["post"].as_object().unwrap() {
                let spec = specs
                    .entry((fork.clone(), test["config"].to_string()))
                    .or_insert_with(|| common::ethereum(fork, &test["config"]));
                for (index, entry) in entries.as_array().unwrap().iter().enumerate() {
                    let result = state_test(spec, test, entry);
                    tally.count(|| format!("{name} {fork} {index}"), result);
                }
            }
        }
    }
    tally.close("state entries");
}

fn state_context(spec: &ChainSpec, env: &Value) -> BlockContext {
    let field = |name: &str| env.get(name).map(number);
    let mut context = BlockContext {
        number: small(&env["currentNumber"]),
        timestamp: small(&env["currentTimestamp"]),
        beneficiary: env["currentCoinbase"].as_str().unwrap().parse().unwrap(),
        gas_limit: small(&env["currentGasLimit"]),
        base_fee: field("currentBaseFee").map(|fee| fee.to()),
        difficulty: U256::ZERO,
        prev_randao: field("currentRandom").map(B256::from).unwrap_or_default(),
        excess_blob_gas: field("currentExcessBlobGas").map(|gas| gas.to()),
        ..Default::default()
    };
    // Every chain of these tests that can be merged is.
    if spec.terminal_total_difficulty.is_none() {
        context.difficulty = number(&env["currentDifficulty"]);
    }
    context
}

fn state_test(spec: &ChainSpec, test: &Value, entry: &Value) -> Result<(), String> {
    let context = state_context(spec, &test["env"]);
    let mut state = common::state(&test["pre"]);
    for number in context.number.saturating_sub(256)..context.number {
        state.block_hashes.insert(number, keccak256(number.to_string()));
    }
    // EIP-7610 asks for storage that accounts have had from the start.
    let mut spec = spec.clone();
    spec.alloc = common::alloc(&test["pre"]);
    let expected = hash(&entry["hash"]);
    let exception = entry.get("expectException");

    let mut executor = BlockExecutor::new(&spec, context, &state);
    let result = decode(&entry["txbytes"], &test["transaction"]["sender"])
        .and_then(|(tx, sender)| executor.execute(&tx, sender).map_err(|e| e.to_string()));
    match (&result, exception) {
        (Ok(_), Some(exception)) => return Err(format!("accepted, expected {exception}")),
        (Err(error), None) => return Err(format!("refused: {error}")),
        _ => {}
    }
    let diff = executor.diff_so_far().map_err(|error| error.to_string())?;
    if result.is_err() && (!diff.is_empty() || !executor.receipts().is_empty()) {
        return Err("a refused transaction left a trace".into());
    }
    if let Some((_, noop)) = diff.accounts.iter().find(|(_, change)| change.is_noop()) {
        return Err(format!("no-op in the diff: {noop:?}"));
    }
    let logs: Vec<_> = executor.receipts().iter().flat_map(|receipt| &receipt.logs).collect();
    let logs_hash = keccak256(alloy_rlp::encode(&logs));
    if logs_hash != hash(&entry["logs"]) {
        return Err(format!("logs hash {logs_hash}"));
    }
    drop(executor);
    state.apply(&diff);
    let root = state.state_root();
    match root == expected {
        true => Ok(()),
        false => Err(format!("state root {root}; {}", first_difference(&state, &entry["state"]))),
    }
}

/// Where the state differs from the one a fixture lists.
fn first_difference(state: &MemoryState, expected: &Value) -> String {
    if !expected.is_object() {
        return "no expected state given".into();
    }
    let expected = common::state(expected);
    let addresses = state.accounts.keys().chain(expected.accounts.keys());
    for address in addresses {
        let have = (state.accounts.get(address), state.storage.get(address));
        let want = (expected.accounts.get(address), expected.storage.get(address));
        if have != want {
            return format!("{address}: have {have:?}, want {want:?}");
        }
    }
    "same accounts".into()
}

/// A transaction with its sender, which must be the one that the fixture names.
fn decode(tx: &Value, sender: &Value) -> Result<(Transaction, Address), String> {
    let tx = Transaction::decode_2718_exact(&bytes(tx)).map_err(|error| error.to_string())?;
    let recovered = signer::sender_unchecked(&tx).map_err(|error| error.to_string())?;
    let sender: Address = sender.as_str().unwrap().parse().unwrap();
    if recovered != sender {
        return Err(format!("sender {recovered}, expected {sender}"));
    }
    Ok((tx, sender))
}

#[test]
#[ignore = "needs fixtures outside of the repository"]
fn mainnet_blocks() {
    let spec = common::mainnet();
    let mut tally = Tally::default();
    for path in files("mainnet-blocks") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match name.starts_with("eth-") {
            true => tally.count(|| name.clone(), mainnet_block(&spec, &json(&path))),
            false => println!("skipped, no expected result: {name}"),
        }
    }
    tally.close("mainnet blocks");
}

fn mainnet_block(spec: &ChainSpec, test: &Value) -> Result<(), String> {
    let block = &test["block"];
    let header: Header = serde_json::from_value(block.clone()).map_err(|e| e.to_string())?;
    let mut state = MemoryState::default();
    for (address, account) in test["pre_state"].as_object().unwrap() {
        let code = account
            .get("code_hash")
            .map(|code| test["codes"].get(code.as_str().unwrap()).map(bytes).unwrap_or_default());
        let storage = account["storage"].as_object().unwrap().iter();
        let storage = storage.map(|(slot, value)| (slot.parse().unwrap(), number(value)));
        let (nonce, balance) = (small(&account["nonce"]), number(&account["balance"]));
        let address = address.parse().unwrap();
        state.insert(address, nonce, balance, code.unwrap_or_default(), storage);
    }
    for (number, block_hash) in test["block_hashes"].as_object().unwrap() {
        state.block_hashes.insert(number.parse().unwrap(), hash(block_hash));
    }

    let context = BlockContext::from_header(&header);
    let rules = context.rules(spec);
    let mut executor = BlockExecutor::new(spec, context, &state);
    executor.begin().map_err(|error| error.to_string())?;
    for tx in block["transactions"].as_array().unwrap() {
        let sender = tx["from"].as_str().unwrap().parse().unwrap();
        let tx: Transaction = serde_json::from_value(tx.clone()).map_err(|e| e.to_string())?;
        executor.execute(&tx, sender).map_err(|error| error.to_string())?;
    }
    let output = executor.finish(&[], None).map_err(|error| error.to_string())?;
    if output.gas_used != header.gas_used {
        return Err(format!("gas used {}, expected {}", output.gas_used, header.gas_used));
    }
    let (root, bloom) = roots::receipts_root_and_bloom(&output.receipts);
    if bloom != header.logs_bloom {
        return Err("logs bloom".into());
    }
    if rules.is(Fork::Byzantium) && root != header.receipts_root {
        return Err(format!("receipts root {root}, expected {}", header.receipts_root));
    }
    Ok(())
}

const L1_BLOCK: Address = address!("0x4200000000000000000000000000000000000015");

#[test]
#[ignore = "needs fixtures outside of the repository"]
fn l1_fees() {
    let mut tally = Tally::default();
    for path in files("op").iter().filter(|path| path.ends_with("l1_fee_computed.json")) {
        for test in json(path).as_array().unwrap() {
            for (fork, rule) in
                [("regolithTime", "regolith"), ("ecotoneTime", "ecotone"), ("fjordTime", "fjord")]
            {
                let name = || format!("block {} tx {} {rule}", test["block"], test["index"]);
                tally.count(name, l1_fee(&common::op(fork), rule, test));
            }
        }
    }
    tally.close("L1 fees");
}

fn l1_fee(spec: &ChainSpec, rule: &str, test: &Value) -> Result<(), String> {
    let tx = Transaction::decode_2718_exact(&bytes(&test["raw_tx"])).map_err(|e| e.to_string())?;
    let parameter = |name: &str| number(&test["params"][name]);
    let fee = number(&test[format!("{rule}_fee")]);

    let word = |index: usize| U256::from(1) << (256 - 8 * index);
    let scalars =
        parameter("base_fee_scalar") * word(20) + parameter("blob_base_fee_scalar") * word(24);
    let slots = [
        (1, parameter("base_fee")),
        (3, scalars),
        (5, parameter("overhead")),
        (6, parameter("scalar")),
        (7, parameter("blob_base_fee")),
    ];
    let mut state = MemoryState::default();
    let slots = slots.map(|(slot, value)| (U256::from(slot), value));
    state.insert(L1_BLOCK, 1, U256::ZERO, vec![0].into(), slots);
    let cost = l1_cost(spec, 1, &state, &tx).map_err(|error| error.to_string())?;
    if cost != fee {
        return Err(format!("fee {cost}, expected {fee}"));
    }

    let block = fee_block(spec, rule, &parameter, tx);
    let receipts = l1_fee_receipts(spec, &block);
    if receipts[1].l1_fee.map(U256::from) != Some(fee) {
        return Err(format!("fee in the receipt {:?}, expected {fee}", receipts[1].l1_fee));
    }
    let gas = test.get(format!("{rule}_gas")).map(number);
    if gas.is_some() && gas != receipts[1].l1_gas_used.map(U256::from) {
        return Err(format!("gas in the receipt {:?}, expected {gas:?}", receipts[1].l1_gas_used));
    }
    Ok(())
}

/// A block of an L1 attributes deposit and `tx`.
fn fee_block(
    spec: &ChainSpec,
    rule: &str,
    parameter: &dyn Fn(&str) -> U256,
    tx: Transaction,
) -> SealedBlock {
    let zero = U256::ZERO;
    let input = if rule == "regolith" {
        let words = [zero, zero, parameter("base_fee"), zero, zero, zero];
        let words = words.into_iter().chain([parameter("overhead"), parameter("scalar")]);
        let mut input = vec![0x01, 0x5d, 0x8e, 0xb9];
        words.for_each(|word| input.extend(word.to_be_bytes::<32>()));
        input
    } else {
        let scalar = |name: &str| parameter(name).to::<u32>().to_be_bytes();
        let mut input = vec![0x44, 0x0a, 0x5e, 0x20];
        input.extend(scalar("base_fee_scalar"));
        input.extend(scalar("blob_base_fee_scalar"));
        input.extend([0; 24]);
        input.extend(parameter("base_fee").to_be_bytes::<32>());
        input.extend(parameter("blob_base_fee").to_be_bytes::<32>());
        input.extend([0; 64]);
        input
    };
    let deposit = TxDeposit { input: input.into(), ..Default::default() };
    let header = Header { timestamp: 1, ..spec.genesis_header.inner().clone() };
    let body = BlockBody { transactions: vec![deposit.into(), tx], ..Default::default() };
    SealedBlock::seal(Block { header, body })
}
