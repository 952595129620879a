use alloy_consensus::{TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use banyan_primitives::{B256, Encodable2718, Signature, TxDeposit, TxKind, U256};

use super::*;
use crate::testing::{CHAIN_ID, GAS_LIMIT, address, key, sign, spec, transfer};

fn head(fork: Fork) -> Head {
    let rules = Rules { fork, op: None, blobs: None };
    Head { rules, timestamp: 0, gas_limit: GAS_LIMIT, base_fee: 7 }
}

fn run(fork: Fork, tx: impl Into<Transaction>, config: &PoolConfig) -> Result<Address, PoolError> {
    let minimum_tip = config.minimum_priority_fee;
    let tx = tx.into();
    let size = tx.encode_2718_len();
    validate(&spec(), config, minimum_tip, &head(fork), &tx, size, None)
}

/// Validates under `fork` and compares the refusal.
fn check(fork: Fork, tx: impl Into<Transaction>, words: &str) {
    check_with(&PoolConfig::default(), fork, tx, words);
}

fn check_with(config: &PoolConfig, fork: Fork, tx: impl Into<Transaction>, words: &str) {
    assert_eq!(run(fork, tx, config).unwrap_err().to_string(), words);
}

/// A signed transfer, changed first.
fn changed(change: impl FnOnce(&mut alloy_consensus::TxEip1559)) -> Transaction {
    let mut tx = transfer(0, 1);
    change(&mut tx);
    Transaction::Eip1559(sign(tx, &key(1)))
}

fn legacy(chain_id: Option<u64>) -> Transaction {
    let to = TxKind::Call(Address::ZERO);
    let tx = TxLegacy { chain_id, gas_limit: 21_000, gas_price: 9, to, ..Default::default() };
    Transaction::Legacy(sign(tx, &key(1)))
}

#[test]
fn a_plain_transfer_passes_and_names_its_sender() {
    let config = PoolConfig::default();
    let sender = address(&key(1));
    assert_eq!(run(Fork::London, changed(|_| ()), &config).unwrap(), sender);
    assert_eq!(run(Fork::Frontier, legacy(Some(CHAIN_ID)), &config).unwrap(), sender);
    assert_eq!(run(Fork::Osaka, legacy(None), &config).unwrap(), sender);
}

#[test]
fn types_are_refused_before_their_fork() {
    let refused = |ty, fork| {
        format!("transaction type not supported: type {ty} rejected, pool not yet in {fork}")
    };
    let list = TxEip2930 { chain_id: CHAIN_ID, gas_limit: 21_000, ..Default::default() };
    let list = Transaction::Eip2930(sign(list, &key(1)));
    check(Fork::Istanbul, list, &refused(1, "Berlin"));
    check(Fork::Istanbul, changed(|_| ()), &refused(2, "Berlin"));
    check(Fork::Berlin, changed(|_| ()), &refused(2, "London"));
    let blob = Transaction::Eip4844(sign(TxEip4844::default(), &key(1)));
    check(Fork::Shanghai, blob, &refused(3, "Cancun"));
    let code = Transaction::Eip7702(sign(TxEip7702::default(), &key(1)));
    check(Fork::Cancun, code, &refused(4, "Prague"));
}

#[test]
fn deposits_are_refused() {
    let words = "transaction type not supported: tx type 126 not supported by this pool";
    check(Fork::Osaka, TxDeposit::default(), words);
}

#[test]
fn sizes_are_limited() {
    let config = PoolConfig { max_tx_bytes: 200, ..Default::default() };
    let tx = changed(|tx| tx.input = vec![1; 200].into());
    let size = tx.encode_2718_len();
    let words = format!("oversized data: transaction size {size}, limit 200");
    check_with(&config, Fork::London, tx, &words);

    let create = |size| {
        changed(|tx| {
            tx.to = TxKind::Create;
            tx.gas_limit = GAS_LIMIT;
            tx.input = vec![0; size].into();
        })
    };
    let words = "max initcode size exceeded: code size 49153 limit 49152";
    check(Fork::Shanghai, create(49_153), words);
    assert!(run(Fork::Shanghai, create(49_152), &PoolConfig::default()).is_ok());
    assert!(run(Fork::London, create(49_153), &PoolConfig::default()).is_ok());
}

#[test]
fn gas_limits_are_bounded_from_above() {
    let tx = |gas| changed(|tx| tx.gas_limit = gas);
    check(Fork::Prague, tx(GAS_LIMIT + 1), "exceeds block gas limit");
    let words = "transaction gas limit too high (cap: 16777216, tx: 16777217)";
    check(Fork::Osaka, tx((1 << 24) + 1), words);
    assert!(run(Fork::Osaka, tx(1 << 24), &PoolConfig::default()).is_ok());
    assert!(run(Fork::Prague, tx((1 << 24) + 1), &PoolConfig::default()).is_ok());
    let config = PoolConfig { max_tx_gas: Some(50_000), ..Default::default() };
    let words = "transaction gas limit too high (cap: 50000, tx: 50001)";
    check_with(&config, Fork::Prague, tx(50_001), words);
}

#[test]
fn gas_limits_are_bounded_from_below() {
    let words = "intrinsic gas too low: gas 1, minimum needed 21000";
    check(Fork::London, changed(|tx| tx.gas_limit = 1), words);
    let tx = || {
        changed(|tx| {
            tx.input = vec![1; 100].into();
            tx.gas_limit = 22_600;
        })
    };
    let words = "insufficient gas for floor data gas cost: gas 22600, minimum needed 25000";
    check(Fork::Prague, tx(), words);
    assert!(run(Fork::Cancun, tx(), &PoolConfig::default()).is_ok());
}

#[test]
fn fees_are_checked() {
    let tx = changed(|tx| tx.max_priority_fee_per_gas = tx.max_fee_per_gas + 1);
    check(Fork::London, tx, "max priority fee per gas higher than max fee per gas");

    let config = PoolConfig { minimum_priority_fee: 2_000_000_000, ..Default::default() };
    let words = "transaction gas price below minimum: gas tip cap 1000000000, minimum needed \
                 2000000000";
    check_with(&config, Fork::London, changed(|_| ()), words);

    let tx = || changed(|tx| tx.max_fee_per_gas = 100_000_000_000_000);
    let words = "tx fee (2.10 ether) exceeds the configured cap (1.00 ether)";
    check(Fork::London, tx(), words);
    for tx_fee_cap in [None, Some(0)] {
        let config = PoolConfig { tx_fee_cap, ..Default::default() };
        assert!(run(Fork::London, tx(), &config).is_ok());
    }
}

#[test]
fn the_signature_must_be_for_this_chain() {
    let words = "invalid sender: invalid chain id for signer: have 8 want 7";
    check(Fork::London, changed(|tx| tx.chain_id = 8), words);
    check(Fork::London, legacy(Some(8)), words);

    let words = "invalid sender: invalid transaction v, r, s values";
    let unsigned = Signature::new(U256::ZERO, U256::ZERO, false);
    let tx = alloy_consensus::SignableTransaction::into_signed(transfer(0, 1), unsigned);
    check(Fork::London, Transaction::Eip1559(tx), words);
}

#[test]
fn the_last_nonce_is_refused() {
    check(Fork::London, changed(|tx| tx.nonce = u64::MAX), "nonce has max value");
}

#[test]
fn set_code_needs_an_authorization() {
    let tx = TxEip7702 { chain_id: CHAIN_ID, gas_limit: 21_000, ..Default::default() };
    let words = "set code tx must have at least one authorization tuple";
    check(Fork::Prague, Transaction::Eip7702(sign(tx, &key(1))), words);
}

#[test]
fn a_blob_transaction_needs_its_sidecar() {
    let tx = TxEip4844 {
        chain_id: CHAIN_ID,
        gas_limit: 21_000,
        blob_versioned_hashes: vec![B256::ZERO],
        ..Default::default()
    };
    let tx = Transaction::Eip4844(sign(tx, &key(1)));
    check(Fork::Cancun, tx, "missing sidecar in blob transaction");
}
