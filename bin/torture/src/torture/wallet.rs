//! Transactions whose effects are known without executing them, and the state they lead to.

use std::collections::HashMap;

use alloy_consensus::TxEip1559;
use banyan_primitives::{
    Address, B256, Bytes, Encodable2718, Transaction, TxDeposit, TxKind, U256, address,
    alloy_primitives::hex, keccak256,
};
use blackbox::keys;
use rand::Rng;
use secp256k1::SecretKey;

use crate::genesis::STORE;

const SENDERS: usize = 16;
/// Accounts that receive transfers, spread over all that are funded.
pub(crate) const RECEIVERS: usize = 64;
/// Slots of the contract that are written.
pub(crate) const SLOTS: usize = 64;
/// The account that sends L1 attributes, and the contract that takes them.
const DEPOSITOR: Address = address!("0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001");
const L1_BLOCK: Address = address!("0x4200000000000000000000000000000000000015");

/// What the torture knows of the state after a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Nonce of each sender.
    pub(crate) nonces: Vec<u64>,
    /// Wei that each receiver was sent since genesis.
    pub(crate) received: Vec<u128>,
    /// Content of the contract's slots.
    pub(crate) slots: Vec<u64>,
}

impl State {
    /// The state of genesis.
    pub(crate) fn genesis() -> Self {
        Self { nonces: vec![0; SENDERS], received: vec![0; RECEIVERS], slots: vec![0; SLOTS] }
    }
}

/// What a transaction does.
#[derive(Clone, Copy, Debug)]
enum Effect {
    Transfer { receiver: usize, value: u128 },
    Store { slot: usize, value: u64 },
}

/// A signed transaction.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    /// As it travels.
    pub(crate) raw: Bytes,
}

/// The senders and every transaction they ever signed.
pub(crate) struct Wallet {
    chain_id: u64,
    accounts: u32,
    keys: Vec<SecretKey>,
    signed: HashMap<B256, (usize, Effect)>,
}

impl Wallet {
    /// Senders on the chain `chain_id`, whose genesis funds `accounts` further accounts.
    pub(crate) fn new(chain_id: u64, accounts: u32) -> Self {
        let keys =
            (0..SENDERS).map(|index| keys::key(&format!("torture sender {index}"))).collect();
        Self { chain_id, accounts, keys, signed: HashMap::new() }
    }

    /// Addresses of the senders.
    pub(crate) fn senders(&self) -> Vec<Address> {
        self.keys.iter().map(keys::address).collect()
    }

    /// The receiver's address.
    pub(crate) fn receiver(&self, receiver: usize) -> Address {
        filler(receiver as u32 * (self.accounts / RECEIVERS as u32).max(1))
    }

    /// `count` transactions that can follow each other on `state`.
    pub(crate) fn sign(&mut self, state: &State, count: usize, rng: &mut impl Rng) -> Vec<Signed> {
        let mut nonces = state.nonces.clone();
        let mut one = || {
            let sender = rng.random_range(0..SENDERS);
            let effect = if rng.random_bool(0.7) {
                let value = rng.random_range(1..1_000_000_000);
                Effect::Transfer { receiver: rng.random_range(0..RECEIVERS), value }
            } else {
                Effect::Store { slot: rng.random_range(0..SLOTS), value: rng.random() }
            };
            nonces[sender] += 1;
            self.sign_one(sender, nonces[sender] - 1, effect)
        };
        (0..count).map(|_| one()).collect()
    }

    fn sign_one(&mut self, sender: usize, nonce: u64, effect: Effect) -> Signed {
        let (to, value, input) = match effect {
            Effect::Transfer { receiver, value } => {
                (self.receiver(receiver), U256::from(value), Bytes::new())
            }
            Effect::Store { slot, value } => {
                let words =
                    [U256::from(slot), U256::from(value)].map(|word| word.to_be_bytes::<32>());
                (STORE, U256::ZERO, words.concat().into())
            }
        };
        let tx = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: if input.is_empty() { 21_000 } else { 60_000 },
            max_fee_per_gas: 100_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to: TxKind::Call(to),
            value,
            input,
            ..Default::default()
        };
        let raw = keys::sign(tx, &self.keys[sender]);
        self.signed.insert(keccak256(&raw), (sender, effect));
        Signed { raw }
    }

    /// Applies a transaction of a block; false if it is none of ours.
    pub(crate) fn apply(&self, state: &mut State, raw: &[u8]) -> bool {
        let Some((sender, effect)) = self.signed.get(&keccak256(raw)) else { return false };
        state.nonces[*sender] += 1;
        match *effect {
            Effect::Transfer { receiver, value } => state.received[receiver] += value,
            Effect::Store { slot, value } => state.slots[slot] = value,
        }
        true
    }
}

/// The `index`th funded account: nobody has its key.
pub(crate) fn filler(index: u32) -> Address {
    Address::from_slice(&keccak256(format!("torture account {index}"))[12..])
}

/// The L1-attributes deposit that opens the OP block `number`, as of Jovian.
pub(crate) fn l1_attributes(number: u64, timestamp: u64) -> Bytes {
    let l1_hash = keccak256(format!("torture L1 {number}"));
    let mut input = hex!("3db6be2b").to_vec(); // setL1BlockValuesJovian()
    input.extend([0; 8]); // scalars: no L1 fee
    input.extend(0u64.to_be_bytes());
    input.extend(timestamp.to_be_bytes());
    input.extend(number.to_be_bytes());
    input.extend(U256::ONE.to_be_bytes::<32>());
    input.extend(U256::ONE.to_be_bytes::<32>());
    input.extend(l1_hash);
    // No batcher, no operator fee, the usual data footprint.
    input.extend([0; 32 + 4 + 8 + 2]);
    let deposit = TxDeposit {
        source_hash: l1_hash,
        from: DEPOSITOR,
        to: TxKind::Call(L1_BLOCK),
        mint: 0,
        value: U256::ZERO,
        gas_limit: 1_000_000,
        is_system_transaction: false,
        input: input.into(),
    };
    Transaction::from(deposit).encoded_2718().into()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_effects_of_signed_transactions_are_followed() {
        let mut wallet = Wallet::new(901, 1000);
        let signed = wallet.sign(&State::genesis(), 40, &mut ChaCha8Rng::seed_from_u64(1));
        let mut state = State::genesis();
        assert!(signed.iter().all(|tx| wallet.apply(&mut state, &tx.raw)));
        assert_eq!(state.nonces.iter().sum::<u64>(), 40);
        assert!(state.received.iter().any(|wei| *wei > 0) && state.slots.iter().any(|n| *n > 0));
        let before = state.clone();
        assert!(!wallet.apply(&mut state, b"of somebody else"));
        assert_eq!(state, before);
    }

    #[test]
    fn l1_attributes_have_the_form_of_jovian() {
        use banyan_primitives::Decodable2718;
        let raw = l1_attributes(7, 1234);
        let deposit = Transaction::decode_2718(&mut raw.as_ref()).unwrap();
        let input = &deposit.as_deposit().unwrap().input;
        assert_eq!(input.len(), 178);
        assert_eq!(input[20..28], 1234u64.to_be_bytes(), "timestamp");
        assert_eq!(input[28..36], 7u64.to_be_bytes(), "number");
    }
}
