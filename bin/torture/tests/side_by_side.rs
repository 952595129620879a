//! The debug binary beside itself, on a few small blocks.

mod common;

use std::{fs, path::Path, process::Command};

#[test]
fn a_client_beside_itself_ends_on_the_same_head() {
    let peers = Path::new(env!("CARGO_BIN_EXE_peers"));
    let folder = tempfile::tempdir().unwrap();
    let command = common::banyan_beside(peers);
    let json = folder.path().join("result.json");
    let run = |clients: &[&str]| {
        let output = Command::new(peers)
            .args(["--accounts=100", "--gas-limit=600000", "--blocks=2", "--warmup=1"])
            .args(["--workload=mixed", "--rounds=1", "--class=one=D1/R0"])
            .args(clients.iter().map(|name| format!("--client={name}={command}")))
            .arg("--dir")
            .arg(folder.path().join("peers"))
            .arg("--json")
            .arg(&json)
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{report}{complaint}");
        (report, complaint)
    };
    let (report, said) = run(&["one", "two"]);
    assert!(report.contains("| mixed | one | D1/R0 |"), "{report}");
    assert!(report.contains("| mixed | two | ? |"), "{report}");
    assert!(said.contains("one builds the blocks"), "{said}");
    let result: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let rounds = &result[0]["clients"][1]["rounds"];
    assert_eq!(rounds[0]["answers_us"].as_array().unwrap().len(), 2);
    // The blocks are there now.
    let (_, said) = run(&["one"]);
    assert!(!said.contains("builds the blocks"), "{said}");
}
