//! A consensus client of our own, for the dev chain and benchmarks.
//!
//! It speaks JSON to the same handlers that op-node reaches through the Engine port, so what it
//! drives is the code path of production, decoders included.

use std::sync::Arc;

use alloy_eips::eip4844::kzg_to_versioned_hash;
use banyan_chainspec::{ChainSpec, Fork, Rules};
use banyan_primitives::{B256, alloy_primitives::hex};
use banyan_rpc::Rpc;
use serde_json::{Value, json};

/// An answer that our own driver cannot go on with: a fault of ours.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// A JSON-RPC error.
    #[error("{method}: {error}")]
    Rpc {
        /// The method.
        method: String,
        /// The error object.
        error: String,
    },
    /// A status other than VALID.
    #[error("{method}: {status}")]
    Status {
        /// The method.
        method: String,
        /// The status object.
        status: String,
    },
    /// Our own driver has panicked.
    #[error("the driver of the dev chain ended: {0}")]
    Driver(String),
    /// An answer without something it must have.
    #[error("{method}: the answer has no {field}")]
    Missing {
        /// The method.
        method: String,
        /// What is missing.
        field: &'static str,
    },
}

/// The Engine API methods of one fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Versions {
    forkchoice: u8,
    get_payload: u8,
    new_payload: u8,
}

impl Versions {
    /// The methods for a block under these rules (OP forks imply Ethereum forks).
    fn of(rules: &Rules) -> Self {
        let (forkchoice, get_payload, new_payload) = match rules.fork {
            fork if fork >= Fork::Osaka => (3, 5, 4),
            Fork::Prague => (3, 4, 4),
            Fork::Cancun => (3, 3, 3),
            Fork::Shanghai => (2, 2, 2),
            _ => (1, 2, 2),
        };
        Self { forkchoice, get_payload, new_payload }
    }
}

/// A block as `getPayload` gave it, ready to be sent back.
#[derive(Clone, Debug)]
pub(crate) struct BuiltBlock {
    /// Its hash.
    pub(crate) hash: B256,
    /// Gas used.
    pub(crate) gas_used: u64,
    /// Number of its transactions.
    pub(crate) transactions: u64,
    method: &'static str,
    /// The newPayload request, made beforehand so that a benchmark does not time it.
    request: String,
}

/// Speaks the Engine API to this process.
#[derive(Clone)]
pub(crate) struct EngineClient {
    rpc: Rpc,
    spec: Arc<ChainSpec>,
}

impl EngineClient {
    /// A client of these methods.
    pub(crate) fn new(rpc: Rpc, spec: Arc<ChainSpec>) -> Self {
        Self { rpc, spec }
    }

    /// Makes `head` the head, safe and finalized: there is nobody who could replace it.
    pub(crate) async fn set_head(&self, head: B256) -> Result<(), EngineError> {
        self.forkchoice("engine_forkchoiceUpdatedV3", head, Value::Null).await.map(drop)
    }

    /// Starts a block with these attributes on `head`, and makes `head` the head.
    pub(crate) async fn start_block(
        &self,
        head: B256,
        number: u64,
        timestamp: u64,
        attributes: Value,
    ) -> Result<String, EngineError> {
        let method = match self.versions(number, timestamp).forkchoice {
            1 => "engine_forkchoiceUpdatedV1",
            2 => "engine_forkchoiceUpdatedV2",
            _ => "engine_forkchoiceUpdatedV3",
        };
        let answer = self.forkchoice(method, head, attributes).await?;
        Ok(text(method, &answer, "payloadId")?.to_owned())
    }

    /// Takes the block of a job started by [`Self::start_block`].
    pub(crate) async fn finish_block(
        &self,
        payload_id: &str,
        number: u64,
        timestamp: u64,
        beacon_root: B256,
    ) -> Result<BuiltBlock, EngineError> {
        let versions = self.versions(number, timestamp);
        let from = match versions.get_payload {
            2 => "engine_getPayloadV2",
            3 => "engine_getPayloadV3",
            4 => "engine_getPayloadV4",
            _ => "engine_getPayloadV5",
        };
        let envelope = self.call(from, &json!([payload_id])).await?;
        let payload = &envelope["executionPayload"];
        let hash = text(from, payload, "blockHash")?;
        let hash = hash.parse().map_err(|_| missing(from, "blockHash"))?;
        let hashes = versioned_hashes(from, &envelope)?;
        let requests = envelope.get("executionRequests").cloned().unwrap_or_else(|| json!([]));
        let (method, params) = match versions.new_payload {
            2 => ("engine_newPayloadV2", json!([payload])),
            3 => ("engine_newPayloadV3", json!([payload, hashes, beacon_root])),
            _ => ("engine_newPayloadV4", json!([payload, hashes, beacon_root, requests])),
        };
        Ok(BuiltBlock {
            hash,
            gas_used: number_of(text(from, payload, "gasUsed")?)
                .ok_or_else(|| missing(from, "gasUsed"))?,
            transactions: payload["transactions"].as_array().map_or(0, Vec::len) as u64,
            method,
            request: request(method, &params),
        })
    }

