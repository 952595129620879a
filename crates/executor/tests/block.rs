//! What single blocks do, case by case.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod common;

use alloy_consensus::SignableTransaction;
use banyan_chainspec::ChainSpec;
use banyan_executor::{
    BlockContext, BlockExecutor, ExecutionError, MemoryState, TxError, execute_block,
    execute_block_with_roots, l1_cost,
};
use banyan_primitives::{
    Account, Address, B256, Block, BlockBody, Bytes, Header, Receipt, RecoveredBlock, SealedBlock,
    Signature, SourceError, StateSource, Transaction, TxKind, U256, Withdrawal, address, b256,
};
use common::block::{
    BASE_FEE, BASE_FEE_VAULT, BENEFICIARY, COUNTER, GAS_LIMIT, L1_FEE_VAULT, LOOPER, MORTAL,
    OPERATOR_VAULT, RESTORER, REVERTER, attributes, blob_tx, context, deposit, fields, finish,
    refusal, run, sender, sign, state,
};

const ALICE: Address = address!("0x00000000000000000000000000000000000a11ce");

fn balance(state: &MemoryState, address: Address) -> U256 {
    state.accounts.get(&address).copied().unwrap_or_default().balance
}

/// The state after `txs`, with the receipts.
fn after(spec: &ChainSpec, txs: &[(Transaction, Address)]) -> (MemoryState, Vec<Receipt>) {
    let mut state = state();
    let output = run(spec, &state, txs);
    state.apply(&output.diff);
    (state, output.receipts)
}

#[test]
fn a_deposit_mints_and_transfers() {
    let spec = common::op("canyonTime");
    let (state, receipts) = after(&spec, &[(deposit(ALICE, COUNTER, 50, 20).into(), ALICE)]);
    assert_eq!(balance(&state, ALICE), U256::from(30));
    assert_eq!(balance(&state, COUNTER), U256::from(20));
    assert_eq!(state.accounts[&ALICE].nonce, 1);
    assert!(receipts[0].success);
    assert_eq!(
        (receipts[0].deposit_nonce, receipts[0].deposit_receipt_version),
        (Some(0), Some(1))
    );
}

#[test]
fn a_failed_deposit_keeps_its_mint_and_raises_the_nonce() {
    let spec = common::op("canyonTime");
    let too_dear = deposit(ALICE, COUNTER, 50, 51);
    let reverting = deposit(ALICE, REVERTER, 50, 20);
    let halting = deposit(ALICE, LOOPER, 50, 20);
    let mut starved = deposit(ALICE, COUNTER, 50, 20);
    starved.gas_limit = 1000;
    for (tx, all_gas) in [(too_dear, true), (reverting, false), (halting, true), (starved, true)] {
        let gas_limit = tx.gas_limit;
        let (state, receipts) = after(&spec, &[(tx.into(), ALICE)]);
        let expected = Account { nonce: 1, balance: U256::from(50), ..Default::default() };
        assert_eq!(state.accounts[&ALICE], expected);
        assert!(!receipts[0].success);
        assert_eq!(receipts[0].cumulative_gas_used == gas_limit, all_gas);
        assert_eq!(balance(&state, COUNTER), U256::ZERO);
    }
}

#[test]
fn before_regolith_deposits_use_all_gas_and_system_transactions_none() {
    let spec = common::op("");
    let mut system = deposit(ALICE, COUNTER, 0, 0);
    system.is_system_transaction = true;
    // More than the block has: system transactions do not count.
    system.gas_limit = GAS_LIMIT + 1;
    for to in [COUNTER, REVERTER] {
        system.to = to.into();
        let user = deposit(ALICE, to, 0, 0);
        let (_, receipts) = after(&spec, &[(system.clone().into(), ALICE), (user.into(), ALICE)]);
        let gas: Vec<_> = receipts.iter().map(|receipt| receipt.cumulative_gas_used).collect();
        assert_eq!(gas, [0, 100_000]);
        assert_eq!(receipts[1].deposit_nonce, None);
    }
}

