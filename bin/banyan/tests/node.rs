//! The node as its users meet it: the real binary, its log, its ports, its exit.

mod common;

use std::{fs, time::Duration};

use alloy_consensus::{SignableTransaction, TxEip1559};
use banyan_primitives::{
    Address, Encodable2718, Signature, Transaction, TxKind, U256, alloy_primitives::hex, b256,
};
use common::{Node, complaint, get, repository, run, wait};
use secp256k1::{Message, SECP256K1, SecretKey};
use serde_json::{Value, json};

/// A clean stop takes well under two seconds; on a machine that is busy with other work, more.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A transfer of one ether by the first dev account, signed.
fn transfer(nonce: u64, to: Address) -> String {
    let key = b256!("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
    let tx = TxEip1559 {
        chain_id: 901,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1_000_000,
        to: TxKind::Call(to),
        value: U256::from(10u64.pow(18)),
        ..Default::default()
    };
    let key = SecretKey::from_byte_array(key.0).expect("a key");
    let message = Message::from_digest(tx.signature_hash().0);
    let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(message, &key).serialize_compact();
    let signature = Signature::from_bytes_and_parity(&bytes, i32::from(id) == 1);
    hex::encode_prefixed(Transaction::Eip1559(tx.into_signed(signature)).encoded_2718())
}

#[test]
fn op_devstack_finds_the_lines_it_waits_for_and_a_clean_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let dumped = run(&["dump-genesis", "--chain", "dev"]);
    fs::write(path("genesis.json"), dumped.stdout).unwrap();
    let node = Node::start(&[
        &format!("--datadir={}", path("data")),
        &format!("--chain={}", path("genesis.json")),
        &format!("--authrpc.jwtsecret={}", path("jwt")),
        &format!("--p2p-secret-key={}", path("p2p.key")),
        &format!("--log.file.directory={}", path("logs")),
        "--authrpc.port=0",
        "--http",
        "--http.api=admin,debug,eth,net,trace,txpool,web3,rpc,reth,miner",
        "--http.port=0",
        "--ws",
        "--ws.port=0",
        "--ipcdisable",
        "--nat=none",
        "--port=0",
        "--txpool.nolocals",
        "--metrics=127.0.0.1:0",
        "-vvvv",
        "--color=never",
    ]);
    for message in ["RPC HTTP server started", "RPC WS server started", "RPC auth server started"] {
        let url = node.wait_for(message)["url"].as_str().unwrap().to_owned();
        assert!(url.starts_with("127.0.0.1:") && !url.ends_with(":0"), "{message}: {url}");
    }
    let line =
        node.wait_for("Starting metrics endpoint at ")["message"].as_str().unwrap().to_owned();
    let metrics = line.rsplit(' ').next().unwrap();
    assert!(get(metrics, "/metrics").contains("banyan_info{"));
    assert_eq!(get(metrics, "/healthz"), "ok\n");
    let status: Value = serde_json::from_str(&get(metrics, "/status")).unwrap();
    assert_eq!((&status["chainId"], &status["head"]["number"]), (&json!(901), &json!(0)));

    let info = node.call("admin_nodeInfo", json!([]));
    assert!(info["enode"].as_str().unwrap().starts_with("enode://"), "{info}");
    let secret = fs::read_to_string(path("jwt")).unwrap();
    assert_eq!(secret.trim().trim_start_matches("0x").len(), 64);
    assert!(fs::metadata(path("logs/banyan.log")).unwrap().len() > 0);

    let (status, elapsed) = node.stop("-INT");
    assert!(status.success() && elapsed < STOP_LIMIT, "{status} after {elapsed:?}");
}

#[test]
fn a_dev_chain_includes_a_transaction_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let datadir = format!("--datadir={}", dir.path().display());
    let node = Node::start(&["--dev", "--dev.block-time=500ms", &datadir]);
    let to = Address::repeat_byte(0x77);
    let hash = node.call("eth_sendRawTransaction", json!([transfer(0, to)]));
    let receipt = wait("the receipt", || {
        let receipt = node.call("eth_getTransactionReceipt", json!([hash]));
        (!receipt.is_null()).then_some(receipt)
    });
    assert_eq!(receipt["status"], "0x1");
    assert!(receipt["l1Fee"].is_string(), "the L1 attributes are in place: {receipt}");
    assert_eq!(node.call("eth_getBalance", json!([to, "latest"])), "0xde0b6b3a7640000");
    let mined = receipt["blockNumber"].clone();
    let block = node.call("eth_getBlockByNumber", json!([mined, false]));
    let (status, elapsed) = node.stop("-TERM");
    assert!(status.success() && elapsed < STOP_LIMIT, "{status} after {elapsed:?}");

    let node = Node::start(&["--dev", "--dev.block-time=500ms", &datadir]);
    let again = node.call("eth_getBlockByNumber", json!([mined, false]));
    assert_eq!(again["hash"], block["hash"], "the block is still there");
    let hash = node.call("eth_sendRawTransaction", json!([transfer(1, to)]));
    wait("the next receipt", || {
        let receipt = node.call("eth_getTransactionReceipt", json!([hash]));
        (receipt["status"] == "0x1").then_some(())
    });
}

