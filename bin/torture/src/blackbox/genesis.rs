//! Genesis files that every client takes.

use anyhow::Context;
use serde_json::{Value, json};

/// The dev chain's genesis file: real predeploys, so that the L1 attributes do what they do.
const OP: &str = include_str!("../../../../genesis/dev.json");
/// Ethereum genesis files by fork.
const ETHEREUM: &str = include_str!("../../../../testdata/genesis/ethereum.json");

/// Which rules the chain follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// OP Stack, all forks up to Jovian.
    Jovian,
    /// Ethereum, Prague.
    Prague,
}

impl Rules {
    /// A genesis file, in geth's form, with what these rules need and next to no accounts.
    pub fn genesis(self) -> anyhow::Result<Value> {
        match self {
            Self::Jovian => op(),
            Self::Prague => prague(),
        }
    }

    /// The chain id that the genesis file names.
    pub fn chain_id(self) -> anyhow::Result<u64> {
        self.genesis()?["config"]["chainId"].as_u64().context("a genesis file has a chain id")
    }
}

fn op() -> anyhow::Result<Value> {
    let mut genesis: Value = serde_json::from_str(OP)?;
    let config = genesis["config"].as_object_mut().context("a genesis file has a config")?;
    // Forks that not every client knows yet.
    config.remove("osakaTime");
    config.remove("karstTime");
    Ok(genesis)
}

fn prague() -> anyhow::Result<Value> {
    let known: Vec<Value> = serde_json::from_str(ETHEREUM)?;
    let entry = known.into_iter().find(|entry| entry["name"] == "Prague");
    let mut genesis = entry.context("there is a genesis file for Prague")?["genesis"].take();
    genesis["gasLimit"] = json!("0x3938700");
    // geth wants to be told.
    genesis["config"]["blobSchedule"] = json!({
        "cancun": { "target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477 },
        "prague": { "target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716 },
    });
    Ok(genesis)
}
