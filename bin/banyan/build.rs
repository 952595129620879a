//! Tells the binary which commit it was built from (`--version`, `web3_clientVersion`).

use std::{path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-env-changed=BANYAN_COMMIT");
    // Changes with every commit and checkout. Absent in a source archive.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"])
        && Path::new(&log).exists()
    {
        println!("cargo:rerun-if-changed={log}");
    }
    let commit = std::env::var("BANYAN_COMMIT")
        .ok()
        .or_else(|| git(&["rev-parse", "HEAD"]))
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=BANYAN_COMMIT={commit}");
}

/// Output of a git command; `None` without git or outside a checkout.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
