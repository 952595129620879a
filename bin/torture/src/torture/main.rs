//! `torture`: kills an execution client at random moments while a consensus client builds, reorgs
//! and rewinds, and counts what it had acknowledged and lost.
//!
//! It knows nothing of the client but the Engine API, so that every client can be measured alike.

mod book;
mod driver;
mod genesis;
mod inspect;
mod rounds;
mod tally;
mod wallet;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use banyan_primitives::{alloy_primitives::hex, keccak256};
use blackbox::{genesis::Rules, process::Launcher};
use clap::Parser;
use serde_json::json;

use crate::{genesis::genesis, rounds::Torture, wallet::Wallet};

/// Kills an execution client again and again, and counts what it lost.
///
/// The exit status is 1 if an acknowledged head was lost, a label was wrong, something could not be
/// read, or somebody had to help.
#[derive(Debug, Parser)]
#[command(name = "torture")]
struct Arguments {
    /// Rounds: each is one `kill -9` and one restart (some have a further kill while starting).
    #[arg(long, value_name = "N", default_value_t = 500)]
    rounds: u64,
    /// Seed of all decisions.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Name of the client in the report.
    #[arg(long, value_name = "NAME", default_value = "client")]
    client: String,
    /// Command line that runs the client in the foreground. Placeholders: {genesis} {datadir}
    /// {http} {auth} {jwt} {p2p}; words are separated by spaces.
    #[arg(long, value_name = "COMMAND")]
    cmd: String,
    /// Command line that makes the database, if the client needs one. Same placeholders.
    #[arg(long, value_name = "COMMAND")]
    init: Option<String>,
    /// Funded accounts in the genesis file.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(64..))]
    accounts: u32,
    /// An Ethereum chain (Prague) instead of an OP chain (Jovian).
    #[arg(long)]
    l1: bool,
    /// An OP chain with Banyan's `wide` state commitment, whose headers lag so many blocks.
    #[arg(long, value_name = "BLOCKS", conflicts_with = "l1")]
    lag: Option<u64>,
    /// Folder for genesis file, data and the client's log; must not exist.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Longest wait for an answer, seconds.
    #[arg(long, value_name = "S", default_value_t = 60)]
    patience: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let rules = if arguments.l1 { Rules::Prague } else { Rules::Jovian };
    let (launcher, wallet) = prepare(&arguments, rules)?;
    let (mut torture, mut client) = Torture::begin(launcher, rules, wallet, arguments.seed)?;
    for round in 0..arguments.rounds {
        client = torture.round(round, client).with_context(|| format!("round {round}"))?;
        if (round + 1) % 25 == 0 {
            let lost = torture.tally.heads_lost;
            eprintln!("{} of {} rounds, heads lost in {lost}", round + 1, arguments.rounds);
        }
    }
    torture.finish(client)?;
    print!("{}", torture.tally.table(&arguments.client, arguments.seed));
    Ok(if torture.tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The files that the client is started with.
fn prepare(arguments: &Arguments, rules: Rules) -> anyhow::Result<(Launcher, Wallet)> {
    let folder = &arguments.dir;
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("cannot make {}", parent.display()))?;
    }
    // Never one that is there: the data in it is removed when a client has to start from nothing.
    std::fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let folder = folder.canonicalize()?;
    let secret = keccak256(format!("torture secret {}", arguments.seed)).0;
    std::fs::write(folder.join("jwt.hex"), hex::encode(secret))?;
    let wallet = Wallet::new(rules.chain_id()?, arguments.accounts);
    let mut genesis = genesis(rules, &wallet, arguments.accounts)?;
    if let Some(lag) = arguments.lag {
        genesis["config"]["commitment"] = json!({ "kind": "wide", "lag": lag });
    }
    std::fs::write(folder.join("genesis.json"), genesis.to_string())?;
    let launcher = Launcher {
        command: arguments.cmd.clone(),
        init: arguments.init.clone(),
        folder,
        secret,
        patience: Duration::from_secs(arguments.patience),
    };
    Ok((launcher, wallet))
}
