//! Keys that follow from a name, and what they sign.

use alloy_consensus::{SignableTransaction, TxEip1559};
use banyan_primitives::{Address, Bytes, Encodable2718, Signature, Transaction, keccak256};
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};

/// The key of that name. Not every hash is a key, but the exceptions are one in 2^128.
pub fn key(name: &str) -> SecretKey {
    SecretKey::from_byte_array(keccak256(name).0).expect("these hashes are keys")
}

/// The account of a key.
pub fn address(key: &SecretKey) -> Address {
    let public = PublicKey::from_secret_key(SECP256K1, key).serialize_uncompressed();
    Address::from_slice(&keccak256(&public[1..])[12..])
}

/// A transaction as it travels.
pub fn sign(tx: TxEip1559, key: &SecretKey) -> Bytes {
    let message = Message::from_digest(tx.signature_hash().0);
    let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(message, key).serialize_compact();
    let signature = Signature::from_bytes_and_parity(&bytes, i32::from(id) == 1);
    Transaction::Eip1559(tx.into_signed(signature)).encoded_2718().into()
}

#[cfg(test)]
mod tests {
    use banyan_primitives::{Decodable2718, TxKind, U256, signer};

    use super::*;

    #[test]
    fn what_a_key_signs_is_from_its_account() {
        let key = key("somebody");
        let tx = TxEip1559 {
            chain_id: 1,
            to: TxKind::Call(Address::ZERO),
            value: U256::ONE,
            ..Default::default()
        };
        let tx = Transaction::decode_2718(&mut sign(tx, &key).as_ref()).unwrap();
        assert_eq!(signer::sender(&tx).unwrap(), address(&key));
    }
}
