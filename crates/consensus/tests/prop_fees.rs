//! Properties of the fee rules, over the whole range of their inputs.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may panic

use banyan_chainspec::ChainSpec;
use banyan_consensus::{
    PayloadAttributes, attributes_extra_data, blob_base_fee, next_base_fee, next_difficulty,
    next_excess_blob_gas, validate_header,
};
use banyan_primitives::{B64, Bytes, EMPTY_OMMER_ROOT_HASH, Header, Sealable, U256};
use proptest::prelude::*;
use serde_json::{Value, json};

fn chain(more: Value) -> ChainSpec {
    let mut config = json!({"chainId": 1, "terminalTotalDifficulty": 0});
    let blocks = [
        "homestead",
        "eip150",
        "eip155",
        "eip158",
        "byzantium",
        "constantinople",
        "petersburg",
        "istanbul",
        "berlin",
        "london",
    ];
    for block in blocks {
        config[format!("{block}Block")] = json!(0);
    }
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    let file = json!({
        "config": config, "gasLimit": 30_000_000, "difficulty": 0, "alloc": {},
        "extraData": "0x01000000fa000000060000000000000000"
    });
    ChainSpec::from_genesis_json(&file.to_string()).unwrap()
}

fn osaka() -> ChainSpec {
    chain(json!({"shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0, "osakaTime": 0}))
}

fn jovian() -> ChainSpec {
    chain(json!({
        "bedrockBlock": 0, "regolithTime": 0, "canyonTime": 0, "ecotoneTime": 0, "fjordTime": 0,
        "graniteTime": 0, "holoceneTime": 0, "isthmusTime": 0, "jovianTime": 0,
        "optimism": {"eip1559Elasticity": 6, "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250}
    }))
}

fn parent(base_fee: u64, gas_limit: u64, gas_used: u64) -> Header {
    Header {
        number: 1,
        timestamp: 100,
        gas_limit,
        gas_used,
        base_fee_per_gas: Some(base_fee),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        ..Default::default()
    }
}

proptest! {
    #[test]
    fn base_fee_never_falls_when_more_gas_is_used(base_fee: u64, limit in 5_000u64.., a: u64, b: u64) {
        let spec = osaka();
        let fee = |used| next_base_fee(&spec, &parent(base_fee, limit, used), 112).unwrap();
        prop_assert!(fee(a.min(b)) <= fee(a.max(b)));
    }

    #[test]
    fn base_fee_moves_by_an_eighth_at_most(
        base_fee in 0..u64::MAX / 2, limit in 5_000u64..1 << 40, share in 0.0..=1.0
    ) {
        let used = (limit as f64 * share) as u64;
        let next = next_base_fee(&osaka(), &parent(base_fee, limit, used), 112).unwrap().unwrap();
        // An odd gas limit rounds the target down, so that a full block uses a little more than twice.
        prop_assert!(next <= base_fee + (base_fee / 8).max(1) + base_fee / 10_000 + 1);
        prop_assert!(next >= base_fee - base_fee / 8 - 1);
    }

    #[test]
    fn op_base_fee_respects_its_minimum_and_survives_any_extra_data(
        base_fee: u64, limit: u64, used: u64, footprint: u64, minimum: u64, params: [u8; 8],
        garbage in proptest::collection::vec(any::<u8>(), 0..40)
    ) {
        let spec = jovian();
        let mut extra = vec![1];
        extra.extend(params);
        extra.extend(minimum.to_be_bytes());
        let header = |extra: Vec<u8>| Header {
            extra_data: extra.into(),
            blob_gas_used: Some(footprint),
            ..parent(base_fee, limit, used)
        };
        let fee = next_base_fee(&spec, &header(extra), 102).unwrap().unwrap();
        prop_assert!(fee >= minimum);
        let _ = next_base_fee(&spec, &header(garbage), 102);
    }

    #[test]
    fn extra_data_built_from_attributes_is_valid_in_a_header(
        denominator in 1u32.., elasticity in 1u32.., minimum: u64, chain_values: bool
    ) {
        let spec = jovian();
        let mut params = [0; 8];
        if !chain_values {
            params[..4].copy_from_slice(&denominator.to_be_bytes());
            params[4..].copy_from_slice(&elasticity.to_be_bytes());
        }
        let attributes = PayloadAttributes {
            timestamp: 102,
            eip1559_params: Some(B64::from(params)),
            min_base_fee: Some(minimum),
            ..Default::default()
        };
        let extra = attributes_extra_data(&spec, &attributes, &Bytes::new()).unwrap();
        let genesis = spec.genesis_header.clone();
        let child = Header {
            number: 1,
            timestamp: 102,
            parent_hash: genesis.hash(),
            extra_data: extra,
            gas_used: 0,
            base_fee_per_gas: next_base_fee(&spec, &genesis, 102).unwrap(),
            ..genesis.inner().clone()
        };
        prop_assert_eq!(validate_header(&spec, &child.seal_slow(), &genesis), Ok(()));
    }

    #[test]
    fn blob_gas_rules_never_panic_and_follow_use(
        base_fee: u64, excess: u64, a: u64, b: u64
    ) {
        let spec = osaka();
        let next = |used| {
            let header = Header {
                excess_blob_gas: Some(excess),
                blob_gas_used: Some(used),
                ..parent(base_fee, 30_000_000, 0)
            };
            next_excess_blob_gas(&spec, &header, 112).unwrap()
        };
        prop_assert!(next(a.min(b)) <= next(a.max(b)));
        let rules = spec.rules_at(2, 112);
        prop_assert!(blob_base_fee(&rules, a.min(b)) <= blob_base_fee(&rules, a.max(b)));
    }

    #[test]
    fn difficulty_never_panics_and_falls_with_time(
        number: u64, difficulty: u128, time: u64, a: u32, b: u32
    ) {
        let spec = chain(json!({"terminalTotalDifficulty": null}));
        let header = Header {
            number,
            timestamp: time,
            difficulty: U256::from(difficulty),
            ..parent(1, 1, 1)
        };
        let next = |elapsed: u32| next_difficulty(&spec, &header, time.saturating_add(elapsed.into()));
        prop_assert!(next(a.max(b)) <= next(a.min(b)));
        prop_assert!(next(a) >= U256::from(131_072));
    }
}
