use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};
use banyan_chainspec::GenesisAccount;
use banyan_executor::MemoryState;
use banyan_primitives::{
    Account, Address, B256, Bytes, StateSource, U256, keccak256,
    trie::{Leaf, Nibbles, TrieId, TrieSource},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::number::Number;

/// Leaves read from the state at a time.
const PAGE: usize = 512;

/// An account as `pre` and `postState` write it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct FixtureAccount {
    #[serde(default)]
    pub(crate) nonce: Number,
    #[serde(default)]
    pub(crate) balance: Number,
    #[serde(default)]
    pub(crate) code: Bytes,
    #[serde(default)]
    pub(crate) storage: BTreeMap<Number, Number>,
}

/// A whole state: `pre`, `postState`.
pub(crate) type Alloc = BTreeMap<Address, FixtureAccount>;

impl FixtureAccount {
    /// The account without its storage.
    pub(crate) fn account(&self) -> Account {
        Account {
            nonce: self.nonce.saturating_u64(),
            balance: self.balance.0,
            code_hash: keccak256(&self.code),
        }
    }

    /// Slots that are not zero.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (U256, U256)> {
        let set = self.storage.iter().filter(|(_, value)| !value.0.is_zero());
        set.map(|(slot, value)| (slot.0, value.0))
    }
}

/// The `alloc` object of a genesis file.
pub(crate) fn genesis_alloc(alloc: &Alloc) -> Value {
    let accounts = alloc.iter().map(|(address, account)| {
        let storage = account.slots().map(|(slot, value)| {
            (B256::from(slot).to_string(), Value::from(B256::from(value).to_string()))
        });
        let entry = json!({
            "nonce": account.nonce.to_hex(),
            "balance": account.balance.to_hex(),
            "code": account.code.to_string(),
            "storage": storage.collect::<serde_json::Map<_, _>>(),
        });
        (address.to_string().to_lowercase(), entry)
    });
    Value::Object(accounts.collect())
}

/// Compares a state with what it should be: accounts, code and storage, nothing more and nothing
/// less. Reads every value twice: in trie order, which also finds what should not be there, and
/// by plain key, as execution reads.
pub(crate) fn compare<S: StateSource + TrieSource>(
    state: &S,
    expected: &Alloc,
) -> anyhow::Result<()> {
    let mut known = BTreeSet::new();
    for (address, account) in expected {
        let hashed = keccak256(address);
        known.insert(hashed);
        compare_account(state, address, account).with_context(|| format!("account {address}"))?;
        compare_storage(state, hashed, account).with_context(|| format!("storage of {address}"))?;
    }
    for (hashed, leaf) in leaves(state, TrieId::Accounts)? {
        ensure!(
            known.contains(&hashed),
            "unexpected account with hashed address {hashed}: {leaf:?}"
        );
    }
    Ok(())
}

fn compare_account<S: StateSource>(
    state: &S,
    address: &Address,
    expected: &FixtureAccount,
) -> anyhow::Result<()> {
    let Some(found) = state.account(address)? else { bail!("missing") };
    let wanted = expected.account();
    ensure!(found.nonce == wanted.nonce, "nonce {}, expected {}", found.nonce, wanted.nonce);
    ensure!(
        found.balance == wanted.balance,
        "balance {}, expected {}",
        found.balance,
        wanted.balance
    );
    ensure!(
        found.code_hash == wanted.code_hash,
        "code hash {}, expected {}",
        found.code_hash,
        wanted.code_hash
    );
    if found.has_code() {
        ensure!(state.code(&found.code_hash)? == expected.code, "stored code differs");
    }
    for (slot, value) in expected.slots() {
        let found = state.storage(address, slot)?;
        ensure!(found == value, "slot {slot:#x} is {found:#x}, expected {value:#x}");
    }
    Ok(())
}

fn compare_storage<S: TrieSource>(
    state: &S,
    hashed: B256,
    expected: &FixtureAccount,
) -> anyhow::Result<()> {
    let wanted: BTreeMap<_, _> = expected
        .slots()
        .map(|(slot, value)| (keccak256(slot.to_be_bytes::<32>()), Leaf::Slot(value)))
        .collect();
    for (slot, leaf) in leaves(state, TrieId::Storage(hashed))? {
        ensure!(
            wanted.get(&slot) == Some(&leaf),
            "hashed slot {slot} is {leaf:?}, expected {:?}",
            wanted.get(&slot)
        );
    }
    Ok(())
}

/// All leaves of one trie.
fn leaves<S: TrieSource>(state: &S, trie: TrieId) -> anyhow::Result<Vec<(B256, Leaf)>> {
    let (mut all, mut from) = (Vec::new(), B256::ZERO);
    loop {
        let page = state.leaves(trie, &Nibbles::default(), from, PAGE)?;
        let full = page.len() == PAGE;
        all.extend(page);
        match all.last() {
            Some((last, _)) if full => from = B256::from(U256::from_be_bytes(last.0) + U256::ONE),
            _ => return Ok(all),
        }
    }
}

/// The same as the genesis allocation of a chain.
pub(crate) fn genesis_accounts(alloc: &Alloc) -> BTreeMap<Address, GenesisAccount> {
    let accounts = alloc.iter().map(|(address, account)| {
        let genesis = GenesisAccount {
            nonce: account.nonce.saturating_u64(),
            balance: account.balance.0,
            code: account.code.clone(),
            storage: account.slots().collect(),
        };
        (*address, genesis)
    });
    accounts.collect()
}

/// The state of a fixture's `pre`, in memory.
pub(crate) fn memory_state(alloc: &Alloc) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, account) in alloc {
        let (nonce, balance) = (account.nonce.saturating_u64(), account.balance.0);
        state.insert(*address, nonce, balance, account.code.clone(), account.slots());
    }
    state
}
