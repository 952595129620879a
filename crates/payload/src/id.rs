use banyan_consensus::PayloadAttributes;
use banyan_primitives::{B256, alloy_primitives::B64};
use sha2::{Digest, Sha256};

/// The id of a build job: a function of parent and attributes, with the version of the
/// forkchoiceUpdated call as its first byte. The same as op-geth's, since rollup-boost computes
/// it in advance.
pub fn payload_id(parent: &B256, attributes: &PayloadAttributes, version: u8) -> B64 {
    let mut hasher = Sha256::new();
    hasher.update(parent);
    hasher.update(attributes.timestamp.to_be_bytes());
    hasher.update(attributes.prev_randao);
    hasher.update(attributes.suggested_fee_recipient);
    if let Some(withdrawals) = &attributes.withdrawals {
        hasher.update(alloy_rlp::encode(&withdrawals.0));
    }
    if let Some(root) = attributes.parent_beacon_block_root {
        hasher.update(root);
    }
    if attributes.no_tx_pool || !attributes.transactions.is_empty() {
        hasher.update([u8::from(attributes.no_tx_pool)]);
        hasher.update((attributes.transactions.len() as u64).to_be_bytes());
        for tx in &attributes.transactions {
            hasher.update(tx.hash());
        }
    }
    if let Some(gas_limit) = attributes.gas_limit {
        hasher.update(gas_limit.to_be_bytes());
    }
    if let Some(params) = attributes.eip1559_params {
        hasher.update(params);
    }
    if let Some(min_base_fee) = attributes.min_base_fee {
        hasher.update(min_base_fee.to_be_bytes());
    }
    if let Some(slot) = attributes.slot_number {
        hasher.update(slot.to_be_bytes());
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let mut id = B64::from_slice(&digest[..8]);
    id[0] = version;
    id
}

#[cfg(test)]
mod tests {
    use banyan_primitives::{Decodable2718, Transaction, address, b256, bytes};

    use super::*;

    #[test]
    fn equals_op_geths_id() {
        let deposit = bytes!(
            "7ef8f8a0dc19cfa777d90980e4875d0a548a881baaa3f83f14d1bc0d3038bc329350e54194deaddeaddeaddeaddeaddeaddeaddeaddead00019442000000000000000000000000000000000000158080830f424080b8a4440a5e20000f424000000000000000000000000300000000670d6d890000000000000125000000000000000000000000000000000000000000000000000000000000000700000000000000000000000000000000000000000000000000000000000000014bf9181db6e381d4384bbf69c48b0ee0eed23c6ca26143c6d2544f9d39997a590000000000000000000000007f83d659683caf2767fd3c720981d51f5bc365bc"
        );
        let attributes = PayloadAttributes {
            timestamp: 1728933301,
            prev_randao: b256!(
                "0x9158595abbdab2c90635087619aa7042bbebe47642dfab3c9bfb934f6b082765"
            ),
            suggested_fee_recipient: address!("0x4200000000000000000000000000000000000011"),
            withdrawals: Some(Default::default()),
            parent_beacon_block_root: Some(b256!(
                "0x8fe0193b9bf83cb7e5a08538e494fecc23046aab9a497af3704f4afdae3250ff"
            )),
            transactions: vec![Transaction::decode_2718(&mut deposit.as_ref()).unwrap()],
            gas_limit: Some(30_000_000),
            ..Default::default()
        };
        let parent = b256!("0x3533bf30edaf9505d0810bf475cbe4e5f4b9889904b9845e83efdeab4e92eb1e");
        assert_eq!(payload_id(&parent, &attributes, 3).to_string(), "0x03d2dae446d2a86a");
    }
}
