use std::collections::BTreeMap;

use alloy_consensus::constants::EMPTY_WITHDRAWALS;
use alloy_eips::{eip1559::INITIAL_BASE_FEE, eip7685::EMPTY_REQUESTS_HASH};
use alloy_rlp::{Encodable, RlpEncodable};
use alloy_trie::{HashBuilder, Nibbles};
use banyan_primitives::{
    Address, B64, B256, Bytes, EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, KECCAK_EMPTY,
    MESSAGE_PASSER, U256, keccak256,
};
use banyan_wide_proof::{Key, account_value, leaf, root_of};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    Commitment, Fork, OpFork, Rules,
    json::{HexAddress, HexBytes, HexWord, Quantity},
};

/// Gas limit of a genesis file that says 0 (geth's rule).
const DEFAULT_GAS_LIMIT: u64 = 4_712_388;

/// An account of the genesis allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    /// Nonce.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Code; empty if none.
    pub code: Bytes,
    /// Non-zero storage slots.
    pub storage: BTreeMap<U256, U256>,
}

/// Why a genesis file was refused.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// Not JSON, or not of the genesis form.
    #[error("genesis: {0}")]
    Malformed(String),
    /// Forks in an impossible order, or parameters that contradict each other.
    #[error("genesis: {0}")]
    Inconsistent(String),
}

/// The file, as geth and op-geth define it. `stateHash` stands for an allocation that is not in
/// the file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GenesisFile {
    pub(crate) config: Map<String, Value>,
    #[serde(default)]
    nonce: Option<Quantity>,
    #[serde(default)]
    timestamp: Option<Quantity>,
    #[serde(default)]
    extra_data: Option<HexBytes>,
    gas_limit: Quantity,
    #[serde(default)]
    gas_used: Option<Quantity>,
    #[serde(default)]
    number: Option<Quantity>,
    difficulty: Quantity,
    #[serde(default)]
    mix_hash: Option<HexWord>,
    #[serde(default)]
    coinbase: Option<HexAddress>,
    #[serde(default)]
    parent_hash: Option<HexWord>,
    #[serde(default)]
    base_fee_per_gas: Option<Quantity>,
    #[serde(default)]
    excess_blob_gas: Option<Quantity>,
    #[serde(default)]
    blob_gas_used: Option<Quantity>,
    #[serde(default)]
    slot_number: Option<Quantity>,
    #[serde(default)]
    pub(crate) state_hash: Option<HexWord>,
    alloc: BTreeMap<HexAddress, AccountFile>,
}

#[derive(Debug, Deserialize)]
struct AccountFile {
    #[serde(default)]
    nonce: Option<Quantity>,
    #[serde(default)]
    balance: Option<Quantity>,
    #[serde(default)]
    code: Option<HexBytes>,
    #[serde(default)]
    storage: Option<BTreeMap<HexWord, HexWord>>,
}

impl GenesisFile {
    /// Height of the block, usually 0.
    pub(crate) fn number(&self) -> Result<u64, GenesisError> {
        optional("number", self.number).map(Option::unwrap_or_default)
    }

    /// Timestamp, seconds.
    pub(crate) fn timestamp(&self) -> Result<u64, GenesisError> {
        optional("timestamp", self.timestamp).map(Option::unwrap_or_default)
    }

    /// The allocation; zero slots are dropped, since zero means absent.
    pub(crate) fn take_alloc(&mut self) -> Result<BTreeMap<Address, GenesisAccount>, GenesisError> {
        std::mem::take(&mut self.alloc)
            .into_iter()
            .map(|(address, account)| {
                let nonce = optional("nonce", account.nonce).map_err(|error| {
                    GenesisError::Malformed(format!("account {}: {error}", address.0))
                })?;
                let word = |word: HexWord| U256::from_be_bytes(word.0.0);
                let slots = account.storage.into_iter().flatten();
                let account = GenesisAccount {
                    nonce: nonce.unwrap_or_default(),
                    balance: account.balance.unwrap_or_default().0,
                    code: account.code.unwrap_or_default().0,
                    storage: slots
                        .map(|(slot, value)| (word(slot), word(value)))
                        .filter(|(_, value)| !value.is_zero())
                        .collect(),
                };
                Ok((address.0, account))
            })
            .collect()
    }

