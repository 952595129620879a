//! One function per subcommand.

use std::fmt::Display;

use anyhow::{Result, bail};
use banyan_node::{BenchConfig, StoreConfig, Workload, log_warning};
use serde_json::Value;

use crate::{
    args::{
        BenchCommand, Cli, Command, DbCommand, ImportArgs, JournalArgs, NodeArgs, ProofsArgs,
        ReplayArgs, StoreArgs,
    },
    config, parse,
};

/// Runs the subcommand. `ignored` are the flags without effect that were given.
pub(crate) fn run(cli: &Cli, ignored: &[&str]) -> Result<()> {
    let prints = !matches!(cli.command, Command::Node(_) | Command::Init(_) | Command::Import(_));
    banyan_node::init_logging(&config::logging(&cli.log, prints))?;
    match &cli.command {
        Command::Node(args) => node(args, ignored),
        Command::Init(args) => Ok(banyan_node::init(&store(args))?),
        Command::Import(args) => import(args),
        Command::DumpGenesis(args) => {
            println!("{}", banyan_node::genesis_json(&config::chain(args))?.trim_end());
            Ok(())
        }
        Command::Db(args) => match &args.command {
            DbCommand::Stats(args) => {
                print!("{}", banyan_node::database_stats(&store(args))?);
                Ok(())
            }
            DbCommand::Path(args) => {
                println!("{}", banyan_node::database_path(&store(args))?.display());
                Ok(())
            }
        },
        Command::Bench(args) => match &args.command {
            BenchCommand::Replay(args) => replay(args),
            BenchCommand::Journal(args) => journal(args),
        },
        Command::Proofs(args) => proofs(args),
    }
}

fn store(args: &StoreArgs) -> StoreConfig {
    StoreConfig { chain: config::chain(&args.chain), datadir: config::datadir(args) }
}

fn node(args: &NodeArgs, ignored: &[&str]) -> Result<()> {
    let (config, warnings) = config::node(args);
    for flag in ignored {
        log_warning(&format!("--{flag} has no effect here"));
    }
    for warning in &warnings {
        log_warning(warning);
    }
    Ok(banyan_node::run(config)?)
}

fn import(args: &ImportArgs) -> Result<()> {
    let head = banyan_node::import(&store(&args.store), &args.files)?;
    eprintln!("imported; head is block {head}");
    Ok(())
}

fn replay(args: &ReplayArgs) -> Result<()> {
    let report = banyan_node::bench_replay(&bench_config(args)?)?;
    print_report(args.json, &report, &report.to_json())
}

fn journal(args: &JournalArgs) -> Result<()> {
    let report = banyan_node::bench_journal(&bench_config(&args.replay)?, args.interval)?;
    print_report(args.replay.json, &report, &report.to_json())
}

fn print_report(as_json: bool, table: &impl Display, json: &Value) -> Result<()> {
    if as_json {
        println!("{}", serde_json::to_string_pretty(json)?);
    } else {
        print!("{table}");
    }
    Ok(())
}

fn bench_config(args: &ReplayArgs) -> Result<BenchConfig> {
    let workloads = parse::words(&args.workload)
        .iter()
        .map(|name| name.parse::<Workload>())
        .collect::<Result<Vec<_>, _>>()?;
    Ok(BenchConfig {
        workloads,
        blocks: args.blocks,
        gas_limit: args.gas_limit,
        senders: args.senders,
        seed: args.seed,
        directory: args.tmpdir.clone(),
    })
}

fn proofs(args: &ProofsArgs) -> Result<()> {
    match args.words.first().map(String::as_str) {
        Some("init" | "prune" | "unwind" | "snapshot") => {
            eprintln!("proofs are part of the database: nothing to do");
            Ok(())
        }
        _ => bail!("proofs: write init, prune, unwind or snapshot"),
    }
}