#[test]
fn since_regolith_a_system_transaction_is_a_failed_deposit() {
    let mut system = deposit(ALICE, COUNTER, 50, 0);
    system.is_system_transaction = true;
    let (state, receipts) = after(&common::op("regolithTime"), &[(system.into(), ALICE)]);
    assert_eq!((receipts[0].success, receipts[0].cumulative_gas_used), (false, 100_000));
    assert_eq!(balance(&state, ALICE), U256::from(50));
}

#[test]
fn between_regolith_and_canyon_a_deposit_has_a_nonce_but_no_version() {
    let tx = deposit(ALICE, COUNTER, 0, 0);
    let (_, receipts) = after(&common::op("regolithTime"), &[(tx.into(), ALICE)]);
    assert_eq!((receipts[0].deposit_nonce, receipts[0].deposit_receipt_version), (Some(0), None));
}

#[test]
fn fees_of_users_go_to_the_vaults() {
    for (fork, operator_fee) in [
        ("ecotoneTime", (|_| 0) as fn(u64) -> u64),
        ("fjordTime", |_| 0),
        ("isthmusTime", |gas| gas * 3 / 1_000_000 + 500),
        ("jovianTime", |gas| gas * 3 * 100 + 500),
        ("karstTime", |gas| gas * 3 * 100 + 500),
    ] {
        let spec = common::op(fork);
        let tx = sign(fields(&spec, 0, COUNTER));
        let before = state();
        let (state, receipts) = after(&spec, &[(attributes(10), ALICE), (tx.clone(), sender(0))]);
        let gas = receipts[1].cumulative_gas_used - receipts[0].cumulative_gas_used;

        let limit = 200_000;
        let l1_fee = l1_cost(&spec, 1, &before, &tx).unwrap() - U256::from(operator_fee(limit));
        assert!(l1_fee > U256::ZERO);
        assert_eq!(balance(&state, L1_FEE_VAULT), l1_fee, "{fork}");
        assert_eq!(balance(&state, BASE_FEE_VAULT), U256::from(gas * BASE_FEE), "{fork}");
        assert_eq!(balance(&state, OPERATOR_VAULT), U256::from(operator_fee(gas)), "{fork}");
        assert_eq!(balance(&state, BENEFICIARY), U256::from(gas * 2), "{fork}");
        let paid = balance(&before, sender(0)) - balance(&state, sender(0));
        let expected = U256::from(gas * (BASE_FEE + 2) + operator_fee(gas)) + l1_fee;
        assert_eq!(paid, expected, "{fork}");
    }
}

#[test]
fn the_da_footprint_of_jovian_fills_the_block() {
    let spec = common::op("jovianTime");
    // At least 100 bytes each: 12,000,000 gas of 30,000,000.
    let before = state();
    let tx = |nonce| sign(fields(&spec, nonce, ALICE));
    let mut executor = BlockExecutor::new(&spec, context(), &before);
    executor.execute(&attributes(u16::MAX), ALICE).unwrap();
    let mut used = 0;
    for nonce in 0..4 {
        used += u64::from(u16::MAX) * executor.execute(&tx(nonce), sender(0)).unwrap().da_size;
        assert!(used <= GAS_LIMIT);
    }
    let error = executor.execute(&tx(4), sender(0)).unwrap_err();
    assert!(matches!(error, TxError::DoesNotFit(_)), "{error}");
    assert_eq!(executor.finish(&[], None).unwrap().blob_gas_used, used);
}

#[test]
fn the_activation_block_of_jovian_takes_no_users() {
    let spec = common::op("jovianTime");
    let mut isthmus = deposit(ALICE, common::block::L1_BLOCK, 0, 0);
    isthmus.input = vec![0; 176].into();
    let before = state();
    for opening in [isthmus.into(), deposit(ALICE, ALICE, 0, 0).into()] {
        let mut executor = BlockExecutor::new(&spec, context(), &before);
        executor.execute(&opening, ALICE).unwrap();
        let error = executor.execute(&sign(fields(&spec, 0, ALICE)), sender(0)).unwrap_err();
        assert!(matches!(error, TxError::Invalid(_)), "{error}");
    }
}

