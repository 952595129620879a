//! Real blocks, one after the other, under the rules of one fork. They lie outside of the repository:
//! unpack them into `target/fixtures` or name another folder in `BANYAN_FIXTURES`.

use std::{collections::BTreeMap, path::Path};

use banyan_primitives::{Address, Bytes, HashMap, U256};
use revm::primitives::hardfork::SpecId;
use serde_json::Value;

use super::{By, Tx, World};

fn number(value: &Value) -> U256 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        value => U256::from(value.as_u64().unwrap_or_default()),
    }
}

/// Puts the accounts of a block's pre-state into the world.
fn load(world: &mut World, block: &Value) {
    for (address, account) in block["pre_state"].as_object().unwrap() {
        let code = account.get("code_hash").and_then(Value::as_str);
        let code = code.and_then(|hash| block["codes"].get(hash)).and_then(Value::as_str);
        let code: Bytes = code.map(|code| code.parse().unwrap()).unwrap_or_default();
        let slots = account["storage"].as_object().into_iter().flatten();
        let slots = slots.map(|(slot, value)| (slot.parse().unwrap(), number(value)));
        let address: Address = address.parse().unwrap();
        let (nonce, balance) = (number(&account["nonce"]).to(), number(&account["balance"]));
        world.state.insert(address, nonce, balance, code, slots);
    }
    let header = &block["block"];
    world.block.number = number(&header["number"]);
    world.block.timestamp = number(&header["timestamp"]);
    world.block.beneficiary = header["miner"].as_str().unwrap().parse().unwrap();
}

/// A call of a contract without list and authorisations.
fn call_of(world: &World, tx: &Value) -> Option<Tx> {
    let target: Address = tx["to"].as_str()?.parse().unwrap();
    let code_hash = world.state.accounts.get(&target)?.code_hash;
    let listed =
        tx.get("accessList").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let known = world.state.codes.contains_key(&code_hash);
    (known && !listed).then(|| Tx {
        caller: tx["from"].as_str().unwrap().parse().unwrap(),
        target,
        value: number(&tx["value"]),
        input: tx["input"].as_str().unwrap().parse().unwrap(),
        gas_limit: number(&tx["gas"]).to::<u64>().clamp(100_000, 16_000_000),
    })
}

#[test]
#[ignore = "needs fixtures outside of the repository; run with --ignored --nocapture"]
fn real_calls_end_as_in_the_evm() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fixtures");
    let root = std::env::var_os("BANYAN_FIXTURES").map_or(default, Into::into);
    let files = std::fs::read_dir(root.join("mainnet-blocks")).into_iter().flatten().flatten();
    let mut files: Vec<_> = files.map(|file| file.path()).collect();
    files.sort();
    let mut world = World::new(Bytes::new());
    // Without a floor on the price of calldata, which was unknown to most of them.
    world.spec = SpecId::CANCUN;
    let mut all: HashMap<By, u64> = HashMap::default();
    let mut reasons = BTreeMap::<String, u64>::new();
    for file in files {
        let block: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        if block.get("codes").is_none() {
            continue;
        }
        load(&mut world, &block);
        world.library.grant();
        for tx in block["block"]["transactions"].as_array().unwrap() {
            let Some(tx) = call_of(&world, tx) else { continue };
            world.library.grant();
            let caller = world.state.accounts.entry(tx.caller).or_default();
            if caller.has_code() {
                continue;
            }
            caller.balance = caller.balance.max(tx.value);
            let explain = std::env::var_os("BANYAN_WHY").is_some();
            let why: String = explain.then(|| world.why(&tx)).into_iter().collect();
            let (by, _) = world.call(&tx);
            *all.entry(by).or_default() += 1;
            if by == By::Evm {
                let why: String = why.chars().take(60).collect();
                *reasons.entry(why.replace(char::is_numeric, "")).or_default() += 1;
            }
        }
    }
    println!("{all:?}");
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    reasons.iter().take(30).for_each(|(why, count)| println!("{count:6} {why}"));
}
