//! `peers`: the same blocks for several execution clients, and what each of them needed.
//!
//! It knows nothing of the clients but the Engine API and `/proc`, so that all are measured alike.

mod build;
mod recording;
mod replay;
mod report;
mod usage;
mod workload;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use banyan_primitives::{alloy_primitives::hex, keccak256};
use blackbox::process::Launcher;
use clap::Parser;
use serde_json::Value;

use crate::{
    recording::{Plan, Recording, VERSION},
    report::{Results, Rounds},
    workload::{Accounts, Generator, Workload},
};

/// Accounts whose values are compared at the end.
const SAMPLE: usize = 1000;

/// Replays the same blocks on several execution clients, in turns, and compares what they need.
///
/// Nothing is reported unless all end on the same head with the same values.
#[derive(Debug, Parser)]
#[command(name = "peers")]
struct Arguments {
    /// A client and the command line that runs it in the foreground. Placeholders: {genesis}
    /// {datadir} {http} {auth} {jwt} {p2p}; words are separated by spaces. The first one is compared
    /// with each of the others.
    #[arg(long, value_name = "NAME=COMMAND", required = true, value_parser = pair)]
    client: Vec<(String, String)>,
    /// Command line that makes the client's database, if it needs one. Same placeholders.
    #[arg(long, value_name = "NAME=COMMAND", value_parser = pair)]
    init: Vec<(String, String)>,
    /// Durability and root class of a client, printed beside it (`torture` finds the first).
    #[arg(long, value_name = "NAME=CLASS", value_parser = pair)]
    class: Vec<(String, String)>,
    /// The client that builds the blocks; the first unless given.
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,
    /// What the transactions do.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "transfers,erc20,mixed")]
    workload: Vec<Workload>,
    /// Measured blocks.
    #[arg(long, value_name = "N", default_value_t = 40)]
    blocks: usize,
    /// Blocks before them.
    #[arg(long, value_name = "N", default_value_t = 10)]
    warmup: usize,
    /// Gas limit of genesis; blocks are filled up to it.
    #[arg(long, value_name = "GAS", default_value_t = 30_000_000)]
    gas_limit: u64,
    /// Funded accounts.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    accounts: u32,
    /// How often each client takes all blocks.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Seed of all choices.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Everything that was measured, block by block.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder for recorded blocks, which are used again, and for data and logs of the clients.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Longest wait for an answer, seconds.
    #[arg(long, value_name = "S", default_value_t = 60)]
    patience: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let accounts = Accounts::new(arguments.accounts);
    let launchers = prepare(&arguments, &accounts)?;
    let mut results = Vec::new();
    for workload in &arguments.workload {
        let recording = recorded(&arguments, *workload, &accounts, &launchers)?;
        results.push(measure(&arguments, &recording, &accounts, &launchers)?);
    }
    if let Some(file) = &arguments.json {
        let all: Value = results.iter().map(Results::json).collect();
        fs::write(file, all.to_string()).with_context(|| file.display().to_string())?;
    }
    print!("{}", report::tables(&results));
    Ok(())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=… is missing")?;
    // A name is also a folder's.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain) {
        true => Ok((name.to_owned(), value.to_owned())),
        false => Err(format!("{name:?} is no name: letters, digits, '-', '_' and '.'")),
    }
}

/// A folder with the files that it is started with for each client, in order.
fn prepare(arguments: &Arguments, accounts: &Accounts) -> anyhow::Result<Vec<(String, Launcher)>> {
    let known = |name: &String| arguments.client.iter().any(|(client, _)| client == name);
    for (name, _) in arguments.init.iter().chain(&arguments.class) {
        ensure!(known(name), "{name} is no --client");
    }
    let genesis = accounts.genesis(arguments.gas_limit)?.to_string();
    let secret = keccak256("peers secret").0;
    fs::create_dir_all(recordings(&arguments.dir))?;
    let folder = arguments.dir.canonicalize()?.join("clients");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let inits: HashMap<_, _> = arguments.init.iter().cloned().collect();
    let mut launchers: Vec<(String, Launcher)> = Vec::new();
    for (name, command) in &arguments.client {
        ensure!(launchers.iter().all(|(other, _)| other != name), "two clients named {name}");
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("genesis.json"), &genesis)?;
        fs::write(folder.join("jwt.hex"), hex::encode(secret))?;
        let launcher = Launcher {
            command: command.clone(),
            init: inits.get(name).cloned(),
            folder,
            secret,
            patience: Duration::from_secs(arguments.patience),
        };
        launchers.push((name.clone(), launcher));
    }
    Ok(launchers)
}

fn recordings(dir: &Path) -> PathBuf {
    dir.join("blocks")
}

/// The blocks of a workload: those of an earlier run, or new ones.
fn recorded(
    arguments: &Arguments,
    workload: Workload,
    accounts: &Accounts,
    launchers: &[(String, Launcher)],
) -> anyhow::Result<Recording> {
    let folder = recordings(&arguments.dir);
    let plan = Plan {
        version: VERSION,
        workload: workload.name().to_owned(),
        fork: "Prague".to_owned(),
        seed: arguments.seed,
        accounts: arguments.accounts,
        gas_limit: arguments.gas_limit,
        warmup: arguments.warmup,
        blocks: arguments.blocks,
    };
    if let Some(recording) = Recording::load(&folder, &plan)? {
        return Ok(recording);
    }
    let builder = arguments.builder.as_ref().unwrap_or(&arguments.client[0].0);
    let Some((_, launcher)) = launchers.iter().find(|(name, _)| name == builder) else {
        bail!("{builder} is no --client");
    };
    eprintln!("{}: {builder} builds the blocks", plan.workload);
    let generator = Generator::new(workload, arguments.seed, accounts)?;
    let mut recording = build::build(launcher, plan, generator).context("while building")?;
    recording.save(&folder)?;
    Ok(recording)
}

/// All rounds of a workload, the clients in turns.
fn measure(
    arguments: &Arguments,
    recording: &Recording,
    accounts: &Accounts,
    launchers: &[(String, Launcher)],
) -> anyhow::Result<Results> {
    let classes: HashMap<_, _> = arguments.class.iter().cloned().collect();
    let rounds = |(name, _): &(String, Launcher)| Rounds {
        name: name.clone(),
        class: classes.get(name).cloned().unwrap_or_else(|| "?".to_owned()),
        runs: Vec::new(),
    };
    let mut clients: Vec<Rounds> = launchers.iter().map(rounds).collect();
    let sample = accounts.sample(SAMPLE, arguments.seed);
    let workload = &recording.manifest.plan.workload;
    for round in 1..=arguments.rounds {
        for ((name, launcher), client) in launchers.iter().zip(&mut clients) {
            let run = replay::replay(launcher, recording, &sample);
            let run = run.with_context(|| format!("{workload}, round {round}, {name}"))?;
            let (cpu, drained) = (run.used.seconds(), run.drained.seconds());
            eprintln!("{workload}, round {round}, {name}: {cpu:.2} CPU-s, {drained:.2} with drain");
            client.runs.push(run);
        }
    }
    let all: Vec<_> = clients.iter().flat_map(|client| client.runs.clone()).collect();
    replay::agree(&all)?;
    Ok(Results { manifest: recording.manifest.clone(), clients })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_a_name_and_a_command() {
        let split = pair("geth=geth --cache=1 {jwt}").unwrap();
        assert_eq!(split, ("geth".to_owned(), "geth --cache=1 {jwt}".to_owned()));
        assert!(["geth", "=x", "a/b=x", "..=x", ""].iter().all(|text| pair(text).is_err()));
    }
}
