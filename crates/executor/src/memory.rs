use alloy_trie::{
    TrieAccount,
    root::{state_root_unhashed, storage_root_unhashed},
};
use banyan_chainspec::GenesisAccount;
use banyan_primitives::{
    Account, Address, AddressMap, B256, B256Map, Bytes, HashMap, KECCAK_EMPTY, SourceError,
    StateDiff, StateSource, U256, keccak256,
};

/// A whole state in maps: the oracle's store, for tests and fixtures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    /// Existing accounts.
    pub accounts: AddressMap<Account>,
    /// Non-zero storage slots by account.
    pub storage: AddressMap<HashMap<U256, U256>>,
    /// Code by hash.
    pub codes: B256Map<Bytes>,
    /// What BLOCKHASH answers, by height.
    pub block_hashes: HashMap<u64, B256>,
}

impl MemoryState {
    /// The state of a genesis allocation.
    pub fn from_alloc<'a>(
        alloc: impl IntoIterator<Item = (&'a Address, &'a GenesisAccount)>,
    ) -> Self {
        let mut state = Self::default();
        for (address, account) in alloc {
            let storage = account.storage.iter().map(|(slot, value)| (*slot, *value));
            let (nonce, balance) = (account.nonce, account.balance);
            state.insert(*address, nonce, balance, account.code.clone(), storage);
        }
        state
    }

    /// Puts an account, replacing what was at `address`. Zero slots are left out.
    pub fn insert(
        &mut self,
        address: Address,
        nonce: u64,
        balance: U256,
        code: Bytes,
        storage: impl IntoIterator<Item = (U256, U256)>,
    ) {
        let code_hash = if code.is_empty() { KECCAK_EMPTY } else { keccak256(&code) };
        if !code.is_empty() {
            self.codes.insert(code_hash, code);
        }
        self.accounts.insert(address, Account { nonce, balance, code_hash });
        self.storage.remove(&address);
        let mut slots = storage.into_iter().filter(|(_, value)| !value.is_zero()).peekable();
        if slots.peek().is_some() {
            self.storage.insert(address, slots.collect());
        }
    }

    /// Advances the state by what a block changed.
    pub fn apply(&mut self, diff: &StateDiff) {
        for (address, change) in &diff.accounts {
            if change.wiped {
                self.storage.remove(address);
            }
            match change.after {
                Some(account) => self.accounts.insert(*address, account),
                None => self.accounts.remove(address),
            };
            let slots = self.storage.entry(*address).or_default();
            for (slot, (_, after)) in &change.storage {
                if after.is_zero() {
                    slots.remove(slot);
                } else {
                    slots.insert(*slot, *after);
                }
            }
            if slots.is_empty() {
                self.storage.remove(address);
            }
        }
        self.codes.extend(diff.codes.iter().map(|(hash, code)| (*hash, code.clone())));
    }

    /// Root of the Merkle-Patricia trie over the whole state, from scratch.
    pub fn state_root(&self) -> B256 {
        state_root_unhashed(self.accounts.iter().map(|(address, account)| {
            let slots = self.storage.get(address).into_iter().flatten();
            let storage_root =
                storage_root_unhashed(slots.map(|(slot, value)| (B256::from(*slot), *value)));
            let Account { nonce, balance, code_hash } = *account;
            (*address, TrieAccount { nonce, balance, storage_root, code_hash })
        }))
    }
}

impl StateSource for MemoryState {
    fn account(&self, address: &Address) -> Result<Option<Account>, SourceError> {
        Ok(self.accounts.get(address).copied())
    }

    fn storage(&self, address: &Address, slot: U256) -> Result<U256, SourceError> {
        let value = self.storage.get(address).and_then(|slots| slots.get(&slot));
        Ok(value.copied().unwrap_or_default())
    }

    fn code(&self, hash: &B256) -> Result<Bytes, SourceError> {
        self.codes.get(hash).cloned().ok_or(SourceError::MissingCode(*hash))
    }

    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        Ok(self.block_hashes.get(&number).copied().unwrap_or_default())
    }
}
