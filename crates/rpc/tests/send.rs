//! Sending transactions: forwarding, waiting for the receipt, limits of building.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use std::time::{Duration, Instant};

use banyan_chainspec::ChainSpec;
use banyan_primitives::{B256, Bytes, TxKind, keccak256};
use banyan_rpc::{HttpConfig, Namespace, RpcConfig, Sequencer, ServerHandle, ServerLimits};
use banyan_txpool::PoolStatus;
use common::{
    Node,
    dev::{DEV_ADDRESS, L1_ATTRIBUTES, attributes, forkchoice, signed},
};
use serde_json::{Value, json};

/// Longest wait for anything on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn transfer(nonce: u64) -> Bytes {
    signed(
        nonce,
        TxKind::Call("0x70997970C51812dc3A010C7d01b50e0d17dc79C8".parse().unwrap()),
        Bytes::new(),
    )
}

/// A sequencer with an open port.
async fn sequencer() -> (Node, ServerHandle) {
    let node = Node::start(ChainSpec::dev());
    let port = node
        .rpc
        .serve_http(HttpConfig {
            addr: ([127, 0, 0, 1], 0).into(),
            api: vec![Namespace::Eth],
            cors_origins: Vec::new(),
            hosts: Vec::new(),
            limits: ServerLimits::PUBLIC,
        })
        .await
        .unwrap();
    (node, port)
}

