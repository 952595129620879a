use alloy_consensus::{
    EthereumTxEnvelope, SignableTransaction, Signed, TransactionEnvelope, TxEip1559, TxEip2930,
    TxEip4844, TxEip7702, TxLegacy,
};
use alloy_eips::eip7594::BlobTransactionSidecarVariant;
use op_alloy_consensus::TxDeposit;

use crate::{Address, B256, Sealed, Signature};

/// A transaction of either chain family, in consensus form (blob sidecars are not part of it).
#[derive(Debug, Clone, TransactionEnvelope)]
#[envelope(tx_type_name = TxType, typed = TypedTransaction)]
pub enum Transaction {
    /// Legacy transaction.
    #[envelope(ty = 0)]
    Legacy(Signed<TxLegacy>),
    /// EIP-2930 access list transaction.
    #[envelope(ty = 1)]
    Eip2930(Signed<TxEip2930>),
    /// EIP-1559 dynamic fee transaction.
    #[envelope(ty = 2)]
    Eip1559(Signed<TxEip1559>),
    /// EIP-4844 blob transaction, without its sidecar. Not valid on OP chains.
    #[envelope(ty = 3)]
    Eip4844(Signed<TxEip4844>),
    /// EIP-7702 set-code transaction.
    #[envelope(ty = 4)]
    Eip7702(Signed<TxEip7702>),
    /// OP Stack deposit. Unsigned; its sender is `from`. Not valid on Ethereum chains.
    #[envelope(ty = 126)]
    #[serde(serialize_with = "op_alloy_consensus::serde_deposit_tx_rpc")]
    Deposit(Sealed<TxDeposit>),
}

/// Blobs, commitments and proofs that travel with a blob transaction outside blocks.
pub type PooledSidecar = BlobTransactionSidecarVariant;

impl Transaction {
    /// EIP-2718 type.
    pub const fn tx_type(&self) -> TxType {
        match self {
            Self::Legacy(_) => TxType::Legacy,
            Self::Eip2930(_) => TxType::Eip2930,
            Self::Eip1559(_) => TxType::Eip1559,
            Self::Eip4844(_) => TxType::Eip4844,
            Self::Eip7702(_) => TxType::Eip7702,
            Self::Deposit(_) => TxType::Deposit,
        }
    }

    /// True for an OP Stack deposit.
    pub const fn is_deposit(&self) -> bool {
        matches!(self, Self::Deposit(_))
    }

    /// The deposit, if it is one.
    pub const fn as_deposit(&self) -> Option<&Sealed<TxDeposit>> {
        match self {
            Self::Deposit(tx) => Some(tx),
            _ => None,
        }
    }

    /// Transaction hash, memoised.
    pub fn hash(&self) -> &B256 {
        match self {
            Self::Legacy(tx) => tx.hash(),
            Self::Eip2930(tx) => tx.hash(),
            Self::Eip1559(tx) => tx.hash(),
            Self::Eip4844(tx) => tx.hash(),
            Self::Eip7702(tx) => tx.hash(),
            Self::Deposit(tx) => tx.hash_ref(),
        }
    }

    /// The signature; `None` for deposits.
    pub const fn signature(&self) -> Option<&Signature> {
        Some(match self {
            Self::Legacy(tx) => tx.signature(),
            Self::Eip2930(tx) => tx.signature(),
            Self::Eip1559(tx) => tx.signature(),
            Self::Eip4844(tx) => tx.signature(),
            Self::Eip7702(tx) => tx.signature(),
            Self::Deposit(_) => return None,
        })
    }

    /// What the signature signs, or the sender itself for deposits.
    pub fn signing_hash(&self) -> Result<B256, Address> {
        Ok(match self {
            Self::Legacy(tx) => tx.tx().signature_hash(),
            Self::Eip2930(tx) => tx.tx().signature_hash(),
            Self::Eip1559(tx) => tx.tx().signature_hash(),
            Self::Eip4844(tx) => tx.tx().signature_hash(),
            Self::Eip7702(tx) => tx.tx().signature_hash(),
            Self::Deposit(tx) => return Err(tx.from),
        })
    }
}

impl From<EthereumTxEnvelope<TxEip4844>> for Transaction {
    fn from(tx: EthereumTxEnvelope<TxEip4844>) -> Self {
        match tx {
            EthereumTxEnvelope::Legacy(tx) => Self::Legacy(tx),
            EthereumTxEnvelope::Eip2930(tx) => Self::Eip2930(tx),
            EthereumTxEnvelope::Eip1559(tx) => Self::Eip1559(tx),
            EthereumTxEnvelope::Eip4844(tx) => Self::Eip4844(tx),
            EthereumTxEnvelope::Eip7702(tx) => Self::Eip7702(tx),
        }
    }
}

impl From<TxDeposit> for Transaction {
    fn from(tx: TxDeposit) -> Self {
        use alloy_primitives::Sealable;
        Self::Deposit(tx.seal_slow())
    }
}
