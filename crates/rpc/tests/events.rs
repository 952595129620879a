//! Filters, subscriptions and ports on the development chain, reorgs included.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use std::time::{SystemTime, UNIX_EPOCH};

use banyan_chainspec::ChainSpec;
use banyan_primitives::{Bytes, TxKind};
use banyan_rpc::{AuthConfig, HttpConfig, JwtSecret, Namespace, ServerLimits, WsConfig};
use common::{Node, dev::signed};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use jsonrpsee::{
    core::client::{ClientT, Subscription, SubscriptionClientT},
    http_client::HttpClientBuilder,
    rpc_params,
    ws_client::{WsClient, WsClientBuilder},
};
use serde_json::{Value, json};

/// Init code that emits one empty log.
const LOG_ONCE: &[u8] = &[0x60, 0, 0x60, 0, 0xa0];

fn node() -> Node {
    Node::start(ChainSpec::dev())
}

fn logging_transaction() -> Bytes {
    signed(0, TxKind::Create, Bytes::from_static(LOG_ONCE))
}

#[tokio::test]
async fn filters_tell_what_is_new_and_what_a_reorg_took_back() {
    let node = node();
    let (genesis, time) = node.head();
    let logs = node.result("eth_newFilter", json!([{}])).await;
    let blocks = node.result("eth_newBlockFilter", json!([])).await;
    let pending = node.result("eth_newPendingTransactionFilter", json!([])).await;
    let changes = async |id: &Value| node.result("eth_getFilterChanges", json!([id])).await;

    let sibling = node.build(&genesis, time + 5).await;
    let sent = node.result("eth_sendRawTransaction", json!([logging_transaction()])).await;
    assert_eq!(changes(&pending).await, json!([sent]));
    let first = node.adopt(&node.build(&genesis, time + 1).await).await;
    assert_eq!(changes(&blocks).await, json!([first]));
    assert_eq!(changes(&blocks).await, json!([]));
    let found = changes(&logs).await;
    assert_eq!((&found[0]["removed"], &found[0]["blockHash"]), (&json!(false), &first));

    let other = node.adopt(&sibling).await;
    assert_eq!(changes(&blocks).await, json!([other]));
    let found = changes(&logs).await;
    assert_eq!((&found[0]["removed"], &found[0]["blockHash"]), (&json!(true), &first));

    assert_eq!(node.result("eth_uninstallFilter", json!([logs])).await, true);
    let gone = node.error("eth_getFilterChanges", json!([logs])).await;
    assert_eq!(gone, (-32000, "filter not found".to_owned()));
}

async fn ws_client(addr: std::net::SocketAddr) -> WsClient {
    WsClientBuilder::default().build(format!("ws://{addr}")).await.unwrap()
}

#[tokio::test]
async fn subscribers_hear_of_heads_logs_and_transactions() {
    let node = node();
    let handle = node
        .rpc
        .serve_ws(WsConfig {
            addr: ([127, 0, 0, 1], 0).into(),
            api: vec![Namespace::Eth],
            origins: Vec::new(),
            limits: ServerLimits::PUBLIC,
        })
        .await
        .unwrap();
    let client = ws_client(handle.local_addr()).await;
    let subscribe = async |params: jsonrpsee::core::params::ArrayParams| -> Subscription<Value> {
        client.subscribe("eth_subscribe", params, "eth_unsubscribe").await.unwrap()
    };
    let mut heads = subscribe(rpc_params!["newHeads"]).await;
    let mut logs = subscribe(rpc_params!["logs", json!({})]).await;
    let mut transactions = subscribe(rpc_params!["newPendingTransactions"]).await;
    let mut in_full = subscribe(rpc_params!["newPendingTransactions", true]).await;

    let (genesis, time) = node.head();
    let sibling = node.build(&genesis, time + 5).await;
    let sent = node.result("eth_sendRawTransaction", json!([logging_transaction()])).await;
    assert_eq!(transactions.next().await.unwrap().unwrap(), sent);
    let pending = in_full.next().await.unwrap().unwrap();
    assert_eq!((&pending["hash"], &pending["blockHash"]), (&sent, &Value::Null));
    let first = node.adopt(&node.build(&genesis, time + 1).await).await;
    let head = heads.next().await.unwrap().unwrap();
    assert_eq!((&head["hash"], head.get("transactions")), (&first, None));
    assert_eq!(logs.next().await.unwrap().unwrap()["removed"], false);

    let other = node.adopt(&sibling).await;
    assert_eq!(heads.next().await.unwrap().unwrap()["hash"], other);
    let taken_back = logs.next().await.unwrap().unwrap();
    assert_eq!((&taken_back["removed"], &taken_back["blockHash"]), (&json!(true), &first));
    handle.stop().await;
}