#[test]
fn transactions_of_the_other_chain_family_are_refused() {
    let blob = blob_tx(&common::op("jovianTime"), 0, 1);
    for (spec, tx) in [
        (common::op("jovianTime"), blob),
        (common::merged("Prague"), deposit(ALICE, ALICE, 1, 0).into()),
    ] {
        let error = refusal(&spec, &state(), &tx, sender(0));
        assert_eq!(error.to_string(), "transaction type not supported");
    }
}

#[test]
fn gas_and_blob_gas_of_a_block_are_limited() {
    let spec = common::merged("Cancun");
    let before = state();
    let mut executor = BlockExecutor::new(&spec, context(), &before);
    let mut tx = fields(&spec, 0, ALICE);
    tx.gas_limit = GAS_LIMIT;
    executor.execute(&sign(tx.clone()), sender(0)).unwrap();
    tx.nonce = 1;
    let error = executor.execute(&sign(tx), sender(0)).unwrap_err();
    assert!(matches!(error, TxError::DoesNotFit(_)), "{error}");

    executor.execute(&blob_tx(&spec, 0, 4), sender(1)).unwrap();
    let error = executor.execute(&blob_tx(&spec, 1, 3), sender(1)).unwrap_err();
    assert!(matches!(error, TxError::DoesNotFit(_)), "{error}");
    let error = executor.execute(&blob_tx(&spec, 1, 7), sender(1)).unwrap_err();
    assert!(matches!(error, TxError::Invalid(_)), "{error}");
    executor.execute(&blob_tx(&spec, 1, 2), sender(1)).unwrap();
    assert_eq!(executor.finish(&[], None).unwrap().blob_gas_used, 6 << 17);
}

#[test]
fn since_osaka_the_gas_of_a_transaction_is_capped() {
    for (fork, refused) in [("Prague", false), ("Osaka", true)] {
        let spec = common::merged(fork);
        let mut tx = fields(&spec, 0, ALICE);
        tx.gas_limit = (1 << 24) + 1;
        let before = state();
        let result = BlockExecutor::new(&spec, context(), &before).execute(&sign(tx), sender(0));
        assert_eq!(result.is_err(), refused, "{fork}: {result:?}");
    }
}

#[test]
fn deposits_are_not_subject_to_the_cap() {
    // Stores the gas left.
    let meter = Address::with_last_byte(0x99);
    let mut before = state();
    before.insert(meter, 1, U256::ZERO, "5a60005500".parse().unwrap(), []);
    for fork in ["jovianTime", "karstTime"] {
        let spec = common::op(fork);
        let mut tx = deposit(ALICE, meter, 0, 0);
        tx.gas_limit = 20_000_000;
        let output = run(&spec, &before, &[(tx.into(), ALICE)]);
        let left = output.diff.storage(&meter, U256::ZERO).unwrap();
        assert!(left > U256::from(19_900_000), "{fork}: {left}");
        assert!(output.gas_used < 100_000);
        // Of users they are again the next moment.
        let mut executor = BlockExecutor::new(&spec, context(), &before);
        executor.execute(&attributes(0), ALICE).unwrap();
        let mut tx = fields(&spec, 0, ALICE);
        tx.gas_limit = 20_000_000;
        let result = executor.execute(&sign(tx), sender(0));
        assert_eq!(result.is_err(), fork == "karstTime", "{fork}: {result:?}");
    }
}

#[test]
fn a_protected_signature_is_invalid_before_eip_155() {
    let tx = alloy_consensus::TxLegacy { chain_id: Some(1), ..Default::default() };
    let tx = Transaction::Legacy(tx.into_signed(Signature::test_signature()));
    let error = refusal(&common::ethereum("EIP150", &().into()), &state(), &tx, sender(0));
    assert!(matches!(error, TxError::Invalid(_)), "{error}");
}

