//! Vectors in `testdata/wide`: states with their roots and proofs, for other implementations.

use std::{collections::BTreeMap, fs, path::PathBuf};

use banyan_commitment::{
    MemoryTrie,
    wide::{wide_proof, wide_rebuild, wide_root},
};
use banyan_primitives::{Account, Address, B256, U256, keccak256, trie::HashedDiff};
use banyan_wide_proof::{Key, account_id, slot_id, verify};
use serde_json::{Value, json};

use crate::{naive, proofs};

/// An account as plain data.
struct Plain {
    address: Address,
    account: Account,
    storage: BTreeMap<U256, U256>,
}

/// `count` accounts made of their number; every third is a contract with `slots` slots.
fn plain(count: u64, slots: u64) -> Vec<Plain> {
    let contract = |n: u64| n % 3 == 2;
    let account = |n: u64| Account {
        nonce: n * n,
        balance: U256::from(n) << (n * 5 % 250),
        code_hash: if contract(n) {
            keccak256(n.to_be_bytes())
        } else {
            Account::default().code_hash
        },
    };
    let storage = |n: u64| {
        let slots = 0..if contract(n) { slots } else { 0 };
        let slot =
            |i: u64| (U256::from(i * i), U256::from_be_bytes(keccak256([n as u8, i as u8]).0));
        slots.map(slot).collect()
    };
    let address = |n: u64| Address::from_word(keccak256(n.to_be_bytes()));
    let plain = |n| Plain { address: address(n), account: account(n), storage: storage(n) };
    (0..count).map(plain).collect()
}

fn state(accounts: &[Plain]) -> MemoryTrie {
    let mut diff = HashedDiff::default();
    for Plain { address, account, storage } in accounts {
        let id = B256::from(account_id(&address.0.0));
        diff.accounts.insert(id, Some(*account));
        for (slot, value) in storage {
            let slot = B256::from(slot_id(&address.0.0, &slot.to_be_bytes()));
            diff.storage.entry(id).or_default().slots.insert(slot, *value);
        }
    }
    let mut state = MemoryTrie::default();
    let output = wide_root(&state, &diff).unwrap();
    state.apply(&diff, &output.nodes);
    state
}

fn word(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn account_json(plain: &Plain) -> Value {
    let Account { nonce, balance, code_hash } = plain.account;
    let storage: serde_json::Map<_, _> = plain
        .storage
        .iter()
        .map(|(slot, value)| {
            (word(&slot.to_be_bytes::<32>()), json!(word(&value.to_be_bytes::<32>())))
        })
        .collect();
    json!({
        "address": word(plain.address.as_slice()),
        "id": word(&account_id(&plain.address.0.0)),
        "nonce": nonce,
        "balance": word(&balance.to_be_bytes::<32>()),
        "codeHash": word(code_hash.as_slice()),
        "storage": storage,
    })
}

fn proof_json(state: &MemoryTrie, address: Address, slot: Option<U256>) -> Value {
    let key = match slot {
        None => Key::account(&address.0.0),
        Some(slot) => Key::slot(&address.0.0, &slot.to_be_bytes()),
    };
    let proof = wide_proof(state, &key).unwrap();
    json!({
        "address": word(address.as_slice()),
        "slot": slot.map(|slot| word(&slot.to_be_bytes::<32>())),
        "id": word(key.id()),
        "value": proof.leaf.as_ref().map(|leaf| word(&proofs::value(leaf))),
        "proof": word(&proof.proof),
    })
}

/// One file of vectors.
fn vectors(name: &str, accounts: &[Plain]) -> Value {
    let state = state(accounts);
    let mut proofs = Vec::new();
    for plain in accounts.iter().take(9) {
        proofs.push(proof_json(&state, plain.address, None));
        let absent = U256::from(2);
        for slot in plain.storage.keys().take(2).chain([&absent]) {
            proofs.push(proof_json(&state, plain.address, Some(*slot)));
        }
    }
    let stranger = Address::repeat_byte(0x77);
    proofs.push(proof_json(&state, stranger, None));
    proofs.push(proof_json(&state, stranger, Some(U256::ZERO)));
    json!({
        "name": name,
        "accounts": accounts.iter().map(account_json).collect::<Vec<_>>(),
        "root": word(wide_rebuild(&state).unwrap().as_slice()),
        "proofs": proofs,
    })
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../testdata/wide/{name}.json"))
}

const STATES: [(&str, u64, u64); 5] = [
    ("empty", 0, 0),
    ("one-account", 1, 0),
    ("two-accounts", 2, 0),
    ("one-contract", 3, 1),
    ("contracts", 30, 40),
];

/// `UPDATE_VECTORS=1` writes them anew.
#[test]
fn vectors_are_what_is_computed() {
    for (name, accounts, slots) in STATES {
        let vectors = vectors(name, &plain(accounts, slots));
        let text = serde_json::to_string_pretty(&vectors).unwrap() + "\n";
        if std::env::var_os("UPDATE_VECTORS").is_some() {
            fs::write(path(name), &text).unwrap();
        }
        assert_eq!(fs::read_to_string(path(name)).unwrap(), text, "{name}");
    }
}

#[test]
fn vectors_verify() {
    for (name, accounts, slots) in STATES {
        let vectors: Value =
            serde_json::from_str(&fs::read_to_string(path(name)).unwrap()).unwrap();
        let bytes =
            |value: &Value| hex::decode(value.as_str().unwrap().trim_start_matches("0x")).unwrap();
        let root: [u8; 32] = bytes(&vectors["root"]).try_into().unwrap();
        assert_eq!(naive::root(&state(&plain(accounts, slots))), root, "{name}");
        for proof in vectors["proofs"].as_array().unwrap() {
            let address: [u8; 20] = bytes(&proof["address"]).try_into().unwrap();
            let key = match proof["slot"].is_null() {
                true => Key::account(&address),
                false => Key::slot(&address, &bytes(&proof["slot"]).try_into().unwrap()),
            };
            let value = verify(&root, &key, &bytes(&proof["proof"])).unwrap();
            let expected = proof["value"].as_str().map(|_| bytes(&proof["value"]));
            assert_eq!(value.map(Vec::from), expected, "{name}");
        }
    }
}
