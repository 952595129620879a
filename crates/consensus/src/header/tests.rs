use banyan_primitives::{B256, Bytes, Sealable, alloy_primitives::hex};

use super::*;
use crate::testing::{OP_START, ethereum, mainnet_blocks, merged, optimism};

const LIMIT: u64 = 30_000_000;

/// A parent that uses exactly its gas target, and a valid child: what a test changes is then the
/// only thing wrong.
fn chain(spec: &ChainSpec) -> (SealedHeader, Header) {
    let (number, timestamp) = (10, 100);
    let rules = spec.rules(number, timestamp, spec.terminal_total_difficulty.is_some());
    let since = |fork| rules.is(fork);
    let merged = spec.terminal_total_difficulty.is_some();
    let extra: &[u8] = if rules.is_op(OpFork::Jovian) {
        &hex!("01000000fa000000060000000000000000")
    } else if rules.is_op(OpFork::Holocene) {
        &hex!("00000000fa00000006")
    } else {
        b""
    };
    let elasticity = if spec.is_op() { 6 } else { 2 };
    let parent = Header {
        number,
        timestamp,
        gas_limit: LIMIT,
        gas_used: LIMIT / elasticity,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        difficulty: if merged { U256::ZERO } else { U256::from(2_048_000_000) },
        extra_data: Bytes::copy_from_slice(extra),
        base_fee_per_gas: is_london(spec, number).then_some(1_000),
        withdrawals_root: since(Fork::Shanghai).then_some(B256::ZERO),
        blob_gas_used: since(Fork::Cancun).then_some(0),
        excess_blob_gas: since(Fork::Cancun).then_some(0),
        parent_beacon_block_root: since(Fork::Cancun).then_some(B256::ZERO),
        requests_hash: since(Fork::Prague).then_some(B256::ZERO),
        block_access_list_hash: since(Fork::Amsterdam).then_some(B256::ZERO),
        slot_number: since(Fork::Amsterdam).then_some(7),
        ..Default::default()
    }
    .seal_slow();
    let child = Header {
        number: number + 1,
        timestamp: timestamp + 9,
        parent_hash: parent.hash(),
        ..parent.inner().clone()
    };
    (parent, child)
}

fn check(spec: &ChainSpec, change: impl FnOnce(&mut Header)) -> Result<(), String> {
    let (parent, mut child) = chain(spec);
    change(&mut child);
    validate_header(spec, &child.seal_slow(), &parent).map_err(|error| error.to_string())
}

fn refused(spec: &ChainSpec, reason: &str, change: impl FnOnce(&mut Header)) {
    let error = check(spec, change).expect_err(reason);
    assert!(error.contains(reason), "wanted {reason:?}, got {error:?}");
}

#[test]
fn a_proper_child_passes_under_every_fork() {
    for fork in ["shanghaiTime", "cancunTime", "pragueTime", "osakaTime", "amsterdamTime"] {
        assert_eq!(check(&merged(&[fork]), |_| ()), Ok(()), "{fork}");
    }
    assert_eq!(check(&merged(&[]), |_| ()), Ok(()));
    for fork in [
        "regolithTime",
        "canyonTime",
        "ecotoneTime",
        "holoceneTime",
        "isthmusTime",
        "jovianTime",
        "karstTime",
    ] {
        assert_eq!(check(&optimism(fork), |_| ()), Ok(()), "{fork}");
    }
    for fork in ["byzantiumBlock", "berlinBlock", "londonBlock"] {
        assert_eq!(check(&ethereum(&[(fork, 0)]), |_| ()), Ok(()), "{fork}");
    }
}

#[test]
fn links_to_the_parent_are_checked() {
    let spec = merged(&["osakaTime"]);
    refused(&spec, "unknown ancestor", |h| h.parent_hash = B256::ZERO);
    refused(&spec, "invalid block number", |h| h.number = 12);
    refused(&spec, "invalid block number", |h| h.number = 10);
    refused(&spec, "invalid timestamp", |h| h.timestamp = 100);
    refused(&optimism("jovianTime"), "invalid timestamp", |h| h.timestamp = 100);
}

#[test]
fn proof_of_stake_has_constant_fields() {
    let spec = merged(&["shanghaiTime"]);
    refused(&spec, "invalid difficulty: have 1, want 0", |h| h.difficulty = U256::from(1));
    refused(&spec, "invalid nonce", |h| h.nonce = B64::with_last_byte(1));
    refused(&spec, "invalid uncle hash", |h| h.ommers_hash = B256::ZERO);
    refused(&optimism("canyonTime"), "invalid difficulty", |h| h.difficulty = U256::from(1));
}

