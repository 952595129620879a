//! Flags of op-reth that have no effect here.
//!
//! Launchers pass them, so they must parse; whoever passes one is told, once per flag, that
//! nothing comes of it. The list is `compat_flags.txt`.

use std::sync::OnceLock;

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};

/// The list, one flag per line.
const FLAGS: &str = include_str!("compat_flags.txt");

/// A flag without effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IgnoredFlag {
    /// Name without the dashes.
    pub(crate) name: &'static str,
    takes_value: bool,
    aliases: &'static str,
}

/// All of them, in the order of the list.
pub(crate) fn ignored_flags() -> &'static [IgnoredFlag] {
    static PARSED: OnceLock<Vec<IgnoredFlag>> = OnceLock::new();
    PARSED.get_or_init(|| FLAGS.lines().filter(|line| !line.starts_with('#')).map(parse).collect())
}

fn parse(line: &'static str) -> IgnoredFlag {
    let (name, aliases) = line.split_once(' ').unwrap_or((line, ""));
    let takes_value = name.ends_with('=');
    IgnoredFlag { name: name.trim_end_matches('='), takes_value, aliases }
}

/// The commands that take the node's flags.
const NODE_COMMANDS: [&str; 2] = ["node", "config"];

/// Adds the flags, hidden, to the commands that take the node's.
pub(crate) fn accept_ignored(command: Command) -> Command {
    let add =
        |node: Command| ignored_flags().iter().fold(node, |node, flag| node.arg(argument(flag)));
    NODE_COMMANDS.into_iter().fold(command, |command, name| command.mut_subcommand(name, add))
}

fn argument(flag: &IgnoredFlag) -> Arg {
    let arg = Arg::new(flag.name)
        .long(flag.name)
        .aliases(flag.aliases.split_whitespace().collect::<Vec<_>>())
        .hide(true)
        .action(ArgAction::Set);
    if flag.takes_value {
        arg.num_args(1).allow_hyphen_values(true)
    } else {
        // `--jit` and `--jit=true` are both seen.
        arg.num_args(0..=1).require_equals(true).default_missing_value("true")
    }
}

/// Names of the flags without effect on this command line.
pub(crate) fn ignored_on(matches: &ArgMatches) -> Vec<&'static str> {
    let Some((name, node)) = matches.subcommand() else { return Vec::new() };
    if !NODE_COMMANDS.contains(&name) {
        return Vec::new();
    }
    let given =
        |flag: &&IgnoredFlag| node.value_source(flag.name) == Some(ValueSource::CommandLine);
    ignored_flags().iter().filter(given).map(|flag| flag.name).collect()
}

/// What is said of a flag without effect.
pub(crate) fn warning(flag: &str) -> String {
    if matches!(flag, "full" | "minimal") || flag.starts_with("prune.") {
        return format!("--{flag}: pruning is not there yet, all history is kept");
    }
    format!("--{flag} has no effect here")
}

/// Every flag with the value in effect, in the groups of `--help`: what `config` prints.
pub(crate) fn settings(command: &Command, matches: &ArgMatches) -> String {
    let Some((name, given)) = matches.subcommand() else { return String::new() };
    let mut text = String::new();
    let mut group = "";
    let arguments = command.find_subcommand(name).into_iter().flat_map(Command::get_arguments);
    for arg in arguments.chain(command.get_arguments()) {
        let id = arg.get_id().as_str();
        let (Some(flag), Some(source)) = (arg.get_long(), given.value_source(id)) else { continue };
        let heading = arg.get_help_heading().unwrap_or("Others");
        if heading != group {
            text.push_str(&format!("{}# {heading}\n", if group.is_empty() { "" } else { "\n" }));
            group = heading;
        }
        let values = given.get_raw(id).into_iter().flatten();
        let value = values.last().unwrap_or_default().to_string_lossy();
        let default = if source == ValueSource::DefaultValue { "    # default" } else { "" };
        text.push_str(&format!("--{flag}={value}{default}\n"));
    }
    text
}

/// The table that `--print-flag-compat` prints: flag, effect.
pub(crate) fn table(command: &Command) -> String {
    let mut rows: Vec<(String, &str)> = Vec::new();
    if let Some(node) = command.find_subcommand("node") {
        let ignored = |name: &str| ignored_flags().iter().any(|flag| flag.name == name);
        for arg in node.get_arguments().chain(command.get_arguments()) {
            if let Some(name) = arg.get_long() {
                let effect = if ignored(name) { "accepted, no effect" } else { "takes effect" };
                rows.push((name.to_owned(), effect));
            }
        }
    }
    rows.sort();
    rows.dedup();
    rows.iter().map(|(name, effect)| format!("--{name:<56} {effect}\n")).collect()
}
