//! Real blocks with the state that they touch, as the fixtures `mainnet-blocks` have them.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use banyan_chainspec::ChainSpec;
use banyan_executor::MemoryState;
use banyan_primitives::{
    Address, B256, BlockBody, Bytes, Header, RecoveredBlock, Sealable, SealedBlock, Transaction,
    U256, Withdrawals, roots, signer,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{number::Number, op_chain::op_spec_at};

/// Block numbers of Ethereum mainnet's forks, then the times of later ones.
const MAINNET: &[(&str, u64)] = &[
    ("homesteadBlock", 1_150_000),
    ("daoForkBlock", 1_920_000),
    ("eip150Block", 2_463_000),
    ("eip155Block", 2_675_000),
    ("eip158Block", 2_675_000),
    ("byzantiumBlock", 4_370_000),
    ("constantinopleBlock", 7_280_000),
    ("petersburgBlock", 7_280_000),
    ("istanbulBlock", 9_069_000),
    ("muirGlacierBlock", 9_200_000),
    ("berlinBlock", 12_244_000),
    ("londonBlock", 12_965_000),
    ("arrowGlacierBlock", 13_773_000),
    ("grayGlacierBlock", 15_050_000),
    ("shanghaiTime", 1_681_338_455),
    ("cancunTime", 1_710_338_135),
    ("pragueTime", 1_746_612_311),
    ("osakaTime", 1_764_798_551),
];

/// A fixture file of one block.
#[derive(Debug, Deserialize)]
pub struct BlockCase {
    /// Name of the chain.
    pub chain: String,
    /// Height.
    pub number: u64,
    /// Rules in force, as fixtures name them; `op-` before those of the OP Stack.
    pub fork: String,
    block: RpcBlock,
    pre_state: BTreeMap<Address, PreAccount>,
    /// Code of accounts, by hash.
    #[serde(default)]
    pub codes: BTreeMap<B256, Bytes>,
    #[serde(default)]
    block_hashes: BTreeMap<String, B256>,
}

/// As `eth_getBlockByNumber(n, true)` answers.
#[derive(Debug, Deserialize)]
struct RpcBlock {
    hash: B256,
    #[serde(flatten)]
    header: Header,
    transactions: Vec<Value>,
    withdrawals: Option<Withdrawals>,
}

#[derive(Debug, Deserialize)]
struct PreAccount {
    balance: Number,
    nonce: Number,
    code_hash: Option<B256>,
    #[serde(default)]
    storage: BTreeMap<Number, Number>,
}

/// A real block and the part of its parent's state that it touches.
#[derive(Debug)]
pub struct RealBlock {
    /// The rules of its chain.
    pub spec: ChainSpec,
    /// The block.
    pub block: RecoveredBlock,
    /// What it touches.
    pub state: MemoryState,
}

impl BlockCase {
    /// Reads the text of a fixture file.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        serde_json::from_str(text).context("not of the format that it looks like")
    }

    /// Gas used, as the header says.
    pub fn gas_used(&self) -> u64 {
        self.block.header.gas_used
    }

    /// Recovers the senders. Fails if block and transactions do not hash to what the file says.
    pub fn open(&self) -> anyhow::Result<RealBlock> {
        let spec = if self.fork.starts_with("op-") { op_chain(self)? } else { mainnet()? };
        Ok(RealBlock { spec, block: block(self)?, state: state(self) })
    }
}

fn block(case: &BlockCase) -> anyhow::Result<RecoveredBlock> {
    let decode = |(index, tx): (usize, &Value)| {
        let tx = serde_json::from_value::<Transaction>(tx.clone());
        tx.with_context(|| format!("transaction {index}"))
    };
    let transactions =
        case.block.transactions.iter().enumerate().map(decode).collect::<Result<Vec<_>, _>>()?;
    let root = roots::transactions_root(&transactions);
    ensure!(root == case.block.header.transactions_root, "transactions root {root}");
    let senders = signer::senders(&transactions, |_| None)
        .map_err(|(index, error)| anyhow::anyhow!("transaction {index}: {error}"))?;
    let withdrawals = case.block.withdrawals.clone();
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
    let header = case.block.header.clone().seal_slow();
    ensure!(header.hash() == case.block.hash, "block hash {}", header.hash());
    Ok(RecoveredBlock::new(SealedBlock { header, body }, senders))
}

fn state(case: &BlockCase) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, account) in &case.pre_state {
        let code = account.code_hash.and_then(|hash| case.codes.get(&hash)).cloned();
        let (nonce, balance) = (account.nonce.saturating_u64(), account.balance.0);
        let slots = account.storage.iter().map(|(slot, value)| (slot.0, value.0));
        state.insert(*address, nonce, balance, code.unwrap_or_default(), slots);
    }
    let hashes = case.block_hashes.iter();
    state.block_hashes = hashes.filter_map(|(n, hash)| Some((n.parse().ok()?, *hash))).collect();
    state
}

/// Rules of Ethereum mainnet, without its genesis allocation.
fn mainnet() -> anyhow::Result<ChainSpec> {
    let mut config: serde_json::Map<_, _> =
        MAINNET.iter().map(|(field, at)| ((*field).to_owned(), Value::from(*at))).collect();
    config.insert("chainId".into(), 1.into());
    config.insert("daoForkSupport".into(), true.into());
    config.insert("terminalTotalDifficulty".into(), mainnet_difficulty().into());
    let genesis = json!({
        "config": config,
        "nonce": "0x42",
        "timestamp": "0x0",
        "extraData": "0x",
        "gasLimit": "0x1388",
        "difficulty": "0x400000000",
        "alloc": {},
    });
    ChainSpec::from_genesis_json(&genesis.to_string()).context("rules of mainnet")
}

/// 58,750,000,000,000,000,000,000: more than a JSON number holds exactly.
fn mainnet_difficulty() -> String {
    format!("{:#x}", U256::from(58_750_000_000_000_000_000_000u128))
}

/// The chain of an OP block: its id is in its transactions, its forks are those of the block.
fn op_chain(case: &BlockCase) -> anyhow::Result<ChainSpec> {
    let ids = case.block.transactions.iter().find_map(|tx| tx.get("chainId")?.as_str());
    let id = ids.and_then(|id| u64::from_str_radix(id.trim_start_matches("0x"), 16).ok());
    let last = case.fork.trim_start_matches("op-").to_owned();
    let mut spec = op_spec_at(&last)?;
    spec.chain_id = id.context("no transaction names the chain")?;
    Ok(spec)
}
