//! The Engine API on the development chain: blocks are built, sent back, adopted and read, and every
//! way to go wrong has its code.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use banyan_chainspec::ChainSpec;
use banyan_primitives::{Address, B256, Bytes, TxKind};
use common::{
    Node,
    dev::{DEV_ADDRESS, attributes, forkchoice, new_payload_params, signed},
};
use serde_json::{Value, json};

fn node() -> Node {
    Node::start(ChainSpec::dev())
}

fn transfer(nonce: u64) -> Bytes {
    signed(nonce, TxKind::Call(Address::repeat_byte(0x55)), Bytes::new())
}

#[tokio::test]
async fn a_block_is_built_sent_back_adopted_and_read() {
    let node = node();
    let (genesis, time) = node.head();
    let sent = node.result("eth_sendRawTransaction", json!([transfer(0)])).await;
    let pending = node.result("eth_getTransactionByHash", json!([sent])).await;
    assert_eq!(pending["blockHash"], Value::Null);
    let nonce = node.result("eth_getTransactionCount", json!([DEV_ADDRESS, "pending"])).await;
    assert_eq!(nonce, "0x1");

    let envelope = node.build(&genesis, time + 1).await;
    assert_eq!(envelope["shouldOverrideBuilder"], false);
    assert_eq!(envelope["executionRequests"], json!([]));
    assert_eq!(envelope["parentBeaconBlockRoot"], json!(B256::repeat_byte(4)));
    assert!(envelope["executionPayload"]["withdrawalsRoot"].is_string());
    let hash = node.adopt(&envelope).await;

    let block = node.result("eth_getBlockByNumber", json!(["latest", true])).await;
    assert_eq!(block["hash"], hash);
    let [deposit, transfer] = &block["transactions"].as_array().unwrap()[..] else {
        panic!("{block}");
    };
    assert_eq!((&deposit["type"], &deposit["gasPrice"]), (&json!("0x7e"), &json!("0x0")));
    assert_eq!(deposit["depositReceiptVersion"], "0x1");
    assert!(deposit["sourceHash"].is_string() && deposit.get("chainId").is_none());
    assert_eq!(transfer["hash"], sent);
    assert_eq!(transfer["from"], DEV_ADDRESS);

    let receipts = node.result("eth_getBlockReceipts", json!([hash])).await;
    assert_eq!(receipts[0]["depositNonce"], "0x0");
    assert!(receipts[0].get("l1Fee").is_none());
    let receipt = node.result("eth_getTransactionReceipt", json!([sent])).await;
    assert_eq!(receipt, receipts[1]);
    assert_eq!((&receipt["status"], &receipt["gasUsed"]), (&json!("0x1"), &json!("0x5208")));
    for field in ["l1Fee", "l1GasPrice", "daFootprintGasScalar", "blobGasUsed"] {
        assert!(receipt[field].is_string(), "{field}: {receipt}");
    }
    let target = json!([Address::repeat_byte(0x55), "latest"]);
    assert_eq!(node.result("eth_getBalance", target).await, "0x7");
}

#[tokio::test]
async fn what_is_wrong_with_a_payload_has_its_answer() {
    let node = node();
    let (genesis, time) = node.head();
    let envelope = node.build(&genesis, time + 1).await;
    let good = new_payload_params(&envelope);
    let with = |change: fn(&mut Value)| {
        let mut params = good.clone();
        change(&mut params);
        params
    };
    let wrong_hash = with(|params| params[0]["gasUsed"] = json!("0x1"));
    let status = node.result("engine_newPayloadV4", wrong_hash).await;
    assert_eq!(status["status"], "INVALID");
    assert_eq!(status["latestValidHash"], Value::Null);
    assert!(status["validationError"].as_str().unwrap().contains("blockhash mismatch"));

    let code = async |method: &str, params: Value| node.error(method, params).await.0;
    assert_eq!(code("engine_newPayloadV3", json!([good[0], good[1], good[2]])).await, -38005);
    assert_eq!(code("engine_newPayloadV2", json!([good[0]])).await, -32602);
    assert_eq!(code("engine_newPayloadV5", good.clone()).await, -32602);
    for change in [
        (|params| params[3] = Value::Null) as fn(&mut Value),
        |params| params[2] = Value::Null,
        |params| params[1] = Value::Null,
        |params| params[0]["withdrawals"] = Value::Null,
        |params| params[0]["withdrawalsRoot"] = Value::Null,
        |params| params[0]["blockNumber"] = json!("1"),
        |params| params[3] = json!(["0x00"]),
    ] {
        assert_eq!(code("engine_newPayloadV4", with(change)).await, -32602);
    }
    assert_eq!(node.result("engine_newPayloadV4", good.clone()).await["status"], "VALID");
}

#[tokio::test]
async fn a_built_block_is_unknown_until_its_payload_was_found_valid() {
    let node = node();
    let (genesis, time) = node.head();
    let envelope = node.build(&genesis, time + 1).await;
    let hash = envelope["executionPayload"]["blockHash"].clone();
    let mut wrong_blobs = new_payload_params(&envelope);
    wrong_blobs[1] = json!([B256::repeat_byte(1)]);
    let status = node.result("engine_newPayloadV4", wrong_blobs).await;
    assert_eq!(status["status"], "INVALID");

    let params = json!([forkchoice(&hash), attributes(time + 2)]);
    let answer = node.result("engine_forkchoiceUpdatedV3", params).await;
    assert_eq!(answer["payloadStatus"]["status"], "SYNCING");
    assert_eq!(answer["payloadId"], Value::Null);
    assert_eq!(node.head().0, genesis);
    let block = node.result("eth_getBlockByHash", json!([hash, false])).await;
    assert_eq!(block, Value::Null);
    assert_eq!(node.adopt(&envelope).await, hash);
}

