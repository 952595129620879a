//! Words that do not belong: clocks and dice in decisions, unfinished code, places of one machine.

use std::fs;

use crate::{
    report,
    source::{self, Source},
};

/// Crates below `payload`: what they decide must be replayable.
const BELOW_PAYLOAD: &[&str] = &[
    "crates/primitives",
    "crates/chainspec",
    "crates/storage",
    "crates/consensus",
    "crates/state",
    "crates/executor",
    "crates/commitment",
    "crates/txpool",
    "crates/chain",
];

/// Files below `payload` that may ask for the time, since no decision about a block hangs on it.
const TIMERS: &[(&str, &str)] = &[
    ("crates/chain/src/forkchoice.rs", "metric timer"),
    ("crates/chain/src/execute.rs", "metric timer"),
    ("crates/chain/src/insert.rs", "metric timer"),
    ("crates/chain/src/persist.rs", "metric timer"),
    ("crates/chain/src/preload.rs", "time told in the log"),
    ("crates/chain/src/replay.rs", "time told in the log"),
    ("crates/chain/src/roots.rs", "metric timer"),
    ("crates/chain/src/seal.rs", "metric timer"),
    ("crates/executor/src/simulate.rs", "deadline of a simulated call"),
    ("crates/storage/src/env.rs", "age of read transactions"),
    ("crates/storage/src/txn.rs", "deadline of a read transaction"),
];

/// Files below `payload` that may ask for randomness.
const DICE: &[(&str, &str)] =
    &[("crates/storage/src/journal/segment.rs", "key of checksums, so that nobody can forge them")];

#[test]
fn no_clock_and_no_randomness_below_payload() {
    let mut findings = Vec::new();
    for source in source::rust_sources() {
        if BELOW_PAYLOAD.contains(&source.crate_folder().as_str()) {
            findings.extend(clocks(&source));
        }
    }
    report("clocks", &findings);
}

fn clocks(source: &Source) -> Vec<String> {
    let is_in = |list: &[(&str, &str)]| list.iter().any(|(path, _)| *path == source.path);
    let mut forbidden = vec!["SystemTime::now"];
    if !is_in(TIMERS) {
        forbidden.push("Instant::now");
    }
    if !is_in(DICE) {
        forbidden.extend(["rand::", "thread_rng", "RandomState::new"]);
    }
    let mut findings = Vec::new();
    for (number, line) in source.product_lines() {
        for word in &forbidden {
            if has_word(line, word) {
                findings.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    findings
}

#[test]
fn every_timer_is_still_there() {
    let sources = source::rust_sources();
    for (path, _) in TIMERS {
        let file = sources.iter().find(|source| source.path == *path);
        let found = file.is_some_and(|file| file.code.contains("Instant::now"));
        assert!(found, "{path} asks for no time any more: take it off the list");
    }
}

/// `word` in `line`, not as the tail of a longer name (`operand::`).
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
}

#[test]
fn nothing_unfinished_outside_tests() {
    let mut findings = Vec::new();
    for source in source::rust_sources() {
        for (number, line) in source.product_lines() {
            for word in ["todo!", "unimplemented!", "dbg!", ".unwrap()", "unsafe {"] {
                if line.contains(word) {
                    findings.push(format!("{}:{number}: {word}", source.path));
                }
            }
        }
    }
    report("unfinished", &findings);
}

#[test]
fn no_paths_of_a_machine_and_no_registry_hosts() {
    let mut findings = Vec::new();
    for path in source::tracked_files() {
        let name = path.to_string_lossy().replace('\\', "/");
        // The lock file names the registry index by design; binary files have no lines.
        let Ok(text) = fs::read_to_string(source::root().join(&path)) else { continue };
        if name == "Cargo.lock" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = foreign_word(line) {
                findings.push(format!("{name}:{}: {word}", number + 1));
            }
        }
    }
    report("places", &findings);
}

/// A path of somebody's machine or the host of a package registry. Put together here, so that this
/// file does not find itself.
fn foreign_word(line: &str) -> Option<String> {
    let paths = ["work", "root", "home"].map(|folder| format!("/{folder}/"));
    let hosts = [["crates", "io"], ["npmjs", "org"], ["pypi", "org"], ["proxy", "golang"]];
    let debian = ["deb", "debian", "org"].join(".");
    let path = paths
        .into_iter()
        .find(|word| line.match_indices(word.as_str()).any(|(at, _)| is_absolute(&line[..at])));
    path.or_else(|| hosts.map(|h| h.join(".")).into_iter().find(|host| line.contains(host)))
        .or_else(|| line.contains(&debian).then_some(debian))
}

/// True if a path that starts after `before` is not the middle of a longer one.
fn is_absolute(before: &str) -> bool {
    !before.ends_with(|c: char| c.is_ascii_alphanumeric() || "}._-)*".contains(c))
}

#[test]
fn foreign_places_are_recognised() {
    let path = ["\"", "home", "me", "x\""].join("/");
    assert!(foreign_word(&path).is_some());
    assert!(foreign_word(&["see static.crates", "io/x"].join(".")).is_some());
    assert!(foreign_word("commitment/root/mod.rs").is_none());
    assert!(foreign_word("$root/home").is_none());
}

#[test]
fn words_are_matched_whole() {
    assert!(has_word("let x = rand::random();", "rand::"));
    assert!(!has_word("operand::new()", "rand::"));
}
