//! Genesis and transactions of the workloads: every choice follows from the seed.

use std::collections::BTreeMap;

use alloy_consensus::TxEip1559;
use anyhow::{Context, ensure};
use banyan_primitives::{
    Address, B256, Bytes, TxKind, U256, address, alloy_primitives::hex, keccak256,
};
use blackbox::{genesis::Rules, keys};
use clap::ValueEnum;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha12Rng;
use secp256k1::SecretKey;
use serde_json::{Value, json};

/// Where the token lies: wrapped ether as every OP chain has it, compiled Solidity with the
/// balances in mapping 0.
const TOKEN: Address = address!("0x4200000000000000000000000000000000000006");
const TRANSFER: [u8; 4] = hex!("a9059cbb");
/// Init code that deploys one byte (STOP).
const CREATE_CODE: [u8; 4] = hex!("60015ff3");
/// Tokens that each account holds at genesis.
const TOKENS: u64 = 1 << 40;
/// Ether that each account holds at genesis, wei.
const FUNDS: &str = "0x8ac7230489e80000";
/// Price offered, wei: more than the base fee reaches in a thousand full blocks from 7 wei.
const MAX_FEE: u128 = 100_000_000_000;
const TIP: u128 = 1_000_000_000;

/// What the transactions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Ether between pairs of accounts.
    Transfers,
    /// A token, from accounts in turn to any.
    Erc20,
    /// Half ether, two fifths token; creations, and calls that revert.
    Mixed,
}

impl Workload {
    /// As on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Erc20 => "erc20",
            Self::Mixed => "mixed",
        }
    }
}

/// The accounts that send and receive.
pub(crate) struct Accounts(Vec<(SecretKey, Address)>);

impl Accounts {
    /// So many, whose keys follow from their numbers.
    pub(crate) fn new(count: u32) -> Self {
        let one = |number| {
            let key = keys::key(&format!("peers account {number}"));
            (key, keys::address(&key))
        };
        Self((0..count).map(one).collect())
    }

    /// Some of them, each time the same.
    pub(crate) fn sample(&self, count: usize, seed: u64) -> Vec<Address> {
        let mut dice = ChaCha12Rng::seed_from_u64(seed);
        (0..count).map(|_| self.0[dice.random_range(0..self.0.len())].1).collect()
    }

    /// The genesis file: everybody funded in ether and in tokens.
    pub(crate) fn genesis(&self, gas_limit: u64) -> anyhow::Result<Value> {
        let bare = format!("{TOKEN:x}");
        let code = Rules::Jovian.genesis()?["alloc"][bare.trim_start_matches("0x")]["code"].take();
        ensure!(code.is_string(), "the dev chain has wrapped ether");
        let mut genesis = Rules::Prague.genesis()?;
        genesis["gasLimit"] = json!(format!("{gas_limit:#x}"));
        let alloc = genesis["alloc"].as_object_mut().context("a genesis file has an alloc")?;
        for (_, address) in &self.0 {
            alloc.insert(address.to_string(), json!({ "balance": FUNDS }));
        }
        let amount = B256::from(U256::from(TOKENS));
        let slots = self.0.iter().map(|(_, holder)| (balance_slot(*holder), amount));
        let slots: BTreeMap<B256, B256> = slots.collect();
        alloc.insert(
            TOKEN.to_string(),
            json!({ "balance": "0x0", "nonce": "0x1", "code": code, "storage": slots }),
        );
        Ok(genesis)
    }
}

/// Where the token keeps an account's balance, as parameters of `eth_getStorageAt`.
pub(crate) fn balance_place(holder: Address) -> Value {
    json!([TOKEN, balance_slot(holder), "latest"])
}

fn balance_slot(holder: Address) -> B256 {
    keccak256([holder.into_word(), B256::ZERO].concat())
}

/// Makes the transactions of one workload.
pub(crate) struct Generator<'a> {
    workload: Workload,
    chain_id: u64,
    dice: ChaCha12Rng,
    accounts: &'a Accounts,
    nonces: Vec<u64>,
    /// All accounts, shuffled; each sends or, in a pair, receives once before it is shuffled again.
    order: Vec<usize>,
    next: usize,
}

/// One transaction's part in the block.
struct Kind {
    /// Its gas limit.
    limit: u64,
    /// What it uses at most.
    used: u64,
    to: TxKind,
    value: U256,
    input: Bytes,
}

impl<'a> Generator<'a> {
    /// A generator that starts at genesis.
    pub(crate) fn new(
        workload: Workload,
        seed: u64,
        accounts: &'a Accounts,
    ) -> anyhow::Result<Self> {
        let count = accounts.0.len();
        ensure!(count >= 2, "a transfer needs two accounts");
        let dice = ChaCha12Rng::seed_from_u64(seed);
        let (order, nonces) = ((0..count).collect(), vec![0; count]);
        let chain_id = Rules::Prague.chain_id()?;
        Ok(Self { workload, chain_id, dice, accounts, nonces, order, next: count })
    }

