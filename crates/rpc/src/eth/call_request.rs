use alloy_eips::{eip2930::AccessList, eip7702::SignedAuthorization};
use banyan_executor::CallRequest;
use banyan_primitives::{Address, B256, Bytes, TxKind};
use serde::Deserialize;

use crate::{
    error::{RpcError, RpcResult},
    quantity::{Big, Quantity, Wide},
};

/// A call as wallets describe it. Everything is optional.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TransactionArgs {
    from: Option<Address>,
    to: Option<Address>,
    gas: Option<Quantity>,
    gas_price: Option<Wide>,
    max_fee_per_gas: Option<Wide>,
    max_priority_fee_per_gas: Option<Wide>,
    value: Option<Big>,
    nonce: Option<Quantity>,
    data: Option<Bytes>,
    input: Option<Bytes>,
    access_list: Option<AccessList>,
    chain_id: Option<Quantity>,
    max_fee_per_blob_gas: Option<Wide>,
    blob_versioned_hashes: Option<Vec<B256>>,
    authorization_list: Option<Vec<SignedAuthorization>>,
}

impl TransactionArgs {
    /// Gas limit, if given.
    pub(super) fn gas(&self) -> Option<u64> {
        self.gas.map(|gas| gas.0)
    }

    /// The call with gas limit `gas`; contradictions are refused in geth's words.
    pub(super) fn to_request(&self, chain_id: u64, gas: u64) -> RpcResult<CallRequest> {
        self.check(chain_id)?;
        let max_fee = self.gas_price.or(self.max_fee_per_gas);
        Ok(CallRequest {
            from: self.from.unwrap_or_default(),
            to: self.to.map_or(TxKind::Create, TxKind::Call),
            gas,
            max_fee: max_fee.unwrap_or_default().0,
            max_priority_fee: self.max_priority_fee_per_gas.map(|fee| fee.0),
            value: self.value.unwrap_or_default().0,
            input: self.input.clone().or_else(|| self.data.clone()).unwrap_or_default(),
            access_list: self.access_list.clone().unwrap_or_default(),
            authorizations: self.authorization_list.clone().unwrap_or_default(),
            blob_hashes: self.blob_versioned_hashes.clone().unwrap_or_default(),
            max_fee_per_blob_gas: self.max_fee_per_blob_gas.unwrap_or_default().0,
            nonce: self.nonce.map(|nonce| nonce.0),
        })
    }

    fn check(&self, chain_id: u64) -> RpcResult<()> {
        let dynamic = self.max_fee_per_gas.is_some() || self.max_priority_fee_per_gas.is_some();
        if self.gas_price.is_some() && dynamic {
            return Err(RpcError::server(
                "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
            ));
        }
        if let (Some(input), Some(data)) = (&self.input, &self.data)
            && input != data
        {
            return Err(RpcError::server(
                "both \"data\" and \"input\" are set and not equal. Please use \"input\" to pass \
                 transaction call data",
            ));
        }
        if let Some(Quantity(id)) = self.chain_id
            && id != chain_id
        {
            return Err(RpcError::server(format!(
                "chainId does not match node's (have={id}, want={chain_id})"
            )));
        }
        if self.blob_versioned_hashes.is_some() && self.to.is_none() {
            return Err(RpcError::server("missing \"to\" in blob transaction"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: serde_json::Value) -> TransactionArgs {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_call_of_the_fixtures_is_understood() {
        let request = read(json!({
            "from": "0x14e46043e63d0e3cdcf2530519f4cfaf35058cb2",
            "gas": "0xea60",
            "input": "0x333435",
            "maxFeePerGas": "0x1a21398",
            "maxPriorityFeePerGas": "0xb",
            "to": "0x9344b07175800259691961298ca11c824e65032d",
            "value": "0x17",
        }))
        .to_request(1, 60_000)
        .unwrap();
        assert_eq!(
            (request.gas, request.max_fee, request.max_priority_fee),
            (60_000, 27_399_064, Some(11))
        );
        assert_eq!(request.input, Bytes::from_static(b"345"));
        assert!(request.to.is_call());
    }

    #[test]
    fn an_empty_call_creates_a_contract_without_fees() {
        let request = read(json!({})).to_request(1, 5).unwrap();
        assert!(request.to.is_create());
        assert_eq!(request.max_fee, 0);
    }

    #[test]
    fn contradictions_are_refused() {
        let cases = [
            json!({"gasPrice": "0x1", "maxFeePerGas": "0x1"}),
            json!({"input": "0x01", "data": "0x02"}),
            json!({"chainId": "0x2"}),
            json!({"blobVersionedHashes": []}),
        ];
        for case in cases {
            assert!(read(case.clone()).to_request(1, 5).is_err(), "{case}");
        }
        assert!(read(json!({"input": "0x01", "data": "0x01"})).to_request(1, 5).is_ok());
    }
}
