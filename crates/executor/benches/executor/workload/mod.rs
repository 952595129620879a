//! The blocks to execute: synthetic ones of one kind of transaction each, on an Ethereum chain
//! (Cancun: without the requests of later forks, whose contracts would have to be there), and real
//! ones out of the fixtures.

mod blocks;
mod tokens;
mod transfers;
mod uniswap_v2;
mod uniswap_v3;

use std::{collections::HashMap, rc::Rc};

use alloy_consensus::{SignableTransaction, TxEip1559};
use banyan_chainspec::ChainSpec;
use banyan_executor::{MemoryState, execute_block};
use banyan_primitives::{
    Address, B256, BlockBody, Bytes, Header, RecoveredBlock, Sealable, SealedBlock, Signature,
    Transaction, TxKind, U256, address,
};
use revm::database::{CacheDB, EmptyDB};

pub(crate) use self::{
    blocks::{Fixtures, MAINNET, OP},
    uniswap_v3::SWEEP,
};
use crate::lean;

const CHAIN_ID: u64 = 7;
/// Gas of a synthetic block.
const GAS: u64 = 60_000_000;
/// That of the large ones.
const LARGE_GAS: u64 = 1_000_000_000;

/// A block and the state below it, in the form of each contender.
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) spec: ChainSpec,
    /// Its header says the gas used.
    pub(crate) block: RecoveredBlock,
    pub(crate) state: MemoryState,
    pub(crate) lean: CacheDB<EmptyDB>,
}

/// A workload that is not made yet.
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) make: Box<dyn FnOnce() -> Workload>,
}

impl Plan {
    fn new(name: impl Into<String>, make: impl FnOnce(String) -> Workload + 'static) -> Self {
        let name = name.into();
        Self { name: name.clone(), make: Box::new(move || make(name)) }
    }
}

/// All of them; `gas` is that of every synthetic block, unless it is left to us.
pub(crate) fn all(gas: Option<u64>, fixtures: Option<Fixtures>) -> Vec<Plan> {
    let mut plans = transfers::plans(gas.unwrap_or(GAS));
    if gas.is_none() {
        plans.extend(transfers::plans(LARGE_GAS));
    }
    let gas = gas.unwrap_or(GAS);
    plans.extend(tokens::minimal(gas));
    if let Some(fixtures) = fixtures.map(Rc::new) {
        plans.extend(tokens::published(gas, &fixtures));
        plans.extend(uniswap_v2::plans(gas, &fixtures));
        plans.extend(uniswap_v3::plans(gas, &fixtures));
        plans.extend(uniswap_v3::sweep(gas, &fixtures));
        plans.extend(blocks::plans(&fixtures));
    }
    plans
}

/// One transaction of a synthetic block; its nonce follows from those before.
struct Call {
    /// Number of the account that sends it.
    from: u64,
    to: Address,
    value: U256,
    input: Bytes,
}

impl Call {
    fn new(from: u64, to: Address, input: impl Into<Bytes>) -> Self {
        Self { from, to, value: U256::ZERO, input: input.into() }
    }
}

impl Workload {
    /// A block of `calls` with so much gas each; all must succeed.
    fn synthetic(
        name: String,
        gas_limit: u64,
        calls: impl IntoIterator<Item = Call>,
        state: MemoryState,
    ) -> Self {
        let mut nonces = HashMap::<u64, u64>::new();
        let signed = calls.into_iter().map(|call| {
            let sender = account(call.from);
            let nonce = nonces.entry(call.from).or_default();
            *nonce += 1;
            (transaction(*nonce - 1, gas_limit, call), sender)
        });
        let (transactions, senders): (Vec<_>, Vec<_>) = signed.unzip();
        let mut header = header(gas_limit * senders.len() as u64);
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: None };
        let block = |header: &Header| {
            let header = header.clone().seal_slow();
            RecoveredBlock::new(SealedBlock { header, body: body.clone() }, senders.clone())
        };
        let spec = spec();
        let output = execute_block(&spec, &block(&header), &state).unwrap();
        let failed = output.receipts.iter().position(|receipt| !receipt.success);
        assert_eq!(failed, None, "{name}: a transaction fails");
        header.gas_used = output.gas_used;
        let (block, lean) = (block(&header), lean::database(&state));
        Self { name, spec, block, state, lean }
    }
}

fn header(gas_limit: u64) -> Header {
    Header {
        number: 1,
        timestamp: 1_000,
        beneficiary: address!("0x00000000000000000000000000000000000000be"),
        gas_limit,
        base_fee_per_gas: Some(7),
        mix_hash: B256::repeat_byte(1),
        excess_blob_gas: Some(0),
        blob_gas_used: Some(0),
        ..Default::default()
    }
}

fn spec() -> ChainSpec {
    let blocks = ["homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople"];
    let later = ["petersburg", "istanbul", "berlin", "london", "mergeNetsplit"];
    let blocks: String =
        blocks.iter().chain(&later).map(|fork| format!(r#""{fork}Block":0,"#)).collect();
    let genesis = format!(
        r#"{{"config":{{"chainId":{CHAIN_ID},{blocks}"terminalTotalDifficulty":0,
        "shanghaiTime":0,"cancunTime":0,"blobSchedule":{{
        "cancun":{{"target":3,"max":6,"baseFeeUpdateFraction":3338477}}}}}},
        "gasLimit":"0x1c9c380","difficulty":"0x0","timestamp":"0x0","baseFeePerGas":"0x7",
        "alloc":{{}}}}"#
    );
    ChainSpec::from_genesis_json(&genesis).unwrap()
}

fn account(number: u64) -> Address {
    let mut bytes = [0x11; 20];
    bytes[12..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Address::from(bytes)
}

/// So many funded accounts.
fn funded(accounts: u64) -> MemoryState {
    let mut state = MemoryState::default();
    let rich = U256::from(10).pow(U256::from(20));
    for number in 0..accounts {
        state.insert(account(number), 0, rich, Bytes::new(), []);
    }
    state
}

/// Typed but not signed: the executor is told the sender.
fn transaction(nonce: u64, gas_limit: u64, call: Call) -> Transaction {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit,
        max_fee_per_gas: 10,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(call.to),
        value: call.value,
        input: call.input,
        ..Default::default()
    };
    Transaction::Eip1559(tx.into_signed(Signature::test_signature()))
}
