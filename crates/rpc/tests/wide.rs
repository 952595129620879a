//! A chain whose headers carry the state root of an earlier block, as its users see it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use banyan_chainspec::ChainSpec;
use banyan_primitives::{Bytes, MESSAGE_PASSER, TxKind};
use common::{
    Node,
    dev::{DEV_ADDRESS, signed, wide_spec},
};
use serde_json::{Value, json};

/// Sends a transaction from L2 to L1, and includes it in a block.
async fn withdraw(node: &Node, nonce: u64) -> Value {
    let sent = signed(nonce, TxKind::Call(MESSAGE_PASSER), Bytes::new());
    node.result("eth_sendRawTransaction", json!([sent])).await;
    let (parent, time) = node.head();
    let envelope = node.build(&parent, time + 1).await;
    node.adopt(&envelope).await;
    let view = node.chain.view();
    let receipts = node.result("eth_getBlockReceipts", json!([view.head().hash()])).await;
    assert_eq!(receipts[1]["status"], "0x1", "{receipts}");
    envelope["executionPayload"].clone()
}

#[tokio::test]
async fn the_state_root_lags_and_the_withdrawals_root_does_not() {
    let node = Node::start(wide_spec());
    let genesis = node.result("eth_getBlockByNumber", json!(["0x0", false])).await;
    let mut payloads = vec![genesis.clone()];
    for nonce in 0..4 {
        payloads.push(withdraw(&node, nonce).await);
    }
    let roots = |field: &str| payloads.iter().map(|p| p[field].clone()).collect::<Vec<_>>();
    let (state, withdrawals) = (roots("stateRoot"), roots("withdrawalsRoot"));
    assert!(state[..3].iter().all(|root| *root == state[0]), "{state:?}");
    assert!(state[2] != state[3] && state[3] != state[4], "{state:?}");
    assert!(withdrawals.windows(2).all(|pair| pair[0] != pair[1]), "{withdrawals:?}");

    let status = node.result("banyan_syncStatus", json!([])).await;
    assert_eq!(status["commitment"], "wide, lag 2");
    assert_eq!(status["head"]["number"], "0x4");
    assert_eq!(status["verified"], "0x2");
}

#[tokio::test]
async fn merkle_patricia_proofs_are_refused_with_the_way_out() {
    let node = Node::start(wide_spec());
    let error = node.error("eth_getProof", json!([DEV_ADDRESS, [], "latest"])).await;
    let message = "not supported on a chain with wide state commitment; use banyan_getProof";
    assert_eq!(error, (-32000, message.to_owned()));
}

#[tokio::test]
async fn on_an_mpt_chain_the_head_is_verified() {
    let node = Node::start(ChainSpec::dev());
    let status = node.result("banyan_syncStatus", json!([])).await;
    assert_eq!((&status["commitment"], &status["verified"]), (&json!("mpt"), &json!("0x0")));
    assert_eq!(status["rootQueue"], "0x0");
}
