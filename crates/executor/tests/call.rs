//! Simulated calls.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod common;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use banyan_chainspec::ChainSpec;
use banyan_executor::{
    CallError, CallLimits, CallOutcome, CallRequest, CallStatus, StateOverrides, call,
    call_with_accesses,
};
use banyan_primitives::{Account, Address, Bytes, KECCAK_EMPTY, TxKind, U256, keccak256};
use common::block::{BASE_FEE, COUNTER, LOGGER, LOOPER, REVERTER, context, sender, state};

fn limits() -> CallLimits {
    CallLimits { deadline: None, cancelled: Arc::new(AtomicBool::new(false)) }
}

fn request(to: Address) -> CallRequest {
    CallRequest { from: sender(0), to: to.into(), gas: 1_000_000, ..Default::default() }
}

fn simulate(spec: &ChainSpec, request: &CallRequest) -> Result<CallOutcome, CallError> {
    call(spec, &context(), state(), request, &StateOverrides::default(), &limits())
}

/// Runs bytecode as a contract creation and returns what it returns.
fn evaluate(spec: &ChainSpec, code: &str, request: CallRequest) -> Bytes {
    let request = CallRequest { to: TxKind::Create, input: code.parse().unwrap(), ..request };
    let outcome = simulate(spec, &request).unwrap();
    assert_eq!(outcome.status, CallStatus::Success);
    outcome.output
}

fn both() -> [ChainSpec; 2] {
    [common::merged("Prague"), common::op("jovianTime")]
}

#[test]
fn ends_are_told_apart() {
    for spec in both() {
        let outcome = simulate(&spec, &request(LOGGER)).unwrap();
        assert_eq!((outcome.status, outcome.logs.len()), (CallStatus::Success, 1));
        assert_eq!(simulate(&spec, &request(REVERTER)).unwrap().status, CallStatus::Revert);
        let looping = simulate(&spec, &request(LOOPER)).unwrap();
        assert_eq!(looping.status, CallStatus::Halt("out of gas".into()));
        assert_eq!(looping.gas_used, 1_000_000);
    }
}

#[test]
fn karst_takes_at_most_300_pairs() {
    for (fork, pairs, success) in [
        ("jovianTime", 301, true),
        ("jovianTime", 428, false),
        ("karstTime", 300, true),
        ("karstTime", 301, false),
    ] {
        let pairing = Address::with_last_byte(8);
        let input = vec![0; 192 * pairs].into();
        let call = CallRequest { input, gas: 40_000_000, ..request(pairing) };
        let outcome = simulate(&common::op(fork), &call).unwrap();
        assert_eq!(outcome.status == CallStatus::Success, success, "{fork} {pairs}");
    }
}

#[test]
fn without_a_price_the_base_fee_is_zero_and_nothing_is_charged() {
    // BASEFEE, returned as a word.
    let code = "4860005260206000f3";
    for spec in both() {
        let free = CallRequest { from: Address::with_last_byte(1), ..request(COUNTER) };
        assert_eq!(U256::from_be_slice(&evaluate(&spec, code, free.clone())), U256::ZERO);

        let priced = CallRequest { max_fee: BASE_FEE.into(), ..request(COUNTER) };
        let base_fee = U256::from_be_slice(&evaluate(&spec, code, priced.clone()));
        assert_eq!(base_fee, U256::from(BASE_FEE));
        let poor = CallRequest { from: free.from, ..priced };
        let error = simulate(&spec, &poor).unwrap_err();
        assert!(error.to_string().starts_with("insufficient funds for gas * price + value"));
        let cheap = CallRequest { max_fee: 1, ..request(COUNTER) };
        let error = simulate(&spec, &cheap).unwrap_err();
        assert!(error.to_string().starts_with("max fee per gas less than block base fee"));
    }
}

#[test]
fn value_must_be_covered_even_without_a_price() {
    let call = CallRequest { value: U256::MAX >> 1, ..request(COUNTER) };
    let error = simulate(&common::merged("Prague"), &call).unwrap_err();
    assert!(matches!(error, CallError::Invalid(_)), "{error}");
}

#[test]
fn a_contract_may_be_the_sender() {
    let outcome =
        simulate(&common::merged("Prague"), &CallRequest { from: COUNTER, ..request(LOGGER) });
    assert_eq!(outcome.unwrap().status, CallStatus::Success);
}

