//! A database in a temporary directory and blocks to put into it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]
#![allow(dead_code, reason = "each test file uses a part")]

use std::{collections::BTreeMap, ops::ControlFlow, path::Path};

use banyan_primitives::{
    Address, B256, Block, BlockBody, Header, Log, LogData, Receipt, RecoveredBlock, SealedBlock,
    Signature, Transaction, TxDeposit, TxKind, TxType, U256, Withdrawal,
};
use banyan_storage::{Database, DatabaseOptions, Read, Table};

pub(crate) fn options() -> DatabaseOptions {
    DatabaseOptions { max_size: 1 << 30, growth_step: 1 << 20, ..Default::default() }
}

pub(crate) fn open(path: &Path) -> Database {
    Database::open(path, options()).unwrap()
}

/// Every entry of every table.
pub(crate) fn dump(db: &Database) -> BTreeMap<(Table, Vec<u8>), Vec<u8>> {
    let txn = db.read().unwrap();
    let mut entries = BTreeMap::new();
    for table in Table::ALL {
        txn.scan(table, &[], &mut |key, value| {
            entries.insert((table, key.to_vec()), value.to_vec());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    }
    entries
}

pub(crate) fn deposit(n: u8) -> Transaction {
    Transaction::from(TxDeposit {
        source_hash: B256::repeat_byte(n),
        from: Address::repeat_byte(n),
        to: TxKind::Call(Address::repeat_byte(0x42)),
        mint: 7,
        value: U256::from(n),
        gas_limit: 100_000,
        is_system_transaction: false,
        input: vec![n; 3].into(),
    })
}

pub(crate) fn transfer(nonce: u64) -> Transaction {
    use alloy_consensus::{SignableTransaction, TxEip1559};
    let tx = TxEip1559 {
        chain_id: 901,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 9,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(Address::repeat_byte(0x17)),
        value: U256::from(5),
        ..Default::default()
    };
    Transaction::Eip1559(tx.into_signed(Signature::test_signature()))
}

/// A block with a sender for every transaction.
pub(crate) fn block(number: u64, extra: u8, transactions: Vec<Transaction>) -> RecoveredBlock {
    let header = Header {
        number,
        parent_hash: B256::repeat_byte(0xaa),
        extra_data: vec![extra].into(),
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(B256::repeat_byte(0xbb)),
        ..Default::default()
    };
    let withdrawal = Withdrawal { index: 1, validator_index: 2, amount: 3, ..Default::default() };
    let senders =
        (0..transactions.len()).map(|n| Address::repeat_byte((n % 255) as u8 + 1)).collect();
    let body =
        BlockBody { transactions, ommers: Vec::new(), withdrawals: Some(vec![withdrawal].into()) };
    RecoveredBlock::new(SealedBlock::seal(Block { header, body }), senders)
}

pub(crate) fn receipt(gas: u64) -> Receipt {
    let log = Log {
        address: Address::repeat_byte(6),
        data: LogData::new_unchecked(vec![B256::repeat_byte(7)], vec![1, 2].into()),
    };
    Receipt {
        tx_type: TxType::Deposit,
        success: true,
        post_state: None,
        cumulative_gas_used: gas,
        logs: vec![log],
        deposit_nonce: Some(4),
        deposit_receipt_version: Some(1),
    }
}
