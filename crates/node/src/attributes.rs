//! Payload attributes as op-node (on an OP chain) or a beacon node would send them.

use banyan_chainspec::{ChainSpec, Fork, OpFork};
use banyan_primitives::{
    Address, B64, B256, Bytes, Encodable2718, SealedHeader, Transaction, address, keccak256,
};
use serde_json::{Value, json};

use crate::l1_info::l1_info_deposit;

/// Who gets the tips of a dev chain: on an OP chain the sequencer fee vault.
const FEE_RECIPIENT: Address = address!("0x4200000000000000000000000000000000000011");

/// What an OP chain's L1 contracts decide. Without effect on Ethereum chains.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockSettings {
    /// Gas limit of the block.
    pub(crate) gas_limit: u64,
    /// Gas of the block that a byte of estimated compressed size takes (Jovian); 0 means 400.
    pub(crate) da_footprint_gas_scalar: u16,
}

/// Attributes of the block after `parent`. Everything in them follows from the arguments, so equal
/// inputs make equal chains.
pub(crate) fn next_attributes(
    spec: &ChainSpec,
    parent: &SealedHeader,
    timestamp: u64,
    settings: BlockSettings,
) -> Value {
    let rules = spec.rules_at(parent.number + 1, timestamp);
    let randao = keccak256([b"banyan dev randao".as_slice(), parent.hash().as_slice()].concat());
    let mut attributes = json!({
        "timestamp": quantity(timestamp),
        "prevRandao": randao,
        "suggestedFeeRecipient": FEE_RECIPIENT,
    });
    if rules.is(Fork::Shanghai) {
        attributes["withdrawals"] = json!([]);
    }
    if rules.is(Fork::Cancun) {
        attributes["parentBeaconBlockRoot"] = json!(parent_beacon_root());
    }
    if spec.is_op() {
        add_op_fields(&mut attributes, spec, parent, timestamp, settings);
    }
    attributes
}

/// The same with `transactions` after those that are there, and none from the pool.
pub(crate) fn with_forced(mut attributes: Value, transactions: &[Transaction]) -> Value {
    let raw = |tx: &Transaction| json!(Bytes::from(tx.encoded_2718()));
    if let Some(forced) = attributes["transactions"].as_array_mut() {
        forced.extend(transactions.iter().map(raw));
    }
    attributes["noTxPool"] = json!(true);
    attributes
}

/// There is no beacon chain behind a dev chain.
pub(crate) const fn parent_beacon_root() -> B256 {
    B256::ZERO
}

fn add_op_fields(
    attributes: &mut Value,
    spec: &ChainSpec,
    parent: &SealedHeader,
    timestamp: u64,
    settings: BlockSettings,
) {
    let rules = spec.rules_at(parent.number + 1, timestamp);
    // op-node too goes by the parent: the activation block still carries the old form.
    let form = spec.rules_of(parent).op;
    let scalar = settings.da_footprint_gas_scalar;
    let deposit: Transaction = l1_info_deposit(form, parent.number + 1, timestamp, scalar).into();
    let raw: Bytes = deposit.encoded_2718().into();
    attributes["transactions"] = json!([raw]);
    attributes["gasLimit"] = quantity(settings.gas_limit);
    if rules.is_op(OpFork::Holocene) {
        // Zero: "the parameters of the chain".
        attributes["eip1559Params"] = json!(B64::ZERO);
    }
    if rules.is_op(OpFork::Jovian) {
        // A JSON number, unlike everything else: so op-node sends it.
        attributes["minBaseFee"] = json!(0);
    }
}

fn quantity(number: u64) -> Value {
    Value::String(format!("0x{number:x}"))
}

#[cfg(test)]
mod tests {
    use banyan_primitives::{Decodable2718, alloy_primitives::hex};

    use super::*;

    #[test]
    fn the_dev_chain_gets_what_op_node_would_send() {
        let spec = ChainSpec::dev();
        let genesis = &spec.genesis_header;
        let settings = BlockSettings { gas_limit: 30_000_000, da_footprint_gas_scalar: 0 };
        let attributes = next_attributes(&spec, genesis, genesis.timestamp + 1, settings);
        assert_eq!(attributes["gasLimit"], "0x1c9c380");
        assert_eq!(attributes["withdrawals"], json!([]));
        assert_eq!(attributes["eip1559Params"], "0x0000000000000000");
        assert_eq!(attributes["minBaseFee"], 0);
        assert!(attributes["parentBeaconBlockRoot"].is_string());
        let raw = attributes["transactions"][0].as_str().unwrap();
        let raw = hex::decode(raw).unwrap();
        let deposit = Transaction::decode_2718(&mut raw.as_slice()).unwrap();
        let deposit = deposit.as_deposit().unwrap();
        assert_eq!(deposit.input[..4], hex!("3db6be2b"), "setL1BlockValuesJovian()");
        let again = next_attributes(&spec, genesis, genesis.timestamp + 1, settings);
        assert_eq!(attributes, again);
    }
}
