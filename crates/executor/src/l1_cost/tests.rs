use alloy_consensus::SignableTransaction;
use banyan_primitives::{Signature, TxDeposit, bytes};
use op_revm::OpSpecId;

use super::*;

fn info() -> L1BlockInfo {
    L1BlockInfo {
        l1_base_fee: U256::from(1_000_000_000),
        l1_fee_overhead: Some(U256::from(50)),
        l1_base_fee_scalar: U256::from(7_000_000),
        l1_blob_base_fee: Some(U256::from(10_000_000)),
        l1_blob_base_fee_scalar: Some(U256::from(3)),
        ..Default::default()
    }
}

/// An empty legacy transaction, unsigned: the one that op-geth publishes figures for.
const EMPTY_TX: &[u8] = &[
    0xdd, 0x80, 0x80, 0x80, 0x94, 0x09, 0x5e, 0x7b, 0xae, 0xa6, 0xa6, 0xc7, 0xc4, 0xc2, 0xdf, 0xeb,
    0x97, 0x7e, 0xfa, 0xc3, 0x26, 0xaf, 0x55, 0x2d, 0x87, 0x80, 0x80, 0x80, 0x80, 0x80,
];

#[test]
fn published_figures_hold() {
    let bedrock = L1BlockInfo { l1_blob_base_fee: None, ..info() };
    let ecotone = L1BlockInfo { l1_base_fee_scalar: U256::from(2), ..info() };
    for (mut info, fork, fee) in [
        (bedrock.clone(), OpSpecId::BEDROCK, 11_326_000_000_000u64),
        (bedrock, OpSpecId::REGOLITH, 3_710_000_000_000),
        (ecotone.clone(), OpSpecId::ECOTONE, 960_900),
        (ecotone, OpSpecId::FJORD, 3_203_000),
    ] {
        assert_eq!(info.calculate_tx_l1_cost(EMPTY_TX, fork), U256::from(fee), "{fork:?}");
    }
}

#[test]
fn small_transactions_count_as_a_hundred_bytes() {
    assert_eq!(estimated_da_size(EMPTY_TX), 100);
    assert_eq!(estimated_da_size(&[]), 100);
    // Noise does not compress: 4000 bytes stay about 4000 · 33/32 · 0.8365 − 42.6.
    let mut seed = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    })
    .take(4000)
    .collect();
    assert!((3300..3420).contains(&estimated_da_size(&noise)));
}

#[test]
fn millionths_are_shown_as_decimals() {
    for (value, text) in [(684_000, "0.684"), (1_000_000, "1"), (0, "0"), (1_234_567, "1.234567")] {
        assert_eq!(decimal(U256::from(value)), text);
    }
}

/// L1 attributes of `length` bytes with different numbers in every field.
fn attributes_of(length: usize) -> Vec<u8> {
    let mut data = vec![0x44, 0x0a, 0x5e, 0x20];
    data.extend(2u32.to_be_bytes());
    data.extend(3u32.to_be_bytes());
    data.extend([0; 24]);
    data.extend(U256::from(1_000_000_000).to_be_bytes::<32>());
    data.extend(U256::from(10_000_000).to_be_bytes::<32>());
    data.extend([0; 64]);
    data.extend(5u32.to_be_bytes());
    data.extend(6u64.to_be_bytes());
    data.extend(7u16.to_be_bytes());
    data.truncate(length);
    data
}

fn user_tx() -> Transaction {
    let tx = alloy_consensus::TxLegacy { input: bytes!("010203"), ..Default::default() };
    Transaction::Legacy(tx.into_signed(Signature::test_signature()))
}

#[test]
fn receipts_show_the_fields_of_their_fork() {
    let rules =
        Rules { fork: banyan_chainspec::Fork::Prague, op: Some(OpFork::Jovian), blobs: None };
    for (length, operator, da) in [(164, None, None), (176, Some(5), None), (178, Some(5), Some(7))]
    {
        let info = attributes(&rules, &attributes_of(length)).unwrap();
        let receipt = fee_receipt(&info, OpFork::Jovian, &user_tx());
        assert_eq!(receipt.l1_gas_price, Some(1_000_000_000));
        assert_eq!(receipt.l1_gas_used, Some(1600));
        assert_eq!(receipt.l1_fee, Some(3_203_000));
        assert_eq!(receipt.l1_fee_scalar, None);
        assert_eq!(
            (receipt.l1_base_fee_scalar, receipt.l1_blob_base_fee_scalar),
            (Some(2), Some(3))
        );
        assert_eq!(receipt.operator_fee_scalar, operator);
        assert_eq!(receipt.operator_fee_constant, operator.map(|_| 6));
        assert_eq!(receipt.da_footprint_gas_scalar, da);
    }
    assert!(attributes(&rules, &attributes_of(163)).is_none());
    assert!(attributes(&rules, &[]).is_none());
}

#[test]
fn the_first_ecotone_block_still_charges_as_bedrock() {
    let mut data = BEDROCK_SELECTOR.to_vec();
    for word in [0u64, 0, 1_000_000_000, 0, 0, 0, 50, 7_000_000] {
        data.extend(U256::from(word).to_be_bytes::<32>());
    }
    let rules =
        Rules { fork: banyan_chainspec::Fork::Cancun, op: Some(OpFork::Ecotone), blobs: None };
    let info = attributes(&rules, &data).unwrap();
    let receipt = fee_receipt(&info, OpFork::Ecotone, &user_tx());
    let encoded = user_tx().encoded_2718();
    let zeros = encoded.iter().filter(|byte| **byte == 0).count() as u128;
    let gas = 4 * zeros + 16 * (encoded.len() as u128 - zeros) + 50;
    assert_eq!(receipt.l1_gas_used, Some(gas));
    assert_eq!(receipt.l1_fee, Some(gas * 1_000_000_000 * 7));
    assert_eq!(receipt.l1_fee_scalar.as_deref(), Some("7"));
    assert_eq!(receipt.l1_blob_base_fee, None);
}

#[test]
fn an_operator_fee_of_zero_is_not_shown() {
    let info = L1BlockInfo {
        operator_fee_scalar: Some(U256::ZERO),
        operator_fee_constant: Some(U256::ZERO),
        ..info()
    };
    let receipt = fee_receipt(&info, OpFork::Isthmus, &user_tx());
    assert_eq!((receipt.operator_fee_scalar, receipt.operator_fee_constant), (None, None));
}

#[test]
fn the_first_transaction_sets_the_footprint_scalar() {
    let deposit = |length: usize| {
        Transaction::from(TxDeposit { input: attributes_of(length).into(), ..Default::default() })
    };
    assert_eq!(DaScalar::from_first(&deposit(178)).footprint(100), Ok(700));
    assert!(DaScalar::from_first(&deposit(176)).footprint(100).is_err());
    assert!(DaScalar::from_first(&deposit(164)).footprint(100).is_err());
    assert!(DaScalar::from_first(&user_tx()).footprint(100).is_err());
}
