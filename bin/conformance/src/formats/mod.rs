//! One module per fixture format, and the detection of formats.

mod blockchain;
mod engine;
mod l1_fee;
mod mainnet_block;
mod op_block;
mod rlp;
mod state;
mod transaction;
mod trie;
mod upgrade;

use std::{collections::BTreeMap, fs};

use anyhow::Context;
use serde::de::DeserializeOwned;

use crate::{Case, Worker, collect::FixtureFile};

/// What a file turned out to hold.
#[derive(Default)]
pub(crate) struct Loaded {
    /// Cases to run.
    pub(crate) cases: Vec<Case>,
    /// Why something in it is not run, once per thing.
    pub(crate) not_run: Vec<&'static str>,
}

impl From<Vec<Case>> for Loaded {
    fn from(cases: Vec<Case>) -> Self {
        Self { cases, not_run: Vec::new() }
    }
}

/// One case per entry of a file that maps names to cases.
fn named_cases<C: DeserializeOwned + Send + 'static>(
    text: &str,
    fork: fn(&C) -> &str,
    run: fn(&C, &Worker) -> anyhow::Result<()>,
) -> anyhow::Result<Loaded> {
    let cases: BTreeMap<String, C> = parse(text)?;
    let cases = cases.into_iter().map(|(id, case)| {
        let fork = fork(&case).to_owned();
        Case::new(id, fork, move |worker| run(&case, worker))
    });
    Ok(cases.collect::<Vec<_>>().into())
}

type Loader = fn(&FixtureFile, &str) -> anyhow::Result<Loaded>;

/// Marks of the JSON formats, most telling first: all texts of a row must occur in the file.
const FORMATS: &[(&[&str], Loader)] = &[
    (&["\"engineNewPayloads\""], engine::load),
    (&["\"blocks\"", "\"lastblockhash\""], blockchain::load),
    (&["\"post\"", "\"transaction\"", "\"env\""], state::load),
    (&["\"expected_block_hash\"", "\"payload_attributes\""], op_block::load),
    (&["\"fastlz_len\""], l1_fee::load),
    (&["\"block\"", "\"pre_state\"", "\"receiptsRoot\""], mainnet_block::load),
    (&["\"txbytes\"", "\"result\""], transaction::load),
    (&["\"in\"", "\"root\""], trie::load),
    (&["\"in\"", "\"out\""], rlp::load),
];

/// Known files that have no place here.
const NOT_RUN: &[(&str, &str)] = &[
    ("rpc-compat/", "JSON-RPC exchanges: run by hive's rpc-compat"),
    ("/flat-", "no expected result: for comparing executors with each other"),
    ("BasicTests/", "parts of clients that Banyan does not have on its own"),
    ("GenesisTests/", "genesis form of another client"),
    ("TrieTests/trietestnextprev", "walks keys of a generic trie, which Banyan does not have"),
];

/// Reads a file and makes its cases.
pub(crate) fn load(file: &FixtureFile) -> anyhow::Result<Loaded> {
    if file.name.ends_with(".hex") {
        return upgrade::load(file);
    }
    let text = || fs::read_to_string(&file.path).with_context(|| file.path.display().to_string());
    if !file.name.ends_with(".io") {
        let text = text()?;
        let marks = |marks: &[&str]| marks.iter().all(|mark| text.contains(mark));
        if let Some((_, loader)) = FORMATS.iter().find(|(all, _)| marks(all)) {
            return loader(file, &text);
        }
    }
    let name = format!("/{}", file.name);
    let known = NOT_RUN.iter().find(|(part, _)| name.contains(part));
    let reason = known.map_or("unknown format", |(_, reason)| *reason);
    Ok(Loaded { not_run: vec![reason], ..Default::default() })
}

/// The name of a file without folders and ending.
fn stem(file: &FixtureFile) -> String {
    file.name.rsplit('/').next().unwrap_or_default().trim_end_matches(".json").to_owned()
}

/// Parses the text of a fixture file.
fn parse<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    serde_json::from_str(text).context("not of the format that it looks like")
}
