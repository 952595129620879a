//! A small chain to test against, of Ethereum or with `wide` commitment: eight funded accounts, one
//! contract that writes storage, and a builder of valid blocks on any known parent.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    clippy::unwrap_used,
    reason = "shared by several test binaries; a failed step fails the test"
)]

use std::{path::Path, sync::Arc};

use alloy_consensus::{SignableTransaction, TxEip1559};
use banyan_chain::{ChainConfig, ChainHandle, ExecutedBlock, SealRequest, seal};
use banyan_chainspec::ChainSpec;
use banyan_commitment::wide::wide_rebuild;
use banyan_consensus::{next_base_fee, next_excess_blob_gas};
use banyan_executor::{BlockContext, BlockExecutor};
use banyan_primitives::{
    Address, B256, Bytes, MESSAGE_PASSER, RecoveredBlock, SealedHeader, Signature, StateSource,
    Transaction, TxKind, U256, address, keccak256, trie::TrieSource,
};
use banyan_storage::{Database, DatabaseOptions};
use secp256k1::{Message, SECP256K1, SecretKey};
use tempfile::TempDir;

/// Stores calldata[32..64] at slot calldata[0..32].
pub const STORE: Address = address!("0x00000000000000000000000000000000000057a0");
pub const ACCOUNTS: usize = 8;

pub fn key(index: usize) -> SecretKey {
    SecretKey::from_byte_array(keccak256([index as u8]).0).unwrap()
}

pub fn account(index: usize) -> Address {
    let public = key(index).public_key(SECP256K1).serialize_uncompressed();
    Address::from_slice(&keccak256(&public[1..])[12..])
}

pub fn genesis_json() -> String {
    genesis_with("", "0x", &[STORE])
}

/// The same as an OP chain with `wide` commitment, with [`STORE`]'s code also where the message
/// passer is.
pub fn wide_genesis_json(lag: u64, root_interval: u64) -> String {
    let config = format!(
        r#","bedrockBlock":0,"regolithTime":0,"canyonTime":0,"ecotoneTime":0,"fjordTime":0,
        "graniteTime":0,"holoceneTime":0,"isthmusTime":0,"optimism":{{"eip1559Elasticity":6,
        "eip1559Denominator":50,"eip1559DenominatorCanyon":250}},
        "commitment":{{"kind":"wide","lag":{lag},"rootInterval":{root_interval}}}"#
    );
    genesis_with(&config, FEE_PARAMETERS, &[STORE, MESSAGE_PASSER])
}

/// `extraData` of every block of the `wide` chain.
const FEE_PARAMETERS: &str = "0x00000000fa00000006";

fn genesis_with(config: &str, extra_data: &str, stores: &[Address]) -> String {
    let stores = stores.iter().map(|address| {
        format!(r#""{address}":{{"balance":"0x0","nonce":"0x1","code":"0x6020355f355500"}}"#)
    });
    let funded = (0..ACCOUNTS)
        .map(|index| format!(r#""{}":{{"balance":"0xd3c21bcecceda1000000"}}"#, account(index)));
    let alloc: Vec<String> = stores.chain(funded).collect();
    format!(
        r#"{{"config":{{"chainId":7,"homesteadBlock":0,"eip150Block":0,"eip155Block":0,
        "eip158Block":0,"byzantiumBlock":0,"constantinopleBlock":0,"petersburgBlock":0,
        "istanbulBlock":0,"berlinBlock":0,"londonBlock":0,"mergeNetsplitBlock":0,
        "terminalTotalDifficulty":0,"shanghaiTime":0{config}}},
        "gasLimit":"0x1c9c380","difficulty":"0x0","timestamp":"0x1000","baseFeePerGas":"0x7",
        "extraData":"{extra_data}","alloc":{{{}}}}}"#,
        alloc.join(",")
    )
}

