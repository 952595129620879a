//! The tools that people use, each as it comes from its registry, against the real binary. The
//! scripts are in `testdata/tools`; `docs/tools.md` tells what geth does differently.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

#[expect(dead_code, reason = "shared with other tests")]
mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use common::{Node, repository};

/// The first funded account of the dev chain.
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// A folder with the scripts, where the tools are installed and found. Filled once for all tests.
fn workshop() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools");
        fs::create_dir_all(&folder).unwrap();
        for file in fs::read_dir(repository("testdata/tools")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
        folder
    })
}

/// The npm packages; installed once for all tests.
fn npm() -> &'static Path {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let options = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"];
        succeed(Command::new("npm").arg("install").args(options).current_dir(workshop()));
    });
    workshop()
}

fn python() -> &'static Path {
    let folder = workshop();
    succeed(Command::new("python3").args(["-m", "venv", "venv"]).current_dir(folder));
    let pip = ["install", "--quiet", "--requirement", "requirements.txt"];
    succeed(Command::new(folder.join("venv/bin/pip")).args(pip).current_dir(folder));
    folder
}

fn succeed(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// Runs a script against a dev node of its own: every check must be `ok`.
fn run(script: &mut Command) {
    let data = tempfile::tempdir().unwrap();
    let datadir = format!("--datadir={}", data.path().display());
    let node = Node::start(&["--dev", "--dev.block-time=250ms", &datadir]);
    let url = |message: &str| node.wait_for(message)["url"].as_str().unwrap().to_owned();
    let output = script
        .env("HTTP_URL", format!("http://{}", url("RPC HTTP server started")))
        .env("WS_URL", format!("ws://{}", url("RPC WS server started")))
        .env("PRIVATE_KEY", KEY)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    let passed = report.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(output.status.success() && passed > 20, "{report}{complaint}");
}

#[test]
#[ignore = "slow: needs npm and a package registry; make tools"]
fn cast_finds_everything_it_needs() {
    let packages = npm().join("node_modules/@foundry-rs");
    // The program itself, not the wrapper, which hides its exit status.
    let program = fs::read_dir(packages)
        .unwrap()
        .map(|package| package.unwrap().path().join("bin"))
        .find(|folder| folder.join("cast").exists())
        .expect("cast for this platform");
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", program.display());
    run(Command::new("bash").arg("cast.sh").current_dir(npm()).env("PATH", path));
}

#[test]
#[ignore = "slow: needs npm and a package registry; make tools"]
fn viem_finds_everything_it_needs() {
    run(Command::new("node").arg("viem.mjs").current_dir(npm()));
}

#[test]
#[ignore = "slow: needs npm and a package registry; make tools"]
fn ethers_finds_everything_it_needs() {
    run(Command::new("node").arg("ethers.mjs").current_dir(npm()));
}

#[test]
#[ignore = "slow: needs python3 and a package registry; make tools"]
fn web3_py_finds_everything_it_needs() {
    let folder = python();
    run(Command::new(folder.join("venv/bin/python")).arg("web3py.py").current_dir(folder));
}
