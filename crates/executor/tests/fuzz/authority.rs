//! Accounts with keys, for authorisations (EIP-7702): each is signed once.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};

use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use banyan_primitives::{Address, Signature, U256, keccak256};
use secp256k1::{Message, SECP256K1, SecretKey};

/// Authorisations kept; then signed anew.
const KEPT: usize = 100_000;

static KEYS: LazyLock<Vec<(SecretKey, Address)>> = LazyLock::new(|| {
    (1..=3)
        .map(|number| {
            let key = SecretKey::from_byte_array([number; 32]).unwrap();
            let public = key.public_key(SECP256K1).serialize_uncompressed();
            (key, Address::from_slice(&keccak256(&public[1..])[12..]))
        })
        .collect()
});

static SIGNED: LazyLock<Mutex<HashMap<(usize, Authorization), SignedAuthorization>>> =
    LazyLock::new(Mutex::default);

/// The accounts.
pub(crate) fn addresses() -> [Address; 3] {
    [0, 1, 2].map(|index: usize| KEYS[index].1)
}

/// What account number `signer` signed.
pub(crate) fn sign(
    signer: usize,
    chain_id: u64,
    address: Address,
    nonce: u64,
) -> SignedAuthorization {
    let authorization = Authorization { chain_id: U256::from(chain_id), address, nonce };
    let mut signed = SIGNED.lock().unwrap();
    if signed.len() > KEPT {
        signed.clear();
    }
    signed
        .entry((signer, authorization.clone()))
        .or_insert_with(|| {
            let message = Message::from_digest(authorization.signature_hash().0);
            let signature = SECP256K1.sign_ecdsa_recoverable(message, &KEYS[signer].0);
            let (id, bytes) = signature.serialize_compact();
            let word = |from: usize| U256::from_be_slice(&bytes[from..from + 32]);
            let signature = Signature::new(word(0), word(32), i32::from(id) == 1);
            authorization.into_signed(signature)
        })
        .clone()
}
