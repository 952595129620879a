//! `banyan`: flags in, configuration out; everything else is in the `node` crate.

mod args;
mod commands;
mod compat;
mod config;
mod parse;
#[cfg(test)]
mod tests;

use std::{ffi::OsString, process::ExitCode};

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use args::{Cli, Command};

fn main() -> ExitCode {
    let (cli, matches) = match parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => error.exit(),
    };
    let mut command = compat::accept_ignored(Cli::command());
    match &cli.command {
        Command::Node(node) if node.print_flag_compat => {
            print!("{}", compat::table(&command));
            return ExitCode::SUCCESS;
        }
        Command::Config(_) => {
            print!("{}", compat::settings(&command, &matches));
            return ExitCode::SUCCESS;
        }
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut command, "banyan", &mut std::io::stdout());
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    match commands::run(&cli, &compat::ignored_on(&matches)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Our errors say in one line what failed, on what, why, and what to do.
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The command line, and where each value on it comes from.
fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<(Cli, ArgMatches), clap::Error> {
    let matches = compat::accept_ignored(Cli::command()).try_get_matches_from(argv)?;
    Ok((Cli::from_arg_matches(&matches)?, matches))
}
