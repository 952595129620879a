//! Transactions and genesis of the workloads: every choice follows from the seed.

use std::collections::BTreeMap;

use alloy_consensus::{SignableTransaction, TxEip1559};
use banyan_primitives::{
    Address, B256, Bytes, Signature, Transaction, TxKind, U256, alloy_primitives::hex, keccak256,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use rayon::prelude::*;
use secp256k1::{Message, SECP256K1, SecretKey};
use serde_json::{Value, json};

use super::{Workload, erc20, grown::holder};
use crate::{NodeError, dev::address_of};

/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;
/// Gas limit of a token transfer between holders; it uses about 34,000.
const TOKEN_GAS: u64 = 40_000;
/// Gas limit of the creation below; it uses about 54,000.
const CREATE_GAS: u64 = 60_000;
/// Gas left for the L1 attributes deposit.
const RESERVED_GAS: u64 = 1_200_000;
/// Init code that deploys one byte (STOP).
const CREATE_CODE: [u8; 4] = hex!("60015ff3");
/// Highest price offered, wei: far above what the base fee reaches.
const MAX_FEE: u128 = 10_000_000_000_000;
/// Tokens that each sender holds at genesis.
const TOKENS: u64 = 1 << 40;

/// Makes the blocks of one workload.
pub(crate) struct Generator {
    workload: Workload,
    chain_id: u64,
    rng: ChaCha12Rng,
    senders: Vec<Sender>,
    /// Accounts that only receive; 0: the senders do.
    holders: u32,
    turn: usize,
}

/// An account that sends.
struct Sender {
    key: SecretKey,
    address: Address,
    nonce: u64,
}

/// A transaction not signed yet.
struct Draft {
    key: SecretKey,
    tx: TxEip1559,
}

impl Generator {
    /// A generator with `senders` accounts, whose keys follow from their number.
    pub(crate) fn new(workload: Workload, seed: u64, senders: u32, chain_id: u64) -> Self {
        let senders = (0..senders).into_par_iter().filter_map(sender).collect();
        Self {
            workload,
            chain_id,
            rng: ChaCha12Rng::seed_from_u64(seed),
            senders,
            holders: 0,
            turn: 0,
        }
    }

    /// Sends to accounts of a grown state instead of the senders.
    pub(super) fn with_holders(self, holders: u32) -> Self {
        Self { holders, ..self }
    }

    /// Transactions of the next block: as many as surely fit below `gas_limit`.
    pub(super) fn next_block(&mut self, gas_limit: u64) -> Result<Vec<Transaction>, NodeError> {
        let mut left = gas_limit.saturating_sub(RESERVED_GAS);
        let mut drafts = Vec::new();
        while left >= CREATE_GAS {
            let draft = self.draft();
            left -= draft.tx.gas_limit;
            drafts.push(draft);
        }
        if drafts.is_empty() {
            return Err(NodeError::Bench(format!("no transaction fits into {gas_limit} gas")));
        }
        Ok(drafts.into_par_iter().map(Draft::sign).collect())
    }

    /// The next `count` transactions, whatever their gas.
    pub(crate) fn transactions(&mut self, count: u32) -> Vec<Transaction> {
        let drafts: Vec<_> = (0..count).map(|_| self.draft()).collect();
        drafts.into_par_iter().map(Draft::sign).collect()
    }

    fn draft(&mut self) -> Draft {
        let from = self.turn % self.senders.len();
        self.turn = from + 1;
        let to = match self.holders {
            0 => self.senders[self.rng.random_range(0..self.senders.len())].address,
            holders => holder(self.rng.random_range(0..holders)),
        };
        let (gas_limit, kind, value, input) = match self.pick() {
            Kind::Transfer => (TRANSFER_GAS, TxKind::Call(to), U256::from(1), Bytes::new()),
            Kind::Token => token(to, U256::from(1)),
            Kind::Revert => token(to, U256::MAX),
            Kind::Create => (CREATE_GAS, TxKind::Create, U256::ZERO, CREATE_CODE.into()),
        };
        let sender = &mut self.senders[from];
        let tx = TxEip1559 {
            chain_id: self.chain_id,
            nonce: sender.nonce,
            gas_limit,
            max_fee_per_gas: MAX_FEE,
            max_priority_fee_per_gas: 1_000_000,
            to: kind,
            value,
            access_list: Default::default(),
            input,
        };
        sender.nonce += 1;
        Draft { key: sender.key, tx }
    }

    fn pick(&mut self) -> Kind {
        match self.workload {
            Workload::Transfers => Kind::Transfer,
            Workload::Erc20 => Kind::Token,
            Workload::Mixed => match self.rng.random_range(0..100) {
                0..50 => Kind::Transfer,
                50..90 => Kind::Token,
                90..98 => Kind::Create,
                _ => Kind::Revert,
            },
        }
    }

    /// Genesis of the workload: the dev chain with the senders funded and the token in place.
    pub(crate) fn genesis(&self, gas_limit: u64, lag: Option<u64>) -> Result<String, NodeError> {
        let malformed = |error| NodeError::Bench(format!("dev genesis: {error}"));
        let mut genesis: Value =
            serde_json::from_str(crate::genesis::DEV_GENESIS).map_err(malformed)?;
        genesis["gasLimit"] = json!(format!("0x{gas_limit:x}"));
        if let Some(lag) = lag {
            genesis["config"]["commitment"] = json!({ "kind": "wide", "lag": lag });
        }
        let alloc = &mut genesis["alloc"];
        for sender in &self.senders {
            alloc[sender.address.to_string()] =
                json!({ "balance": format!("0x{:x}", U256::from(10).pow(U256::from(30))) });
        }
        let balances: BTreeMap<B256, B256> = self
            .senders
            .iter()
            .map(|sender| (erc20::balance_slot(sender.address), U256::from(TOKENS).into()))
            .collect();
        alloc[erc20::TOKEN.to_string()] =
            json!({ "balance": "0x0", "code": erc20::code(), "storage": balances });
        serde_json::to_string(&genesis).map_err(malformed)
    }
}

/// What a transaction does.
enum Kind {
    Transfer,
    Token,
    Create,
    Revert,
}

fn token(to: Address, amount: U256) -> (u64, TxKind, U256, Bytes) {
    (TOKEN_GAS, TxKind::Call(erc20::TOKEN), U256::ZERO, erc20::transfer_call(to, amount))
}

/// The account of a number. Not every hash is a key, but the exceptions are one in 2^128.
fn sender(number: u32) -> Option<Sender> {
    let secret = keccak256([b"banyan bench".as_slice(), &number.to_be_bytes()].concat());
    let key = SecretKey::from_byte_array(secret.0).ok()?;
    Some(Sender { key, address: address_of(&secret)?, nonce: 0 })
}

impl Draft {
    fn sign(self) -> Transaction {
        let message = Message::from_digest(self.tx.signature_hash().0);
        let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(message, &self.key).serialize_compact();
        let signature = Signature::from_bytes_and_parity(&bytes, i32::from(id) == 1);
        Transaction::Eip1559(self.tx.into_signed(signature))
    }
}

#[cfg(test)]
mod tests {
    use banyan_chainspec::ChainSpec;
    use banyan_primitives::{TransactionTrait, signer};

    use super::*;

    fn block(workload: Workload, seed: u64) -> Vec<Transaction> {
        Generator::new(workload, seed, 20, 901).next_block(10_000_000).unwrap()
    }

    #[test]
    fn the_same_seed_gives_the_same_transactions() {
        let hashes = |seed| block(Workload::Mixed, seed).iter().map(|tx| *tx.hash()).collect();
        let (first, again, other): (Vec<B256>, Vec<B256>, Vec<B256>) =
            (hashes(1), hashes(1), hashes(2));
        assert_eq!(first, again);
        assert_ne!(first, other);
    }

    #[test]
    fn a_block_fits_and_its_nonces_have_no_gaps() {
        for workload in Workload::ALL {
            let txs = block(workload, 7);
            let gas: u64 = txs.iter().map(TransactionTrait::gas_limit).sum();
            assert!(gas <= 10_000_000 - RESERVED_GAS && gas > 8_000_000, "{workload}: {gas}");
            let mut next: BTreeMap<Address, u64> = BTreeMap::new();
            for tx in &txs {
                let nonce = next.entry(signer::sender(tx).unwrap()).or_default();
                assert_eq!(tx.nonce(), *nonce);
                *nonce += 1;
            }
            assert_eq!(next.len(), 20);
        }
    }

    #[test]
    fn a_block_without_room_is_refused() {
        let mut generator = Generator::new(Workload::Erc20, 1, 1, 901);
        assert!(generator.next_block(RESERVED_GAS).is_err());
    }

    #[test]
    fn genesis_funds_the_senders_and_holds_the_token() {
        let generator = Generator::new(Workload::Erc20, 1, 3, 901);
        let spec =
            ChainSpec::from_genesis_json(&generator.genesis(30_000_000, None).unwrap()).unwrap();
        assert_eq!(spec.genesis_header.gas_limit, 30_000_000);
        let token = &spec.alloc[&erc20::TOKEN];
        assert_eq!((token.code.clone(), token.storage.len()), (erc20::code(), 3));
        assert!(generator.senders.iter().all(|sender| spec.alloc.contains_key(&sender.address)));
    }
}
