use std::sync::atomic::Ordering;

use alloy_consensus::{SignableTransaction, TxEip1559};
use banyan_chain::{ChainConfig, ChainHandle};
use banyan_consensus::PayloadAttributes;
use banyan_primitives::{
    B256, Bytes, RecoveredBlock, Signature, TransactionTrait, TxKind, alloy_primitives::B64,
    keccak256,
};
use banyan_storage::{Database, DatabaseOptions};
use banyan_txpool::PoolConfig;
use secp256k1::{Message, SECP256K1, SecretKey};
use tempfile::TempDir;

use super::*;

const SENDERS: u8 = 30;
const EACH: u64 = 12;
const GAS_LIMIT: u64 = 12_000_000;
const BASE_FEE: u64 = 7;

fn key(index: u8) -> SecretKey {
    SecretKey::from_byte_array(keccak256([index]).0).unwrap()
}

fn address(index: u8) -> Address {
    let public = key(index).public_key(SECP256K1).serialize_uncompressed();
    Address::from_slice(&keccak256(&public[1..])[12..])
}

fn spec() -> ChainSpec {
    let funded: Vec<String> = (0..SENDERS)
        .map(|index| format!(r#""{}":{{"balance":"0xde0b6b3a7640000"}}"#, address(index)))
        .collect();
    let json = format!(
        r#"{{"config":{{"chainId":7,"homesteadBlock":0,"eip150Block":0,"eip155Block":0,
        "eip158Block":0,"byzantiumBlock":0,"constantinopleBlock":0,"petersburgBlock":0,
        "istanbulBlock":0,"berlinBlock":0,"londonBlock":0,"mergeNetsplitBlock":0,
        "terminalTotalDifficulty":0,"shanghaiTime":0}},"gasLimit":"{GAS_LIMIT:#x}",
        "difficulty":"0x0","baseFeePerGas":"{BASE_FEE:#x}","alloc":{{{}}}}}"#,
        funded.join(",")
    );
    ChainSpec::from_genesis_json(&json).unwrap()
}

/// A transfer whose tip follows from sender and nonce.
fn transfer(from: u8, nonce: u64, gas_limit: u64) -> Transaction {
    let tx = TxEip1559 {
        chain_id: 7,
        nonce,
        gas_limit,
        max_fee_per_gas: 10_000,
        max_priority_fee_per_gas: u128::from((u64::from(from) * EACH + nonce) * 7_919 % 101 + 1),
        to: TxKind::Call(address((from + 1) % SENDERS)),
        value: U256::ONE,
        ..Default::default()
    };
    let message = Message::from_digest(tx.signature_hash().0);
    let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(message, &key(from)).serialize_compact();
    let signature = Signature::from_bytes_and_parity(&bytes, i32::from(id) == 1);
    Transaction::Eip1559(tx.into_signed(signature))
}

struct Kit {
    chain: ChainHandle,
    pool: PoolHandle,
    _dir: TempDir,
}

impl Kit {
    /// A full pool, in which `gas_limit` says what each sender asks for at each nonce.
    fn new(gas_limit: impl Fn(u8, u64) -> u64) -> Self {
        let spec = Arc::new(spec());
        let dir = TempDir::new().unwrap();
        let database = Database::open(dir.path(), DatabaseOptions::default()).unwrap();
        let chain =
            ChainHandle::start(Arc::clone(&spec), database, ChainConfig::default()).unwrap();
        let head = chain.view().head().clone();
        let state = chain.view().trie_state_at(&head.hash()).unwrap().unwrap();
        let pool = PoolHandle::new(spec, PoolConfig::default(), head);
        for from in 0..SENDERS {
            for nonce in 0..EACH {
                let tx = transfer(from, nonce, gas_limit(from, nonce));
                pool.add(tx, None, &state).unwrap();
            }
        }
        Self { chain, pool, _dir: dir }
    }

    fn job(&self) -> Job {
        let view = self.chain.view();
        let parent = view.head().clone();
        let attributes = PayloadAttributes {
            timestamp: parent.timestamp + 1,
            withdrawals: Some(Default::default()),
            ..Default::default()
        };
        Job::new(B64::ZERO, parent, view, attributes)
    }

    fn build(&self, job: &Job, forced_done: impl FnOnce()) -> RecoveredBlock {
        let config = BuilderConfig { extra_data: Bytes::new(), ..BuilderConfig::default() };
        let builder = Builder {
            spec: self.chain.spec(),
            executor: self.chain.executor(),
            pool: &self.pool,
            config: &config,
            limits: DaLimits::default(),
        };
        builder.build(job, forced_done).unwrap().executed.block.clone()
    }
}

fn hashes(block: &RecoveredBlock) -> Vec<B256> {
    block.body.transactions.iter().map(|tx| *tx.hash()).collect()
}

/// What a builder takes that looks at one transaction at a time: all that fit, skipping senders of
/// those that do not.
fn expected(kit: &Kit) -> Vec<B256> {
    let mut best = kit.pool.best(BASE_FEE, 0);
    let (mut taken, mut gas_used) = (Vec::new(), 0);
    while let Some(tx) = best.next() {
        if tx.tx.gas_limit() > GAS_LIMIT - gas_used {
            best.skip_sender(tx.sender);
        } else {
            gas_used += MIN_TX_GAS;
            taken.push(tx.hash());
        }
    }
    taken
}

#[test]
fn a_block_takes_the_pools_best_in_order() {
    let kit = Kit::new(|_, _| 30_000);
    let block = kit.build(&kit.job(), || {});
    assert_eq!(block.body.transactions.len() as u64, u64::from(SENDERS) * EACH);
    assert_eq!(hashes(&block), expected(&kit));
}

#[test]
fn a_sender_whose_transaction_does_not_fit_is_left_out_from_there_on() {
    // Some ask for so much that it fits at the beginning of the block only, some for too much.
    let kit = Kit::new(|from, nonce| match (from % 3, nonce) {
        (1, 4) => 9_000_000,
        (2, 7) => GAS_LIMIT,
        _ => 30_000,
    });
    let block = kit.build(&kit.job(), || {});
    let expected = expected(&kit);
    assert_eq!(hashes(&block), expected);
    let all = u64::from(SENDERS) * EACH;
    assert!((all / 4..all).contains(&(expected.len() as u64)), "{}", expected.len());
}

#[test]
fn a_block_that_is_wanted_at_once_holds_a_prefix_of_the_full_one() {
    let kit = Kit::new(|_, _| 30_000);
    let full = hashes(&kit.build(&kit.job(), || {}));
    let job = kit.job();
    let wanted = || job.wanted.store(true, Ordering::Relaxed);
    assert!(hashes(&kit.build(&job, wanted)).is_empty(), "wanted before the first");
    // At whatever moment another thread asks for it.
    for pause in [0, 100, 10_000, 100_000] {
        let job = kit.job();
        let block = std::thread::scope(|scope| {
            kit.build(&job, || {
                scope.spawn(|| {
                    (0..pause).for_each(|_| std::hint::spin_loop());
                    job.wanted.store(true, Ordering::Relaxed);
                });
            })
        });
        assert!(full.starts_with(&hashes(&block)), "after {pause}");
    }
}
