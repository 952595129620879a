//! Blocks and transactions of the built-in development chain (OP rules, all forks at genesis).

use std::time::Duration;

use alloy_consensus::{SignableTransaction, TxEip1559};
use banyan_chainspec::ChainSpec;
use banyan_primitives::{B256, Bytes, Encodable2718, Signature, Transaction, TxKind, U256, b256};
use secp256k1::{Message, SECP256K1, SecretKey};
use serde_json::{Value, json};

use super::{Node, testdata};

/// First of the well-known dev accounts.
pub const DEV_KEY: B256 =
    b256!("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
pub const DEV_ADDRESS: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";

/// The L1 attributes deposit of a Jovian block, as op-node made it.
pub const L1_ATTRIBUTES: &str = "0x7ef90106a0913f1f044e1fadacc70fb35682de4c473d8de45c5061e4c92e5ff1a7e5\
fb94dd94deaddeaddeaddeaddeaddeaddeaddeaddead000194420000000000000000000000000000000000001580808\
30f424080b8b23db6be2b00000558000c5fc50000000000000001000000006b01520800000000000000020000000000\
0000000000000000000000000000000000000000000000342770c000000000000000000000000000000000000000000\
00000000000000000000001c50085cc37112394b38ef2d85574379f6311656e9df06299939d54a269f2a8d800000000\
0000000000000000f39fd6e51aad88f6f4ce6ab8827279cfffb922660000000000000000000000000190";

/// The development chain with `wide` commitment, lag 2.
pub fn wide_spec() -> ChainSpec {
    let genesis = std::fs::read_to_string(testdata().join("../genesis/dev.json")).unwrap();
    let wide = r#""config": {"commitment": {"kind": "wide", "lag": 2}, "#;
    ChainSpec::from_genesis_json(&genesis.replacen(r#""config": {"#, wide, 1)).unwrap()
}

/// A signed transaction of the dev account, encoded.
pub fn signed(nonce: u64, to: TxKind, input: Bytes) -> Bytes {
    let tx = TxEip1559 {
        chain_id: 901,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to,
        value: U256::from(if to.is_call() { 7 } else { 0 }),
        input,
        ..TxEip1559::default()
    };
    let key = SecretKey::from_byte_array(DEV_KEY.0).unwrap();
    let message = Message::from_digest(tx.signature_hash().0);
    let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(message, &key).serialize_compact();
    let signature = Signature::from_bytes_and_parity(&bytes, i32::from(id) == 1);
    Transaction::Eip1559(tx.into_signed(signature)).encoded_2718().into()
}

/// Attributes as op-node sends them since Jovian.
pub fn attributes(timestamp: u64) -> Value {
    json!({
        "timestamp": format!("{timestamp:#x}"),
        "prevRandao": B256::repeat_byte(3),
        "suggestedFeeRecipient": "0x4200000000000000000000000000000000000011",
        "withdrawals": [],
        "parentBeaconBlockRoot": B256::repeat_byte(4),
        "transactions": [L1_ATTRIBUTES],
        "gasLimit": "0x3938700",
        "eip1559Params": "0x0000000000000000",
        "minBaseFee": 0,
    })
}

pub fn forkchoice(head: &Value) -> Value {
    json!({
        "headBlockHash": head,
        "safeBlockHash": B256::ZERO,
        "finalizedBlockHash": B256::ZERO,
    })
}

impl Node {
    /// Builds a block on `parent` through the Engine API; gives its envelope. The head is `parent`.
    pub async fn build(&self, parent: &Value, timestamp: u64) -> Value {
        let params = json!([forkchoice(parent), attributes(timestamp)]);
        let answer = self.result("engine_forkchoiceUpdatedV3", params).await;
        let id = answer["payloadId"].as_str().unwrap();
        assert!(id.starts_with("0x03"), "{id}");
        // Whoever asks at once may get the forced transactions alone.
        while !self.payload.is_ready(id.parse().unwrap()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.result("engine_getPayloadV5", json!([id])).await
    }

    /// Sends a built block back and makes it the head; gives its hash.
    pub async fn adopt(&self, envelope: &Value) -> Value {
        let status = self.result("engine_newPayloadV4", new_payload_params(envelope)).await;
        assert_eq!(status["status"], "VALID", "{status}");
        let hash = envelope["executionPayload"]["blockHash"].clone();
        let answer =
            self.result("engine_forkchoiceUpdatedV3", json!([forkchoice(&hash), null])).await;
        assert_eq!(answer["payloadStatus"]["status"], "VALID", "{answer}");
        hash
    }

    /// Hash and timestamp of the head.
    pub fn head(&self) -> (Value, u64) {
        let view = self.chain.view();
        (json!(view.head().hash()), view.head().timestamp)
    }
}

pub fn new_payload_params(envelope: &Value) -> Value {
    json!([
        envelope["executionPayload"],
        [],
        envelope["parentBeaconBlockRoot"],
        envelope["executionRequests"],
    ])
}
