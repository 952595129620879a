//! A few rounds of the kill loop against the debug binary.

use std::{path::Path, process::Command};

#[test]
fn a_few_kills_lose_nothing() {
    let torture = Path::new(env!("CARGO_BIN_EXE_torture"));
    let banyan = torture.with_file_name("banyan");
    assert!(banyan.exists(), "{} is not built: run the tests of the workspace", banyan.display());
    let folder = tempfile::tempdir().unwrap();
    let command = format!(
        "{} node --chain {{genesis}} --datadir {{datadir}} --http --http.port {{http}} \
         --authrpc.port {{auth}} --authrpc.jwtsecret {{jwt}} --port {{p2p}} --color=never",
        banyan.display()
    );
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
