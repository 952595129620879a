//! `re-execute` as an operator meets it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The database of a recorded chain of 54 blocks.
struct Recorded {
    folder: TempDir,
}

impl Recorded {
    fn import() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
        let text = fs::read_to_string(testdata.join("genesis/ethereum.json")).unwrap();
        let known: Vec<Value> = serde_json::from_str(&text).unwrap();
        let genesis = known.iter().find(|entry| entry["name"] == "execution-apis").unwrap();
        fs::write(folder.path().join("genesis.json"), genesis["genesis"].to_string()).unwrap();
        let chain = Self { folder };
        let blocks = testdata.join("chains/execution-apis.rlp").display().to_string();
        let output = chain.run("import", &[&blocks]);
        assert!(output.status.success(), "{}", complaint(&output));
        chain
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Runs a subcommand on the database.
    fn run(&self, command: &str, args: &[&str]) -> Output {
        let genesis = self.path("genesis.json");
        let chain = ["--chain", &genesis, "--datadir", &self.path("data")];
        banyan(&[&[command], &chain[..], args].concat())
    }
}

fn banyan(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_banyan")).args(args).output().unwrap()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_recorded_chain_comes_out_the_same_again() {
    let chain = Recorded::import();
    let file = chain.path("report.json");
    let output = chain.run("re-execute", &["--executor.workers=2", "--report", &file]);
    assert!(output.status.success(), "{}", complaint(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("blocks 1 to 54: 54 blocks"), "{text}");
    assert!(text.contains("no block differs"), "{text}");
    let report: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!((&report["blocks"], &report["differingBlocks"]), (&json!(54), &json!(0)));
    assert!(report["classes"]["transfers"]["transactions"].as_u64().unwrap() > 0, "{report}");

    let output = chain.run("re-execute", &["--from=10", "--to=19", "--report", &file]);
    assert!(output.status.success(), "{}", complaint(&output));
    let report: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        (&report["from"], &report["to"], &report["blocks"]),
        (&10.into(), &19.into(), &10.into())
    );
}

#[test]
fn a_range_or_a_chain_that_is_not_there_is_refused_in_one_line() {
    let chain = Recorded::import();
    let check = |output: Output, expected: &str| {
        let complaint = complaint(&output);
        assert!(!output.status.success() && complaint.contains(expected), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    };
    let re_execute = |args: &[&str]| chain.run("re-execute", args);
    check(re_execute(&["--from=0"]), "the first block is 1");
    check(re_execute(&["--from=9", "--to=8"]), "no blocks: --from 9 is above --to 8");
    check(re_execute(&["--to=55"]), "--to 55 is beyond the newest block of the database, 54");
    check(re_execute(&["--executor.workers=0"]), "--executor.workers must be at least 1");
    check(re_execute(&["--report=/no/such/folder/file"]), "cannot write the report /no/such");

    let data = chain.path("data");
    check(banyan(&["re-execute", "--chain=dev", "--datadir", &data]), "genesis");
    let empty = chain.path("empty");
    let output = banyan(&["re-execute", "--chain=dev", "--datadir", &empty]);
    check(output, "there is no database at");
    let output = re_execute(&["--to=2"]);
    assert!(output.status.success(), "the database is as it was: {}", complaint(&output));
}
