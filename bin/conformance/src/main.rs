//! The command line of the conformance runner.

use std::{path::PathBuf, process::ExitCode};

use banyan_conformance::{Options, run};
use banyan_executor::{ExecutorConfig, ProgramMode};
use clap::{Parser, ValueEnum};

/// Runs conformance fixtures against Banyan.
#[derive(Debug, Parser)]
#[command(name = "conformance")]
struct Arguments {
    /// Folder with fixtures, or with packed ones (`.tar.zst`, `.tar.gz`).
    #[arg(long, value_name = "DIR", required = true)]
    fixtures: Vec<PathBuf>,
    /// Run only cases whose file or id contains this text (repeatable: any of them).
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// Stop at the first unexpected failure.
    #[arg(long)]
    fail_fast: bool,
    /// Worker threads; as many as there are cores unless given.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Threads that execute a block, as the node's `--executor.workers`: 0 is the plain sequential
    /// EVM, 1 has the shortcuts that need no other thread; one per core unless given.
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// What is done with programs learnt from traces of token calls.
    #[arg(long, value_enum, default_value_t = Programs::On)]
    programs: Programs,
    /// Disturb the schedule by this seed, and let even the smallest block run ahead.
    #[arg(long, value_name = "SEED")]
    perturb: Option<u64>,
    /// Write every result to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List of failures that are expected, with reasons.
    #[arg(long, value_name = "FILE", default_value = "testdata/expected_failures.txt")]
    expected_failures: PathBuf,
    /// Print this many failures with their reasons.
    #[arg(long, value_name = "N", default_value_t = 20)]
    show: usize,
    /// Where packed fixtures are unpacked.
    #[arg(long, value_name = "DIR", default_value = "target/fixtures")]
    unpack_to: PathBuf,
}

/// The values of `--programs`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Programs {
    /// None are learnt or run.
    Off,
    /// Learnt, and compared with the EVM.
    Shadow,
    /// Those that have proved equal replace the EVM.
    On,
}

impl Arguments {
    fn executor(&self) -> ExecutorConfig {
        let programs = match self.programs {
            Programs::Off => ProgramMode::Off,
            Programs::Shadow => ProgramMode::Shadow,
            Programs::On => ProgramMode::On,
        };
        let workers = self.workers.unwrap_or(ExecutorConfig::default().workers);
        ExecutorConfig { workers, programs, perturb: self.perturb, record: true }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let options = Options {
        executor: arguments.executor(),
        fixtures: arguments.fixtures,
        filter: arguments.filter,
        fail_fast: arguments.fail_fast,
        jobs: arguments.jobs,
        expected_failures: arguments.expected_failures,
        unpack_to: arguments.unpack_to,
    };
    let report = run(&options)?;
    if let Some(path) = arguments.json {
        std::fs::write(&path, report.to_json())?;
    }
    print!("{}", report.table(arguments.show));
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
