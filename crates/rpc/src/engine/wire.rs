//! Payloads and attributes as they stand in JSON: all versions in one structure, fields that only
//! some versions have are optional. Which fields must be there is checked per version.

use alloy_rpc_types_engine::{ExecutionPayloadV1, ExecutionPayloadV2, ExecutionPayloadV3};
use banyan_primitives::{
    Address, B64, B256, Block, Bloom, Bytes, EMPTY_OMMER_ROOT_HASH, Header, SealedBlock, U256,
    Withdrawal, keccak256, roots,
};
use op_alloy_rpc_types_engine::{OpExecutionPayload, OpExecutionPayloadV4};
use serde::Deserialize;

use crate::quantity::{Big, Lenient, Quantity};

/// `ExecutionPayloadV1` to `V4`, and OP's `V4` (Isthmus: `withdrawalsRoot`), as they come in. Not
/// alloy's structures: those take decimal text for a quantity, and choose the version by the fields
/// that are there, where the Engine API demands the fields of the called version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExecutionPayload {
    pub(super) parent_hash: B256,
    pub(super) fee_recipient: Address,
    pub(super) state_root: B256,
    pub(super) receipts_root: B256,
    pub(super) logs_bloom: Bloom,
    pub(super) prev_randao: B256,
    pub(super) block_number: Quantity,
    pub(super) gas_limit: Quantity,
    pub(super) gas_used: Quantity,
    pub(super) timestamp: Quantity,
    pub(super) extra_data: Bytes,
    pub(super) base_fee_per_gas: Big,
    pub(super) block_hash: B256,
    pub(super) transactions: Vec<Bytes>,
    /// Since V2.
    pub(super) withdrawals: Option<Vec<Withdrawal>>,
    /// Since V3.
    pub(super) blob_gas_used: Option<Quantity>,
    /// Since V3.
    pub(super) excess_blob_gas: Option<Quantity>,
    /// OP, Isthmus.
    pub(super) withdrawals_root: Option<B256>,
    /// Since V4 (Amsterdam).
    pub(super) block_access_list: Option<Bytes>,
    /// Since V4 (Amsterdam).
    pub(super) slot_number: Option<Quantity>,
}

/// Parts of a header that newPayload takes beside the payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HeaderExtras {
    pub(super) parent_beacon_block_root: Option<B256>,
    pub(super) requests_hash: Option<B256>,
}

impl ExecutionPayload {
    /// The header that this payload describes, whose hash should be `block_hash`. `None` if the base
    /// fee does not fit a header of ours (no such block can be valid).
    pub(super) fn header(&self, extras: &HeaderExtras, op_isthmus: bool) -> Option<Header> {
        let withdrawals_root = match self.withdrawals_root.filter(|_| op_isthmus) {
            Some(root) => Some(root),
            None => self.withdrawals.as_deref().map(roots::withdrawals_root),
        };
        Some(Header {
            parent_hash: self.parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: self.fee_recipient,
            state_root: self.state_root,
            transactions_root: roots::raw_transactions_root(&self.transactions),
            receipts_root: self.receipts_root,
            logs_bloom: self.logs_bloom,
            difficulty: U256::ZERO,
            number: self.block_number.0,
            gas_limit: self.gas_limit.0,
            gas_used: self.gas_used.0,
            timestamp: self.timestamp.0,
            extra_data: self.extra_data.clone(),
            mix_hash: self.prev_randao,
            nonce: B64::ZERO,
            base_fee_per_gas: Some(u64::try_from(self.base_fee_per_gas.0).ok()?),
            withdrawals_root,
            blob_gas_used: self.blob_gas_used.map(|gas| gas.0),
            excess_blob_gas: self.excess_blob_gas.map(|gas| gas.0),
            parent_beacon_block_root: extras.parent_beacon_block_root,
            requests_hash: extras.requests_hash,
            block_access_list_hash: self.block_access_list.as_ref().map(keccak256),
            slot_number: self.slot_number.map(|slot| slot.0),
        })
    }
}