#[tokio::test]
async fn the_engine_port_serves_engine_and_eth_to_whoever_has_the_secret() {
    let node = node();
    let secret = JwtSecret::random();
    let handle = node
        .rpc
        .serve_auth(AuthConfig {
            addr: ([127, 0, 0, 1], 0).into(),
            secret: secret.clone(),
            limits: ServerLimits::AUTH,
        })
        .await
        .unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let token = HeaderValue::from_str(&format!("Bearer {}", secret.token(now))).unwrap();
    let client = HttpClientBuilder::default()
        .set_headers(HeaderMap::from_iter([(AUTHORIZATION, token)]))
        .build(format!("http://{}", handle.local_addr()))
        .unwrap();
    let id: String = client.request("eth_chainId", rpc_params![]).await.unwrap();
    assert_eq!(id, "0x385");
    let methods: Vec<String> =
        client.request("engine_exchangeCapabilities", rpc_params![[""; 0]]).await.unwrap();
    assert!(methods.iter().any(|method| method == "engine_newPayloadV4"));
    let limits = rpc_params!["0x0", "0x0"];
    assert_eq!(client.request::<Value, _>("miner_setMaxDASize", limits).await.unwrap(), true);
    assert!(client.request::<Value, _>("txpool_status", rpc_params![]).await.is_err());
    handle.stop().await;
}

#[tokio::test]
async fn a_public_port_serves_its_families_and_no_others() {
    let node = node();
    let addr = ([127, 0, 0, 1], 0).into();
    let limits = ServerLimits::PUBLIC;
    let http = HttpConfig {
        addr,
        api: vec![Namespace::Net, Namespace::Miner, Namespace::Admin],
        cors_origins: Vec::new(),
        hosts: Vec::new(),
        limits,
    };
    let ws = WsConfig {
        addr,
        api: vec![Namespace::Web3, Namespace::TxPool, Namespace::Rpc],
        origins: Vec::new(),
        limits,
    };
    let handle = node.rpc.serve_http_and_ws(http, ws).await.unwrap();
    let client =
        HttpClientBuilder::default().build(format!("http://{}", handle.local_addr())).unwrap();
    let call = async |method: &str, params: &[Value]| {
        let mut list = jsonrpsee::core::params::ArrayParams::new();
        params.iter().for_each(|param| list.insert(param).unwrap());
        client.request::<Value, _>(method, list).await
    };
    assert_eq!(call("net_version", &[]).await.unwrap(), "901");
    assert_eq!(call("net_peerCount", &[]).await.unwrap(), "0x0");
    let sizes = [json!("0x0"), json!("0x1f4")];
    assert_eq!(call("miner_setMaxDASize", &sizes).await.unwrap(), true);
    let info = call("admin_nodeInfo", &[]).await.unwrap();
    assert!(info["enode"].as_str().unwrap().starts_with("enode://"));
    let empty = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
    assert_eq!(call("web3_sha3", &[json!("0x")]).await.unwrap(), empty);
    let status = json!({"pending": "0x0", "queued": "0x0"});
    assert_eq!(call("txpool_status", &[]).await.unwrap(), status);
    let modules = call("rpc_modules", &[]).await.unwrap();
    assert_eq!(modules.as_object().unwrap().len(), 6);
    assert!(call("eth_chainId", &[]).await.is_err());
    assert!(call("engine_exchangeCapabilities", &[json!([])]).await.is_err());
    let over_ws: String =
        ws_client(handle.local_addr()).await.request("net_version", rpc_params![]).await.unwrap();
    assert_eq!(over_ws, "901");
    handle.stop().await;
}
