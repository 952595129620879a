//! TrieTests: roots of lists of insertions and deletions, plain and with hashed keys. They check
//! the trie that computes the roots inside blocks (transactions, receipts, withdrawals).

use std::collections::BTreeMap;

use alloy_trie::{HashBuilder, Nibbles};
use anyhow::{Context, ensure};
use banyan_primitives::{B256, Bytes, keccak256};
use serde::Deserialize;
use serde_json::Value;

use super::{Loaded, parse, stem};
use crate::{Case, collect::FixtureFile};

/// Key → value.
type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Deserialize)]
struct TrieCase {
    #[serde(rename = "in")]
    input: Value,
    root: B256,
}

/// One case per entry of the file.
pub(crate) fn load(file: &FixtureFile, text: &str) -> anyhow::Result<Loaded> {
    let entries: BTreeMap<String, TrieCase> = parse(text)?;
    let secure = file.name.to_lowercase().contains("secure");
    let mut loaded = Loaded::default();
    for (name, case) in entries {
        let contents = keyed(contents(&case.input)?, secure);
        if has_prefixes(&contents) {
            loaded.not_run.push("a key begins another one: no trie of a chain has such keys");
            continue;
        }
        loaded.cases.push(Case::new(format!("{}/{name}", stem(file)), "-", move |_| {
            let root = root(&contents);
            ensure!(root == case.root, "root {root}, expected {}", case.root);
            Ok(())
        }));
    }
    Ok(loaded)
}

/// What the trie holds in the end. The input is an object, or a list of pairs of which a later one
/// replaces an earlier, and null deletes.
fn contents(input: &Value) -> anyhow::Result<Contents> {
    let mut contents = Contents::new();
    let mut put = |key: &str, value: &Value| -> anyhow::Result<()> {
        match value.as_str() {
            Some(value) => contents.insert(bytes(key)?, bytes(value)?),
            None => contents.remove(&bytes(key)?),
        };
        Ok(())
    };
    if let Some(object) = input.as_object() {
        object.iter().try_for_each(|(key, value)| put(key, value))?;
    }
    for pair in input.as_array().into_iter().flatten() {
        put(pair[0].as_str().context("a key is no text")?, &pair[1])?;
    }
    Ok(contents)
}

/// `0x` means hex; anything else stands for itself.
fn bytes(text: &str) -> anyhow::Result<Vec<u8>> {
    match text.starts_with("0x") {
        true => Ok(text.parse::<Bytes>()?.to_vec()),
        false => Ok(text.as_bytes().to_vec()),
    }
}

fn keyed(contents: Contents, secure: bool) -> Contents {
    match secure {
        true => contents.into_iter().map(|(key, v)| (keccak256(key).to_vec(), v)).collect(),
        false => contents,
    }
}

fn has_prefixes(contents: &Contents) -> bool {
    contents.keys().zip(contents.keys().skip(1)).any(|(key, next)| next.starts_with(key))
}

fn root(contents: &Contents) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in contents {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    builder.root()
}
