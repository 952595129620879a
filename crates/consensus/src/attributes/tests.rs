use banyan_primitives::{TxDeposit, Withdrawal, alloy_primitives::hex};

use super::*;
use crate::testing::{OP_START, merged, optimism};

const PARENT_TIME: u64 = 100;

/// Attributes that fit a chain whose newest fork is active.
fn proper(spec: &ChainSpec) -> PayloadAttributes {
    let rules = spec.rules_at(1, PARENT_TIME + 2);
    PayloadAttributes {
        timestamp: PARENT_TIME + 2,
        withdrawals: rules.is(Fork::Shanghai).then(Withdrawals::default),
        parent_beacon_block_root: rules.is(Fork::Cancun).then_some(B256::ZERO),
        slot_number: rules.is(Fork::Amsterdam).then_some(9),
        transactions: if spec.is_op() { vec![TxDeposit::default().into()] } else { vec![] },
        gas_limit: spec.is_op().then_some(60_000_000),
        eip1559_params: rules.is_op(OpFork::Holocene).then_some(B64::ZERO),
        min_base_fee: rules.is_op(OpFork::Jovian).then_some(0),
        ..Default::default()
    }
}

fn check(spec: &ChainSpec, change: impl FnOnce(&mut PayloadAttributes)) -> Result<(), String> {
    let parent = Header { timestamp: PARENT_TIME, ..Default::default() };
    let mut attributes = proper(spec);
    change(&mut attributes);
    validate_attributes(spec, &parent, &attributes).map_err(|error| error.0)
}

fn refused(spec: &ChainSpec, reason: &str, change: impl FnOnce(&mut PayloadAttributes)) {
    let error = check(spec, change).expect_err(reason);
    assert!(error.contains(reason), "wanted {reason:?}, got {error:?}");
}

#[test]
fn proper_attributes_pass_under_every_fork() {
    for fork in ["shanghaiTime", "cancunTime", "osakaTime", "amsterdamTime"] {
        assert_eq!(check(&merged(&[fork]), |_| ()), Ok(()), "{fork}");
    }
    for fork in
        ["regolithTime", "canyonTime", "ecotoneTime", "holoceneTime", "jovianTime", "karstTime"]
    {
        assert_eq!(check(&optimism(fork), |_| ()), Ok(()), "{fork}");
    }
}

#[test]
fn fields_belong_to_their_fork() {
    refused(&merged(&[]), "unexpected withdrawals", |a| a.withdrawals = Some(Default::default()));
    refused(&merged(&["shanghaiTime"]), "missing withdrawals", |a| a.withdrawals = None);
    refused(&merged(&["shanghaiTime"]), "unexpected parentBeaconBlockRoot", |a| {
        a.parent_beacon_block_root = Some(B256::ZERO);
    });
    refused(&merged(&["cancunTime"]), "missing parentBeaconBlockRoot", |a| {
        a.parent_beacon_block_root = None;
    });
    refused(&merged(&["osakaTime"]), "unexpected slotNumber", |a| a.slot_number = Some(1));
    refused(&merged(&["amsterdamTime"]), "missing slotNumber", |a| a.slot_number = None);
}

#[test]
fn the_timestamp_moves_on() {
    refused(&merged(&[]), "not after the parent's 100", |a| a.timestamp = PARENT_TIME);
    refused(&optimism("jovianTime"), "not after", |a| a.timestamp = 1);
}

#[test]
fn ethereum_chains_take_no_op_fields() {
    let spec = merged(&["osakaTime"]);
    refused(&spec, "transactions on an Ethereum", |a| {
        a.transactions = vec![TxDeposit::default().into()]
    });
    refused(&spec, "eip1559Params on an Ethereum", |a| a.eip1559_params = Some(B64::ZERO));
    refused(&spec, "minBaseFee on an Ethereum", |a| a.min_base_fee = Some(0));
}

#[test]
fn op_fields_belong_to_their_fork() {
    let jovian = optimism("jovianTime");
    refused(&jovian, "gasLimit parameter is required", |a| a.gas_limit = None);
    refused(&jovian, "gasLimit", |a| a.gas_limit = Some(u64::MAX));
    refused(&jovian, "missing minBaseFee", |a| a.min_base_fee = None);
    refused(&jovian, "missing eip1559Params", |a| a.eip1559_params = None);
    refused(&jovian, "zero denominator", |a| {
        a.eip1559_params = Some(hex!("0000000000000006").into())
    });
    refused(&jovian, "zero elasticity", |a| {
        a.eip1559_params = Some(hex!("000000fa00000000").into())
    });
    refused(&jovian, "non-empty withdrawals", |a| {
        a.withdrawals = Some(vec![Withdrawal::default()].into());
    });
    refused(&optimism("isthmusTime"), "minBaseFee before", |a| a.min_base_fee = Some(0));
    refused(&optimism("graniteTime"), "eip1559Params before", |a| {
        a.eip1559_params = Some(B64::ZERO)
    });
}

#[test]
fn extra_data_carries_the_parameters_given_or_the_chains() {
    let extra = |fork: &str, params: Option<B64>, min_base_fee: Option<u64>| {
        let spec = optimism(fork);
        let attributes =
            PayloadAttributes { eip1559_params: params, min_base_fee, ..proper(&spec) };
        attributes_extra_data(&spec, &attributes, &Bytes::from_static(b"ours"))
    };
    let given = Some(B64::from(hex!("0000006400000003")));
    let ok = |bytes: &[u8]| Ok(Bytes::copy_from_slice(bytes));
    assert_eq!(extra("graniteTime", None, None), ok(b""));
    assert_eq!(extra("holoceneTime", given, None), ok(&hex!("000000006400000003")));
    assert_eq!(extra("holoceneTime", Some(B64::ZERO), None), ok(&hex!("00000000fa00000006")));
    assert_eq!(
        extra("jovianTime", given, Some(5)),
        ok(&hex!("0100000064000000030000000000000005"))
    );
    assert_eq!(
        extra("karstTime", Some(B64::ZERO), Some(0)),
        ok(&hex!("01000000fa000000060000000000000000"))
    );
    assert!(extra("jovianTime", given, None).is_err());
    assert!(extra("jovianTime", None, Some(1)).is_err());
}

#[test]
fn extra_data_of_ethereum_blocks_and_of_the_last_block_before_holocene_is_plain() {
    let default = Bytes::from_static(b"ours");
    let ethereum = merged(&["osakaTime"]);
    assert_eq!(attributes_extra_data(&ethereum, &proper(&ethereum), &default), Ok(default.clone()));
    let spec = optimism("holoceneTime");
    let early = PayloadAttributes { timestamp: OP_START - 1, ..Default::default() };
    assert_eq!(attributes_extra_data(&spec, &early, &default), Ok(Bytes::new()));
}

#[test]
fn a_user_transaction_in_an_activation_block_is_refused_with_the_attributes() {
    use alloy_consensus::{SignableTransaction, TxLegacy};
    use banyan_primitives::{Signature, U256};

    let spec = optimism("karstTime");
    let signature = Signature::new(U256::from(1), U256::from(2), false);
    let user = Transaction::Legacy(TxLegacy::default().into_signed(signature));
    let check = |parent_time: u64| {
        let parent = Header { timestamp: parent_time, ..Default::default() };
        let mut attributes = proper(&spec);
        attributes.transactions.push(user.clone());
        validate_attributes(&spec, &parent, &attributes).map_err(|error| error.0)
    };
    assert_eq!(check(OP_START), Ok(()));
    assert!(check(OP_START - 1).unwrap_err().contains("transaction 1: unexpected non-deposit"));
}