#[test]
fn proof_of_work_follows_the_formula_and_cannot_pretend_to_be_stake() {
    let spec = ethereum(&[("byzantiumBlock", 0)]);
    refused(&spec, "want 2048000000", |h| h.difficulty += U256::from(1));
    refused(&spec, "want 2048000000", |h| h.difficulty = U256::ZERO);
}

#[test]
fn the_gas_limit_moves_by_less_than_one_1024th_on_ethereum() {
    let spec = merged(&[]);
    let bound = LIMIT / 1_024;
    assert_eq!(check(&spec, |h| h.gas_limit = LIMIT + bound - 1), Ok(()));
    assert_eq!(check(&spec, |h| h.gas_limit = LIMIT - bound + 1), Ok(()));
    refused(&spec, "invalid gas limit", |h| h.gas_limit = LIMIT + bound);
    refused(&spec, "invalid gas limit", |h| h.gas_limit = LIMIT - bound);
    refused(&spec, "invalid gasLimit", |h| h.gas_limit = MAX_GAS_LIMIT + 1);
    refused(&spec, "invalid gasUsed", |h| h.gas_used = LIMIT + 1);
    let free = |h: &mut Header| (h.gas_limit, h.gas_used) = (1, 0);
    assert_eq!(check(&optimism("canyonTime"), free), Ok(()));
    refused(&optimism("canyonTime"), "invalid gasLimit", |h| h.gas_limit = u64::MAX);
}

#[test]
fn a_gas_limit_below_the_minimum_is_refused() {
    let spec = merged(&[]);
    let (parent, child) = chain(&spec);
    let parent = Header { gas_limit: 5_000, gas_used: 2_500, ..parent.into_inner() }.seal_slow();
    let child = |gas_limit| {
        let parent_hash = parent.hash();
        let header = Header { gas_limit, gas_used: 0, parent_hash, ..child.clone() };
        validate_header(&spec, &header.seal_slow(), &parent)
    };
    assert_eq!(child(5_000), Ok(()));
    assert_eq!(child(4_999), rule("invalid gas limit below 5000"));
}

#[test]
fn london_doubles_the_gas_limit_and_starts_the_base_fee() {
    let spec = ethereum(&[("londonBlock", 11)]);
    let london =
        |h: &mut Header| (h.gas_limit, h.base_fee_per_gas) = (2 * LIMIT, Some(1_000_000_000));
    assert_eq!(check(&spec, london), Ok(()));
    refused(&spec, "invalid gas limit", |h| h.base_fee_per_gas = Some(1_000_000_000));
    refused(&spec, "missing baseFee", |h| h.gas_limit = 2 * LIMIT);
    refused(&spec, "want 1000000000", |h| (h.gas_limit, h.base_fee_per_gas) = (2 * LIMIT, Some(7)));
    let before = ethereum(&[("londonBlock", 12)]);
    refused(&before, "invalid baseFee before fork", |h| h.base_fee_per_gas = Some(7));
}

#[test]
fn the_base_fee_must_be_the_computed_one() {
    for spec in [merged(&["osakaTime"]), optimism("bedrock"), optimism("jovianTime")] {
        refused(&spec, "invalid baseFee: have 1001, want 1000", |h| {
            h.base_fee_per_gas = Some(1_001)
        });
        refused(&spec, "missing baseFee", |h| h.base_fee_per_gas = None);
    }
}

#[test]
fn fields_are_present_from_their_fork_on() {
    type Change = fn(&mut Header);
    let fields: [(&str, &str, Change, Change); 7] = [
        (
            "withdrawalsHash",
            "shanghaiTime",
            |h| h.withdrawals_root = None,
            |h| h.withdrawals_root = Some(B256::ZERO),
        ),
        (
            "excessBlobGas",
            "cancunTime",
            |h| h.excess_blob_gas = None,
            |h| h.excess_blob_gas = Some(0),
        ),
        ("blobGasUsed", "cancunTime", |h| h.blob_gas_used = None, |h| h.blob_gas_used = Some(0)),
        (
            "beaconRoot",
            "cancunTime",
            |h| h.parent_beacon_block_root = None,
            |h| h.parent_beacon_block_root = Some(B256::ZERO),
        ),
        (
            "requestsHash",
            "pragueTime",
            |h| h.requests_hash = None,
            |h| h.requests_hash = Some(B256::ZERO),
        ),
        (
            "blockAccessListHash",
            "amsterdamTime",
            |h| h.block_access_list_hash = None,
            |h| h.block_access_list_hash = Some(B256::ZERO),
        ),
        ("slotNumber", "amsterdamTime", |h| h.slot_number = None, |h| h.slot_number = Some(1)),
    ];
    let before = |fork: &str| match fork {
        "shanghaiTime" => merged(&[]),
        "cancunTime" => merged(&["shanghaiTime"]),
        "pragueTime" => merged(&["cancunTime"]),
        _ => merged(&["osakaTime"]),
    };
    for (field, fork, without, with) in fields {
        refused(&merged(&[fork]), &format!("missing {field}"), without);
        refused(&before(fork), &format!("invalid {field}"), with);
    }
    refused(&optimism("isthmusTime"), "missing withdrawalsHash", |h| h.withdrawals_root = None);
    refused(&optimism("isthmusTime"), "missing requestsHash", |h| h.requests_hash = None);
}

