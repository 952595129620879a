//! Calls that cost work: access lists, overrides, bounds, and callers that go away.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use std::{io::Write, net::TcpStream, time::Duration};

use banyan_chainspec::ChainSpec;
use banyan_primitives::{B256, Bytes, keccak256};
use banyan_rpc::{HttpConfig, Namespace, RpcConfig, ServerLimits, WsConfig};
use common::{Node, testdata};
use jsonrpsee::{
    core::{client::ClientT, params::ArrayParams},
    http_client::HttpClientBuilder,
    ws_client::WsClientBuilder,
};
use serde_json::{Value, json};

#[tokio::test]
async fn access_lists_are_those_of_geth() {
    let node = Node::execution_apis().await;
    let folder = testdata().join("rpc-compat/eth_createAccessList");
    let mut cases = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let line = |mark: &str| text.lines().find_map(|line| line.strip_prefix(mark)).unwrap();
        let expected: Value = serde_json::from_str(line("<< ")).unwrap();
        assert_eq!(node.request(line(">> ")).await, expected);
        cases += 1;
    }
    assert_eq!(cases, 4);
}

#[tokio::test]
async fn what_cannot_be_executed_is_told_in_geths_words() {
    let node = Node::execution_apis().await;
    let from = "0xC000000000000000000000000000000000000000";
    let call = json!([{ "from": from, "to": from, "value": "0x3e8", "gas": "0xc350" }, "latest"]);
    let poor =
        format!("insufficient funds for gas * price + value: address {from} have 0 want 1000");
    let error = node.error("eth_call", call.clone()).await;
    assert_eq!(error, (-32000, format!("err: {poor} (supplied gas 50000)")));
    let error = node.error("eth_estimateGas", call).await;
    assert_eq!(error, (-32000, format!("failed with 50000 gas: {poor}")));
}

#[tokio::test]
async fn a_call_out_of_time_says_how_much_it_had() {
    let timeout = Duration::from_millis(50);
    let config = RpcConfig { gas_cap: u64::MAX, call_timeout: timeout, ..RpcConfig::default() };
    let node = Node::start_with(ChainSpec::dev(), config);
    let error = node.error("eth_call", endless_call()).await;
    assert_eq!(error, (-32000, "execution aborted (timeout = 50ms)".to_owned()));
}

#[tokio::test]
async fn every_way_to_name_a_block_is_understood_everywhere() {
    let node = Node::execution_apis().await;
    let head = node.chain.view().head().hash();
    let to = "0x7dcd17433742f4c0ca53122ab541d0ba67fc27df";
    let methods = [
        ("eth_getBalance", vec![json!(to)]),
        ("eth_getCode", vec![json!(to)]),
        ("eth_getTransactionCount", vec![json!(to)]),
        ("eth_getStorageAt", vec![json!(to), json!("0x0")]),
        ("eth_getStorageValues", vec![json!({ to: ["0x0"] })]),
        ("eth_getAccountInfo", vec![json!(to)]),
        ("eth_getProof", vec![json!(to), json!(["0x0"])]),
        ("eth_call", vec![json!({ "to": to })]),
        ("eth_estimateGas", vec![json!({ "to": to })]),
        ("eth_createAccessList", vec![json!({ "to": to })]),
    ];
    for (method, params) in methods {
        let at = |block: Value| [params.clone(), vec![block]].concat();
        let latest = node.result(method, json!(at(json!("latest")))).await;
        for block in [
            json!("pending"),
            json!("safe"),
            json!("finalized"),
            json!(head),
            json!({ "blockHash": head }),
            json!({ "blockHash": head, "requireCanonical": true }),
            json!({ "blockNumber": "0x36" }),
            json!("0x36"),
        ] {
            let found = node.result(method, json!(at(block.clone()))).await;
            assert_eq!(found, latest, "{method} at {block}");
        }
        node.result(method, json!(at(json!("earliest")))).await;
        let missing = node.error(method, json!(at(json!("0x37")))).await;
        assert_eq!(missing, (-32000, "header not found".to_owned()), "{method}");
        let unknown = json!({ "blockHash": "0x".to_owned() + &"11".repeat(32) });
        let missing = node.error(method, json!(at(unknown))).await;
        assert_eq!(missing, (-32000, "header for hash not found".to_owned()), "{method}");
    }
}

#[tokio::test]
async fn proofs_go_back_as_far_as_the_window() {
    let config = RpcConfig { max_proof_blocks: 4, ..RpcConfig::default() };
    let node = Node::execution_apis_with(config).await;
    let proof = |number: &str| json!(["0x7dcd17433742f4c0ca53122ab541d0ba67fc27df", [], number]);
    let header = node.result("eth_getHeaderByNumber", json!(["0x32"])).await;
    assert_eq!(header["number"], "0x32");
    node.result("eth_getProof", proof("0x32")).await;
    let (code, message) = node.error("eth_getProof", proof("0x31")).await;
    assert_eq!(code, -32602);
    assert!(message.contains("exceeds maximum proof window"), "{message}");
    // The state that counts is the parent's.
    node.result("debug_executionWitness", json!(["0x33"])).await;
    let (code, message) = node.error("debug_executionWitness", json!(["0x32"])).await;
    assert_eq!(code, -32602);
    assert!(message.contains("exceeds maximum proof window"), "{message}");
}