/// The payload of a block as it goes out, in the version of its fork. `op_isthmus`: with
/// `withdrawalsRoot`. Amsterdam's form is not among them.
pub(super) fn payload_of(block: &SealedBlock, op_isthmus: bool) -> OpExecutionPayload {
    let (hash, block) = (block.hash(), block.to_block());
    if block.header.blob_gas_used.is_none() {
        return match &block.body.withdrawals {
            None => OpExecutionPayload::V1(ExecutionPayloadV1::from_block_unchecked(hash, &block)),
            Some(_) => {
                OpExecutionPayload::V2(ExecutionPayloadV2::from_block_unchecked(hash, &block))
            }
        };
    }
    let payload_inner = ExecutionPayloadV3::from_block_unchecked(hash, &block);
    match block.header.withdrawals_root.filter(|_| op_isthmus) {
        None => OpExecutionPayload::V3(payload_inner),
        Some(withdrawals_root) => {
            OpExecutionPayload::V4(OpExecutionPayloadV4 { payload_inner, withdrawals_root })
        }
    }
}

/// Joins a header with decoded transactions.
pub(super) fn assemble(
    header: Header,
    transactions: Vec<banyan_primitives::Transaction>,
    withdrawals: Option<Vec<Withdrawal>>,
) -> Block {
    let body = banyan_primitives::BlockBody {
        transactions,
        ommers: Vec::new(),
        withdrawals: withdrawals.map(Into::into),
    };
    Block { header, body }
}

/// `PayloadAttributesV1` to `V4` with OP's fields. Not alloy's structure, for its lenient quantities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RpcPayloadAttributes {
    pub(super) timestamp: Quantity,
    pub(super) prev_randao: B256,
    pub(super) suggested_fee_recipient: Address,
    /// Since V2.
    pub(super) withdrawals: Option<Vec<Withdrawal>>,
    /// Since V3.
    pub(super) parent_beacon_block_root: Option<B256>,
    /// Since V4 (Amsterdam).
    pub(super) slot_number: Option<Quantity>,
    /// OP: forced transactions.
    pub(super) transactions: Option<Vec<Bytes>>,
    /// OP.
    pub(super) no_tx_pool: Option<bool>,
    /// OP.
    pub(super) gas_limit: Option<Quantity>,
    /// OP, Holocene.
    pub(super) eip1559_params: Option<B64>,
    /// OP, Jovian. op-node writes a JSON number, others hexadecimal text.
    pub(super) min_base_fee: Option<Lenient>,
}

#[cfg(test)]
mod tests {
    use banyan_primitives::b256;
    use serde_json::json;

    use super::*;

    /// Block 1 of a Jovian chain, as op-geth built it for op-node.
    fn jovian_payload() -> serde_json::Value {
        json!({
            "parentHash": "0x7c227d709f76658bca5a6d634d132c4320ebc7aa345c47481f49227fa84ded41",
            "feeRecipient": "0x4200000000000000000000000000000000000011",
            "stateRoot": "0x01b6598549c5b9a639e9078d935e32565adc8181b4573b3810bb5c710844ab0b",
            "receiptsRoot": "0x677e5221547ef98ad8bf87482211be3a116bedfeec3a717d2894908d8e4d21ba",
            "logsBloom": Bloom::ZERO,
            "prevRandao": "0x81cec869b6743fef846d9f06bedd1ca8e75d29b75aa1caae873414c7da7d003e",
            "blockNumber": "0x1",
            "gasLimit": "0x3938700",
            "gasUsed": "0x2c982",
            "timestamp": "0x6b015209",
            "extraData": "0x01000000fa000000060000000000000000",
            "baseFeePerGas": "0x3b5dc100",
            "blockHash": "0x349acf712df815ed88bbca4f609c81c96180b52a0238b035665b4ed9d9b26285",
            "transactions": ["0x7ef90106a0913f1f044e1fadacc70fb35682de4c473d8de45c5061e4c92e5ff1a7e5\
        fb94dd94deaddeaddeaddeaddeaddeaddeaddeaddead000194420000000000000000000000000000000000001580808\
        30f424080b8b23db6be2b00000558000c5fc50000000000000001000000006b01520800000000000000020000000000\
        0000000000000000000000000000000000000000000000342770c000000000000000000000000000000000000000000\
        00000000000000000000001c50085cc37112394b38ef2d85574379f6311656e9df06299939d54a269f2a8d800000000\
        0000000000000000f39fd6e51aad88f6f4ce6ab8827279cfffb922660000000000000000000000000190"],
            "withdrawals": [],
            "blobGasUsed": "0x0",
            "excessBlobGas": "0x0",
            "withdrawalsRoot": "0x8ed4baae3a927be3dea54996b4d5899f8c01e7594bf50b17dc1e741388ce3d12",
        })
    }

