use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use banyan_chain::{ChainConfig, ChainHandle, Durability};
use banyan_chainspec::ChainSpec;
use banyan_executor::ProgramMode;
use banyan_payload::{BuilderConfig, PayloadHandle};
use banyan_rpc::{NodeInfo, Rpc, RpcConfig, RpcContext};
use banyan_storage::{Database, DatabaseOptions};
use banyan_txpool::{PoolConfig, PoolHandle};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Worker;

/// No call of a fixture may take longer.
const CALL_LIMIT: Duration = Duration::from_secs(600);
/// Address space of a case's database.
const MAX_DATABASE_BYTES: usize = 1 << 30;

/// Why a call gave no result.
#[derive(Debug)]
pub(crate) enum CallError {
    /// A JSON-RPC error.
    Rpc { code: i64, message: String },
    /// Not even that.
    Broken(String),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rpc { code, message } => write!(f, "error {code}: {message}"),
            Self::Broken(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for CallError {}

/// A node with a database of its own: everything but the sockets.
pub(crate) struct Node<'a> {
    chain: ChainHandle,
    payload: PayloadHandle,
    rpc: Rpc,
    worker: &'a Worker,
    // Dropped last: the database lies in it.
    _folder: TempDir,
}

impl<'a> Node<'a> {
    /// Starts on a fresh database.
    pub(crate) fn start(spec: ChainSpec, worker: &'a Worker) -> anyhow::Result<Self> {
        let folder = worker.folder()?;
        let spec = Arc::new(spec);
        let options = DatabaseOptions { max_size: MAX_DATABASE_BYTES, ..Default::default() };
        let database = Database::open(folder.path(), options)?;
        // Blocks are written at once, so that cases of a few blocks meet the database as well.
        let durability = Durability::Off;
        let config = ChainConfig {
            keep_blocks: 0,
            persist_threshold: 1,
            durability,
            executor: worker.executor().config().clone(),
            ..Default::default()
        };
        let chain = ChainHandle::start(spec.clone(), database, config)?;
        let head = chain.view().head().clone();
        let pool = PoolHandle::new(spec, PoolConfig::default(), head);
        let payload = PayloadHandle::start_service(&chain, pool.clone(), BuilderConfig::default())?;
        let context = RpcContext {
            chain: chain.clone(),
            pool,
            payload: payload.clone(),
            config: RpcConfig::default(),
            node_info: node_info(),
        };
        let rpc = {
            let _inside = worker.runtime().enter();
            Rpc::new(context)
        };
        Ok(Self { chain, payload, rpc, worker, _folder: folder })
    }

    /// The chain below the API.
    pub(crate) fn chain(&self) -> &ChainHandle {
        &self.chain
    }

    /// An error if the executor was found wrong about a block, which the plain EVM then decided.
    pub(crate) fn check_executor(&self) -> anyhow::Result<()> {
        let executor = self.chain.executor();
        let may_learn = executor.config().programs != ProgramMode::Off;
        ensure!(!(may_learn && executor.is_distrusted()), "executor and plain EVM differ");
        Ok(())
    }

    /// Waits for an answer of the chain thread.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.worker.runtime().block_on(future)
    }

    /// Calls a method of the Engine API port with JSON parameters, as a request off the wire is.
    pub(crate) fn call(&self, method: &str, params: Value) -> Result<Value, CallError> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = request.to_string();
        let call = self.rpc.request(&request);
        let runtime = self.worker.runtime();
        let answer = runtime
            .block_on(async { tokio::time::timeout(CALL_LIMIT, call).await })
            .map_err(|_| CallError::Broken(format!("{method} took over {CALL_LIMIT:?}")))?;
        read_answer(&answer)
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        self.payload.shutdown();
        // The verdict on the case is in; a fault of the shutdown would have shown before.
        let _ = self.chain.shutdown();
    }
}

fn read_answer(answer: &str) -> Result<Value, CallError> {
    let broken = || CallError::Broken(format!("no JSON-RPC answer: {answer}"));
    let mut answer: Value = serde_json::from_str(answer).map_err(|_| broken())?;
    if let Some(error) = answer.get("error") {
        let code = error["code"].as_i64().ok_or_else(broken)?;
        let message = error["message"].as_str().unwrap_or_default().to_owned();
        return Err(CallError::Rpc { code, message });
    }
    answer.get_mut("result").map(Value::take).ok_or_else(broken)
}

fn node_info() -> NodeInfo {
    NodeInfo {
        name: "Banyan".to_owned(),
        version: "v0".to_owned(),
        commit: String::new(),
        client_version: "banyan/conformance".to_owned(),
        enode: String::new(),
        enr: String::new(),
        id: String::new(),
        ip: String::new(),
        discovery_port: 0,
        listener_port: 0,
    }
}
