use super::*;
use crate::{error::code, quantity::Quantity};

const CANCUN: Rules = ethereum(Fork::Cancun);
const JOVIAN: Rules = Rules { fork: Fork::Prague, op: Some(OpFork::Jovian), blobs: None };

const fn ethereum(fork: Fork) -> Rules {
    Rules { fork, op: None, blobs: None }
}

/// A request with all that version `version` demands of an Ethereum payload.
fn request(version: u8) -> Request {
    let mut request = Request::default();
    if version >= 2 {
        request.payload.withdrawals = Some(Vec::new());
    }
    if version >= 3 {
        request.payload.blob_gas_used = Some(Quantity(0));
        request.payload.excess_blob_gas = Some(Quantity(0));
        request.versioned_hashes = Some(Vec::new());
        request.parent_beacon_block_root = Some(B256::ZERO);
    }
    if version >= 4 {
        request.requests = Some(Vec::new());
    }
    if version >= 5 {
        request.payload.block_access_list = Some(Bytes::new());
        request.payload.slot_number = Some(Quantity(1));
    }
    request
}

fn fork_of(version: u8) -> Fork {
    [Fork::Paris, Fork::Shanghai, Fork::Cancun, Fork::Prague, Fork::Amsterdam][version as usize - 1]
}

/// Code of the first check that fails, as the handler runs them.
fn check(request: &Request, version: u8, rules: &Rules) -> Option<i32> {
    check_structure(request, version, rules)
        .and_then(|()| check_fork(version, rules))
        .err()
        .map(|error| error.code)
}

#[test]
fn every_version_takes_its_own_structure_at_its_own_fork() {
    for version in 1..=5 {
        assert_eq!(check(&request(version), version, &ethereum(fork_of(version))), None);
    }
    assert_eq!(check(&request(4), 4, &ethereum(Fork::Osaka)), None);
    assert_eq!(check(&request(1), 2, &ethereum(Fork::Paris)), None);
}

#[test]
fn a_right_structure_at_a_wrong_fork_is_unsupported() {
    let cases = [
        (2, Fork::Cancun),
        (3, Fork::Shanghai),
        (3, Fork::Prague),
        (4, Fork::Cancun),
        (4, Fork::Amsterdam),
        (5, Fork::Osaka),
    ];
    for (version, fork) in cases {
        let found = check(&request(version), version, &ethereum(fork));
        assert_eq!(found, Some(code::UNSUPPORTED_FORK), "V{version} at {fork:?}");
    }
}

#[test]
fn a_wrong_structure_is_reported_before_a_wrong_fork() {
    type Change = fn(&mut Request);
    let cases: [(u8, Fork, Change); 11] = [
        (1, Fork::Paris, |r| r.payload.withdrawals = Some(Vec::new())),
        (2, Fork::Shanghai, |r| r.payload.withdrawals = None),
        (2, Fork::Paris, |_| {}),
        (2, Fork::Cancun, |r| r.payload.blob_gas_used = Some(Quantity(0))),
        (2, Fork::Shanghai, |r| r.payload.excess_blob_gas = Some(Quantity(0))),
        (3, Fork::Shanghai, |r| r.payload.excess_blob_gas = None),
        (3, Fork::Cancun, |r| r.payload.withdrawals = None),
        (3, Fork::Cancun, |r| r.versioned_hashes = None),
        (3, Fork::Cancun, |r| r.parent_beacon_block_root = None),
        (4, Fork::Prague, |r| r.requests = None),
        (5, Fork::Amsterdam, |r| r.payload.block_access_list = None),
    ];
    for (index, (version, fork, change)) in cases.into_iter().enumerate() {
        let mut request = request(version);
        change(&mut request);
        let found = check(&request, version, &ethereum(fork));
        assert_eq!(found, Some(code::INVALID_PARAMS), "case {index}");
    }
}

#[test]
fn requests_must_be_ordered_unique_and_not_empty() {
    let list =
        |items: &[&[u8]]| items.iter().map(|i| Bytes::copy_from_slice(i)).collect::<Vec<_>>();
    assert!(check_requests(&list(&[])).is_ok());
    assert!(check_requests(&list(&[&[0, 1], &[2, 1]])).is_ok());
    for bad in [&[&[][..]][..], &[&[0]], &[&[2, 1], &[0, 1]], &[&[1, 1], &[1, 2]]] {
        assert!(check_requests(&list(bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn op_payloads_carry_a_withdrawals_root_since_isthmus() {
    let mut isthmus = request(4);
    assert_eq!(check(&isthmus, 4, &JOVIAN), Some(code::INVALID_PARAMS));
    isthmus.payload.withdrawals_root = Some(B256::ZERO);
    assert_eq!(check(&isthmus, 4, &JOVIAN), None);
    isthmus.requests = Some(vec![Bytes::from_static(&[0, 1])]);
    assert_eq!(check(&isthmus, 4, &JOVIAN), Some(code::INVALID_PARAMS));

    let ecotone = Rules { op: Some(OpFork::Ecotone), ..CANCUN };
    let mut early = request(3);
    assert_eq!(check(&early, 3, &ecotone), None);
    early.payload.withdrawals_root = Some(B256::ZERO);
    assert_eq!(check(&early, 3, &ecotone), Some(code::INVALID_PARAMS));
}

#[test]
fn blob_hashes_must_be_those_of_the_transactions() {
    let mut request = request(3);
    assert_eq!(check_versioned_hashes(&request, &[]), Ok(()));
    request.versioned_hashes = Some(vec![B256::ZERO]);
    assert!(check_versioned_hashes(&request, &[]).is_err());
}

#[test]
fn an_undecodable_transaction_names_its_index() {
    let error = decode_transactions(&[Bytes::new()]).unwrap_err();
    assert!(error.starts_with("invalid transaction 0: "), "{error}");
}
