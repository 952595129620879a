//! A node without sockets, for the integration tests.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

pub mod dev;

use std::{path::PathBuf, sync::Arc};

use alloy_rlp::Decodable;
use banyan_chain::{ChainConfig, ChainHandle, PayloadStatus};
use banyan_chainspec::ChainSpec;
use banyan_payload::{BuilderConfig, PayloadHandle};
use banyan_primitives::{B256, Block, RecoveredBlock, SealedBlock, signer};
use banyan_rpc::{NodeInfo, Rpc, RpcConfig, RpcContext};
use banyan_storage::{Database, DatabaseOptions};
use banyan_txpool::{CanonicalUpdate, PoolConfig, PoolHandle};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Chain, pool, builder and methods on a fresh database.
pub struct Node {
    pub chain: ChainHandle,
    pub pool: PoolHandle,
    pub rpc: Rpc,
    pub payload: PayloadHandle,
    _folder: TempDir,
}

impl Node {
    pub fn start(spec: ChainSpec) -> Self {
        Self::start_with(spec, RpcConfig::default())
    }

    pub fn start_with(spec: ChainSpec, config: RpcConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spec = Arc::new(spec);
        let keys = spec.commitment.keys();
        let options = DatabaseOptions { max_size: 1 << 30, keys, ..Default::default() };
        let database = Database::open(folder.path(), options).unwrap();
        // So that answers come from the database, too.
        let chain_config = ChainConfig { persist_threshold: 1, ..Default::default() };
        let chain = ChainHandle::start(spec.clone(), database, chain_config).unwrap();
        let pool = PoolHandle::new(spec, PoolConfig::default(), chain.view().head().clone());
        let payload =
            PayloadHandle::start_service(&chain, pool.clone(), BuilderConfig::default()).unwrap();
        let rpc = Rpc::new(RpcContext {
            chain: chain.clone(),
            pool: pool.clone(),
            payload: payload.clone(),
            config,
            node_info: node_info(),
        });
        Self { chain, pool, rpc, payload, _folder: folder }
    }

    /// The execution-apis test chain: 54 blocks, Frontier to the second BPO step.
    pub async fn execution_apis() -> Self {
        Self::execution_apis_with(RpcConfig::default()).await
    }

    pub async fn execution_apis_with(config: RpcConfig) -> Self {
        let node = Self::start_with(execution_apis_spec(), config);
        let encoded = std::fs::read(testdata().join("chains/execution-apis.rlp")).unwrap();
        let mut rest = encoded.as_slice();
        while !rest.is_empty() {
            let block = SealedBlock::seal(Block::decode(&mut rest).unwrap());
            let senders = signer::senders(&block.body.transactions, |_| None).unwrap();
            let hash = block.hash();
            let status = node.chain.import(RecoveredBlock::new(block, senders)).unwrap();
            assert_eq!(status, PayloadStatus::Valid(hash));
        }
        node.set_head(node.chain.view().head().hash()).await;
        node
    }

    /// Makes `hash` head, safe and finalized block, and lets the pool follow.
    pub async fn set_head(&self, hash: B256) {
        let state = json!({
            "headBlockHash": hash, "safeBlockHash": hash, "finalizedBlockHash": hash,
        });
        let answer = self.result("engine_forkchoiceUpdatedV3", json!([state, null])).await;
        assert_eq!(answer["payloadStatus"]["status"], "VALID", "{answer}");
        let view = self.chain.view();
        let update = CanonicalUpdate {
            head: view.head().clone(),
            reverted: Vec::new(),
            included: Vec::new(),
            changed: None,
        };
        self.pool.on_canonical(&update, view.state().unwrap());
    }

    /// The whole answer to a request.
    pub async fn request(&self, request: &str) -> Value {
        serde_json::from_str(&self.rpc.request(request).await).unwrap()
    }

    /// The whole answer to a call.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.request(&request.to_string()).await
    }

    /// The result of a call that must succeed.
    pub async fn result(&self, method: &str, params: Value) -> Value {
        let mut answer = self.call(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Code and message of a call that must fail.
    pub async fn error(&self, method: &str, params: Value) -> (i64, String) {
        let answer = self.call(method, params).await;
        let code = answer["error"]["code"].as_i64();
        let code = code.unwrap_or_else(|| panic!("{method} did not fail: {answer}"));
        (code, answer["error"]["message"].as_str().unwrap().to_owned())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.payload.shutdown();
        let _ = self.chain.shutdown();
    }
}

pub fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

fn execution_apis_spec() -> ChainSpec {
    let text = std::fs::read_to_string(testdata().join("genesis/ethereum.json")).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let entry = list.as_array().unwrap().iter().find(|e| e["name"] == "execution-apis").unwrap();
    ChainSpec::from_genesis_json(&entry["genesis"].to_string()).unwrap()
}

fn node_info() -> NodeInfo {
    NodeInfo {
        name: "Banyan".into(),
        version: "v0.0.0".into(),
        commit: "0123456789".into(),
        client_version: "banyan/v0.0.0".into(),
        enode: "enode://00@127.0.0.1:30303".into(),
        enr: String::new(),
        id: "00".into(),
        ip: "127.0.0.1".into(),
        discovery_port: 30303,
        listener_port: 30303,
    }
}