    /// Transactions that fill a block, and surely fit.
    pub(crate) fn next_block(&mut self, gas_limit: u64) -> anyhow::Result<Vec<Bytes>> {
        // The last one must find room for its gas limit.
        let mut left = gas_limit.saturating_sub(60_000);
        let mut signed = Vec::new();
        loop {
            let from = self.turn();
            let kind = self.kind();
            if kind.used > left {
                // Its sender has its turn, but nonces have no gap.
                break;
            }
            left -= kind.used;
            signed.push(self.sign(from, kind));
        }
        ensure!(!signed.is_empty(), "no transaction fits into {gas_limit} gas");
        Ok(signed)
    }

    fn turn(&mut self) -> usize {
        // A pair is never torn.
        if self.next + 1 >= self.order.len() {
            self.order.shuffle(&mut self.dice);
            self.next = 0;
        }
        self.next += 1;
        self.order[self.next - 1]
    }

    fn kind(&mut self) -> Kind {
        let any = self.dice.random_range(0..self.order.len());
        let any = self.accounts.0[any].1;
        match self.workload {
            Workload::Transfers => {
                self.next += 1;
                transfer(self.accounts.0[self.order[self.next - 1]].1)
            }
            Workload::Erc20 => token(any, U256::ONE),
            Workload::Mixed => match self.dice.random_range(0..100) {
                0..50 => transfer(any),
                50..90 => token(any, U256::ONE),
                90..98 => create(),
                _ => token(any, U256::MAX),
            },
        }
    }

    fn sign(&mut self, from: usize, kind: Kind) -> Bytes {
        let tx = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonces[from],
            gas_limit: kind.limit,
            max_fee_per_gas: MAX_FEE,
            max_priority_fee_per_gas: TIP,
            to: kind.to,
            value: kind.value,
            access_list: Default::default(),
            input: kind.input,
        };
        self.nonces[from] += 1;
        keys::sign(tx, &self.accounts.0[from].0)
    }
}

fn transfer(to: Address) -> Kind {
    let (to, input) = (TxKind::Call(to), Bytes::new());
    Kind { limit: 21_000, used: 21_000, to, value: U256::ONE, input }
}

/// A transfer of tokens; it reverts if there are not as many.
fn token(to: Address, amount: U256) -> Kind {
    let words = [to.into_word().as_slice(), &amount.to_be_bytes::<32>()].concat();
    let input = [&TRANSFER[..], &words].concat().into();
    Kind { limit: 45_000, used: 37_000, to: TxKind::Call(TOKEN), value: U256::ZERO, input }
}

fn create() -> Kind {
    let input = CREATE_CODE.into();
    Kind { limit: 60_000, used: 55_000, to: TxKind::Create, value: U256::ZERO, input }
}

#[cfg(test)]
mod tests {
    use banyan_primitives::{Decodable2718, Transaction, TransactionTrait, signer};

    use super::*;

    fn blocks(workload: Workload, seed: u64, count: usize) -> Vec<Vec<Bytes>> {
        let accounts = Accounts::new(30);
        let mut generator = Generator::new(workload, seed, &accounts).unwrap();
        (0..count).map(|_| generator.next_block(400_000).unwrap()).collect()
    }

    #[test]
    fn a_seed_fixes_the_transactions() {
        assert_eq!(blocks(Workload::Mixed, 1, 3), blocks(Workload::Mixed, 1, 3));
        assert_ne!(blocks(Workload::Mixed, 1, 3), blocks(Workload::Mixed, 2, 3));
    }

    #[test]
    fn nonces_have_no_gaps_from_block_to_block() {
        for workload in Workload::value_variants() {
            let mut next: BTreeMap<Address, u64> = BTreeMap::new();
            for raw in blocks(*workload, 7, 12).concat() {
                let tx = Transaction::decode_2718(&mut raw.as_ref()).unwrap();
                let nonce = next.entry(signer::sender(&tx).unwrap()).or_default();
                assert_eq!(tx.nonce(), *nonce, "{workload:?}");
                *nonce += 1;
            }
            assert!(next.values().any(|nonce| *nonce > 1), "{workload:?}");
        }
    }

    #[test]
    fn transfers_of_a_block_touch_nobody_twice() {
        let block = &blocks(Workload::Transfers, 3, 1)[0];
        let mut touched = std::collections::BTreeSet::new();
        // 30 accounts are 15 pairs.
        for raw in block.iter().take(15) {
            let tx = Transaction::decode_2718(&mut raw.as_ref()).unwrap();
            assert!(
                touched.insert(signer::sender(&tx).unwrap()) && touched.insert(tx.to().unwrap())
            );
        }
        assert!(block.len() >= 15, "{}", block.len());
    }

    #[test]
    fn genesis_funds_everybody_in_both_ways() {
        let genesis = Accounts::new(5).genesis(30_000_000).unwrap();
        assert_eq!(genesis["gasLimit"], "0x1c9c380");
        let token = &genesis["alloc"][TOKEN.to_string()];
        assert_eq!(token["storage"].as_object().unwrap().len(), 5);
        assert!(token["code"].as_str().unwrap().contains("a9059cbb"));
    }
}