    /// The genesis header. `rules` are those by number and timestamp, with time forks in force even
    /// on a genesis block with a difficulty: hive's chains merge at block 1.
    pub(crate) fn header(
        &self,
        rules: &Rules,
        london: bool,
        alloc: &BTreeMap<Address, GenesisAccount>,
        commitment: Commitment,
    ) -> Result<Header, GenesisError> {
        let since = |fork: Fork| london && rules.is(fork);
        let required = |name, value| optional(name, value).map(Option::unwrap_or_default);
        let base_fee = optional("baseFeePerGas", self.base_fee_per_gas)?;
        let gas_limit = required("gasLimit", Some(self.gas_limit))?;
        let blob_gas_used = required("blobGasUsed", self.blob_gas_used)?;
        let excess_blob_gas = required("excessBlobGas", self.excess_blob_gas)?;
        let slot_number = required("slotNumber", self.slot_number)?;
        let withdrawals = if rules.is_op(OpFork::Isthmus) {
            alloc.get(&MESSAGE_PASSER).map_or(EMPTY_ROOT_HASH, storage_root)
        } else {
            EMPTY_WITHDRAWALS
        };
        Ok(Header {
            parent_hash: self.parent_hash.unwrap_or_default().0,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: self.coinbase.map_or(Address::ZERO, |address| address.0),
            state_root: match commitment {
                Commitment::Mpt => state_root(alloc),
                Commitment::Wide(_) => wide_root(alloc),
            },
            transactions_root: EMPTY_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            logs_bloom: Default::default(),
            difficulty: self.difficulty.0,
            number: self.number()?,
            gas_limit: if gas_limit == 0 { DEFAULT_GAS_LIMIT } else { gas_limit },
            gas_used: required("gasUsed", self.gas_used)?,
            timestamp: self.timestamp()?,
            extra_data: self.extra_data.clone().unwrap_or_default().0,
            mix_hash: self.mix_hash.unwrap_or_default().0,
            nonce: B64::from(required("nonce", self.nonce)?),
            base_fee_per_gas: london.then_some(base_fee.unwrap_or(INITIAL_BASE_FEE)),
            withdrawals_root: since(Fork::Shanghai).then_some(withdrawals),
            blob_gas_used: since(Fork::Cancun).then_some(blob_gas_used),
            excess_blob_gas: since(Fork::Cancun).then_some(excess_blob_gas),
            parent_beacon_block_root: since(Fork::Cancun).then_some(B256::ZERO),
            requests_hash: since(Fork::Prague).then_some(EMPTY_REQUESTS_HASH),
            // The hash of an empty RLP list, which the empty list of ommers has too (EIP-7928).
            block_access_list_hash: since(Fork::Amsterdam).then_some(EMPTY_OMMER_ROOT_HASH),
            slot_number: since(Fork::Amsterdam).then_some(slot_number),
        })
    }
}

fn optional(name: &str, value: Option<Quantity>) -> Result<Option<u64>, GenesisError> {
    let too_big = || GenesisError::Malformed(format!("{name} exceeds 64 bits"));
    value.map(|quantity| quantity.to_u64().ok_or_else(too_big)).transpose()
}

/// Leaf of the account trie.
#[derive(RlpEncodable)]
struct AccountLeaf {
    nonce: u64,
    balance: U256,
    storage_root: B256,
    code_hash: B256,
}

fn state_root(alloc: &BTreeMap<Address, GenesisAccount>) -> B256 {
    let leaves = alloc.iter().map(|(address, account)| {
        let leaf = AccountLeaf {
            nonce: account.nonce,
            balance: account.balance,
            storage_root: storage_root(account),
            code_hash: code_hash(account),
        };
        (keccak256(address), alloy_rlp::encode(leaf))
    });
    trie_root(leaves.collect())
}

fn wide_root(alloc: &BTreeMap<Address, GenesisAccount>) -> B256 {
    let mut leaves = Vec::new();
    for (address, account) in alloc {
        let (balance, code_hash) = (account.balance.to_be_bytes(), code_hash(account));
        let value = account_value(account.nonce, &balance, &code_hash.0);
        let key = Key::account(&address.0);
        leaves.push((key, leaf(key.id(), &value)));
        for (slot, value) in &account.storage {
            let key = Key::slot(&address.0, &slot.to_be_bytes());
            leaves.push((key, leaf(key.id(), &value.to_be_bytes())));
        }
    }
    leaves.sort_unstable_by_key(|(key, _)| *key.path());
    root_of(&leaves).expect("leaves in order, and no hash twice").into()
}

fn code_hash(account: &GenesisAccount) -> B256 {
    if account.code.is_empty() { KECCAK_EMPTY } else { keccak256(&account.code) }
}

fn storage_root(account: &GenesisAccount) -> B256 {
    let leaves = account.storage.iter().map(|(slot, value)| {
        let mut encoded = Vec::with_capacity(33);
        value.encode(&mut encoded);
        (keccak256(slot.to_be_bytes::<32>()), encoded)
    });
    trie_root(leaves.collect())
}

/// Root of the trie over hashed keys; builds every node once, in key order.
fn trie_root(mut leaves: Vec<(B256, Vec<u8>)>) -> B256 {
    leaves.sort_unstable_by_key(|(key, _)| *key);
    let mut builder = HashBuilder::default();
    for (key, value) in leaves {
        builder.add_leaf(Nibbles::unpack(key), &value);
    }
    builder.root()
}
