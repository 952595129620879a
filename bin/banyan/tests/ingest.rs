//! `bench ingest`, small: that it runs and counts, not how fast.

use std::process::Command;

use serde_json::{Value, json};

#[test]
fn every_transaction_sent_is_counted_in_both_rounds() {
    let output = Command::new(env!("CARGO_BIN_EXE_banyan"))
        .args(["bench", "ingest", "--json", "--transactions=60", "--senders=7", "--connections=3"])
        .args(["--block-time", "100ms"])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rounds = report["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2, "{report}");
    for round in rounds {
        assert_eq!(round["accepted"], json!(60), "{report}");
    }
}