    #[test]
    fn the_header_of_a_recorded_payload_has_the_recorded_hash() {
        let payload: ExecutionPayload = serde_json::from_value(jovian_payload()).unwrap();
        let extras = HeaderExtras {
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(b256!(
                "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            )),
        };
        let header = payload.header(&extras, true).unwrap();
        assert_eq!(header.hash_slow(), payload.block_hash);
        let without_root = payload.header(&extras, false).unwrap();
        assert_ne!(without_root.hash_slow(), payload.block_hash);
    }

    #[test]
    fn a_payload_survives_the_way_through_a_block() {
        let payload: ExecutionPayload = serde_json::from_value(jovian_payload()).unwrap();
        let extras = HeaderExtras {
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH),
        };
        let transactions = payload
            .transactions
            .iter()
            .map(|tx| banyan_primitives::Decodable2718::decode_2718_exact(tx).unwrap())
            .collect();
        let header = payload.header(&extras, true).unwrap();
        let block = SealedBlock::seal(assemble(header, transactions, payload.withdrawals.clone()));
        assert_eq!(serde_json::to_value(payload_of(&block, true)).unwrap(), jovian_payload());
    }

    #[test]
    fn a_payload_goes_out_with_the_fields_of_its_fork() {
        let keys = |block: &Block, op_isthmus| -> [bool; 4] {
            let payload = payload_of(&SealedBlock::seal(block.clone()), op_isthmus);
            let json = serde_json::to_value(payload).unwrap();
            ["withdrawals", "blobGasUsed", "excessBlobGas", "withdrawalsRoot"]
                .map(|key| json.get(key).is_some())
        };
        let mut block = Block::default();
        assert_eq!(keys(&block, false), [false; 4], "Paris");
        block.body.withdrawals = Some(Vec::new().into());
        block.header.withdrawals_root = Some(B256::ZERO);
        assert_eq!(keys(&block, false), [true, false, false, false], "Shanghai");
        block.header.blob_gas_used = Some(0);
        block.header.excess_blob_gas = Some(0);
        assert_eq!(keys(&block, false), [true, true, true, false], "Cancun");
        assert_eq!(keys(&block, true), [true; 4], "Isthmus");
    }

    #[test]
    fn a_null_field_counts_as_not_given() {
        let mut json = jovian_payload();
        json["withdrawals"] = serde_json::Value::Null;
        let payload: ExecutionPayload = serde_json::from_value(json).unwrap();
        assert_eq!(payload.withdrawals, None);
    }

    #[test]
    fn minimum_base_fee_is_read_as_number_and_as_text() {
        for fee in [json!(7), json!("0x7")] {
            let attributes: RpcPayloadAttributes = serde_json::from_value(json!({
                "timestamp": "0x6b015209",
                "prevRandao": B256::ZERO,
                "suggestedFeeRecipient": Address::ZERO,
                "withdrawals": [],
                "parentBeaconBlockRoot": B256::ZERO,
                "transactions": ["0x7e"],
                "noTxPool": true,
                "gasLimit": "0x3938700",
                "eip1559Params": "0x0000000000000000",
                "minBaseFee": fee,
            }))
            .unwrap();
            assert_eq!(attributes.min_base_fee, Some(Lenient(7)));
            assert_eq!(attributes.eip1559_params, Some(B64::ZERO));
            assert_eq!(attributes.gas_limit, Some(Quantity(60_000_000)));
        }
    }
}
