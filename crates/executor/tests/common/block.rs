//! Small blocks for tests: funded senders, a few contracts, unsigned-but-typed transactions.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip4844};
use banyan_chainspec::ChainSpec;
use banyan_executor::{BlockContext, BlockExecutor, BlockOutput, MemoryState, TxError};
use banyan_primitives::{
    Address, B256, Bytes, Signature, StateDiff, Transaction, TxDeposit, TxKind, U256, address,
};

pub(crate) const BENEFICIARY: Address = address!("0x00000000000000000000000000000000000000be");
pub(crate) const BASE_FEE: u64 = 1_000_000_000;
pub(crate) const GAS_LIMIT: u64 = 30_000_000;

/// Adds one to slot 0.
pub(crate) const COUNTER: Address = address!("0x00000000000000000000000000000000000c0001");
/// Reverts.
pub(crate) const REVERTER: Address = address!("0x00000000000000000000000000000000000c0002");
/// Destroys itself in favour of the caller; slot 7 holds 9.
pub(crate) const MORTAL: Address = address!("0x00000000000000000000000000000000000c0003");
/// Emits an empty log.
pub(crate) const LOGGER: Address = address!("0x00000000000000000000000000000000000c0004");
/// Never ends.
pub(crate) const LOOPER: Address = address!("0x00000000000000000000000000000000000c0005");
/// Sets slot 0 to 1 and back to 0.
pub(crate) const RESTORER: Address = address!("0x00000000000000000000000000000000000c0006");

pub(crate) const L1_BLOCK: Address = address!("0x4200000000000000000000000000000000000015");
pub(crate) const BASE_FEE_VAULT: Address = address!("0x4200000000000000000000000000000000000019");
pub(crate) const L1_FEE_VAULT: Address = address!("0x420000000000000000000000000000000000001A");
pub(crate) const OPERATOR_VAULT: Address = address!("0x420000000000000000000000000000000000001B");

/// Sender number `index`, with 10^21 wei in [`state`].
pub(crate) fn sender(index: u8) -> Address {
    Address::with_last_byte(0xa0 + index)
}

pub(crate) fn state() -> MemoryState {
    let mut state = MemoryState::default();
    for index in 0..4 {
        let rich = U256::from(10).pow(U256::from(21));
        state.insert(sender(index), 0, rich, Bytes::new(), []);
    }
    let seven = (U256::from(7), U256::from(9));
    let l1 = [
        (U256::from(1), U256::from(2_000_000_000u64)),
        // Base fee scalar 1368, blob base fee scalar 810949, in the middle of the word.
        (U256::from(3), (U256::from(1368) << 96) | (U256::from(810_949) << 64)),
        (U256::from(7), U256::from(100_000_000u64)),
        // Operator fee scalar 3, constant 500.
        (U256::from(8), (U256::from(3) << 64) | U256::from(500)),
    ];
    for (address, code, storage) in [
        (COUNTER, "600054600101600055", vec![(U256::ZERO, U256::from(5))]),
        (REVERTER, "60006000fd", vec![]),
        (MORTAL, "33ff", vec![seven]),
        (LOGGER, "60006000a0", vec![]),
        (LOOPER, "5b600056", vec![]),
        (RESTORER, "600160005560006000555f", vec![]),
        (L1_BLOCK, "00", l1.to_vec()),
    ] {
        state.insert(address, 1, U256::ZERO, code.parse().unwrap(), storage);
    }
    state
}

pub(crate) fn context() -> BlockContext {
    BlockContext {
        number: 1,
        timestamp: 1,
        beneficiary: BENEFICIARY,
        gas_limit: GAS_LIMIT,
        base_fee: Some(BASE_FEE),
        prev_randao: B256::repeat_byte(1),
        excess_blob_gas: Some(0),
        ..Default::default()
    }
}

/// A dynamic-fee transaction of the chain: 200,000 gas, tip of 2 wei, no value.
pub(crate) fn fields(spec: &ChainSpec, nonce: u64, to: impl Into<TxKind>) -> TxEip1559 {
    TxEip1559 {
        chain_id: spec.chain_id,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: u128::from(BASE_FEE) + 2,
        max_priority_fee_per_gas: 2,
        to: to.into(),
        ..Default::default()
    }
}

/// Signs with nothing: execution is told the sender.
pub(crate) fn sign(tx: TxEip1559) -> Transaction {
    Transaction::Eip1559(tx.into_signed(Signature::test_signature()))
}

/// A transaction with `blobs` blobs.
pub(crate) fn blob_tx(spec: &ChainSpec, nonce: u64, blobs: usize) -> Transaction {
    let mut hash = B256::ZERO;
    hash.0[0] = 1;
    let tx = TxEip4844 {
        chain_id: spec.chain_id,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: BASE_FEE.into(),
        max_fee_per_blob_gas: 1,
        blob_versioned_hashes: vec![hash; blobs],
        ..Default::default()
    };
    Transaction::Eip4844(tx.into_signed(Signature::test_signature()))
}

/// A deposit of 100,000 gas.
pub(crate) fn deposit(from: Address, to: impl Into<TxKind>, mint: u128, value: u64) -> TxDeposit {
    TxDeposit {
        source_hash: B256::repeat_byte(3),
        from,
        to: to.into(),
        mint,
        value: U256::from(value),
        gas_limit: 100_000,
        ..Default::default()
    }
}

/// The deposit that opens a block of Jovian: `scalar` is gas per estimated byte.
pub(crate) fn attributes(scalar: u16) -> Transaction {
    let mut input = vec![0x3d, 0xb6, 0xbe, 0x2b];
    input.resize(176, 0);
    input.extend(scalar.to_be_bytes());
    let from = address!("0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001");
    TxDeposit { input: input.into(), ..deposit(from, L1_BLOCK, 0, 0) }.into()
}

/// Executes transactions that must all be accepted.
pub(crate) fn run(
    spec: &ChainSpec,
    state: &MemoryState,
    txs: &[(Transaction, Address)],
) -> BlockOutput {
    let mut executor = BlockExecutor::new(spec, context(), state);
    for (tx, sender) in txs {
        executor.execute(tx, *sender).unwrap();
    }
    finish(executor)
}

/// Finishes without the parts that need system contracts.
pub(crate) fn finish(mut executor: BlockExecutor<'_, &MemoryState>) -> BlockOutput {
    BlockOutput {
        receipts: executor.receipts().to_vec(),
        gas_used: executor.gas_used(),
        diff: executor.diff_so_far().unwrap(),
        ..Default::default()
    }
}

/// Executes one transaction alone and tells why it was refused.
pub(crate) fn refusal(
    spec: &ChainSpec,
    state: &MemoryState,
    tx: &Transaction,
    sender: Address,
) -> TxError {
    let mut executor = BlockExecutor::new(spec, context(), state);
    executor.execute(tx, sender).unwrap_err()
}

/// Sum of the balance changes: positive part, negative part.
pub(crate) fn balance_changes(diff: &StateDiff) -> (U256, U256) {
    let mut sums = (U256::ZERO, U256::ZERO);
    for change in diff.accounts.values() {
        sums.0 += change.after.map_or(U256::ZERO, |account| account.balance);
        sums.1 += change.before.map_or(U256::ZERO, |account| account.balance);
    }
    let common = sums.0.min(sums.1);
    (sums.0 - common, sums.1 - common)
}