#[tokio::test]
async fn what_is_wrong_with_a_forkchoice_has_its_code() {
    let node = node();
    let (genesis, time) = node.head();
    let first = node.adopt(&node.build(&genesis, time + 1).await).await;

    let update = async |state: &Value, attributes: Value| {
        node.error("engine_forkchoiceUpdatedV3", json!([state, attributes])).await.0
    };
    let mut unknown_safe = forkchoice(&first);
    unknown_safe["safeBlockHash"] = json!(B256::repeat_byte(9));
    assert_eq!(update(&unknown_safe, Value::Null).await, -38002);
    assert_eq!(update(&json!({"headBlockHash": first}), Value::Null).await, -32602);

    let bad: [fn(&mut Value); 5] = [
        |attributes| attributes["timestamp"] = json!("0x1"),
        |attributes| attributes["gasLimit"] = Value::Null,
        |attributes| attributes["withdrawals"] = Value::Null,
        |attributes| attributes["transactions"] = json!(["0x7e00"]),
        |attributes| attributes["timestamp"] = json!(12),
    ];
    for (index, change) in bad.into_iter().enumerate() {
        let mut attributes = attributes(time + 2);
        change(&mut attributes);
        assert_eq!(update(&forkchoice(&first), attributes).await, -38003, "case {index}");
    }
    let params = json!([forkchoice(&first), attributes(time + 2)]);
    assert_eq!(node.error("engine_forkchoiceUpdatedV4", params.clone()).await.0, -38003);
    assert_eq!(node.error("engine_forkchoiceUpdatedV2", params).await.0, -38003);

    let unknown = json!([forkchoice(&json!(B256::repeat_byte(8))), attributes(time + 2)]);
    let answer = node.result("engine_forkchoiceUpdatedV3", unknown).await;
    assert_eq!(answer["payloadStatus"]["status"], "SYNCING");
    assert_eq!(answer["payloadId"], Value::Null);
}

#[tokio::test]
async fn bad_attributes_do_not_undo_the_move_of_the_head() {
    let node = node();
    let (genesis, time) = node.head();
    let first = node.adopt(&node.build(&genesis, time + 1).await).await;
    let mut late = attributes(time + 2);
    late["timestamp"] = json!("0x1");
    let params = json!([forkchoice(&genesis), late]);
    assert_eq!(node.error("engine_forkchoiceUpdatedV3", params).await.0, -38003);
    assert_eq!(node.head().0, genesis);
    assert_ne!(node.head().0, first);
}

#[tokio::test]
async fn a_payload_is_given_out_by_the_method_of_its_fork_only() {
    let node = node();
    let (genesis, time) = node.head();
    let params = json!([forkchoice(&genesis), attributes(time + 1)]);
    let id = node.result("engine_forkchoiceUpdatedV3", params).await["payloadId"].clone();
    for method in ["engine_getPayloadV1", "engine_getPayloadV3", "engine_getPayloadV4"] {
        assert_eq!(node.error(method, json!([id])).await.0, -38005, "{method}");
    }
    let unknown = json!(["0x0300000000000000"]);
    assert_eq!(node.error("engine_getPayloadV5", unknown).await.0, -38001);
    assert_eq!(node.error("engine_getPayloadV5", json!(["0x03"])).await.0, -32602);
    node.result("engine_getPayloadV5", json!([id])).await;
}

#[tokio::test]
async fn bodies_are_given_by_hash_and_range() {
    let node = node();
    let (genesis, time) = node.head();
    let envelope = node.build(&genesis, time + 1).await;
    let first = node.adopt(&envelope).await;
    let transactions = &envelope["executionPayload"]["transactions"];

    let params = json!([[first, B256::ZERO]]);
    let bodies = node.result("engine_getPayloadBodiesByHashV1", params).await;
    assert_eq!(&bodies[0]["transactions"], transactions);
    assert_eq!(bodies[0]["withdrawals"], json!([]));
    assert_eq!(bodies[1], Value::Null);

    let bodies = node.result("engine_getPayloadBodiesByRangeV1", json!(["0x1", "0x20"])).await;
    assert_eq!(bodies.as_array().unwrap().len(), 1);
    let too_many = json!(["0x1", "0x401"]);
    assert_eq!(node.error("engine_getPayloadBodiesByRangeV1", too_many).await.0, -38004);
    let too_many = json!([vec![B256::ZERO; 1025]]);
    assert_eq!(node.error("engine_getPayloadBodiesByHashV1", too_many).await.0, -38004);
}

#[tokio::test]
async fn capabilities_and_version_are_told() {
    let node = node();
    let methods = node.result("engine_exchangeCapabilities", json!([["engine_x"]])).await;
    for method in methods.as_array().unwrap() {
        let (code, _) = node.error(method.as_str().unwrap(), json!({})).await;
        assert_eq!(code, -32602, "{method} is promised but not served");
    }
    let caller = json!([{"code": "NB", "name": "x", "version": "1", "commit": "fa4ff922"}]);
    let version = node.result("engine_getClientVersionV1", caller).await;
    assert_eq!(version[0]["commit"], "0x01234567");
}

#[tokio::test]
async fn blobs_that_the_pool_lacks_are_null() {
    let node = node();
    let hashes = json!([[B256::ZERO, B256::ZERO]]);
    assert_eq!(node.error("engine_getBlobsV1", hashes.clone()).await.0, -38005);
    assert_eq!(node.result("engine_getBlobsV2", hashes.clone()).await, Value::Null);
    assert_eq!(node.result("engine_getBlobsV3", hashes).await, json!([null, null]));
    let too_many = json!([vec![B256::ZERO; 129]]);
    assert_eq!(node.error("engine_getBlobsV3", too_many).await.0, -38004);
}
