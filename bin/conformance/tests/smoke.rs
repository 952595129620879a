//! The smoke set: some hundred cases of every format and fork, run by `make test`; and a check of
//! the runner itself, which must notice every kind of difference.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use banyan_conformance::{Options, Outcome, run};
use serde_json::{Value, json};
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

fn options(fixtures: PathBuf) -> Options {
    Options {
        fixtures: vec![fixtures],
        expected_failures: root().join("testdata/expected_failures.txt"),
        unpack_to: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fixtures"),
        ..Options::default()
    }
}

#[test]
fn the_smoke_set_passes() {
    let report = run(&options(root().join("testdata/conformance"))).unwrap();
    let table = report.table(20);
    assert!(report.is_good(), "{table}");
    // A set that shrinks without notice checks nothing.
    assert!(report.lines.len() >= 1800, "{table}");
    assert!(report.skipped.is_empty(), "{table}");
}

/// A file of the smoke set.
fn fixture(archive: &str, file: &str) -> Value {
    let folder = TempDir::new().unwrap();
    let archive = root().join(format!("testdata/conformance/{archive}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(archive).arg("-C").arg(folder.path());
    assert!(tar.status().unwrap().success());
    serde_json::from_slice(&fs::read(folder.path().join(file)).unwrap()).unwrap()
}

/// The first case of a file that fits.
fn first(cases: &Value, fits: impl Fn(&Value) -> bool) -> Value {
    cases.as_object().unwrap().values().find(|case| fits(case)).unwrap().clone()
}

/// Runs one case and gives the outcome.
fn outcome(content: &Value) -> Outcome {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("case.json"), content.to_string()).unwrap();
    let report = run(&options(folder.path().to_path_buf())).unwrap();
    assert_eq!(report.lines.len(), 1);
    report.lines[0].outcome.clone()
}

/// The case passes as it is, and fails once `change` has been made, for the `reason`.
fn notices(case: &Value, reason: &str, change: impl Fn(&mut Value)) {
    assert_eq!(outcome(&json!({ "case": case })), Outcome::Passed, "before: {reason}");
    let mut changed = case.clone();
    change(&mut changed);
    match outcome(&json!({ "case": changed })) {
        Outcome::Failed(found) => assert!(found.contains(reason), "{found:?} lacks {reason:?}"),
        other => panic!("{other:?}, expected a failure with {reason:?}"),
    }
}

fn hash() -> Value {
    format!("0x{}", "11".repeat(32)).into()
}

#[test]
fn the_runner_notices_differences_of_engine_cases() {
    let file = fixture("engine", "Cancun.json");
    let is_valid = |case: &Value| {
        let payloads = case["engineNewPayloads"].as_array().unwrap();
        let all_valid = payloads.iter().all(|p| p.get("validationError").is_none());
        let stored = |account: &Value| !account["storage"].as_object().unwrap().is_empty();
        all_valid && case["postState"].as_object().unwrap().values().any(stored)
    };
    let valid = first(&file, is_valid);
    let of_post = |case: &mut Value, change: &dyn Fn(&mut Value)| {
        let mut accounts = case["postState"].as_object_mut().unwrap().values_mut();
        let stored = |account: &&mut Value| !account["storage"].as_object().unwrap().is_empty();
        change(accounts.find(stored).unwrap());
    };
    notices(&valid, "balance", |c| of_post(c, &|a| a["balance"] = "0x123456789".into()));
    notices(&valid, "nonce", |c| of_post(c, &|a| a["nonce"] = "0x77".into()));
    notices(&valid, "code", |c| of_post(c, &|a| a["code"] = "0x6001".into()));
    notices(&valid, "slot", |c| of_post(c, &|a| a["storage"] = json!({})));
    notices(&valid, "slot", |c| of_post(c, &|a| a["storage"]["0x99"] = "0x01".into()));
    notices(&valid, "unexpected account", |c| {
        let accounts = c["postState"].as_object_mut().unwrap();
        let first = accounts.keys().next().unwrap().clone();
        accounts.remove(&first);
    });
    notices(&valid, "missing", |c| {
        c["postState"][format!("0x{}", "22".repeat(20))] = json!({ "balance": "0x1" });
    });
    notices(&valid, "head is", |c| c["lastblockhash"] = hash());
    notices(&valid, "genesis hash", |c| c["genesisBlockHeader"]["timestamp"] = "0x1".into());
    notices(&valid, "expected INVALID", |c| {
        c["engineNewPayloads"][0]["validationError"] = "BlockException.X".into();
    });
    notices(&valid, "expected error code", |c| {
        c["engineNewPayloads"][0]["errorCode"] = "-32602".into();
    });
    notices(&valid, "expected VALID", |c| {
        c["engineNewPayloads"][0]["params"][0]["stateRoot"] = hash();
    });
}

#[test]
fn the_runner_notices_an_invalid_payload_that_should_be_valid() {
    let invalid = first(&fixture("engine", "Cancun.json"), |case| {
        case["engineNewPayloads"][0].get("validationError").is_some()
    });
    notices(&invalid, "expected VALID", |c| {
        c["engineNewPayloads"][0].as_object_mut().unwrap().remove("validationError");
    });
}

#[test]
fn the_runner_notices_differences_of_block_and_state_cases() {
    let valid = first(&fixture("blockchain", "Berlin.json"), |case| {
        case["blocks"].as_array().unwrap().iter().all(|b| b.get("expectException").is_none())
    });
    notices(&valid, "is VALID, expected", |c| c["blocks"][0]["expectException"] = "X".into());
    notices(&valid, "was refused", |c| c["blocks"][0]["rlp"] = "0xc0".into());
    notices(&valid, "head is", |c| c["lastblockhash"] = hash());

    let executed = first(&fixture("state", "London.json"), |case| {
        case["post"]["London"][0].get("expectException").is_none()
    });
    notices(&executed, "state root", |c| c["post"]["London"][0]["hash"] = hash());
    notices(&executed, "logs hash", |c| c["post"]["London"][0]["logs"] = hash());
    notices(&executed, "executed, expected", |c| {
        c["post"]["London"][0]["expectException"] = "X".into();
    });
}

#[test]
fn a_case_that_cannot_be_read_fails() {
    let broken = json!({ "case": { "engineNewPayloads": 1 } });
    assert!(
        matches!(outcome(&broken), Outcome::Failed(reason) if reason.contains("cannot be read"))
    );
}
