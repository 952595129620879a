use std::path::PathBuf;

use banyan_node::{ColorChoice, LogFormat};
use clap::{ArgAction, Args};

use crate::parse;

/// Logging; may stand before or after the subcommand.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogArgs {
    /// Verbosity: -v errors, -vv warnings, -vvv info, -vvvv debug, -vvvvv trace. [default: -vvv]
    #[arg(short = 'v', long = "verbosity", global = true, action = ArgAction::Count)]
    #[arg(help_heading = "Logs")]
    pub(crate) verbosity: u8,
    /// Nothing to the terminal.
    #[arg(short = 'q', long, alias = "silent", global = true, help_heading = "Logs")]
    pub(crate) quiet: bool,
    /// Colours: always, auto, never.
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    #[arg(value_parser = parse::color, help_heading = "Logs")]
    pub(crate) color: ColorChoice,
    /// Form of the log on the terminal: terminal, json, log-fmt.
    #[arg(long = "log.stdout.format", value_name = "FORMAT", global = true)]
    #[arg(default_value = "terminal", value_parser = parse::log_format, help_heading = "Logs")]
    pub(crate) stdout_format: LogFormat,
    /// Filter of the log on the terminal, e.g. `info,banyan_rpc=debug`; goes before verbosity.
    #[arg(long = "log.stdout.filter", value_name = "FILTER", global = true, default_value = "")]
    #[arg(help_heading = "Logs", hide_default_value = true)]
    pub(crate) stdout_filter: String,
    /// Write a log file in this directory, too.
    #[arg(long = "log.file.directory", value_name = "DIR", global = true)]
    #[arg(help_heading = "Logs")]
    pub(crate) file_directory: Option<PathBuf>,
    /// Name of the log file.
    #[arg(long = "log.file.name", value_name = "NAME", global = true)]
    #[arg(default_value = "banyan.log", help_heading = "Logs")]
    pub(crate) file_name: String,
    /// Form of the log file.
    #[arg(long = "log.file.format", value_name = "FORMAT", global = true)]
    #[arg(default_value = "terminal", value_parser = parse::log_format, help_heading = "Logs")]
    pub(crate) file_format: LogFormat,
    /// Filter of the log file.
    #[arg(long = "log.file.filter", value_name = "FILTER", global = true, default_value = "debug")]
    #[arg(help_heading = "Logs")]
    pub(crate) file_filter: String,
    /// Size at which a new log file is begun, MB.
    #[arg(long = "log.file.max-size", value_name = "MB", global = true, default_value_t = 200)]
    #[arg(help_heading = "Logs")]
    pub(crate) file_max_size: u64,
    /// Log files kept; 0 turns file logging off.
    #[arg(long = "log.file.max-files", value_name = "N", global = true, default_value_t = 5)]
    #[arg(help_heading = "Logs")]
    pub(crate) file_max_files: usize,
}
