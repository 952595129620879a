//! Block access lists (EIP-7928) of single blocks, executing again with one, and watching a block
//! while it runs. The generated blocks of `fuzz` compare lists at large.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]
#![allow(dead_code, reason = "helpers that other tests use")]

mod common;

use std::collections::BTreeSet;

use alloy_eips::eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, NonceChange, SlotChanges, StorageChange,
};
use banyan_chainspec::ChainSpec;
use banyan_executor::{
    Along, BlockAccessList, Committed, Execution, Executor, ExecutorConfig, MemoryState,
    ProgramMode, execute_block,
};
use banyan_primitives::{
    Address, Block, BlockBody, Bytes, Header, RecoveredBlock, SealedBlock, TxKind, U256,
    Withdrawal, address,
};
use common::block::{BASE_FEE, BENEFICIARY, COUNTER, GAS_LIMIT, RESTORER, fields, sign, state};

const ALICE: Address = address!("0x00000000000000000000000000000000000a11ce");
/// What a sender has.
const RICH: u64 = 1_000_000_000_000_000_000;
/// Gas price of the transactions, wei; two of it are the tip.
const PRICE: u64 = BASE_FEE + 2;

fn user(index: usize) -> Address {
    Address::from_word(U256::from(0x5e00_0000 + index).into())
}

fn at(index: u64) -> BlockAccessIndex {
    BlockAccessIndex::new(index)
}

fn wei(index: u64, wei: u64) -> BalanceChange {
    BalanceChange::new(at(index), U256::from(wei))
}

/// A block in which user after user calls what `to` says.
fn block(spec: &ChainSpec, to: &[(Address, u64)]) -> (RecoveredBlock, MemoryState) {
    let mut state = state();
    let call = |(to, value): &(Address, u64)| {
        let call = fields(spec, 0, TxKind::Call(*to));
        sign(alloy_consensus::TxEip1559 { value: U256::from(*value), ..call })
    };
    for index in 0..to.len() {
        state.insert(user(index), 0, U256::from(RICH), Bytes::new(), []);
    }
    let header = Header {
        number: 1,
        timestamp: 1,
        gas_limit: GAS_LIMIT,
        beneficiary: BENEFICIARY,
        base_fee_per_gas: Some(BASE_FEE),
        ..Default::default()
    };
    let withdrawal = Withdrawal { address: ALICE, amount: 3, ..Default::default() };
    let body = BlockBody {
        transactions: to.iter().map(call).collect(),
        withdrawals: Some(vec![withdrawal].into()),
        ..Default::default()
    };
    let senders = (0..to.len()).map(user).collect();
    (RecoveredBlock::new(SealedBlock::seal(Block { header, body }), senders), state)
}

/// `workers` that begin even where it is not worth it; programs would leave nothing to them.
fn executor(workers: usize) -> Executor {
    let programs = ProgramMode::Off;
    Executor::new(ExecutorConfig { workers, programs, perturb: Some(7), record: true })
}

fn list(execution: &Execution) -> &BlockAccessList {
    execution.accesses.as_ref().unwrap().list()
}

#[test]
fn a_list_says_what_each_transaction_changed_and_what_it_only_read() {
    let spec = common::merged("Shanghai");
    let (block, parent) = block(&spec, &[(COUNTER, 0), (ALICE, 5), (RESTORER, 0), (COUNTER, 0)]);
    for workers in [0, 1, 2] {
        let found = executor(workers).execute_block(&spec, &block, &parent).unwrap();
        let gas: Vec<u64> = {
            let totals = found.output.receipts.iter().map(|receipt| receipt.cumulative_gas_used);
            let totals: Vec<u64> = std::iter::once(0).chain(totals).collect();
            totals.windows(2).map(|pair| pair[1] - pair[0]).collect()
        };
        let payer = |index: usize, value: u64| AccountChanges {
            balance_changes: vec![wei(index as u64 + 1, RICH - value - PRICE * gas[index])],
            nonce_changes: vec![NonceChange::new(at(index as u64 + 1), 1)],
            ..AccountChanges::new(user(index))
        };
        let count = |index, value: u64| StorageChange::new(at(index), U256::from(value));
        let tips = (1..=4).map(|index| wei(index, 2 * gas[..index as usize].iter().sum::<u64>()));
        let mut wanted = vec![
            payer(0, 0),
            payer(1, 5),
            payer(2, 0),
            payer(3, 0),
            AccountChanges {
                storage_changes: vec![SlotChanges::new(U256::ZERO, vec![count(1, 6), count(4, 7)])],
                ..AccountChanges::new(COUNTER)
            },
            AccountChanges { storage_reads: vec![U256::ZERO], ..AccountChanges::new(RESTORER) },
            AccountChanges {
                balance_changes: vec![wei(2, 5), wei(5, 3_000_000_005)],
                ..AccountChanges::new(ALICE)
            },
            AccountChanges { balance_changes: tips.collect(), ..AccountChanges::new(BENEFICIARY) },
        ];
        wanted.sort_by_key(|account| account.address);
        assert_eq!(*list(&found), wanted, "{workers} workers");
    }
}

