//! A chain whose headers carry the state root of an earlier block, as its users see it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use std::time::{Duration, Instant};

use banyan_chainspec::ChainSpec;
use banyan_primitives::{Address, B256, Bytes, MESSAGE_PASSER, TxKind, U256};
use banyan_rpc::RpcConfig;
use banyan_wide_proof::{Hash, Key, account_value, verify};
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

/// The proofs of an answer hold against its root; gives back the account's value and those of slots.
fn verified(answer: &Value, address: Address, slots: &[u64]) -> (Option<Hash>, Vec<Option<Hash>>) {
    let root: B256 = answer["stateRoot"].as_str().unwrap().parse().unwrap();
    let check = |key: Key, proof: &Value| {
        let proof: Bytes = proof.as_str().unwrap().parse().unwrap();
        verify(&root.0, &key, &proof).unwrap()
    };
    let account = check(Key::account(&address.0), &answer["accountProof"]);
    let storage = slots.iter().zip(answer["storage"].as_array().unwrap()).map(|(slot, entry)| {
        let key = Key::slot(&address.0, &U256::from(*slot).to_be_bytes());
        check(key, &entry["proof"])
    });
    (account, storage.collect())
}

/// The proof of a block's state, as a light client would use it: the header that carries the root
/// comes two blocks later.
#[tokio::test]
async fn a_proof_names_the_block_and_the_header_that_commits_to_it() {
    let node = Node::start(wide_spec());
    let ask = async |block: &str| {
        let slots = json!(["0x1", "0x7"]);
        node.result("banyan_getProof", json!([MESSAGE_PASSER, slots, block])).await
    };
    let genesis = ask("0x0").await;
    assert_eq!(genesis["committedIn"]["number"], "0x0");
    for nonce in 0..4 {
        withdraw(&node, nonce).await;
        let newest = ask("latest").await;
        assert_eq!(newest["committedIn"], Value::Null);
        verified(&newest, MESSAGE_PASSER, &[1, 7]);
    }
    for number in 1..=2 {
        let answer = ask(&format!("{number:#x}")).await;
        assert_eq!(answer["block"]["number"], format!("{number:#x}"));
        assert_eq!(answer["committedIn"]["number"], format!("{:#x}", number + 2));
        let committed = answer["committedIn"]["hash"].clone();
        let header = node.result("eth_getBlockByHash", json!([committed, false])).await;
        assert_eq!(header["stateRoot"], answer["stateRoot"]);
        // Slot 1 counts messages; slot 7 is empty.
        let (account, slots) = verified(&answer, MESSAGE_PASSER, &[1, 7]);
        let account = account.expect("the message passer is there");
        let record = &answer["account"];
        let balance: U256 = record["balance"].as_str().unwrap().parse().unwrap();
        let code: B256 = record["codeHash"].as_str().unwrap().parse().unwrap();
        assert_eq!(balance, U256::from(7 * number));
        assert_eq!(account, account_value(0, &balance.to_be_bytes(), &code.0));
        assert_eq!(slots, [Some(U256::from(number).to_be_bytes()), None]);
        assert_eq!(answer["storage"][0]["value"], format!("{number:#x}"));
    }
    let nobody = Address::repeat_byte(0x77);
    let answer = node.result("banyan_getProof", json!([nobody, [], "latest"])).await;
    assert_eq!(
        (verified(&answer, nobody, &[]), &answer["account"]),
        ((None, vec![]), &Value::Null)
    );
}

/// The database has gone past the older ones: their states are found on the way back from there.
#[tokio::test]
async fn proofs_go_back_as_far_as_the_window_whatever_is_stored() {
    let config = RpcConfig { max_proof_blocks: 8, ..RpcConfig::default() };
    let node = Node::start_with(wide_spec(), config);
    for nonce in 0..12 {
        withdraw(&node, nonce).await;
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while node.chain.view().persisted_number() < 10 {
        assert!(Instant::now() < deadline, "blocks whose roots are known are written");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ask = |number: u64| json!([MESSAGE_PASSER, ["0x1", "0x7"], format!("{number:#x}")]);
    for number in 4..=12 {
        let answer = node.result("banyan_getProof", ask(number)).await;
        let (account, slots) = verified(&answer, MESSAGE_PASSER, &[1, 7]);
        assert!(account.is_some());
        assert_eq!(slots, [Some(U256::from(number).to_be_bytes()), None]);
        let committed = &answer["committedIn"];
        assert_eq!(committed.is_null(), number > 10, "{number}: {committed}");
        if number <= 10 {
            let header = json!([committed["hash"], false]);
            let header = node.result("eth_getBlockByHash", header).await;
            assert_eq!(header["stateRoot"], answer["stateRoot"]);
        }
    }
    let (code, message) = node.error("banyan_getProof", ask(3)).await;
    assert_eq!(code, -32602);
    assert!(message.contains("exceeds maximum proof window"), "{message}");
}

#[tokio::test]
async fn merkle_patricia_proofs_are_refused_with_the_way_out() {
    let node = Node::start(wide_spec());
    let error = node.error("eth_getProof", json!([DEV_ADDRESS, [], "latest"])).await;
    let message = "not supported on a chain with wide state commitment; use banyan_getProof";
    assert_eq!(error, (-32000, message.to_owned()));
    let error = node.error("debug_executionWitness", json!(["latest"])).await;
    let message = "not supported on a chain with wide state commitment";
    assert_eq!(error, (-32000, message.to_owned()));
}

#[tokio::test]
async fn on_an_mpt_chain_the_head_is_verified() {
    let node = Node::start(ChainSpec::dev());
    let error = node.error("banyan_getProof", json!([DEV_ADDRESS, [], "latest"])).await;
    let message = "not supported on a chain with mpt state commitment; use eth_getProof";
    assert_eq!(error, (-32000, message.to_owned()));
    let status = node.result("banyan_syncStatus", json!([])).await;
    assert_eq!((&status["commitment"], &status["verified"]), (&json!("mpt"), &json!("0x0")));
    assert_eq!(status["rootQueue"], "0x0");
}