#[tokio::test]
async fn a_witness_has_the_parents_root_and_header() {
    let node = Node::execution_apis().await;
    let head = node.chain.view().head().clone();
    let parent = node.chain.view().header_by_hash(&head.parent_hash).unwrap().unwrap();
    let answer = node.result("debug_executionWitness", json!(["latest"])).await;
    let by_hash = node.result("debug_executionWitnessByBlockHash", json!([head.hash()])).await;
    assert_eq!(answer, by_hash);
    let bytes = |value: &Value| value.as_str().unwrap().parse::<Bytes>().unwrap();
    let hashes = |list: &str| -> Vec<B256> {
        answer[list].as_array().unwrap().iter().map(|item| keccak256(bytes(item))).collect()
    };
    assert!(hashes("state").contains(&parent.state_root));
    assert_eq!(hashes("headers").last(), Some(&parent.hash()));
    assert!(answer["codes"].is_array());
    let keys = answer["keys"].as_array().unwrap().iter().map(|key| bytes(key).len());
    assert!(keys.clone().count() > 0 && keys.clone().all(|len| len == 20 || len == 32));
    let missing = node.error("debug_executionWitness", json!(["0x0"])).await;
    assert_eq!(missing, (-32000, "block number 0 found, but parent missing".to_owned()));
    let missing = node.error("debug_executionWitness", json!(["0x37"])).await;
    assert_eq!(missing, (-32000, "header not found".to_owned()));
}

#[tokio::test]
async fn capabilities_tell_how_far_back_the_node_answers() {
    let config = RpcConfig { max_proof_blocks: 4, ..RpcConfig::default() };
    let node = Node::execution_apis_with(config).await;
    let found = node.result("eth_capabilities", json!([])).await;
    assert_eq!(found["head"]["number"], "0x36");
    assert_eq!(found["state"], json!({ "disabled": false, "oldestBlock": "0x0" }));
    assert_eq!(found["stateproofs"]["oldestBlock"], "0x32");
}

/// A call that never ends by itself, and one that ends at once, on the dev chain.
fn endless_call() -> Value {
    let code = json!({ "code": "0x5b600056" });
    json!([{ "to": TARGET }, "latest", { TARGET: code }])
}

const TARGET: &str = "0x9999999999999999999999999999999999999999";

fn params(list: &Value) -> ArrayParams {
    let mut params = ArrayParams::new();
    list.as_array().unwrap().iter().for_each(|param| params.insert(param).unwrap());
    params
}

/// One heavy read at a time, and as much gas and time as it wants.
fn patient_node() -> Node {
    let config = RpcConfig {
        gas_cap: u64::MAX,
        call_timeout: Duration::from_secs(3600),
        max_heavy_reads: 1,
        ..RpcConfig::default()
    };
    Node::start_with(ChainSpec::dev(), config)
}

/// Waits until a quick call gets no answer because the endless one is in its way, ends that one by
/// `leave`, and sees that the quick call is answered then.
async fn the_way_is_free_again(addr: std::net::SocketAddr, leave: impl FnOnce()) {
    let client = HttpClientBuilder::default()
        .request_timeout(Duration::from_secs(120))
        .build(format!("http://{addr}"))
        .unwrap();
    let quick = json!([{ "to": TARGET }]);
    let blocked = loop {
        let call = client.request::<Value, _>("eth_call", params(&quick));
        let mut call = Box::pin(call);
        match tokio::time::timeout(Duration::from_millis(500), &mut call).await {
            // The endless call has not been read yet.
            Ok(answer) => assert_eq!(answer.unwrap(), "0x"),
            Err(_) => break call,
        }
    };
    leave();
    assert_eq!(blocked.await.unwrap(), "0x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_when_its_http_connection_closes() {
    let node = patient_node();
    let http = HttpConfig {
        addr: ([127, 0, 0, 1], 0).into(),
        api: vec![Namespace::Eth],
        cors_origins: Vec::new(),
        hosts: Vec::new(),
        limits: ServerLimits::PUBLIC,
    };
    let handle = node.rpc.serve_http(http).await.unwrap();
    let addr = handle.local_addr();
    let request =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": endless_call() });
    let request = request.to_string();
    let mut connection = TcpStream::connect(addr).unwrap();
    let length = request.len();
    write!(
        connection,
        "POST / HTTP/1.1\r\nhost: {addr}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{request}"
    )
    .unwrap();
    the_way_is_free_again(addr, || drop(connection)).await;
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_when_its_websocket_closes() {
    let node = patient_node();
    let addr = ([127, 0, 0, 1], 0).into();
    let (api, limits) = (vec![Namespace::Eth], ServerLimits::PUBLIC);
    let http =
        HttpConfig { addr, api: api.clone(), cors_origins: Vec::new(), hosts: Vec::new(), limits };
    let ws = WsConfig { addr, api, origins: Vec::new(), limits };
    let handle = node.rpc.serve_http_and_ws(http, ws).await.unwrap();
    let addr = handle.local_addr();
    let client = WsClientBuilder::default().build(format!("ws://{addr}")).await.unwrap();
    let caller = tokio::spawn(async move {
        let answer = client.request::<Value, _>("eth_call", params(&endless_call())).await;
        panic!("the endless call was answered: {answer:?}");
    });
    // The client goes with the task that owns it.
    the_way_is_free_again(addr, || caller.abort()).await;
    handle.stop().await;
}
