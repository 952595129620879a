//! Requests frozen as bytes: a file with two lines per block, newPayload and forkchoiceUpdated, and
//! a manifest beside it that says what they are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use banyan_primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};

/// Version of the generator: another one makes other blocks of the same seed.
pub(crate) const VERSION: u32 = 1;

/// What blocks are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Version of the generator.
    pub(crate) version: u32,
    /// Name of the workload.
    pub(crate) workload: String,
    /// Rules of the chain.
    pub(crate) fork: String,
    /// Seed of all choices.
    pub(crate) seed: u64,
    /// Funded accounts.
    pub(crate) accounts: u32,
    /// Gas limit of genesis.
    pub(crate) gas_limit: u64,
    /// Blocks that come first and are not measured.
    pub(crate) warmup: usize,
    /// Blocks that are measured.
    pub(crate) blocks: usize,
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// What was asked for.
    pub(crate) plan: Plan,
    /// What the client that built the blocks says of itself.
    pub(crate) builder: String,
    /// Hash of the genesis block.
    pub(crate) genesis: B256,
    /// Hash of the last block.
    pub(crate) head: B256,
    /// Gas used by each block.
    pub(crate) gas: Vec<u64>,
    /// Transactions of each block.
    pub(crate) transactions: Vec<usize>,
    /// Keccak hash of the file of requests.
    pub(crate) requests: B256,
}

impl Manifest {
    /// Gas of the blocks that are measured.
    pub(crate) fn measured_gas(&self) -> u64 {
        self.gas.iter().skip(self.plan.warmup).sum()
    }
}

/// The requests of one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requests {
    /// engine_newPayloadV4.
    pub(crate) new_payload: String,
    /// engine_forkchoiceUpdatedV3, which makes it the head.
    pub(crate) forkchoice: String,
}

/// A manifest and its requests.
#[derive(Debug)]
pub(crate) struct Recording {
    /// What was recorded.
    pub(crate) manifest: Manifest,
    /// Block by block.
    pub(crate) requests: Vec<Requests>,
}

impl Recording {
    /// Reads what was written for `plan`; `None` if nothing was.
    pub(crate) fn load(folder: &Path, plan: &Plan) -> anyhow::Result<Option<Self>> {
        let [manifest, requests] = files(folder, &plan.workload);
        if !manifest.exists() {
            return Ok(None);
        }
        let text = fs::read(&manifest).with_context(|| manifest.display().to_string())?;
        let manifest: Manifest = serde_json::from_slice(&text)?;
        let dispute = "another one is recorded in this folder: name another --dir";
        ensure!(manifest.plan == *plan, "{}: {dispute}", plan.workload);
        let text = fs::read_to_string(&requests)?;
        ensure!(keccak256(&text) == manifest.requests, "{} was changed", requests.display());
        let lines: Vec<&str> = text.lines().collect();
        let pairs = lines.chunks_exact(2).map(|pair| Requests {
            new_payload: pair[0].to_owned(),
            forkchoice: pair[1].to_owned(),
        });
        Ok(Some(Self { requests: pairs.collect(), manifest }))
    }

    /// Writes both files, the manifest last.
    pub(crate) fn save(&mut self, folder: &Path) -> anyhow::Result<()> {
        let line = |block: &Requests| format!("{}\n{}\n", block.new_payload, block.forkchoice);
        let text: String = self.requests.iter().map(line).collect();
        self.manifest.requests = keccak256(&text);
        let [manifest, requests] = files(folder, &self.manifest.plan.workload);
        fs::write(requests, text)?;
        Ok(fs::write(manifest, serde_json::to_vec_pretty(&self.manifest)?)?)
    }
}

fn files(folder: &Path, workload: &str) -> [PathBuf; 2] {
    ["manifest.json", "ndjson"].map(|end| folder.join(format!("{workload}.{end}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording() -> Recording {
        let plan = Plan {
            version: VERSION,
            workload: "erc20".to_owned(),
            fork: "Prague".to_owned(),
            seed: 7,
            accounts: 100,
            gas_limit: 30_000_000,
            warmup: 1,
            blocks: 2,
        };
        let manifest = Manifest {
            plan,
            builder: "somebody".to_owned(),
            genesis: B256::repeat_byte(1),
            head: B256::repeat_byte(2),
            gas: vec![10, 20, 30],
            transactions: vec![1, 2, 3],
            requests: B256::ZERO,
        };
        let block =
            |n: u8| Requests { new_payload: format!("[{n}]"), forkchoice: format!("{{{n}}}") };
        Recording { manifest, requests: (0..3).map(block).collect() }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let mut saved = recording();
        assert!(Recording::load(folder.path(), &saved.manifest.plan).unwrap().is_none());
        saved.save(folder.path()).unwrap();
        let loaded = Recording::load(folder.path(), &saved.manifest.plan).unwrap().unwrap();
        assert_eq!(loaded.manifest, saved.manifest);
        assert_eq!(loaded.requests, saved.requests);
        assert_eq!(loaded.manifest.measured_gas(), 50);
    }

    #[test]
    fn another_plan_and_other_bytes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut saved = recording();
        saved.save(folder.path()).unwrap();
        let other = Plan { seed: 8, ..saved.manifest.plan.clone() };
        assert!(Recording::load(folder.path(), &other).is_err());
        fs::write(folder.path().join("erc20.ndjson"), "{}\n{}\n").unwrap();
        assert!(Recording::load(folder.path(), &saved.manifest.plan).is_err());
    }
}
