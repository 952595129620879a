//! One function per subcommand.

use std::{
    env,
    fmt::Display,
    fs::{self, File},
    path::Path,
};

use anyhow::{Result, anyhow, bail};
use banyan_node::{
    BenchConfig, ExecutorConfig, GrownConfig, IngestClient, IngestConfig, LagConfig,
    ReExecuteConfig, StoreConfig, Workload, log_warning,
};
use serde_json::Value;

use crate::{
    args::{
        BenchCommand, Cli, Command, DbCommand, ExecutorBenchArgs, ImportArgs, IngestArgs,
        IngestClientArgs, JournalArgs, LagArgs, NodeArgs, ProofsArgs, ReExecuteArgs, ReplayArgs,
        ReplayBenchArgs, StoreArgs,
    },
    compat, config, parse,
};

/// Runs the subcommand. `ignored` are the flags without effect that were given.
pub(crate) fn run(cli: &Cli, ignored: &[&str]) -> Result<()> {
    let prints = !matches!(
        cli.command,
        Command::Node(_) | Command::Init(_) | Command::Import(_) | Command::ReExecute(_)
    );
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
            DbCommand::Version(args) => {
                print!("{}", banyan_node::database_version(&store(args))?);
                Ok(())
            }
            DbCommand::Path(args) => {
                println!("{}", banyan_node::database_path(&store(args))?.display());
                Ok(())
            }
        },
        Command::ReExecute(args) => re_execute(args),
        Command::Bench(args) => match &args.command {
            BenchCommand::Replay(args) => replay(args),
            BenchCommand::Journal(args) => journal(args),
            BenchCommand::Lag(args) => lag(args),
            BenchCommand::Executor(args) => executor(args),
            BenchCommand::Ingest(args) => ingest(args),
            BenchCommand::IngestClient(args) => ingest_client(args),
        },
        Command::Proofs(args) => proofs(args),
        // Answered before, from the command line alone.
        Command::Config(_) | Command::Completions { .. } => Ok(()),
    }
}

fn store(args: &StoreArgs) -> StoreConfig {
    StoreConfig { chain: config::chain(&args.chain), datadir: config::datadir(args) }
}

fn node(args: &NodeArgs, ignored: &[&str]) -> Result<()> {
    let (config, warnings) = config::node(args);
    for flag in ignored {
        log_warning(&compat::warning(flag));
    }
    for warning in &warnings {
        log_warning(warning);
    }
    Ok(banyan_node::run(config)?)
}

fn import(args: &ImportArgs) -> Result<()> {
    let executor = config::executor(&args.executor);
    let head = banyan_node::import(&store(&args.store), &args.files, executor)?;
    eprintln!("imported; head is block {head}");
    Ok(())
}

fn re_execute(args: &ReExecuteArgs) -> Result<()> {
    // Before hours of work.
    let file = match &args.report {
        Some(path) => Some(
            File::create(path)
                .map_err(|error| anyhow!("cannot write the report {}: {error}", path.display()))?,
        ),
        None => None,
    };
    let report = banyan_node::re_execute(&ReExecuteConfig {
        store: store(&args.store),
        from: args.from,
        to: args.to,
        executor: config::executor(&args.executor),
    })?;
    print!("{report}");
    if let Some(file) = file {
        serde_json::to_writer_pretty(file, &report.to_json())?;
    }
    match report.first_difference() {
        None => Ok(()),
        Some(first) => bail!("{} blocks differ, first {first}", report.differing_blocks()),
    }
}

fn replay(args: &ReplayBenchArgs) -> Result<()> {
    let report = banyan_node::bench_replay(&bench_config(&args.replay)?)?;
    if let Some(path) = &args.rows {
        write_json(path, &Value::Array(report.commitment_rows()))?;
    }
    print_report(args.replay.json, &report, &report.to_json())
}

fn journal(args: &JournalArgs) -> Result<()> {
    let report = banyan_node::bench_journal(&bench_config(&args.replay)?, args.interval)?;
    print_report(args.replay.json, &report, &report.to_json())
}

fn lag(args: &LagArgs) -> Result<()> {
    let report = banyan_node::bench_lag(&LagConfig {
        replay: bench_config(&args.replay)?,
        interval: args.interval,
        root_memory: args.root_memory.map(config::mebibytes),
    })?;
    if let Some(path) = &args.rows {
        write_json(path, &report.to_json())?;
    }
    print_report(args.replay.json, &report, &report.to_json())
}

fn executor(args: &ExecutorBenchArgs) -> Result<()> {
    let config = bench_config(&args.replay)?;
    let workers = usize::from(args.against_workers);
    let against = ExecutorConfig { workers, record: workers > 1, ..config.executor.clone() };
    let report = banyan_node::bench_executor(&config, &against)?;
    print_report(args.replay.json, &report, &report.to_json())
}

fn write_json(path: &Path, json: &Value) -> Result<()> {
    fs::write(path, serde_json::to_vec_pretty(json)?)
        .map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
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
        grown: args.accounts.map(|accounts| GrownConfig {
            accounts,
            directory: args.states.clone().unwrap_or_else(|| env::temp_dir().join("banyan-bench")),
        }),
        lag: args.lag,
        seed: args.seed,
        directory: args.tmpdir.clone(),
        persist_threshold: args.persistence_threshold,
        executor: config::executor(&args.executor),
    })
}

fn ingest(args: &IngestArgs) -> Result<()> {
    let report = banyan_node::bench_ingest(&IngestConfig {
        transactions: args.transactions,
        senders: args.senders,
        connections: args.connections,
        block_time: args.block_time,
        directory: args.tmpdir.clone(),
    })?;
    print_report(args.json, &report, &report.to_json())
}

fn ingest_client(args: &IngestClientArgs) -> Result<()> {
    Ok(banyan_node::bench_ingest_client(&IngestClient {
        address: args.address,
        requests: args.requests.clone(),
        senders: args.senders,
        connections: args.connections,
    })?)
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