#[test]
fn a_slot_changed_back_is_not_in_the_diff() {
    let spec = common::merged("Prague");
    let before = state();
    let output = run(&spec, &before, &[(sign(fields(&spec, 0, RESTORER)), sender(0))]);
    assert!(output.receipts[0].success);
    assert!(!output.diff.accounts.contains_key(&RESTORER));
}

#[test]
fn a_destroyed_contract_is_wiped_and_may_come_back() {
    let spec = common::merged("Shanghai");
    let before = state();
    let kill = (sign(fields(&spec, 0, MORTAL)), sender(0));
    let diff = run(&spec, &before, std::slice::from_ref(&kill)).diff;
    let change = &diff.accounts[&MORTAL];
    assert!(change.after.is_none() && change.wiped && change.storage.is_empty());

    let mut refund = fields(&spec, 1, MORTAL);
    refund.value = U256::from(5);
    let diff = run(&spec, &before, &[kill, (sign(refund), sender(0))]).diff;
    let change = &diff.accounts[&MORTAL];
    assert!(change.wiped);
    assert_eq!(change.after, Some(Account { balance: U256::from(5), ..Default::default() }));
    assert_eq!(diff.storage(&MORTAL, U256::from(7)), Some(U256::ZERO));
}

#[test]
fn a_contract_that_lives_for_one_block_leaves_nothing() {
    let spec = common::merged("Shanghai");
    let before = state();
    // Deploys `CALLER SELFDESTRUCT`, having written slot 1.
    let mut create = fields(&spec, 0, TxKind::Create);
    create.input = "60016001556133ff6000526002601ef3".parse().unwrap();
    let contract = sender(0).create(0);
    let kill = sign(fields(&spec, 1, contract));
    let output = run(&spec, &before, &[(sign(create.clone()), sender(0)), (kill, sender(0))]);
    assert!(output.receipts.iter().all(|receipt| receipt.success));
    assert!(!output.diff.accounts.contains_key(&contract) && output.diff.codes.is_empty());

    let output = run(&spec, &before, &[(sign(create), sender(0))]);
    let change = &output.diff.accounts[&contract];
    assert!(!change.wiped && change.before.is_none());
    assert_eq!(change.storage[&U256::from(1)], (U256::ZERO, U256::from(1)));
    assert_eq!(output.diff.codes[&change.after.unwrap().code_hash], Bytes::from(vec![0x33, 0xff]));
}

/// A database that fails on one account.
struct Broken(MemoryState, Address);

impl StateSource for Broken {
    fn account(&self, address: &Address) -> Result<Option<Account>, SourceError> {
        match *address == self.1 {
            true => Err(SourceError::Stale(B256::ZERO)),
            false => self.0.account(address),
        }
    }
    fn storage(&self, address: &Address, slot: U256) -> Result<U256, SourceError> {
        self.0.storage(address, slot)
    }
    fn code(&self, hash: &B256) -> Result<Bytes, SourceError> {
        self.0.code(hash)
    }
    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        self.0.block_hash(number)
    }
}

#[test]
fn a_database_failure_is_never_the_fault_of_the_block() {
    for spec in [common::merged("Cancun"), common::op("fjordTime")] {
        for broken in [sender(0), COUNTER, BENEFICIARY] {
            let tx = sign(fields(&spec, 0, COUNTER));
            let source = Broken(state(), broken);
            let mut executor = BlockExecutor::new(&spec, context(), source);
            let error = executor.execute(&tx, sender(0)).unwrap_err();
            assert!(matches!(error, TxError::Source(SourceError::Stale(_))), "{error}");
            // And the executor still works, with nothing of the failure in it.
            assert!(executor.diff_so_far().unwrap().is_empty());
        }
    }
    let spec = common::merged("Shanghai");
    let withdrawal = Withdrawal { address: ALICE, amount: 1, ..Default::default() };
    let executor = BlockExecutor::new(&spec, context(), Broken(state(), ALICE));
    let error = executor.finish(&[], Some(&[withdrawal])).unwrap_err();
    assert!(matches!(error, ExecutionError::Source(_)), "{error}");
}

