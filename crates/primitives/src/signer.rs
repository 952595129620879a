//! Sender recovery with libsecp256k1: 37 µs per signature and core, so it is done once per
//! transaction, in parallel, and remembered.

use rayon::prelude::*;
use secp256k1::{
    Message, SECP256K1,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use crate::{Address, B256, Signature, Transaction, U256, keccak256};

/// Half the order of the curve: signatures with a larger `s` are refused since Homestead (EIP-2).
const HALF_ORDER: U256 = U256::from_be_bytes(alloy_primitives::hex!(
    "7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0"
));

/// Below this many transactions, waking other threads costs more than it saves.
const PARALLEL_FROM: usize = 4;

/// The signature of a transaction names no account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid transaction signature")]
pub struct InvalidSignature;

/// True if `s` is in the upper half of the order, which EIP-2 forbids since Homestead.
pub fn has_high_s(signature: &Signature) -> bool {
    signature.s() > HALF_ORDER
}

/// Recovers the account that signed `hash`, refusing a high `s` (EIP-2).
pub fn recover(signature: &Signature, hash: B256) -> Result<Address, InvalidSignature> {
    if has_high_s(signature) {
        return Err(InvalidSignature);
    }
    recover_unchecked(signature, hash)
}

/// As [`recover`], with a high `s` allowed (Frontier blocks).
pub fn recover_unchecked(signature: &Signature, hash: B256) -> Result<Address, InvalidSignature> {
    let mut compact = [0u8; 64];
    compact[..32].copy_from_slice(&signature.r().to_be_bytes::<32>());
    compact[32..].copy_from_slice(&signature.s().to_be_bytes::<32>());
    let id = if signature.v() { RecoveryId::One } else { RecoveryId::Zero };
    let signature =
        RecoverableSignature::from_compact(&compact, id).map_err(|_| InvalidSignature)?;
    let key = SECP256K1
        .recover_ecdsa(Message::from_digest(hash.0), &signature)
        .map_err(|_| InvalidSignature)?;
    Ok(Address::from_slice(&keccak256(&key.serialize_uncompressed()[1..])[12..]))
}

/// Sender of a transaction: recovered from its signature, or `from` for a deposit.
pub fn sender(tx: &Transaction) -> Result<Address, InvalidSignature> {
    match (tx.signing_hash(), tx.signature()) {
        (Err(from), _) => Ok(from),
        (Ok(hash), Some(signature)) => recover(signature, hash),
        (Ok(_), None) => Err(InvalidSignature),
    }
}

/// As [`sender`], with a high `s` allowed (Frontier blocks).
pub fn sender_unchecked(tx: &Transaction) -> Result<Address, InvalidSignature> {
    match (tx.signing_hash(), tx.signature()) {
        (Err(from), _) => Ok(from),
        (Ok(hash), Some(signature)) => recover_unchecked(signature, hash),
        (Ok(_), None) => Err(InvalidSignature),
    }
}

/// Senders of `transactions`, in order; on all cores. `known` may spare a recovery (a pool that
/// has seen the transaction). A high `s` passes here: it is a rule of the fork (EIP-2), checked
/// with the body. Fails with the index of the first invalid signature.
pub fn senders(
    transactions: &[Transaction],
    known: impl Fn(&B256) -> Option<Address> + Sync,
) -> Result<Vec<Address>, (usize, InvalidSignature)> {
    let one = |(index, tx): (usize, &Transaction)| {
        if let Some(address) = known(tx.hash()) {
            return Ok(address);
        }
        sender_unchecked(tx).map_err(|error| (index, error))
    };
    if transactions.len() < PARALLEL_FROM {
        return transactions.iter().enumerate().map(one).collect();
    }
    transactions.par_iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{SignableTransaction, TxLegacy};
    use alloy_primitives::b256;
    use secp256k1::SecretKey;

    use super::*;

    fn signed(key: &SecretKey, nonce: u64) -> Transaction {
        let tx = TxLegacy { nonce, chain_id: Some(901), ..Default::default() };
        let message = Message::from_digest(tx.signature_hash().0);
        let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(message, key).serialize_compact();
        let signature = Signature::from_bytes_and_parity(&bytes, i32::from(id) == 1);
        Transaction::Legacy(tx.into_signed(signature))
    }

    #[test]
    fn recovers_the_well_known_dev_account_in_order() {
        let key = b256!("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
        let key = SecretKey::from_byte_array(key.0).unwrap();
        let txs: Vec<_> = (0..9).map(|nonce| signed(&key, nonce)).collect();
        let found = senders(&txs, |_| None).unwrap();
        let expected = alloy_primitives::address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        assert_eq!(found, vec![expected; 9]);
    }

    #[test]
    fn a_high_s_is_refused_since_homestead() {
        let signature = Signature::new(U256::from(1), HALF_ORDER + U256::from(1), false);
        assert_eq!(recover(&signature, B256::ZERO), Err(InvalidSignature));
    }
}
