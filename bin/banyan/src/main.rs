//! `banyan`: flags in, configuration out; everything else is in the `node` crate.

mod args;
mod commands;
mod compat;
mod config;
mod parse;
#[cfg(test)]
mod tests;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command};

fn main() -> ExitCode {
    let (cli, ignored) = match parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => error.exit(),
    };
    if let Command::Node(node) = &cli.command
        && node.print_flag_compat
    {
        print!("{}", compat::table(&compat::accept_ignored(Cli::command())));
        return ExitCode::SUCCESS;
    }
    match commands::run(&cli, &ignored) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Our errors say in one line what failed, on what, why, and what to do.
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The command line, and the names of flags on it that have no effect.
fn parse(
    argv: impl IntoIterator<Item = OsString>,
) -> Result<(Cli, Vec<&'static str>), clap::Error> {
    let matches = compat::accept_ignored(Cli::command()).try_get_matches_from(argv)?;
    Ok((Cli::from_arg_matches(&matches)?, compat::ignored_on(&matches)))
}