#[test]
fn init_may_be_repeated_but_not_with_another_genesis() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    for _ in 0..2 {
        let output = run(&["init", "-vv", "--datadir", &data, "--chain", "dev"]);
        assert!(output.status.success(), "{}", complaint(&output));
    }
    let genesis = run(&["dump-genesis"]).stdout;
    let mut genesis: Value = serde_json::from_slice(&genesis).unwrap();
    genesis["timestamp"] = json!("0x1");
    let other = dir.path().join("other.json");
    fs::write(&other, genesis.to_string()).unwrap();
    let output = run(&["init", "--datadir", &data, "--chain", &other.display().to_string()]);
    let complaint = complaint(&output);
    assert!(!output.status.success());
    assert!(complaint.contains("genesis") && complaint.contains("data directory"), "{complaint}");
    let again = run(&["init", "--datadir", &data, "--chain", "dev"]);
    assert!(again.status.success(), "the database is as it was");
}

#[test]
fn a_recorded_chain_is_imported_and_a_broken_file_keeps_what_was_right() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let text = fs::read_to_string(repository("testdata/genesis/ethereum.json")).unwrap();
    let known: Vec<Value> = serde_json::from_str(&text).unwrap();
    let genesis = known.iter().find(|entry| entry["name"] == "execution-apis").unwrap();
    fs::write(path("genesis.json"), genesis["genesis"].to_string()).unwrap();
    let chain = fs::read(repository("testdata/chains/execution-apis.rlp")).unwrap();
    fs::write(path("cut.rlp"), &chain[..chain.len() - 1]).unwrap();
    let import = |data: &str, file: &str| {
        run(&["import", "--datadir", &path(data), "--chain", &path("genesis.json"), file])
    };

    let whole = repository("testdata/chains/execution-apis.rlp").display().to_string();
    let output = import("whole", &whole);
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(complaint(&output).contains("head is block 54"), "{}", complaint(&output));

    let output = import("cut", &path("cut.rlp"));
    assert!(!output.status.success());
    assert!(complaint(&output).contains("ends within the block"), "{}", complaint(&output));
    let output = import("cut", &whole);
    assert!(complaint(&output).contains("head is block 54"), "{}", complaint(&output));
}

#[test]
fn replaying_the_same_seed_ends_on_the_same_block() {
    let replay = || {
        let args = ["bench", "replay", "--json", "--blocks=2", "--senders=20"];
        let output = run(&[&args[..], &["--gas-limit=5000000"]].concat());
        assert!(output.status.success(), "{}", complaint(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["results"].as_array().unwrap().clone()
    };
    let (first, again) = (replay(), replay());
    assert_eq!(first.len(), 3);
    for (result, other) in first.iter().zip(&again) {
        assert_eq!(result["head"], other["head"]);
        let measured = |phase: &str| result["phases"][phase]["seconds"].as_f64().unwrap() > 0.0;
        assert!(["recover", "execute", "root", "persist"].into_iter().all(measured), "{result}");
    }
}

#[test]
fn what_cannot_work_is_said_in_one_line() {
    let check = |args: &[&str], expected: &str| {
        let output = run(args);
        let complaint = complaint(&output);
        assert!(!output.status.success());
        assert!(complaint.contains(expected), "{args:?}: {complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    };
    check(&["node", "--chain", "/no/such/file"], "cannot read genesis file /no/such/file");
    check(&["db", "stats", "--datadir", "/no/such/folder"], "there is no database at");
    check(&["bench", "replay", "--workload=nonsense"], "write transfers, erc20 or mixed");
    check(&["node", "--log.stdout.filter", "a=b=c"], "log filter");
}
