//! Keys, chains, heads and accounts for the tests of this crate.
#![allow(dead_code, reason = "shared by the unit tests and the property test; each uses a part")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use alloy_consensus::{SignableTransaction, Signed, TxEip1559};
use banyan_chainspec::ChainSpec;
use banyan_primitives::{
    Account, Address, B256, Bytes, Header, Sealable, SealedHeader, Signature, SourceError,
    StateSource, Transaction, TxKind, U256, keccak256,
};
use secp256k1::{Message, SECP256K1, SecretKey};

pub(crate) const CHAIN_ID: u64 = 7;
pub(crate) const GAS_LIMIT: u64 = 30_000_000;
/// Base fee of the heads made here, and of the blocks after them, wei.
pub(crate) const BASE_FEE: u64 = 1_000_000_000;
pub(crate) const ETHER: u128 = 1_000_000_000_000_000_000;

/// The timestamp at which Osaka begins on [`spec`]'s chain; Prague is active from the start.
pub(crate) const OSAKA: u64 = 1_000;

/// An Ethereum chain.
pub(crate) fn spec() -> Arc<ChainSpec> {
    let blocks = [
        "homestead",
        "eip150",
        "eip155",
        "eip158",
        "byzantium",
        "constantinople",
        "petersburg",
        "istanbul",
        "berlin",
        "london",
    ];
    let blocks: String = blocks.iter().map(|name| format!("\"{name}Block\":0,")).collect();
    let json = format!(
        r#"{{"config":{{"chainId":{CHAIN_ID},{blocks}"terminalTotalDifficulty":0,
        "shanghaiTime":0,"cancunTime":0,"pragueTime":0,"osakaTime":{OSAKA},"blobSchedule":{{
        "cancun":{{"target":3,"max":6,"baseFeeUpdateFraction":3338477}},
        "prague":{{"target":6,"max":9,"baseFeeUpdateFraction":5007716}},
        "osaka":{{"target":6,"max":9,"baseFeeUpdateFraction":5007716}}}}}},
        "difficulty":"0x0","gasLimit":"{GAS_LIMIT:#x}","baseFeePerGas":"{BASE_FEE:#x}",
        "alloc":{{}}}}"#
    );
    Arc::new(ChainSpec::from_genesis_json(&json).unwrap())
}

/// A half full block: the base fee after it is its own.
pub(crate) fn head(number: u64, timestamp: u64, base_fee: u64) -> SealedHeader {
    let header = Header {
        number,
        timestamp,
        gas_limit: GAS_LIMIT,
        gas_used: GAS_LIMIT / 2,
        base_fee_per_gas: Some(base_fee),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        ..Default::default()
    };
    header.seal_slow()
}

/// One of many accounts.
pub(crate) fn key(index: u8) -> SecretKey {
    SecretKey::from_byte_array(keccak256([index]).0).unwrap()
}

pub(crate) fn address(key: &SecretKey) -> Address {
    let public = key.public_key(SECP256K1).serialize_uncompressed();
    Address::from_slice(&keccak256(&public[1..])[12..])
}

pub(crate) fn sign_hash(hash: B256, key: &SecretKey) -> Signature {
    let message = Message::from_digest(hash.0);
    let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(message, key).serialize_compact();
    Signature::from_bytes_and_parity(&bytes, i32::from(id) == 1)
}

pub(crate) fn sign<T: SignableTransaction<Signature>>(tx: T, key: &SecretKey) -> Signed<T> {
    let signature = sign_hash(tx.signature_hash(), key);
    tx.into_signed(signature)
}

/// A plain transfer with a fee cap of the base fee and the tip (gwei both), so that it is
/// executable.
pub(crate) fn transfer(nonce: u64, tip_gwei: u64) -> TxEip1559 {
    let tip = u128::from(tip_gwei) * 1_000_000_000;
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: u128::from(BASE_FEE) + tip,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(Address::repeat_byte(0xaa)),
        ..Default::default()
    }
}

pub(crate) fn signed_transfer(key: &SecretKey, nonce: u64, tip_gwei: u64) -> Transaction {
    Transaction::Eip1559(sign(transfer(nonce, tip_gwei), key))
}

/// State that a test can change: accounts only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts(Arc<Mutex<HashMap<Address, Account>>>);

impl Accounts {
    pub(crate) fn set(&self, address: Address, nonce: u64, balance: u128) {
        let account = Account { nonce, balance: U256::from(balance), ..Default::default() };
        self.set_account(address, account);
    }

    pub(crate) fn set_account(&self, address: Address, account: Account) {
        self.0.lock().unwrap().insert(address, account);
    }
}

impl StateSource for Accounts {
    fn account(&self, address: &Address) -> Result<Option<Account>, SourceError> {
        Ok(self.0.lock().unwrap().get(address).copied())
    }
    fn storage(&self, _address: &Address, _slot: U256) -> Result<U256, SourceError> {
        Ok(U256::ZERO)
    }
    fn code(&self, hash: &B256) -> Result<Bytes, SourceError> {
        Err(SourceError::MissingCode(*hash))
    }
    fn block_hash(&self, _number: u64) -> Result<B256, SourceError> {
        Ok(B256::ZERO)
    }
}