fn verifier(url: &str, retain: bool) -> Node {
    let sequencer = Some(Sequencer::new(url, &[], retain).unwrap());
    Node::start_with(ChainSpec::dev(), RpcConfig { sequencer, ..RpcConfig::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_hands_transactions_to_the_sequencer_and_its_refusals_back() {
    let (sequencer, port) = sequencer().await;
    let url = format!("http://{}", port.local_addr());
    let (plain, keeper) = (verifier(&url, false), verifier(&url, true));

    let hash = plain.result("eth_sendRawTransaction", json!([transfer(0)])).await;
    let hash: B256 = serde_json::from_value(hash).unwrap();
    assert!(sequencer.pool.get(&hash).is_some());
    assert!(
        plain.pool.get(&hash).is_none(),
        "the nonce at `pending` would differ between replicas"
    );

    let refused = plain.error("eth_sendRawTransaction", json!([transfer(0)])).await;
    assert_eq!(refused, (-32000, "already known".to_owned()));
    let refused = keeper.error("eth_sendRawTransaction", json!([transfer(0)])).await;
    assert_eq!(refused, (-32000, "already known".to_owned()));
    assert_eq!(keeper.pool.status().pending, 0, "what the sequencer refused is not kept");

    let hash = keeper.result("eth_sendRawTransaction", json!([transfer(1)])).await;
    let hash: B256 = serde_json::from_value(hash).unwrap();
    assert!(sequencer.pool.get(&hash).is_some() && keeper.pool.get(&hash).is_some());

    let nonsense = plain.error("eth_sendRawTransaction", json!(["0x02c0"])).await;
    assert_eq!(nonsense.0, -32000, "nonsense does not even reach the sequencer");

    // Nobody listens on a port below those that the system gives to others.
    let lost = verifier("http://127.0.0.1:1", true);
    let (code, message) = lost.error("eth_sendRawTransaction", json!([transfer(2)])).await;
    assert!(code == -32603 && message.starts_with("sequencer: "), "{code} {message}");
    assert_eq!(lost.pool.status(), PoolStatus::default(), "what was not forwarded is not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_and_waiting_gives_the_receipt_or_says_what_is_waited_for() {
    let node = Node::start(ChainSpec::dev());
    let answer = node.call("eth_sendRawTransactionSync", json!([transfer(0), 1])).await;
    let error = &answer["error"];
    let words = "The transaction was added to the transaction pool but wasn't processed in 1ms";
    assert_eq!((&error["code"], &error["message"]), (&json!(4), &json!(words)), "{answer}");
    assert_eq!(error["data"], json!(keccak256(transfer(0))));
    let refused = node.error("eth_sendRawTransactionSync", json!([transfer(0)])).await;
    assert_eq!(refused, (-32000, "already known".to_owned()));

    let params = json!([transfer(1), 60_000]);
    let waiting = async { node.result("eth_sendRawTransactionSync", params).await };
    let mining = async {
        let hash = keccak256(transfer(1));
        until(async || node.pool.get(&hash).is_some().then_some(())).await;
        let (head, time) = node.head();
        node.adopt(&build_forced(&node, &head, time + 1, &[transfer(0), transfer(1)]).await).await
    };
    let (receipt, block) = tokio::join!(waiting, mining);
    assert_eq!(receipt["transactionHash"], json!(keccak256(transfer(1))));
    assert_eq!((&receipt["blockHash"], &receipt["status"]), (&block, &json!("0x1")));
    let looked_up = node.result("eth_getTransactionReceipt", json!([keccak256(transfer(1))])).await;
    assert_eq!(receipt, looked_up);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pool_is_shown_as_geth_shows_it() {
    let node = Node::start(ChainSpec::dev());
    for tx in [transfer(0), transfer(2), signed(4, TxKind::Create, Bytes::from_static(&[0]))] {
        node.result("eth_sendRawTransaction", json!([tx])).await;
    }
    let port = node
        .rpc
        .serve_http(HttpConfig {
            addr: ([127, 0, 0, 1], 0).into(),
            api: vec![Namespace::TxPool],
            cors_origins: Vec::new(),
            hosts: Vec::new(),
            limits: ServerLimits::PUBLIC,
        })
        .await
        .unwrap();
    let client = jsonrpsee::http_client::HttpClientBuilder::default()
        .build(format!("http://{}", port.local_addr()))
        .unwrap();
    let call = async |method: &str, params: Vec<Value>| -> Value {
        jsonrpsee::core::client::ClientT::request(&client, method, params).await.unwrap()
    };

    assert_eq!(call("txpool_status", vec![]).await, json!({ "pending": "0x1", "queued": "0x2" }));
    let sender = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    let line = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8: 7 wei + 200000 gas × 10000000000 wei";
    let creation = "contract creation: 0 wei + 200000 gas × 10000000000 wei";
    let expected = json!({
        "pending": { sender: { "0": line } },
        "queued": { sender: { "2": line, "4": creation } },
    });
    assert_eq!(call("txpool_inspect", vec![]).await, expected);
    let content = call("txpool_content", vec![]).await;
    let first = &content["pending"][sender]["0"];
    assert_eq!(first["hash"], json!(keccak256(transfer(0))));
    assert_eq!((&first["blockHash"], &first["transactionIndex"]), (&Value::Null, &Value::Null));
    let from = call("txpool_contentFrom", vec![json!(DEV_ADDRESS)]).await;
    assert_eq!(
        from,
        json!({ "pending": content["pending"][sender], "queued": content["queued"][sender] })
    );
    let nobody =
        call("txpool_contentFrom", vec![json!("0x0000000000000000000000000000000000000001")]);
    assert_eq!(nobody.await, json!({ "pending": {}, "queued": {} }));
    port.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn building_keeps_within_the_limits_that_op_batcher_sets() {
    let node = Node::start(ChainSpec::dev());
    // The third is large, even compressed.
    let noise: Vec<u8> = (0..64u8).flat_map(|seed| keccak256([seed]).0).collect();
    let large = signed(2, TxKind::Call([1; 20].into()), noise.into());
    for tx in [transfer(0), transfer(1), large, transfer(3)] {
        node.result("eth_sendRawTransaction", json!([tx])).await;
    }
    let mut blocks = Blocks { node: &node, next: 1 };
    // Small transactions count as 100 bytes.
    blocks.limit(0, 150).await;
    blocks.hold(1).await;
    blocks.limit(500, 0).await;
    blocks.hold(2).await;
    blocks.limit(0, 0).await;
    blocks.hold(4).await;
}

/// Builds blocks on the genesis block, one after the other.
struct Blocks<'a> {
    node: &'a Node,
    next: u64,
}

impl Blocks<'_> {
    async fn limit(&self, transaction: u64, block: u64) {
        let params = json!([format!("{transaction:#x}"), format!("{block:#x}")]);
        assert_eq!(self.node.result("miner_setMaxDASize", params).await, true);
    }

    /// A block with `count` pooled transactions is built; never one with more. (Who asks early gets
    /// fewer.)
    async fn hold(&mut self, count: usize) {
        let started = Instant::now();
        loop {
            let (head, time) = self.node.head();
            let envelope = self.node.build(&head, time + self.next).await;
            self.next += 1;
            let all = envelope["executionPayload"]["transactions"].as_array().unwrap().len();
            // The first is the L1 attributes deposit.
            assert!(all <= count + 1, "{all}");
            if all == count + 1 {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "only {all} transactions in a block");
        }
    }
}

/// Builds a block of the L1 attributes and `transactions` alone.
async fn build_forced(node: &Node, parent: &Value, time: u64, transactions: &[Bytes]) -> Value {
    let mut attributes = attributes(time);
    let mut forced = vec![json!(L1_ATTRIBUTES)];
    forced.extend(transactions.iter().map(|tx| json!(tx)));
    (attributes["transactions"], attributes["noTxPool"]) = (json!(forced), json!(true));
    let params = json!([forkchoice(parent), attributes]);
    let answer = node.result("engine_forkchoiceUpdatedV3", params).await;
    node.result("engine_getPayloadV5", json!([answer["payloadId"]])).await
}

async fn until<T>(mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