#[test]
fn gas_may_exceed_block_and_cap() {
    let call = CallRequest { gas: 50_000_000, ..request(COUNTER) };
    let outcome = simulate(&common::merged("Osaka"), &call).unwrap();
    assert_eq!(outcome.status, CallStatus::Success);
    let call = CallRequest { gas: 20_000, ..request(COUNTER) };
    let error = simulate(&common::merged("Osaka"), &call).unwrap_err();
    assert_eq!(error.to_string(), "intrinsic gas too low: have 20000, want 21000");
}

#[test]
fn the_nonce_given_decides_the_address_of_a_creation() {
    // ADDRESS, returned as a word.
    let code = "3060005260206000f3";
    let spec = common::merged("Prague");
    for (nonce, expected) in [(None, 0), (Some(9), 9)] {
        let output = evaluate(&spec, code, CallRequest { nonce, ..request(COUNTER) });
        assert_eq!(Address::from_slice(&output[12..]), sender(0).create(expected));
    }
}

#[test]
fn refunds_count_only_at_the_end() {
    // Slot 0 of the counter is 5: clearing it gives a refund.
    let code: Bytes = "600060005500".parse().unwrap();
    let hash = keccak256(&code);
    let account = Account { nonce: 1, balance: U256::ZERO, code_hash: hash };
    let overrides = StateOverrides {
        accounts: [(COUNTER, account)].into_iter().collect(),
        codes: [(hash, code)].into_iter().collect(),
        ..Default::default()
    };
    let spec = common::merged("Prague");
    let outcome =
        call(&spec, &context(), state(), &request(COUNTER), &overrides, &limits()).unwrap();
    assert_eq!(outcome.gas_before_refund - outcome.gas_used, 4800);
}

#[test]
fn overrides_lie_over_the_state() {
    // SLOAD of the word given, returned.
    let code: Bytes = "6000355460005260206000f3".parse().unwrap();
    let hash = keccak256(&code);
    let account = Account { nonce: 1, balance: U256::ZERO, code_hash: hash };
    let (zero, one, two) = (U256::ZERO, U256::from(1), U256::from(2));
    let base = StateOverrides {
        accounts: [(COUNTER, account)].into_iter().collect(),
        codes: [(hash, code)].into_iter().collect(),
        ..Default::default()
    };
    let slots =
        |slots: &[(U256, U256)]| [(COUNTER, slots.iter().copied().collect())].into_iter().collect();
    let read = |overrides: &StateOverrides, slot: U256| {
        let request = CallRequest { input: slot.to_be_bytes::<32>().into(), ..request(COUNTER) };
        let spec = common::merged("Prague");
        let outcome = call(&spec, &context(), state(), &request, overrides, &limits()).unwrap();
        U256::from_be_slice(&outcome.output)
    };
    assert_eq!(read(&base, zero), U256::from(5));
    let single = StateOverrides { storage_diff: slots(&[(one, two)]), ..base.clone() };
    assert_eq!([zero, one].map(|slot| read(&single, slot)), [U256::from(5), two]);
    let whole = StateOverrides { storage: slots(&[(one, two)]), ..base };
    assert_eq!([zero, one].map(|slot| read(&whole, slot)), [zero, two]);
}

#[test]
fn balance_overrides_pay() {
    let from = Address::with_last_byte(1);
    let account = Account { nonce: 0, balance: U256::from(9), code_hash: KECCAK_EMPTY };
    let overrides =
        StateOverrides { accounts: [(from, account)].into_iter().collect(), ..Default::default() };
    let call_request = CallRequest { from, value: U256::from(9), ..request(sender(1)) };
    let spec = common::op("jovianTime");
    let outcome = call(&spec, &context(), state(), &call_request, &overrides, &limits());
    assert_eq!(outcome.unwrap().status, CallStatus::Success);
}

