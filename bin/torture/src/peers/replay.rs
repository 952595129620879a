//! One client takes the recorded blocks, strictly in order, and its use of the machine is counted.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use banyan_primitives::{Address, B256, keccak256};
use blackbox::process::{Client, Launcher};
use serde_json::{Value, json};

use crate::{
    recording::Recording,
    usage::{Usage, drain},
    workload::balance_place,
};

/// Values read in one request.
const BATCH: usize = 100;

/// What one round of one client showed.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Use while requests were answered.
    pub(crate) used: Usage,
    /// Use up to the moment when everything was done.
    pub(crate) drained: Usage,
    /// Answer time of each measured block's newPayload and forkchoiceUpdated.
    pub(crate) answers: Vec<[Duration; 2]>,
    /// Hash of accounts and slots read at the end.
    pub(crate) state: B256,
}

impl Run {
    /// Answer time of all measured blocks.
    pub(crate) fn answered(&self) -> Duration {
        self.answers.iter().flatten().sum()
    }
}

/// An empty database, and a client on it that answers.
pub(crate) fn start(launcher: &Launcher) -> anyhow::Result<Client> {
    launcher.init()?;
    let mut client = launcher.spawn()?;
    let log = launcher.folder.join("client.log");
    ensure!(client.answers(launcher.patience)?, "no answer: see {}", log.display());
    Ok(client)
}

/// Sends all blocks to a fresh client; `sample` are accounts to be read at the end.
pub(crate) fn replay(
    launcher: &Launcher,
    recording: &Recording,
    sample: &[Address],
) -> anyhow::Result<Run> {
    let client = start(launcher)?;
    let (warmup, measured) = recording.requests.split_at(recording.manifest.plan.warmup);
    for block in warmup {
        send(&client, &block.new_payload, &block.forkchoice)?;
    }
    let before = drain(client.pid())?;
    let mut answers = Vec::with_capacity(measured.len());
    for block in measured {
        answers.push(send(&client, &block.new_payload, &block.forkchoice)?);
    }
    let used = Usage::of(client.pid())?.since(before);
    let drained = drain(client.pid())?.since(before);
    let head = client.http.call("eth_getBlockByNumber", &json!(["latest", false]))?;
    let expected = recording.manifest.head;
    ensure!(head["hash"] == json!(expected), "ended on {} instead of {expected}", head["hash"]);
    let state = read(&client, sample)?;
    client.bury()?;
    Ok(Run { used, drained, answers, state })
}

fn send(client: &Client, new_payload: &str, forkchoice: &str) -> anyhow::Result<[Duration; 2]> {
    let started = Instant::now();
    expect_valid(&client.auth.send("engine_newPayloadV4", new_payload)?)?;
    let inserted = started.elapsed();
    let answer = client.auth.send("engine_forkchoiceUpdatedV3", forkchoice)?;
    let both = started.elapsed();
    expect_valid(&answer["payloadStatus"])?;
    Ok([inserted, both - inserted])
}

/// Hash of the nonces, balances and tokens of some accounts.
fn read(client: &Client, sample: &[Address]) -> anyhow::Result<B256> {
    let mut values = Vec::new();
    for some in sample.chunks(BATCH) {
        let account: Vec<Value> = some.iter().map(|it| json!([it, "latest"])).collect();
        let slot: Vec<Value> = some.iter().map(|it| balance_place(*it)).collect();
        values.extend(client.http.batch("eth_getTransactionCount", &account)?);
        values.extend(client.http.batch("eth_getBalance", &account)?);
        values.extend(client.http.batch("eth_getStorageAt", &slot)?);
    }
    ensure!(values.iter().all(Value::is_string), "a value that was read is no text");
    Ok(keccak256(Value::Array(values).to_string()))
}

/// Only `VALID` will do: a root that is checked later would be another class.
pub(crate) fn expect_valid(status: &Value) -> anyhow::Result<()> {
    if status["status"] != "VALID" {
        bail!("not VALID but {status}");
    }
    Ok(())
}

/// All clients must have ended with the same values.
pub(crate) fn agree(runs: &[Run]) -> anyhow::Result<()> {
    let first = runs.first().context("there is a run")?.state;
    ensure!(runs.iter().all(|run| run.state == first), "accounts or slots differ: nothing counts");
    Ok(())
}
