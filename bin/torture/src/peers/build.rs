//! One client builds the blocks, out of its own pool.

use std::{thread, time::Duration};

use anyhow::{Context, bail, ensure};
use banyan_primitives::{B256, Bytes, keccak256};
use blackbox::{http::request, process::Launcher};
use serde_json::{Value, json};

use crate::{
    recording::{Manifest, Plan, Recording, Requests},
    replay::{expect_valid, start},
    workload::Generator,
};

/// Transactions sent in one request.
const BATCH: usize = 100;
/// First time that a block is given to be filled; it doubles until all transactions are in.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// How far the safe and the finalized block stay behind the head.
const SAFE: usize = 32;
const FINALIZED: usize = 64;
/// Seconds from block to block.
const BLOCK_TIME: u64 = 12;

/// Builds the blocks of a plan on genesis.
pub(crate) fn build(
    launcher: &Launcher,
    plan: Plan,
    mut generator: Generator<'_>,
) -> anyhow::Result<Recording> {
    let client = start(launcher)?;
    let genesis = client.http.call("eth_getBlockByNumber", &json!(["0x0", false]))?;
    let timestamp = number(&genesis["timestamp"])?;
    let genesis: B256 = serde_json::from_value(genesis["hash"].clone())?;
    let version = client.http.call("web3_clientVersion", &json!([]))?;
    let mut manifest = Manifest {
        builder: version.as_str().unwrap_or_default().to_owned(),
        genesis,
        head: genesis,
        gas: Vec::new(),
        transactions: Vec::new(),
        requests: B256::ZERO,
        plan,
    };
    let mut requests = Vec::new();
    let mut hashes = vec![genesis];
    for height in 1..=manifest.plan.warmup + manifest.plan.blocks {
        let transactions = generator.next_block(manifest.plan.gas_limit)?;
        for some in transactions.chunks(BATCH) {
            let params: Vec<Value> = some.iter().map(|raw| json!([raw])).collect();
            client.http.batch("eth_sendRawTransaction", &params)?;
        }
        let timestamp = timestamp + BLOCK_TIME * height as u64;
        let envelope = full_payload(launcher, &client.auth, &hashes, timestamp, &transactions)
            .with_context(|| format!("block {height}"))?;
        let payload = &envelope["executionPayload"];
        hashes.push(serde_json::from_value(payload["blockHash"].clone())?);
        manifest.gas.push(number(&payload["gasUsed"])?);
        manifest.transactions.push(transactions.len());
        let block = freeze(height, &envelope, &forkchoice(&hashes));
        expect_valid(&client.auth.send("engine_newPayloadV4", &block.new_payload)?)?;
        let answer = client.auth.send("engine_forkchoiceUpdatedV3", &block.forkchoice)?;
        expect_valid(&answer["payloadStatus"])?;
        requests.push(block);
    }
    manifest.head = hashes.last().copied().unwrap_or_default();
    Ok(Recording { manifest, requests })
}

/// The payload on the newest of `hashes`, once it holds all that was sent.
fn full_payload(
    launcher: &Launcher,
    auth: &blackbox::http::Http,
    hashes: &[B256],
    timestamp: u64,
    transactions: &[Bytes],
) -> anyhow::Result<Value> {
    let mut wait = FIRST_WAIT;
    for attempt in 0u64.. {
        // Another one each time: a build job with the same attributes is the same job.
        let randao = keccak256([timestamp.to_be_bytes(), attempt.to_be_bytes()].concat());
        let attributes = json!({
            "timestamp": format!("{timestamp:#x}"),
            "prevRandao": randao,
            "suggestedFeeRecipient": "0x4200000000000000000000000000000000000011",
            "withdrawals": [],
            "parentBeaconBlockRoot": B256::ZERO,
        });
        let params = json!([forkchoice(hashes), attributes]);
        let answer = auth.call("engine_forkchoiceUpdatedV3", &params)?;
        expect_valid(&answer["payloadStatus"])?;
        thread::sleep(wait);
        let envelope = auth.call("engine_getPayloadV4", &json!([answer["payloadId"]]))?;
        let payload = &envelope["executionPayload"];
        let held = payload["transactions"].as_array().map_or(0, Vec::len);
        if held == transactions.len() {
            return Ok(envelope);
        }
        let (sent, gas) = (transactions.len(), number(&payload["gasUsed"])?);
        let found = format!("the payload holds {held} of {sent} transactions, {gas} gas");
        ensure!(wait < launcher.patience / 8, found);
        wait *= 2;
    }
    bail!("all attempts are used up")
}

/// The newest of `hashes` as head; genesis is neither safe nor finalized.
fn forkchoice(hashes: &[B256]) -> Value {
    let behind = |distance: usize| {
        let place = (hashes.len() - 1).checked_sub(distance).filter(|height| *height > 0);
        place.map_or(B256::ZERO, |height| hashes[height])
    };
    json!({
        "headBlockHash": hashes[hashes.len() - 1],
        "safeBlockHash": behind(SAFE),
        "finalizedBlockHash": behind(FINALIZED),
    })
}

fn freeze(height: usize, envelope: &Value, forkchoice: &Value) -> Requests {
    let payload = &envelope["executionPayload"];
    let params = json!([payload, [], B256::ZERO, envelope["executionRequests"]]);
    Requests {
        new_payload: request(2 * height, "engine_newPayloadV4", &params).to_string(),
        forkchoice: request(
            2 * height + 1,
            "engine_forkchoiceUpdatedV3",
            &json!([forkchoice, null]),
        )
        .to_string(),
    }
}

fn number(quantity: &Value) -> anyhow::Result<u64> {
    let digits = quantity.as_str().and_then(|text| text.strip_prefix("0x"));
    Ok(u64::from_str_radix(digits.context("a quantity")?, 16)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_the_head_and_leave_genesis_out() {
        let hashes: Vec<B256> = (0..40).map(B256::with_last_byte).collect();
        assert_eq!(forkchoice(&hashes[..1])["headBlockHash"], json!(hashes[0]));
        let early = forkchoice(&hashes[..33]);
        assert_eq!(early["headBlockHash"], json!(hashes[32]));
        assert_eq!(early["safeBlockHash"], json!(B256::ZERO));
        let later = forkchoice(&hashes);
        assert_eq!(later["safeBlockHash"], json!(hashes[7]));
        assert_eq!(later["finalizedBlockHash"], json!(B256::ZERO));
    }

    #[test]
    fn quantities_are_read() {
        assert_eq!(number(&json!("0x1c9c380")).unwrap(), 30_000_000);
        assert!(number(&json!(3)).is_err() && number(&json!("12")).is_err());
    }
}