#[test]
fn nothing_is_kept_unless_that_is_wanted() {
    let spec = common::merged("Shanghai");
    let (block, parent) = block(&spec, &[(COUNTER, 0)]);
    let config = ExecutorConfig { record: false, ..executor(1).config().clone() };
    let found = Executor::new(config).execute_block(&spec, &block, &parent).unwrap();
    assert!(found.accesses.is_none());
}

#[test]
fn with_a_list_no_result_is_stale_though_all_transactions_change_one_slot() {
    let spec = common::merged("Shanghai");
    let (block, parent) = block(&spec, &[(COUNTER, 0); 100]);
    let oracle = execute_block(&spec, &block, &parent).unwrap();
    for workers in [2, 4] {
        let executor = executor(workers);
        let first = executor.execute_block(&spec, &block, &parent).unwrap();
        assert_eq!(first.output, oracle);
        for _ in 0..5 {
            let again = executor.execute_block_again(&spec, &block, &parent, list(&first)).unwrap();
            assert_eq!(again.output, oracle);
            assert_eq!(again.stats.stale, 0, "{workers} workers");
            assert_eq!(again.stats.valid + again.stats.by_committer, 100);
            assert_eq!(list(&again), list(&first));
        }
    }
}

#[test]
fn a_wrong_list_changes_nothing_but_time() {
    let spec = common::merged("Shanghai");
    let (block, parent) = block(&spec, &[(COUNTER, 0); 60]);
    let oracle = execute_block(&spec, &block, &parent).unwrap();
    let executor = executor(3);
    let first = executor.execute_block(&spec, &block, &parent).unwrap();
    let mut wrong = list(&first).clone();
    for account in &mut wrong {
        account.balance_changes.iter_mut().for_each(|it| it.post_balance >>= 1);
        account.nonce_changes.iter_mut().for_each(|it| it.new_nonce += 1);
        for slot in &mut account.storage_changes {
            slot.changes.iter_mut().for_each(|it| it.new_value += U256::from(3));
        }
    }
    let again = executor.execute_block_again(&spec, &block, &parent, &wrong).unwrap();
    assert_eq!(again.output, oracle);
    assert_eq!(list(&again), list(&first));
    let again = executor.execute_block_again(&spec, &block, &parent, &vec![]).unwrap();
    assert_eq!(again.output, oracle);
}

#[test]
fn an_observer_sees_every_receipt_once_and_all_that_changes() {
    let spec = common::merged("Shanghai");
    let to: Vec<_> = (0..150).map(|index| [(COUNTER, 0), (ALICE, 1)][index % 2]).collect();
    let (block, parent) = block(&spec, &to);
    for workers in [0, 1, 2] {
        let (mut receipts, mut batches) = (Vec::new(), Vec::new());
        let (mut accounts, mut slots) = (BTreeSet::new(), BTreeSet::new());
        let mut observer = |committed: Committed<'_>| {
            batches.push(committed.receipts.len());
            receipts.extend_from_slice(committed.receipts);
            accounts.extend(committed.accounts());
            slots.extend(committed.slots());
        };
        let along = Along { observer: Some(&mut observer), ..Along::default() };
        let found = executor(workers).execute_block_with(&spec, &block, &parent, along).unwrap();
        assert_eq!(batches, [64, 64, 22]);
        assert_eq!(receipts, found.output.receipts);
        let diff = &found.output.diff;
        let changed: BTreeSet<_> = diff.accounts.keys().copied().collect();
        // Fees are paid in the end; of a contract's account nothing but a slot changes.
        accounts.extend([BENEFICIARY, COUNTER]);
        assert_eq!(accounts, changed);
        assert_eq!(slots, BTreeSet::from([(COUNTER, U256::ZERO)]));
    }
}
