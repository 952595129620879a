//! Transactions of any type from one set of fields.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_eips::{eip2930::AccessList, eip7702::SignedAuthorization};
use banyan_primitives::{Address, B256, Bytes, Signature, Transaction, TxKind, U256};

/// A transaction before it has a type.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) kind: u8,
    pub(crate) chain_id: Option<u64>,
    pub(crate) nonce: u64,
    pub(crate) gas_limit: u64,
    pub(crate) max_fee: u128,
    pub(crate) tip: u128,
    pub(crate) to: TxKind,
    pub(crate) value: U256,
    pub(crate) data: Bytes,
    pub(crate) access: AccessList,
    pub(crate) blobs: Vec<B256>,
    pub(crate) blob_fee: u128,
    pub(crate) authorizations: Vec<SignedAuthorization>,
}

impl Draft {
    /// Typed, with a signature that is none: execution is told the sender. It tells senders apart,
    /// so that no two have transactions of one hash.
    pub(crate) fn seal(self, sender: Address) -> Transaction {
        let signature = Signature::new(U256::from_be_slice(sender.as_slice()), U256::ONE, false);
        let Self { chain_id, nonce, gas_limit, max_fee, tip, to, value, data: input, .. } = self;
        let (access_list, id) = (self.access, chain_id.unwrap_or(1));
        let called = to.to().copied().unwrap_or_default();
        match self.kind {
            0 => {
                let tx =
                    TxLegacy { chain_id, nonce, gas_price: max_fee, gas_limit, to, value, input };
                Transaction::Legacy(tx.into_signed(signature))
            }
            1 => Transaction::Eip2930(
                TxEip2930 {
                    chain_id: id,
                    nonce,
                    gas_price: max_fee,
                    gas_limit,
                    to,
                    value,
                    access_list,
                    input,
                }
                .into_signed(signature),
            ),
            2 => Transaction::Eip1559(
                TxEip1559 {
                    chain_id: id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: max_fee,
                    max_priority_fee_per_gas: tip,
                    to,
                    value,
                    access_list,
                    input,
                }
                .into_signed(signature),
            ),
            3 => Transaction::Eip4844(
                TxEip4844 {
                    chain_id: id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: max_fee,
                    max_priority_fee_per_gas: tip,
                    to: called,
                    value,
                    access_list,
                    blob_versioned_hashes: self.blobs,
                    max_fee_per_blob_gas: self.blob_fee,
                    input,
                }
                .into_signed(signature),
            ),
            _ => Transaction::Eip7702(
                TxEip7702 {
                    chain_id: id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: max_fee,
                    max_priority_fee_per_gas: tip,
                    to: called,
                    value,
                    access_list,
                    authorization_list: self.authorizations,
                    input,
                }
                .into_signed(signature),
            ),
        }
    }
}
