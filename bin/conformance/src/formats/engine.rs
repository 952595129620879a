//! `blockchain_test_engine`: payloads through the Engine API, as a consensus client sends them.

use anyhow::{Context, bail, ensure};
use banyan_primitives::B256;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Loaded, named_cases};
use crate::{
    Worker,
    alloc::{self, Alloc},
    collect::FixtureFile,
    genesis::{FixtureConfig, FixtureHeader, chain_spec},
    node::{CallError, Node},
    number::Number,
    witness::check_witness,
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EngineCase {
    network: String,
    #[serde(default)]
    config: FixtureConfig,
    pre: Alloc,
    genesis_block_header: FixtureHeader,
    engine_new_payloads: Vec<Payload>,
    lastblockhash: B256,
    post_state: Option<Alloc>,
    post_state_hash: Option<B256>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    params: Vec<Value>,
    new_payload_version: Number,
    forkchoice_updated_version: Number,
    validation_error: Option<String>,
    error_code: Option<Value>,
}

/// One case per entry of the file.
pub(crate) fn load(_file: &FixtureFile, text: &str) -> anyhow::Result<Loaded> {
    named_cases(text, |case: &EngineCase| &case.network, run)
}

fn run(case: &EngineCase, worker: &Worker) -> anyhow::Result<()> {
    let spec = chain_spec(&case.network, &case.config, &case.genesis_block_header, &case.pre)?;
    let node = Node::start(spec, worker)?;
    let genesis = case.genesis_block_header.hash;
    if let Some(first) = case.engine_new_payloads.first() {
        forkchoice(&node, first, genesis).context("forkchoiceUpdated to genesis")?;
    }
    let mut head = genesis;
    for (number, payload) in case.engine_new_payloads.iter().enumerate() {
        let verdict = new_payload(&node, payload, head);
        if let Some(hash) = verdict.with_context(|| format!("payload {number}"))? {
            forkchoice(&node, payload, hash)
                .with_context(|| format!("forkchoiceUpdated to payload {number}"))?;
            check_witness(&node, &hash).with_context(|| format!("witness of payload {number}"))?;
            head = hash;
        }
    }
    check_end(case, &node)
}

/// Sends one payload; gives back its hash if it should be, and is, valid.
fn new_payload(node: &Node, payload: &Payload, head: B256) -> anyhow::Result<Option<B256>> {
    let method = format!("engine_newPayloadV{}", payload.new_payload_version.saturating_u64());
    let answer = node.call(&method, Value::Array(payload.params.clone()));
    if let Some(code) = &payload.error_code {
        return check_code(answer, code).map(|()| None);
    }
    let status = Status::read(answer?)?;
    let content = payload.params.first().unwrap_or(&Value::Null);
    let hash = hash_field(content, "blockHash")?;
    let Some(wanted) = &payload.validation_error else {
        ensure!(status.status == "VALID", "{status}, expected VALID");
        ensure!(status.latest_valid == Some(hash), "{status}: latestValidHash should be {hash}");
        return Ok(Some(hash));
    };
    ensure!(status.status == "INVALID", "{status}, expected INVALID ({wanted})");
    ensure!(status.error.as_ref().is_some_and(|text| !text.is_empty()), "INVALID without a reason");
    // Null: the payload could not be made a block at all. Else it must be the last valid ancestor.
    let latest_valid = status.latest_valid.is_none_or(|hash| hash == head);
    ensure!(latest_valid, "{status}: latestValidHash should be {head}");
    Ok(None)
}

fn check_code(answer: Result<Value, CallError>, code: &Value) -> anyhow::Result<()> {
    let wanted = code.as_i64().or_else(|| code.as_str()?.parse().ok()).context("errorCode")?;
    match answer {
        Err(CallError::Rpc { code, .. }) if code == wanted => Ok(()),
        Err(error) => bail!("{error}, expected error code {wanted}"),
        Ok(answer) => bail!("answered {answer}, expected error code {wanted}"),
    }
}

fn forkchoice(node: &Node, payload: &Payload, head: B256) -> anyhow::Result<()> {
    let version = payload.forkchoice_updated_version.saturating_u64();
    let state = json!({
        "headBlockHash": head,
        "safeBlockHash": B256::ZERO,
        "finalizedBlockHash": B256::ZERO,
    });
    let params = json!([state, null]);
    let mut answer = node.call(&format!("engine_forkchoiceUpdatedV{version}"), params)?;
    let status = Status::read(answer["payloadStatus"].take())?;
    ensure!(status.status == "VALID", "{status}, expected VALID");
    ensure!(status.latest_valid == Some(head), "{status}: latestValidHash should be {head}");
    Ok(())
}

/// The head must be the last valid block, and the state that of the fixture.
fn check_end(case: &EngineCase, node: &Node) -> anyhow::Result<()> {
    node.check_executor()?;
    let view = node.chain().view();
    let head = view.head();
    ensure!(
        head.hash() == case.lastblockhash,
        "head is {}, expected {}",
        head.hash(),
        case.lastblockhash
    );
    if let Some(root) = case.post_state_hash {
        ensure!(head.state_root == root, "state root {}, expected {root}", head.state_root);
    }
    if let Some(post_state) = &case.post_state {
        alloc::compare(&view.state()?, post_state).context("state after the last block")?;
    }
    Ok(())
}

/// `PayloadStatusV1`.
#[derive(Debug)]
struct Status {
    status: String,
    latest_valid: Option<B256>,
    error: Option<String>,
}

impl Status {
    fn read(value: Value) -> anyhow::Result<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let status = text("status").with_context(|| format!("no payload status: {value}"))?;
        let latest_valid = text("latestValidHash").map(|hash| hash.parse()).transpose()?;
        Ok(Self { status, latest_valid, error: text("validationError") })
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "answered {}", self.status)?;
        if let Some(error) = &self.error {
            write!(f, " ({error})")?;
        }
        match self.latest_valid {
            Some(hash) => write!(f, " with latestValidHash {hash}"),
            None => Ok(()),
        }
    }
}

fn hash_field(value: &Value, name: &str) -> anyhow::Result<B256> {
    let text = value.get(name).and_then(Value::as_str);
    Ok(text.with_context(|| format!("the payload has no {name}"))?.parse()?)
}
