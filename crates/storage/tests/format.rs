//! The bytes on disk do not change by accident: one entry of every table against a golden file.
//! If this fails on purpose, raise `SCHEMA_VERSION` and describe the change in
//! `docs/storage-format.md`. `BANYAN_BLESS=1` rewrites the file.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod common;

use std::fmt::Write;

use banyan_primitives::{
    Account, B256, BlockRef, Bytes, U256,
    alloy_primitives::hex,
    keccak256,
    trie::{Nibbles, TrieId},
};
use banyan_storage::{AccountChange, BlockChanges, Database, Marker, StateRead, Table};
use common::{block, deposit, dump, open, receipt, transfer};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/schema-1.txt");

const ADDRESS: B256 = B256::repeat_byte(0xa1);
const SLOT: B256 = B256::repeat_byte(0xb2);

fn write_blocks(db: &Database) {
    let txn = db.write().unwrap();
    let block = block(0x0102, 3, vec![deposit(1), transfer(2)]);
    txn.put_block(&block, &[receipt(21_000)]).unwrap();
    txn.set_canonical(&block).unwrap();
    for marker in [Marker::Tip, Marker::Head, Marker::Safe, Marker::Finalized] {
        txn.set_marker(marker, BlockRef::new(9, B256::repeat_byte(0xc3))).unwrap();
    }
    txn.commit().unwrap();
}

fn write_state(db: &Database) {
    let txn = db.write().unwrap();
    let plain = Account { nonce: 0x1234, balance: U256::from(10u64.pow(18)), ..Default::default() };
    let contract = Account { nonce: 1, balance: U256::ZERO, code_hash: keccak256([0x60, 0x00]) };
    txn.put_account(&ADDRESS, Some(&plain)).unwrap();
    txn.put_account(&SLOT, Some(&contract)).unwrap();
    txn.put_account(&B256::ZERO, Some(&Account::default())).unwrap();
    txn.put_slot(&ADDRESS, &SLOT, U256::from(0x0100)).unwrap();
    txn.put_code(&contract.code_hash, &[0x60, 0x00]).unwrap();
    txn.put_account_history(&ADDRESS, 7, None).unwrap();
    txn.put_account_history(&ADDRESS, 8, Some(&plain)).unwrap();
    txn.put_slot_history(&ADDRESS, &SLOT, 7, U256::ZERO).unwrap();
    txn.put_slot_history(&ADDRESS, &SLOT, 8, U256::from(5)).unwrap();
    let accounts = vec![
        AccountChange { address: ADDRESS, account: true, slots: vec![SLOT] },
        AccountChange { address: SLOT, account: false, slots: Vec::new() },
    ];
    let changes = BlockChanges { hash: B256::repeat_byte(0xd4), codes: vec![SLOT], accounts };
    txn.put_block_changes(7, &changes).unwrap();
    assert_eq!(txn.block_changes(7).unwrap(), Some(changes));
    txn.put(Table::WithdrawalSlots, &[ADDRESS.0, SLOT.0].concat(), &[1]).unwrap();
    txn.put_state_root(BlockRef::new(7, ADDRESS), &SLOT).unwrap();
    for trie in [TrieId::Accounts, TrieId::Storage(ADDRESS)] {
        for path in [&[][..], &[1, 15, 0]] {
            let node = Bytes::from_static(b"node");
            txn.put_trie_node(trie, &Nibbles::from_nibbles(path), Some(&node)).unwrap();
        }
    }
    txn.commit().unwrap();
}

#[test]
fn stored_bytes_are_those_of_the_golden_file() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    db.bind(901, B256::repeat_byte(0xe5)).unwrap();
    write_blocks(&db);
    write_state(&db);
    let mut text = String::new();
    let mut seen = std::collections::BTreeSet::new();
    for ((table, key), value) in dump(&db) {
        seen.insert(table);
        writeln!(text, "{} {} {}", table.name(), hex::encode(key), hex::encode(value)).unwrap();
    }
    assert_eq!(seen.len(), Table::ALL.len(), "every table is covered");
    if std::env::var_os("BANYAN_BLESS").is_some() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(GOLDEN).unwrap());
}
