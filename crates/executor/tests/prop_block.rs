//! Random small blocks: what a refused transaction must not leave behind, and where the money goes.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod common;

use alloy_consensus::TxEip1559;
use banyan_chainspec::ChainSpec;
use banyan_executor::BlockExecutor;
use banyan_primitives::{Address, Transaction, TxKind, U256};
use common::block::{
    BASE_FEE, COUNTER, GAS_LIMIT, LOGGER, MORTAL, RESTORER, REVERTER, attributes, balance_changes,
    deposit, fields, finish, run, sender, sign, state,
};
use proptest::prelude::*;

/// How a transaction is made unacceptable.
#[derive(Clone, Copy, Debug)]
enum Flaw {
    NonceTooLow,
    NonceTooHigh,
    Poor,
    Intrinsic,
    FeeBelowBase,
    TipAboveFee,
    ChainId,
    TooMuchGas,
    SenderIsContract,
}

#[derive(Clone, Debug)]
struct Step {
    sender: u8,
    target: usize,
    value: u32,
    mint: Option<u32>,
    flaw: Option<Flaw>,
}

const TARGETS: [Option<Address>; 7] = [
    Some(COUNTER),
    Some(REVERTER),
    Some(MORTAL),
    Some(LOGGER),
    Some(RESTORER),
    Some(Address::with_last_byte(0x77)),
    None,
];

fn step() -> impl Strategy<Value = Step> {
    use Flaw::*;
    let flaws = vec![
        NonceTooLow,
        NonceTooHigh,
        Poor,
        Intrinsic,
        FeeBelowBase,
        TipAboveFee,
        ChainId,
        TooMuchGas,
        SenderIsContract,
    ];
    let flaw = proptest::option::weighted(0.4, proptest::sample::select(flaws));
    let mint = proptest::option::weighted(0.2, 0..1_000_000u32);
    (0..4u8, 0..TARGETS.len(), 0..1000u32, mint, flaw)
        .prop_map(|(sender, target, value, mint, flaw)| Step { sender, target, value, mint, flaw })
}

/// The transactions of a plan in order, each with sender and whether it must be accepted.
fn transactions(spec: &ChainSpec, plan: &[Step]) -> Vec<(Transaction, Address, bool)> {
    let mut nonces = [0u64; 4];
    let mut all = Vec::new();
    if spec.is_op() {
        all.push((attributes(0), Address::ZERO, true));
    }
    for step in plan {
        let from = sender(step.sender);
        let nonce = &mut nonces[usize::from(step.sender)];
        let to = TARGETS[step.target].map_or(TxKind::Create, TxKind::Call);
        if let (Some(mint), true) = (step.mint, spec.is_op()) {
            let tx = deposit(from, to, mint.into(), u64::from(step.value));
            all.push((tx.into(), from, true));
            *nonce += 1;
            continue;
        }
        let mut tx = fields(spec, *nonce, to);
        tx.value = U256::from(step.value);
        match step.flaw {
            None => *nonce += 1,
            Some(Flaw::NonceTooLow) if *nonce == 0 => continue,
            Some(flaw) => spoil(&mut tx, flaw),
        }
        let from = if let Some(Flaw::SenderIsContract) = step.flaw { COUNTER } else { from };
        all.push((sign(tx), from, step.flaw.is_none()));
    }
    all
}

fn spoil(tx: &mut TxEip1559, flaw: Flaw) {
    match flaw {
        Flaw::NonceTooLow => tx.nonce -= 1,
        Flaw::NonceTooHigh => tx.nonce += 1,
        Flaw::Poor => tx.value = U256::MAX >> 1,
        Flaw::Intrinsic => tx.gas_limit = 20_999,
        Flaw::FeeBelowBase => tx.max_fee_per_gas = u128::from(BASE_FEE) - 1,
        Flaw::TipAboveFee => tx.max_priority_fee_per_gas = tx.max_fee_per_gas + 1,
        Flaw::ChainId => tx.chain_id += 1,
        Flaw::TooMuchGas => tx.gas_limit = GAS_LIMIT + 1,
        Flaw::SenderIsContract => tx.nonce = 1,
    }
}

fn chain() -> impl Strategy<Value = ChainSpec> {
    proptest::sample::select(vec!["Paris", "Shanghai", "Prague", "ecotoneTime", "jovianTime"])
        .prop_map(|fork| match fork.ends_with("Time") {
            true => common::op(fork),
            false => common::merged(fork),
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..Default::default() })]

    #[test]
    fn a_refused_transaction_leaves_no_trace(
        spec in chain(),
        plan in proptest::collection::vec(step(), 1..25),
    ) {
        let state = state();
        let all = transactions(&spec, &plan);
        let good: Vec<_> =
            all.iter().filter(|tx| tx.2).map(|(tx, sender, _)| (tx.clone(), *sender)).collect();

        let mut executor = BlockExecutor::new(&spec, common::block::context(), &state);
        for (tx, sender, accepted) in &all {
            let result = executor.execute(tx, *sender);
            prop_assert_eq!(result.is_ok(), *accepted, "{:?}", result);
        }
        prop_assert_eq!(finish(executor), run(&spec, &state, &good));
    }

    #[test]
    fn balances_are_conserved(
        spec in chain(),
        plan in proptest::collection::vec(step(), 1..25),
    ) {
        let state = state();
        let all = transactions(&spec, &plan);
        let good: Vec<_> =
            all.iter().filter(|tx| tx.2).map(|(tx, sender, _)| (tx.clone(), *sender)).collect();
        let output = run(&spec, &state, &good);

        // OP chains mint deposits and burn nothing; Ethereum burns the base fee.
        let minted: u128 =
            good.iter().filter_map(|(tx, _)| tx.as_deposit()).map(|deposit| deposit.mint).sum();
        let burnt = if spec.is_op() { 0 } else { BASE_FEE * output.gas_used };
        let (more, less) = balance_changes(&output.diff);
        prop_assert_eq!(more + U256::from(burnt), less + U256::from(minted));
    }

    #[test]
    fn a_diff_has_no_noops_and_applies(
        spec in chain(),
        plan in proptest::collection::vec(step(), 1..25),
    ) {
        let mut state = state();
        let all = transactions(&spec, &plan);
        let good: Vec<_> =
            all.iter().filter(|tx| tx.2).map(|(tx, sender, _)| (tx.clone(), *sender)).collect();
        let whole = run(&spec, &state, &good).diff;
        for (address, change) in &whole.accounts {
            prop_assert!(!change.is_noop());
            prop_assert_eq!(change.before, state.accounts.get(address).copied());
            for (slot, (before, after)) in &change.storage {
                let parent = state.storage.get(address).and_then(|slots| slots.get(slot));
                prop_assert_eq!(*before, parent.copied().unwrap_or_default());
                prop_assert!(change.wiped || before != after);
            }
        }
        // One block of all equals blocks of one, each behind its own attributes deposit.
        let mut single = state.clone();
        state.apply(&whole);
        let (opening, rest) = good.split_at(usize::from(spec.is_op()));
        for tx in rest {
            let diff = run(&spec, &single, &[opening, std::slice::from_ref(tx)].concat()).diff;
            single.apply(&diff);
        }
        // The sender of the deposit that was repeated has another nonce.
        single.accounts.remove(&Address::ZERO);
        state.accounts.remove(&Address::ZERO);
        prop_assert_eq!(state.accounts, single.accounts);
        prop_assert_eq!(state.storage, single.storage);
    }
}