#[test]
fn withdrawals_are_credited_in_gwei() {
    let spec = common::merged("Shanghai");
    let withdrawal = |address, amount| Withdrawal { address, amount, ..Default::default() };
    let before = state();
    let executor = BlockExecutor::new(&spec, context(), &before);
    let withdrawals = [withdrawal(ALICE, 3), withdrawal(BENEFICIARY, 0)];
    let output = executor.finish(&[], Some(&withdrawals)).unwrap();
    assert_eq!(output.diff.len(), 1);
    let alice = output.diff.accounts[&ALICE].after.unwrap();
    assert_eq!(alice.balance, U256::from(3_000_000_000u64));
}

#[test]
fn miners_and_ommers_are_rewarded() {
    let context = BlockContext { number: 10, difficulty: U256::from(1), ..context() };
    let ommer = Header { number: 8, beneficiary: ALICE, ..Default::default() };
    for (fork, eth) in [("Homestead", 5), ("Byzantium", 3), ("Istanbul", 2)] {
        let spec = common::ethereum(fork, &().into());
        let before = MemoryState::default();
        let executor = BlockExecutor::new(&spec, context.clone(), &before);
        let diff = executor.finish(std::slice::from_ref(&ommer), None).unwrap().diff;
        let reward = U256::from(eth) * U256::from(10).pow(U256::from(18));
        let credited = |address| diff.accounts[&address].after.unwrap().balance;
        assert_eq!(credited(BENEFICIARY), reward + reward / U256::from(32), "{fork}");
        assert_eq!(credited(ALICE), reward * U256::from(6) / U256::from(8), "{fork}");
    }
    let spec = common::ethereum("Istanbul", &().into());
    let ommer = Header { number: 11, ..ommer };
    let empty = MemoryState::default();
    let error = BlockExecutor::new(&spec, context, &empty).finish(&[ommer], None).unwrap_err();
    assert!(matches!(error, ExecutionError::InvalidBlock(_)), "{error}");
}

#[test]
fn prague_needs_its_system_contracts() {
    let spec = common::merged("Prague");
    let before = state();
    let error = BlockExecutor::new(&spec, context(), &before).finish(&[], None).unwrap_err();
    assert!(matches!(error, ExecutionError::InvalidBlock(_)), "{error}");
    // OP chains have none of these requests.
    for (fork, requests) in [("holoceneTime", None), ("isthmusTime", Some(Default::default()))] {
        let spec = common::op(fork);
        let mut executor = BlockExecutor::new(&spec, context(), &before);
        executor.begin().unwrap();
        assert_eq!(executor.finish(&[], None).unwrap().requests, requests);
    }
}

#[test]
fn canyon_brings_the_create2_deployer() {
    const DEPLOYER: Address = address!("0x13b0D85CcB8bf860b6b79AF3029fCA081AE9beF2");
    let spec = common::op_with("regolithTime", &[("canyonTime", 4), ("shanghaiTime", 4)]);
    let before = state();
    for (timestamp, placed) in [(2, false), (4, true), (6, false)] {
        let context = BlockContext { timestamp, ..context() };
        let mut executor = BlockExecutor::new(&spec, context, &before);
        executor.begin().unwrap();
        let diff = executor.diff_so_far().unwrap();
        let account = diff.accounts.get(&DEPLOYER).and_then(|change| change.after);
        let hash = b256!("0xb0550b5b431e30d38000efb7107aaa0ade03d48a7198a140edda9d27134468b2");
        assert_eq!(account.map(|account| account.code_hash), placed.then_some(hash));
        assert_eq!(diff.codes.contains_key(&hash), placed);
    }
}

