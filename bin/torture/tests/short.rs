//! A few rounds of the kill loop against the debug binary.

mod common;

use std::{path::Path, process::Command};

#[test]
fn a_few_kills_lose_nothing() {
    let torture = Path::new(env!("CARGO_BIN_EXE_torture"));
    let folder = tempfile::tempdir().unwrap();
    let command = common::banyan_beside(torture);
    let output = Command::new(torture)
        .args(["--rounds=5", "--accounts=200", "--client=banyan", "--cmd", &command])
        .arg("--dir")
        .arg(folder.path().join("torture"))
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}{complaint}");
    assert!(report.contains("| rounds | 5 "), "{report}");
}