    /// Sends a block; it must be valid.
    pub(crate) async fn new_payload(&self, block: &BuiltBlock) -> Result<(), EngineError> {
        let status = self.send(block.method, &block.request).await?;
        expect_valid(block.method, &status)
    }

    fn versions(&self, number: u64, timestamp: u64) -> Versions {
        Versions::of(&self.spec.rules_at(number, timestamp))
    }

    async fn forkchoice(
        &self,
        method: &str,
        head: B256,
        attributes: Value,
    ) -> Result<Value, EngineError> {
        let state =
            json!({ "headBlockHash": head, "safeBlockHash": head, "finalizedBlockHash": head });
        let answer = self.call(method, &json!([state, attributes])).await?;
        expect_valid(method, &answer["payloadStatus"])?;
        Ok(answer)
    }

    async fn call(&self, method: &str, params: &Value) -> Result<Value, EngineError> {
        self.send(method, &request(method, params)).await
    }

    async fn send(&self, method: &str, request: &str) -> Result<Value, EngineError> {
        let failed = |error: String| EngineError::Rpc { method: method.to_owned(), error };
        let answer = self.rpc.request(request).await;
        let mut answer: Value =
            serde_json::from_str(&answer).map_err(|error| failed(error.to_string()))?;
        match answer.get("error") {
            Some(error) => Err(failed(error.to_string())),
            None => Ok(answer["result"].take()),
        }
    }
}

/// One call is answered before the next is made, so all may carry the same id.
fn request(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

fn number_of(quantity: &str) -> Option<u64> {
    u64::from_str_radix(quantity.strip_prefix("0x")?, 16).ok()
}

/// Blob transactions stand in the order of their commitments.
fn versioned_hashes(method: &str, envelope: &Value) -> Result<Vec<B256>, EngineError> {
    let Some(commitments) = envelope["blobsBundle"]["commitments"].as_array() else {
        return Ok(Vec::new());
    };
    let hash = |commitment: &Value| {
        let bytes = hex::decode(commitment.as_str()?).ok()?;
        Some(kzg_to_versioned_hash(&bytes))
    };
    let hashes: Option<Vec<_>> = commitments.iter().map(hash).collect();
    hashes.ok_or_else(|| missing(method, "commitments"))
}

fn expect_valid(method: &str, status: &Value) -> Result<(), EngineError> {
    if status["status"] == "VALID" {
        return Ok(());
    }
    Err(EngineError::Status { method: method.to_owned(), status: status.to_string() })
}

fn text<'a>(method: &str, value: &'a Value, field: &'static str) -> Result<&'a str, EngineError> {
    value[field].as_str().ok_or_else(|| missing(method, field))
}

fn missing(method: &str, field: &'static str) -> EngineError {
    EngineError::Missing { method: method.to_owned(), field }
}

#[cfg(test)]
mod tests {
    use banyan_chainspec::OpFork;

    use super::*;

    #[test]
    fn each_fork_has_the_methods_that_op_node_uses() {
        let check = |fork, op, expected: (u8, u8, u8)| {
            let versions = Versions::of(&Rules { fork, op, blobs: None });
            let got = (versions.forkchoice, versions.get_payload, versions.new_payload);
            assert_eq!(got, expected, "{fork:?} {op:?}");
        };
        check(Fork::Paris, Some(OpFork::Regolith), (1, 2, 2));
        check(Fork::Shanghai, Some(OpFork::Canyon), (2, 2, 2));
        check(Fork::Cancun, Some(OpFork::Holocene), (3, 3, 3));
        check(Fork::Prague, Some(OpFork::Jovian), (3, 4, 4));
        check(Fork::Osaka, Some(OpFork::Karst), (3, 5, 4));
        check(Fork::Osaka, None, (3, 5, 4));
    }

    #[test]
    fn only_valid_is_good_enough() {
        assert!(expect_valid("m", &json!({ "status": "VALID" })).is_ok());
        let error = expect_valid("m", &json!({ "status": "SYNCING" })).unwrap_err();
        assert_eq!(error.to_string(), r#"m: {"status":"SYNCING"}"#);
        assert!(expect_valid("m", &Value::Null).is_err());
    }

    #[test]
    fn versioned_hashes_follow_the_commitments() {
        let bundle =
            json!({ "blobsBundle": { "commitments": [format!("0x{}", "c0".repeat(48))] } });
        let hashes = versioned_hashes("m", &bundle).unwrap();
        assert_eq!(hashes.len(), 1);
        assert_eq!(hashes[0][0], 1, "the version byte");
        assert_eq!(versioned_hashes("m", &json!({})).unwrap(), Vec::<B256>::new());
        assert!(versioned_hashes("m", &json!({ "blobsBundle": { "commitments": [1] } })).is_err());
    }
}
