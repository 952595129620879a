//! Which forks a genesis file schedules, and which files are refused.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may panic

use banyan_chainspec::{
    Activation, BaseFeeParams, BlobParams, ChainSpec, Commitment, Fork, OpFork, WideParams,
};
use banyan_primitives::{EMPTY_ROOT_HASH, U256};
use serde_json::{Value, json};

/// A file with all forks up to Gray Glacier at block 0, merging at a genesis with difficulty, and
/// `more` put over its `config`.
fn ethereum(more: Value) -> String {
    let blocks = [
        "homestead",
        "eip150",
        "eip155",
        "eip158",
        "byzantium",
        "constantinople",
        "petersburg",
        "istanbul",
        "muirGlacier",
        "berlin",
        "london",
        "arrowGlacier",
        "grayGlacier",
    ];
    let mut config = json!({"chainId": 7, "terminalTotalDifficulty": 196_608, "ethash": {}});
    for block in blocks {
        config[format!("{block}Block")] = json!(0);
    }
    file(config, more)
}

fn optimism(more: Value) -> String {
    let config = json!({
        "chainId": 901, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
        "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0,
        "berlinBlock": 0, "londonBlock": 0, "bedrockBlock": 0, "regolithTime": 0, "canyonTime": 10,
        "optimism": {"eip1559Elasticity": 6, "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250}
    });
    file(config, more)
}

fn file(mut config: Value, more: Value) -> String {
    for (key, value) in more.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    json!({
        "config": config, "timestamp": "0x1234", "gasLimit": "0x2fefd8", "difficulty": "0x30000",
        "alloc": {}
    })
    .to_string()
}

fn read(json: &str) -> ChainSpec {
    ChainSpec::from_genesis_json(json).expect("a valid genesis file")
}

fn refusal(json: &str) -> String {
    ChainSpec::from_genesis_json(json).map(|_| ()).expect_err("refused").to_string()
}

#[test]
fn a_chain_that_merges_at_block_one_has_the_fields_of_its_time_forks_in_genesis() {
    let spec = read(&ethereum(json!({"shanghaiTime": 0x1234, "cancunTime": "0x2000"})));
    assert!(spec.genesis_header.withdrawals_root.is_some());
    assert!(spec.genesis_header.blob_gas_used.is_none());
    assert_eq!(spec.rules_of(&spec.genesis_header).fork, Fork::GrayGlacier);
    assert_eq!(spec.rules_at(1, 0x1235).fork, Fork::Shanghai);
    assert_eq!(spec.rules_at(1, 0x2000).fork, Fork::Cancun);
    assert_eq!(spec.terminal_total_difficulty, Some(U256::from(196_608)));
    assert_eq!(spec.activation_time(Fork::Cancun), Some(0x2000));
    assert_eq!(spec.activation_time(Fork::London), None);
    assert_eq!(spec.base_fee_params(0), BaseFeeParams { denominator: 8, elasticity: 2 });
}

#[test]
fn blob_parameters_follow_forks_and_bpo_steps() {
    let bpo = json!({"target": 10, "max": "0xf", "baseFeeUpdateFraction": "8346193"});
    let spec = read(&ethereum(json!({
        "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 20_000, "osakaTime": 30_000,
        "bpo1Time": 40_000, "amsterdamTime": 50_000,
        "blobSchedule": {"bpo1": bpo, "cancun": {"target": 1, "max": 2, "baseFeeUpdateFraction": 5}}
    })));
    let prague = BlobParams { target: 6, max: 9, update_fraction: 5_007_716 };
    let bpo = BlobParams { target: 10, max: 15, update_fraction: 8_346_193 };
    let cancun = BlobParams { target: 1, max: 2, update_fraction: 5 };
    for (at, blobs) in
        [(19_999, cancun), (20_000, prague), (30_000, prague), (40_000, bpo), (50_000, bpo)]
    {
        assert_eq!(spec.blob_params(at), Some(blobs), "{at}");
        assert_eq!(spec.rules_at(1, at).blobs, Some(blobs), "{at}");
    }
    assert_eq!(spec.rules(1, 20_000, false).blobs, None);
    let names: Vec<_> = spec.forks().iter().map(|fork| fork.name.as_str()).collect();
    assert_eq!(names[names.len() - 3..], ["osaka", "bpo1", "amsterdam"]);
    assert_eq!(spec.forks()[0].at, Activation::Block(0));
}

#[test]
fn op_forks_imply_ethereum_forks() {
    let spec = read(&optimism(json!({
        "ecotoneTime": 10_000, "fjordTime": 11_000, "graniteTime": 12_000, "holoceneTime": 13_000,
        "isthmusTime": 14_000, "jovianTime": 15_000, "karstTime": 16_000, "pragueTime": 14_000
    })));
    let cases = [
        (9, Fork::Paris, OpFork::Regolith, 50),
        (10, Fork::Shanghai, OpFork::Canyon, 250),
        (10_000, Fork::Cancun, OpFork::Ecotone, 250),
        (13_999, Fork::Cancun, OpFork::Holocene, 250),
        (14_000, Fork::Prague, OpFork::Isthmus, 250),
        (15_000, Fork::Prague, OpFork::Jovian, 250),
        (16_000, Fork::Osaka, OpFork::Karst, 250),
    ];
    for (at, fork, op, denominator) in cases {
        let rules = spec.rules_at(1, at);
        assert_eq!((rules.fork, rules.op), (fork, Some(op)), "{at}");
        assert_eq!(spec.base_fee_params(at), BaseFeeParams { denominator, elasticity: 6 });
        assert_eq!(rules.blobs.is_some(), fork >= Fork::Cancun);
        assert!(rules.blobs.is_none_or(|blobs| blobs.max == 0));
    }
    assert_eq!(spec.activation_time(Fork::Osaka), Some(16_000));
    assert_eq!(spec.op_activation_time(OpFork::Delta), None);
}

#[test]
fn unknown_keys_that_name_no_fork_are_ignored() {
    let more = json!({"clique": {"period": 1}, "futureEip9999Time": null, "terminalTotalDifficultyPassed": true});
    assert_eq!(read(&ethereum(more)).chain_id, 7);
}

#[test]
fn a_fork_announced_for_later_is_reported() {
    let spec = read(&optimism(json!({"lagoonTime": 99_999})));
    assert_eq!(spec.unsupported_forks()[0].name, "lagoon");
}

#[test]
fn contradictions_are_refused_with_their_reason() {
    let cases = [
        (ethereum(json!({"cancunTime": 0})), "shanghaiTime not enabled, but cancunTime"),
        (
            ethereum(json!({"berlinBlock": 5})),
            "berlinBlock enabled at 5, but londonBlock enabled at 0",
        ),
        (ethereum(json!({"istanbulBlock": null})), "istanbulBlock not enabled"),
        (ethereum(json!({"eip155Block": 1, "eip158Block": 0})), "eip155Block"),
        (ethereum(json!({"verkleTime": 0})), "verkleTime"),
        (ethereum(json!({"bpo6Time": 0})), "bpo6Time"),
        (
            ethereum(
                json!({"shanghaiTime": 9, "cancunTime": 9, "pragueTime": 9, "osakaTime": 9, "bpo1Time": 9}),
            ),
            "missing entry for fork bpo1",
        ),
        (
            ethereum(
                json!({"shanghaiTime": 9, "cancunTime": 9, "blobSchedule": {"cancun": {"target": 3, "max": 2, "baseFeeUpdateFraction": 1}}}),
            ),
            "impossible",
        ),
        (ethereum(json!({"chainId": null})), "chainId"),
        (ethereum(json!({"chainId": -1})), "config.chainId"),
        (ethereum(json!({"jovianTime": 0})), "config.optimism is missing"),
        (ethereum(json!({"londonBlock": "soon"})), "config.londonBlock"),
        (optimism(json!({"bedrockBlock": 105_235_063})), "before Bedrock"),
        (optimism(json!({"fjordTime": 10})), "ecotoneTime not enabled, but fjordTime"),
        (
            optimism(json!({"regolithTime": 11})),
            "regolithTime enabled at 11, but canyonTime enabled at 10",
        ),
        (optimism(json!({"cancunTime": 10})), "config.ecotoneTime"),
        (optimism(json!({"shanghaiTime": 99_999})), "config.canyonTime"),
        (optimism(json!({"amsterdamTime": 99_999})), "no counterpart"),
        (optimism(json!({"lagoonTime": 0})), "active at genesis"),
        (
            optimism(json!({"optimism": {"eip1559Elasticity": 0, "eip1559Denominator": 50}})),
            "eip1559",
        ),
        (
            optimism(json!({"optimism": {"eip1559Elasticity": 6, "eip1559Denominator": 50}})),
            "eip1559DenominatorCanyon",
        ),
    ];
    for (json, reason) in cases {
        let refusal = refusal(&json);
        assert!(refusal.contains(reason), "wanted {reason:?}, got {refusal:?}");
    }
}

#[test]
fn files_that_are_not_of_the_form_are_refused() {
    let cases = [
        ("", "EOF"),
        ("{}", "missing field"),
        (r#"{"config": {"chainId": 1}, "gasLimit": "0x1", "difficulty": "0x1"}"#, "alloc"),
        (
            r#"{"config": {"chainId": 1}, "gasLimit": "0x1", "difficulty": "0x1", "alloc": {"0x12": {}}}"#,
            "address of 1 bytes",
        ),
        (
            r#"{"config": {"chainId": 1}, "gasLimit": "0x10000000000000000", "difficulty": 1, "alloc": {}}"#,
            "gasLimit exceeds",
        ),
        (
            r#"{"config": {"chainId": 1}, "gasLimit": "1", "difficulty": 1, "alloc": {}, "stateHash": "0x01"}"#,
            "stateHash",
        ),
    ];
    for (json, reason) in cases {
        let refusal = refusal(json);
        assert!(refusal.contains(reason), "wanted {reason:?}, got {refusal:?}");
    }
}

#[test]
fn a_chain_that_starts_with_holocene_needs_fee_parameters_in_its_genesis() {
    let forks = json!({
        "canyonTime": 0, "ecotoneTime": 0, "fjordTime": 0, "graniteTime": 0, "holoceneTime": 0
    });
    assert!(refusal(&optimism(forks)).contains("extraData must hold Holocene's fee parameters"));
}

const ISTHMUS: [&str; 6] = ["ecotone", "fjord", "granite", "holocene", "isthmus", "regolith"];

/// An OP chain with Isthmus from `isthmus` on, and this `commitment`.
fn committed(isthmus: u64, commitment: Value) -> String {
    let mut more = json!({"canyonTime": isthmus, "commitment": commitment});
    for fork in ISTHMUS {
        more[format!("{fork}Time")] = json!(if fork == "regolith" { 0 } else { isthmus });
    }
    let text = optimism(more);
    text.replace(r#""alloc":{}"#, r#""extraData":"0x00000000fa00000006","alloc":{}"#)
}

#[test]
fn the_commitment_is_mpt_unless_the_file_says_otherwise() {
    assert_eq!(read(&optimism(json!({}))).commitment, Commitment::Mpt);
    assert_eq!(read(&ethereum(json!({"commitment": {"kind": "mpt"}}))).commitment, Commitment::Mpt);
    let wide = |commitment| read(&committed(0, commitment)).commitment.wide().unwrap();
    assert_eq!(wide(json!({"kind": "wide"})), WideParams { lag: 4, root_interval: 1 });
    let given = json!({"kind": "wide", "lag": 64, "rootInterval": 16});
    assert_eq!(wide(given), WideParams { lag: 64, root_interval: 16 });
}

#[test]
fn a_commitment_that_cannot_be_is_refused_with_the_reason() {
    let wide = |key: &str, value: u64| {
        let mut commitment = json!({"kind": "wide"});
        commitment[key] = json!(value);
        refusal(&committed(0, commitment))
    };
    assert!(wide("lag", 0).contains("lag = 0: must be 1 to 64"));
    assert!(wide("lag", 65).contains("lag = 65: must be 1 to 64"));
    assert!(wide("rootInterval", 0).contains("rootInterval = 0: must be 1 to 256"));
    assert!(wide("rootInterval", 257).contains("rootInterval = 257: must be 1 to 256"));
    assert!(wide("rootinterval", 1).contains("commitment.rootinterval is not known"));
    let kind = |json: Value| refusal(&committed(0, json));
    assert!(kind(json!({"kind": "deep"})).contains("knows \"mpt\" and \"wide\""));
    assert!(kind(json!({"lag": 4})).contains("commitment.kind is missing"));
    assert!(kind(json!({"kind": "mpt", "lag": 4})).contains("commitment.lag is not known"));
    let isthmus = "needs an OP chain (config.optimism) with Isthmus active at genesis";
    assert!(refusal(&ethereum(json!({"commitment": {"kind": "wide"}}))).contains(isthmus));
    assert!(refusal(&committed(0x9999, json!({"kind": "wide"}))).contains(isthmus));
}

/// The root is one over other keys, but the message passer's is that of every OP chain.
#[test]
fn a_wide_genesis_has_a_root_of_its_own_and_the_same_withdrawals_root() {
    let alloc = r#""alloc":{"0x4200000000000000000000000000000000000016":{"balance":"0x1",
        "storage":{"0x03":"0x07"}},"0x00000000000000000000000000000000000000aa":{"balance":"0x5"}}"#;
    let with = |commitment| read(&committed(0, commitment).replace(r#""alloc":{}"#, alloc));
    let (mpt, wide) = (with(json!({"kind": "mpt"})), with(json!({"kind": "wide"})));
    let (mpt, wide) = (mpt.genesis_header, wide.genesis_header);
    assert_ne!(mpt.state_root, wide.state_root);
    assert_ne!(mpt.withdrawals_root, Some(EMPTY_ROOT_HASH));
    assert_eq!(mpt.withdrawals_root, wide.withdrawals_root);
}