#[test]
fn ethereum_blob_gas_is_bounded_and_whole() {
    let spec = merged(&["cancunTime"]);
    let blobs =
        |count: u64| move |h: &mut Header| h.blob_gas_used = Some(count * DATA_GAS_PER_BLOB);
    assert_eq!(check(&spec, blobs(6)), Ok(()));
    refused(&spec, "exceeds maximum allowance", blobs(7));
    assert_eq!(check(&merged(&["pragueTime"]), blobs(9)), Ok(()));
    refused(&merged(&["pragueTime"]), "exceeds maximum allowance", blobs(10));
    refused(&spec, "not a multiple", |h| h.blob_gas_used = Some(1));
    refused(&spec, "invalid excessBlobGas: have 1, want 0", |h| h.excess_blob_gas = Some(1));
}

#[test]
fn op_blob_gas_is_zero_and_since_jovian_the_da_footprint() {
    let footprint = |used| move |h: &mut Header| h.blob_gas_used = Some(used);
    refused(&optimism("isthmusTime"), "want 0 before Jovian", footprint(1));
    assert_eq!(check(&optimism("jovianTime"), footprint(LIMIT)), Ok(()));
    refused(&optimism("jovianTime"), "exceeds the block's gas limit", footprint(LIMIT + 1));
    refused(&optimism("jovianTime"), "excessBlobGas", |h| h.excess_blob_gas = Some(1));
}

#[test]
fn extra_data_is_bounded_and_on_op_chains_prescribed() {
    let extra =
        |bytes: &'static [u8]| move |h: &mut Header| h.extra_data = Bytes::from_static(bytes);
    assert_eq!(check(&merged(&[]), extra(&[7; 32])), Ok(()));
    refused(&merged(&[]), "extra-data longer than 32 bytes (33)", extra(&[7; 33]));
    refused(&optimism("graniteTime"), "empty before Holocene", extra(&[7; 32]));
    refused(&optimism("holoceneTime"), "9 bytes", extra(b""));
    refused(&optimism("jovianTime"), "17 bytes", extra(&[0; 9]));
}

#[test]
fn the_activation_block_of_holocene_already_carries_parameters() {
    let spec = optimism("holoceneTime");
    let (parent, child) = chain(&spec);
    let parent = Header {
        timestamp: OP_START - 1,
        extra_data: Bytes::new(),
        withdrawals_root: None,
        ..parent.into_inner()
    }
    .seal_slow();
    let child = Header { timestamp: OP_START, parent_hash: parent.hash(), ..child };
    assert_eq!(validate_header(&spec, &child.seal_slow(), &parent), Ok(()));
}

#[test]
fn the_dao_fork_marks_ten_blocks() {
    let check = |number: u64, extra: &'static [u8], support: bool| {
        let mut spec = mainnet_blocks();
        spec.dao = spec.dao.map(|dao| banyan_chainspec::DaoFork { support, ..dao });
        let header = Header { number, extra_data: Bytes::from_static(extra), ..Default::default() };
        check_extra_data(&spec, &spec.rules_of(&header), &header).is_ok()
    };
    for (number, inside) in
        [(1_919_999, false), (1_920_000, true), (1_920_009, true), (1_920_010, false)]
    {
        assert!(check(number, b"dao-hard-fork", true));
        assert_eq!(check(number, b"", true), !inside, "{number}");
        assert_eq!(check(number, b"dao-hard-fork", false), !inside, "{number}");
        assert!(check(number, b"", false));
    }
}

#[test]
fn stake_begins_where_the_total_difficulty_is_reached() {
    let mut spec = merged(&[]);
    spec.terminal_total_difficulty = Some(U256::from(1_000));
    let (work, stake) =
        (Header { difficulty: U256::from(5), ..Default::default() }, Header::default());
    let check =
        |header: &Header, total: u64| validate_transition(&spec, header, U256::from(total)).is_ok();
    assert!(check(&work, 999) && !check(&stake, 999));
    assert!(check(&stake, 1_000) && !check(&work, 1_000));
    spec.terminal_total_difficulty = None;
    assert!(validate_transition(&spec, &stake, U256::MAX).is_err());
}