fn block(number: u64, transactions: Vec<Transaction>, senders: Vec<Address>) -> RecoveredBlock {
    let header = Header {
        number,
        difficulty: U256::from(1),
        gas_limit: GAS_LIMIT,
        beneficiary: BENEFICIARY,
        ..Default::default()
    };
    let body = BlockBody { transactions, ..Default::default() };
    RecoveredBlock::new(SealedBlock::seal(Block { header, body }), senders)
}

#[test]
fn receipts_before_byzantium_carry_state_roots() {
    let spec = common::ethereum("Homestead", &().into());
    let tx = |nonce| {
        let tx = alloy_consensus::TxLegacy {
            nonce,
            gas_limit: 21_000,
            to: ALICE.into(),
            ..Default::default()
        };
        Transaction::Legacy(tx.into_signed(Signature::test_signature()))
    };
    let block = block(1, vec![tx(0), tx(1)], vec![sender(0); 2]);
    let before = state();
    let mut nonces = Vec::new();
    let mut root = |diff: &banyan_primitives::StateDiff| {
        nonces.push(diff.accounts[&sender(0)].after.unwrap().nonce);
        Ok(B256::with_last_byte(nonces.len() as u8))
    };
    let output = execute_block_with_roots(&spec, &block, &before, &mut root).unwrap();
    let roots: Vec<_> = output.receipts.iter().map(|receipt| receipt.post_state).collect();
    assert_eq!(roots, [1, 2].map(|index| Some(B256::with_last_byte(index))));
    assert_eq!(nonces, [1, 2]);
    let plain = execute_block(&spec, &block, &before).unwrap();
    assert_eq!(plain.diff, output.diff);
    assert!(plain.receipts.iter().all(|receipt| receipt.post_state.is_none()));
}

#[test]
fn the_dao_fork_moves_funds_once() {
    const DAO: Address = address!("0xbb9bc244d798123fde783fcc1c72d3bb8c189413");
    const REFUND: Address = address!("0xbf4ed7b27f1d666546e30d74d50d173d20bca754");
    let spec = common::ethereum("HomesteadToDaoAt5", &().into());
    let mut before = MemoryState::default();
    before.insert(DAO, 0, U256::from(7), Bytes::new(), []);
    for (number, moved) in [(4, false), (5, true), (6, false)] {
        let output = execute_block(&spec, &block(number, vec![], vec![]), &before).unwrap();
        let refund = output.diff.accounts.get(&REFUND).and_then(|change| change.after);
        assert_eq!(refund.map(|account| account.balance), moved.then_some(U256::from(7)));
    }
}

#[test]
fn the_index_of_an_invalid_transaction_is_told() {
    let spec = common::ethereum("Byzantium", &().into());
    let tx = alloy_consensus::TxLegacy { nonce: 3, gas_limit: 60_000, ..Default::default() };
    let tx = Transaction::Legacy(tx.into_signed(Signature::test_signature()));
    let error = execute_block(&spec, &block(1, vec![tx], vec![sender(0)]), state()).unwrap_err();
    assert!(matches!(error, ExecutionError::InvalidTransaction { index: 0, .. }), "{error}");
    assert!(error.to_string().contains("nonce too high"), "{error}");
}

#[test]
fn outcomes_tell_what_a_builder_needs() {
    let spec = common::op("jovianTime");
    let before = state();
    let mut executor = BlockExecutor::new(&spec, context(), &before);
    let first = executor.execute(&attributes(1), ALICE).unwrap();
    assert_eq!((first.effective_tip, first.da_size), (0, 0));
    let tx = executor.execute(&sign(fields(&spec, 0, REVERTER)), sender(0)).unwrap();
    assert!(!tx.success && tx.effective_tip == 2 && tx.da_size >= 100);
    assert_eq!(executor.gas_used(), first.gas_used + tx.gas_used);
    let too_low = executor.execute(&sign(fields(&spec, 0, ALICE)), sender(0)).unwrap_err();
    assert!(matches!(too_low, TxError::NonceTooLow));
    assert_eq!(finish(executor).receipts.len(), 2);
}