/// A genesis file with one more contract.
pub fn with_contract(genesis: &str, address: Address, code: &[u8]) -> String {
    let code = Bytes::copy_from_slice(code);
    let contract = format!(r#""alloc":{{"{address}":{{"balance":"0x0","code":"{code}"}},"#);
    genesis.replacen(r#""alloc":{"#, &contract, 1)
}

pub struct Kit {
    pub dir: TempDir,
    pub spec: Arc<ChainSpec>,
    pub chain: ChainHandle,
    pub config: ChainConfig,
    options: DatabaseOptions,
}

impl Kit {
    pub fn new(config: ChainConfig) -> Self {
        Self::with_database(config, DatabaseOptions::default())
    }

    pub fn with_database(config: ChainConfig, options: DatabaseOptions) -> Self {
        Self::with_genesis(&genesis_json(), config, options)
    }

    pub fn with_genesis(genesis: &str, config: ChainConfig, options: DatabaseOptions) -> Self {
        let spec = Arc::new(ChainSpec::from_genesis_json(genesis).unwrap());
        let options = DatabaseOptions { keys: spec.commitment.keys(), ..options };
        let dir = TempDir::new().unwrap();
        let chain = open(&dir, &spec, &config, &options);
        Self { dir, spec, chain, config, options }
    }

    /// Stops the node and opens it again on its data.
    pub fn restart(&mut self) {
        self.chain.shutdown().unwrap();
        self.reopen(|_| {});
    }

    /// Opens the data again as a crash leaves it.
    pub fn crash(&mut self) {
        self.crash_and(|_| {});
    }

    /// The same, after something was done to the folder of the database.
    pub fn crash_and(&mut self, change: impl FnOnce(&Path)) {
        self.chain.abort();
        self.reopen(change);
    }

    fn reopen(&mut self, change: impl FnOnce(&Path)) {
        // The old handle holds the database; let go of it before opening again.
        let spare = TempDir::new().unwrap();
        self.chain = open(&spare, &self.spec, &self.config, &self.options);
        change(self.dir.path());
        self.chain = open(&self.dir, &self.spec, &self.config, &self.options);
    }

    /// A valid block on `parent`, unlike others by `extra`: `transactions` are built for the state that it finds there.
    pub fn build(
        &self,
        parent: &SealedHeader,
        extra: &[u8],
        transactions: impl Fn(&dyn StateSource, u64) -> Vec<Transaction>,
    ) -> RecoveredBlock {
        self.execute(parent, extra, transactions).block
    }

    /// The same with its execution, as the payload builder has it.
    pub fn execute(
        &self,
        parent: &SealedHeader,
        extra: &[u8],
        transactions: impl Fn(&dyn StateSource, u64) -> Vec<Transaction>,
    ) -> ExecutedBlock {
        let view = self.chain.view();
        let state = view.trie_state_at(&parent.hash()).unwrap().unwrap();
        let timestamp = parent.timestamp + 1;
        let context = BlockContext {
            number: parent.number + 1,
            timestamp,
            parent_hash: parent.hash(),
            gas_limit: parent.gas_limit,
            base_fee: next_base_fee(&self.spec, parent, timestamp).unwrap(),
            prev_randao: keccak256(extra),
            excess_blob_gas: next_excess_blob_gas(&self.spec, parent, timestamp),
            parent_beacon_root: self.spec.is_op().then_some(B256::ZERO),
            ..Default::default()
        };
        let of_genesis = self.spec.genesis_header.extra_data.clone();
        let extra = if self.spec.is_op() { of_genesis } else { Bytes::copy_from_slice(extra) };
        let transactions = transactions(&state, context.base_fee.unwrap());
        let mut executor = BlockExecutor::new(&self.spec, context.clone(), &state);
        executor.begin().unwrap();
        let mut senders = Vec::new();
        for tx in &transactions {
            let sender = banyan_primitives::signer::sender(tx).unwrap();
            executor.execute(tx, sender).unwrap();
            senders.push(sender);
        }
        let output = executor.finish(&[], Some(&[])).unwrap();
        let request = SealRequest {
            context,
            extra_data: extra,
            transactions,
            senders,
            withdrawals: Some(Default::default()),
            execute: Default::default(),
        };
        seal(&self.spec, view.commitments(), &state, request, output).unwrap()
    }
}

impl Drop for Kit {
    /// A thread that still writes while the process ends can make it abort.
    fn drop(&mut self) {
        self.chain.abort();
    }
}

fn open(
    dir: &TempDir,
    spec: &Arc<ChainSpec>,
    config: &ChainConfig,
    options: &DatabaseOptions,
) -> ChainHandle {
    let db = Database::open(dir.path(), options.clone()).unwrap();
    ChainHandle::start(Arc::clone(spec), db, config.clone()).unwrap()
}

/// A signed transfer, or a call of [`STORE`].
pub fn sign(
    from: usize,
    nonce: u64,
    base_fee: u64,
    to: Address,
    value: u64,
    input: Bytes,
) -> Transaction {
    let tx = TxEip1559 {
        chain_id: 7,
        nonce,
        gas_limit: 150_000,
        max_fee_per_gas: u128::from(base_fee) + 2,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(to),
        value: U256::from(value),
        input,
        ..Default::default()
    };
    let message = Message::from_digest(tx.signature_hash().0);
    let (id, bytes) = SECP256K1.sign_ecdsa_recoverable(message, &key(from)).serialize_compact();
    let signature = Signature::from_bytes_and_parity(&bytes, i32::from(id) == 1);
    Transaction::Eip1559(tx.into_signed(signature))
}

/// Calldata for [`STORE`].
pub fn store(slot: u64, value: u64) -> Bytes {
    let words = [B256::from(U256::from(slot)), B256::from(U256::from(value))];
    words.concat().into()
}

/// The `wide` root of a state.
pub fn unlagged_root(state: &(impl TrieSource + Sync)) -> B256 {
    wide_rebuild(state).unwrap()
}
