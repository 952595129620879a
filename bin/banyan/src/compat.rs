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

/// Adds the flags, hidden, to the `node` command.
pub(crate) fn accept_ignored(command: Command) -> Command {
    command.mut_subcommand("node", |node| {
        ignored_flags().iter().fold(node, |node, flag| node.arg(argument(flag)))
    })
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
    let Some(("node", node)) = matches.subcommand() else { return Vec::new() };
    let given =
        |flag: &&IgnoredFlag| node.value_source(flag.name) == Some(ValueSource::CommandLine);
    ignored_flags().iter().filter(given).map(|flag| flag.name).collect()
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
