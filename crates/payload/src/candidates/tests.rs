use alloy_consensus::{SignableTransaction, TxEip1559};
use banyan_primitives::Signature;

use super::*;

const GAS: u64 = 100_000;

fn sender(index: u64) -> Address {
    Address::left_padding_from(&(index + 1).to_be_bytes())
}

fn transaction(from: u64, nonce: u64, tip: u128, sequence: u64) -> Arc<PooledTransaction> {
    let tx = TxEip1559 {
        nonce,
        gas_limit: GAS,
        max_fee_per_gas: 1_000,
        max_priority_fee_per_gas: tip,
        ..Default::default()
    };
    let signature = Signature::new(Default::default(), Default::default(), false);
    let tx = Transaction::Eip1559(tx.into_signed(signature));
    let sender = sender(from);
    Arc::new(PooledTransaction { tx, sender, sidecar: None, size: 100, da_size: 0, sequence })
}

/// `senders` accounts with `each` transactions, whose tips are all mixed up.
fn best(senders: u64, each: u64) -> BestTransactions {
    let all = (0..senders).map(|from| {
        let txs = (0..each).map(|nonce| {
            let sequence = from * each + nonce;
            transaction(from, nonce, u128::from(sequence * 7_919 % 101), sequence)
        });
        (sender(from), txs.collect())
    });
    BestTransactions::new(7, all)
}

type Taken = Vec<(Address, u64)>;

/// What is taken if each sender for whom `skips` says so is skipped at that nonce.
fn taken(window: bool, gas: u64, skips: impl Fn(&PooledTransaction) -> bool) -> Taken {
    let mut candidates = Candidates::new(best(40, 20));
    let mut taken = Vec::new();
    loop {
        if window {
            candidates.look_ahead(gas);
        }
        let Some(tx) = candidates.next() else { return taken };
        taken.push((tx.sender, tx.nonce()));
        if skips(&tx) {
            candidates.skip_sender(tx.sender);
        }
    }
}

#[test]
fn the_order_is_that_of_the_pool_also_when_senders_are_skipped() {
    for gas in [0, GAS, 10 * GAS, u64::MAX] {
        let none = |_: &PooledTransaction| false;
        assert_eq!(taken(true, gas, none), taken(false, gas, none));
        assert_eq!(taken(true, gas, none).len(), 800);
        // Some senders at their first transaction, some far behind, most never.
        let some = |tx: &PooledTransaction| tx.sequence % 13 == 5;
        let with_window = taken(true, gas, some);
        assert_eq!(with_window, taken(false, gas, some));
        assert!(with_window.len() < 800);
    }
}

#[test]
fn a_skipped_sender_is_gone_from_the_window_too() {
    let mut candidates = Candidates::new(best(3, 20));
    assert_eq!(candidates.look_ahead(u64::MAX).map(|ahead| ahead.len()), Some(60));
    let first = candidates.next().unwrap();
    candidates.skip_sender(first.sender);
    let rest: Vec<_> = std::iter::from_fn(|| candidates.next()).collect();
    assert!(rest.iter().all(|tx| tx.sender != first.sender));
    assert_eq!(rest.len(), 40);
}

#[test]
fn every_transaction_is_named_once_and_no_further_ahead_than_the_gas_reaches() {
    let mut candidates = Candidates::new(best(40, 20));
    let (mut named, mut taken) = (Vec::new(), Vec::new());
    loop {
        for (tx, sender) in candidates.look_ahead(10 * GAS).unwrap_or_default() {
            named.push((sender, tx.nonce()));
        }
        assert!(named.len() <= taken.len() + 10, "{} ahead", named.len() - taken.len());
        let Some(tx) = candidates.next() else { break };
        taken.push((tx.sender, tx.nonce()));
    }
    assert_eq!(named, taken);
}

#[test]
fn the_window_is_bounded() {
    let mut candidates = Candidates::new(best(40, 20));
    assert_eq!(candidates.look_ahead(u64::MAX).map(|ahead| ahead.len()), Some(WINDOW));
    assert!(candidates.look_ahead(u64::MAX).is_none(), "it is full");
    for _ in 0..WINDOW / 2 {
        assert!(candidates.next().is_some());
    }
    assert_eq!(candidates.look_ahead(u64::MAX).map(|ahead| ahead.len()), Some(WINDOW / 2));
}