#[test]
fn a_call_stops_at_its_deadline_and_when_cancelled() {
    let endless = CallRequest { gas: u64::MAX >> 8, ..request(LOOPER) };
    let overrides = StateOverrides::default();
    for spec in both() {
        let deadline = Some(Instant::now() + Duration::from_millis(50));
        let limited = CallLimits { deadline, ..limits() };
        let result = call(&spec, &context(), state(), &endless, &overrides, &limited);
        assert!(matches!(result, Err(CallError::Aborted)), "{result:?}");

        let cancelled = CallLimits { cancelled: Arc::new(AtomicBool::new(true)), ..limits() };
        let result = call(&spec, &context(), state(), &endless, &overrides, &cancelled);
        assert!(matches!(result, Err(CallError::Aborted)), "{result:?}");
    }
}

#[test]
fn recursion_without_loops_stops_too() {
    // Calls itself twice with all gas: no jump destination, 2^1024 frames.
    let code: Bytes =
        "6000600060006000600030 5af1 6000600060006000600030 5af1".replace(' ', "").parse().unwrap();
    let hash = keccak256(&code);
    let account = Account { nonce: 1, balance: U256::ZERO, code_hash: hash };
    let overrides = StateOverrides {
        accounts: [(COUNTER, account)].into_iter().collect(),
        codes: [(hash, code)].into_iter().collect(),
        ..Default::default()
    };
    let endless = CallRequest { gas: u64::MAX >> 8, ..request(COUNTER) };
    let deadline = Some(Instant::now() + Duration::from_millis(50));
    let limited = CallLimits { deadline, ..limits() };
    let spec = common::merged("Prague");
    let result = call(&spec, &context(), state(), &endless, &overrides, &limited);
    assert!(matches!(result, Err(CallError::Aborted)), "{result:?}");
}

#[test]
fn precompiles_can_be_moved() {
    let identity = Address::with_last_byte(4);
    let elsewhere = Address::repeat_byte(0x99);
    let overrides = StateOverrides {
        hidden_precompiles: [identity].into_iter().collect(),
        moved_precompiles: [(elsewhere, identity)].into_iter().collect(),
        ..Default::default()
    };
    for spec in both() {
        let run = |to| {
            let request = CallRequest { input: Bytes::from_static(b"same"), ..request(to) };
            call(&spec, &context(), state(), &request, &overrides, &limits()).unwrap().output
        };
        assert_eq!(run(elsewhere), Bytes::from_static(b"same"));
        assert_eq!(run(identity), Bytes::new());
    }
}

#[test]
fn calls_see_the_blob_base_fee_of_their_block_or_the_one_they_wish() {
    // BLOBBASEFEE; return it.
    let code: Bytes = "0x4a5f5260205ff3".parse().unwrap();
    let spec = common::merged("Prague");
    let request = CallRequest { to: TxKind::Create, input: code, ..request(LOGGER) };
    for (wish, seen) in [(None, 1), (Some(77), 77)] {
        let overrides = StateOverrides { blob_base_fee: wish, ..Default::default() };
        let outcome = call(&spec, &context(), state(), &request, &overrides, &limits()).unwrap();
        assert_eq!(U256::from_be_slice(&outcome.output), U256::from(seen));
    }
}

#[test]
fn accesses_are_noted_even_if_the_call_reverts() {
    // SLOAD(7); BALANCE(0x99…99); revert.
    let balance_of = "99".repeat(20);
    let code: Bytes =
        format!("0x60075450 73{balance_of}31505f5ffd").replace(' ', "").parse().unwrap();
    for spec in both() {
        let request = CallRequest { to: TxKind::Create, input: code.clone(), ..request(LOGGER) };
        let overrides = StateOverrides::default();
        let (outcome, accesses) =
            call_with_accesses(&spec, &context(), state(), &request, &overrides, &limits())
                .unwrap();
        assert_eq!(outcome.status, CallStatus::Revert);
        let plain = call(&spec, &context(), state(), &request, &overrides, &limits()).unwrap();
        assert_eq!(outcome.gas_used, plain.gas_used);
        let list = accesses.to_list(&Default::default());
        let created = sender(0).create(0);
        assert_eq!(list.0.len(), 2);
        let slots = |address| {
            list.0.iter().find(|item| item.address == address).map(|item| item.storage_keys.clone())
        };
        assert_eq!(slots(Address::repeat_byte(0x99)), Some(Vec::new()));
        assert_eq!(slots(created), Some(vec![U256::from(7).into()]));
    }
}
