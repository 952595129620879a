//! `state_test`: one transaction on a state.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use banyan_chainspec::{ChainSpec, Fork};
use banyan_executor::{BlockContext, MemoryState, TxError};
use banyan_primitives::{
    Address, B256, Bytes, Decodable2718, Log, Transaction, U256, keccak256, signer,
};
use serde::Deserialize;

use super::{Loaded, parse};
use crate::{
    Case, Worker,
    alloc::{Alloc, genesis_accounts, memory_state},
    collect::FixtureFile,
    genesis::{FixtureConfig, rules_only},
    number::Number,
};

#[derive(Clone, Debug, Deserialize)]
struct StateCase {
    env: Env,
    pre: Alloc,
    transaction: FixtureTransaction,
    post: BTreeMap<String, Vec<Post>>,
    #[serde(default)]
    config: FixtureConfig,
}

#[derive(Clone, Debug, Deserialize)]
struct FixtureTransaction {
    sender: Option<Address>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Env {
    current_coinbase: Address,
    current_gas_limit: Number,
    current_number: Number,
    current_timestamp: Number,
    #[serde(default)]
    current_difficulty: Number,
    current_random: Option<B256>,
    current_base_fee: Option<Number>,
    current_excess_blob_gas: Option<Number>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Post {
    hash: B256,
    logs: B256,
    txbytes: Bytes,
    expect_exception: Option<String>,
}

/// One case per entry of `post`.
pub(crate) fn load(_file: &FixtureFile, text: &str) -> anyhow::Result<Loaded> {
    let files: BTreeMap<String, StateCase> = parse(text)?;
    let mut cases = Vec::new();
    for (id, case) in files {
        let entries: usize = case.post.values().map(Vec::len).sum();
        for (fork, posts) in &case.post {
            for (index, post) in posts.iter().enumerate() {
                let id = if entries == 1 { id.clone() } else { format!("{id}/{fork}/{index}") };
                let (case, fork, post) = (case.clone(), fork.clone(), post.clone());
                cases.push(Case::new(id, fork.clone(), move |worker| {
                    run(&case, &fork, &post, worker)
                }));
            }
        }
    }
    Ok(cases.into())
}

fn run(case: &StateCase, fork: &str, post: &Post, worker: &Worker) -> anyhow::Result<()> {
    let mut spec = rules_only(fork, &case.config)?;
    // Storage without code stems from genesis only: there the executor looks for it (EIP-7610).
    spec.alloc = genesis_accounts(&case.pre);
    let context = block_context(&spec, &case.env)?;
    let mut state = memory_state(&case.pre);
    let result = execute(&spec, context, &state, case, post, worker);
    let logs = match (result?, &post.expect_exception) {
        (Ok(done), None) => {
            state.apply(&done.diff);
            done.logs
        }
        (Err(_), Some(_)) => Vec::new(),
        (Err(reason), None) => bail!("rejected: {reason}"),
        (Ok(_), Some(wanted)) => bail!("executed, expected {wanted}"),
    };
    let root = state.state_root();
    ensure!(root == post.hash, "state root {root}, expected {}", post.hash);
    let logs = keccak256(alloy_rlp::encode(&logs));
    ensure!(logs == post.logs, "logs hash {logs}, expected {}", post.logs);
    Ok(())
}

/// What an accepted transaction did.
struct Done {
    diff: banyan_primitives::StateDiff,
    logs: Vec<Log>,
}

/// Inner error: the transaction's fault; outer: ours.
fn execute(
    spec: &ChainSpec,
    context: BlockContext,
    state: &MemoryState,
    case: &StateCase,
    post: &Post,
    worker: &Worker,
) -> anyhow::Result<Result<Done, String>> {
    let tx = match Transaction::decode_2718_exact(&post.txbytes) {
        Ok(tx) => tx,
        Err(error) => return Ok(Err(error.to_string())),
    };
    // Homestead made a high `s` invalid (EIP-2).
    let recovered = match context.rules(spec).is(Fork::Homestead) {
        true => signer::sender(&tx),
        false => signer::sender_unchecked(&tx),
    };
    let sender = match recovered {
        Ok(sender) => sender,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if let Some(wanted) = case.transaction.sender {
        ensure!(sender == wanted, "sender {sender}, expected {wanted}");
    }
    worker.executor().build(spec, context, state, |mut executor| {
        match executor.execute(&tx, sender) {
            Err(TxError::Source(error)) => Err(error.into()),
            Err(error) => Ok(Err(error.to_string())),
            Ok(_) => {
                let diff = executor.diff_so_far()?;
                let receipt = executor.receipts().last().context("no receipt")?;
                Ok(Ok(Done { diff, logs: receipt.logs.clone() }))
            }
        }
    })
}

fn block_context(spec: &ChainSpec, env: &Env) -> anyhow::Result<BlockContext> {
    let number = env.current_number.as_u64().context("currentNumber")?;
    let timestamp = env.current_timestamp.as_u64().context("currentTimestamp")?;
    let merged = env.current_difficulty.0.is_zero();
    let rules = spec.rules(number, timestamp, merged);
    let excess_blob_gas = env.current_excess_blob_gas.map(Number::saturating_u64);
    Ok(BlockContext {
        number,
        timestamp,
        parent_hash: keccak256(number.saturating_sub(1).to_string()),
        beneficiary: env.current_coinbase,
        gas_limit: env.current_gas_limit.saturating_u64(),
        base_fee: rules
            .is(Fork::London)
            .then(|| env.current_base_fee.unwrap_or_default().saturating_u64()),
        difficulty: if rules.is(Fork::Paris) { U256::ZERO } else { env.current_difficulty.0 },
        prev_randao: env.current_random.unwrap_or_default(),
        excess_blob_gas: rules.is(Fork::Cancun).then(|| excess_blob_gas.unwrap_or_default()),
        parent_beacon_root: rules.is(Fork::Cancun).then_some(B256::ZERO),
        ..Default::default()
    })
}
