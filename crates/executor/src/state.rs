//! The state of a block under execution: what was read from the parent, and what became of it.

use banyan_primitives::{
    Account, AccountDiff, Address, AddressMap, B256, B256Map, Bytes, HashMap, SourceError,
    StateDiff, StateSource, U256,
};
use revm::{
    Database,
    database_interface::DBErrorMarker,
    state::{AccountInfo, Bytecode, EvmState},
};

/// A [`SourceError`] on its way through revm.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct DbError(#[from] pub(crate) SourceError);

impl DBErrorMarker for DbError {}

/// Parent state plus the changes of the transactions committed so far. revm reads through it;
/// nothing is written below.
pub(crate) struct BlockState<S> {
    source: S,
    accounts: AddressMap<Entry>,
    codes: B256Map<Bytecode>,
}

/// One account that was read or changed.
struct Entry {
    before: Option<Account>,
    now: Option<Account>,
    /// The parent's storage is not visible: no account then, destroyed since, or created anew.
    cleared: bool,
    slots: HashMap<U256, Slot>,
}

/// One storage slot that was read or changed. In a cleared account `before` says nothing.
struct Slot {
    before: U256,
    now: U256,
}

impl Entry {
    fn clear_storage(&mut self) {
        self.cleared = true;
        self.slots.clear();
    }

    fn destroy(&mut self) {
        self.now = None;
        self.clear_storage();
    }

    /// The parent had storage which this block removed (or may have had: only the source knows).
    fn wiped(&self) -> bool {
        self.cleared && self.before.is_some()
    }
}

impl<S: StateSource> BlockState<S> {
    pub(crate) fn new(source: S) -> Self {
        Self { source, accounts: AddressMap::default(), codes: B256Map::default() }
    }

    /// Makes room for about `accounts` more, since rehashing large tables is dear.
    pub(crate) fn reserve(&mut self, accounts: usize) {
        self.accounts.reserve(accounts);
    }

    pub(crate) fn account(&mut self, address: Address) -> Result<Option<Account>, DbError> {
        Ok(self.entry(address)?.now)
    }

    /// Writes balance and nonce outside of a transaction. Storage stays as it is.
    pub(crate) fn set_account(&mut self, address: Address, to: Account) -> Result<(), DbError> {
        self.entry(address)?.now = Some(to);
        Ok(())
    }

    /// Replaces the code of an account outside of a transaction.
    pub(crate) fn set_code(&mut self, address: Address, code: Bytes) -> Result<(), DbError> {
        let code = Bytecode::new_legacy(code);
        let account = self.entry(address)?.now.unwrap_or_default();
        let code_hash = code.hash_slow();
        self.codes.insert(code_hash, code);
        self.set_account(address, Account { code_hash, ..account })
    }

    /// Adds to a balance outside of a transaction. With `clear_empty` (EIP-161) an account that is
    /// empty even then ceases to exist.
    pub(crate) fn add_balance(
        &mut self,
        address: Address,
        wei: U256,
        clear_empty: bool,
    ) -> Result<(), DbError> {
        let entry = self.entry(address)?;
        let mut account = entry.now.unwrap_or_default();
        account.balance = account.balance.saturating_add(wei);
        if clear_empty && account.is_empty() {
            entry.destroy();
        } else {
            entry.now = Some(account);
        }
        Ok(())
    }

    /// Takes over what a transaction left in revm's journal.
    pub(crate) fn commit(&mut self, changes: EvmState) {
        for (address, account) in changes {
            if account.is_touched() {
                self.commit_account(address, account);
            }
        }
    }

    fn commit_account(&mut self, address: Address, account: revm::state::Account) {
        let entry = self.accounts.get_mut(&address).expect("revm loads what it touches");
        // Before EIP-161 revm marks a touched empty account as created, or leaves it untouched.
        if account.is_selfdestructed() || (account.is_empty() && !account.is_created()) {
            entry.destroy();
            return;
        }
        if account.is_created() {
            entry.clear_storage();
        }
        let AccountInfo { balance, nonce, code_hash, code, .. } = account.info;
        let now = Account { nonce, balance, code_hash };
        if let Some(code) = code
            && entry.now.is_none_or(|old| old.code_hash != code_hash)
        {
            self.codes.insert(code_hash, code);
        }
        entry.now = Some(now);
        for (slot, value) in account.storage {
            if value.is_changed() {
                let now = value.present_value;
                entry
                    .slots
                    .entry(slot)
                    .and_modify(|slot| slot.now = now)
                    .or_insert(Slot { before: U256::ZERO, now });
            }
        }
    }

    fn entry(&mut self, address: Address) -> Result<&mut Entry, DbError> {
        use std::collections::hash_map::Entry as MapEntry;
        match self.accounts.entry(address) {
            MapEntry::Occupied(entry) => Ok(entry.into_mut()),
            MapEntry::Vacant(vacant) => {
                let before = self.source.account(&address)?;
                Ok(vacant.insert(Entry {
                    before,
                    now: before,
                    cleared: before.is_none(),
                    slots: HashMap::default(),
                }))
            }
        }
    }

    /// What differs from the parent state. Reads the source only for storage written again after
    /// the account was destroyed.
    pub(crate) fn diff(&self) -> Result<StateDiff, SourceError> {
        let mut diff = StateDiff::default();
        for (address, entry) in &self.accounts {
            let account = AccountDiff {
                before: entry.before,
                after: entry.now,
                wiped: entry.wiped(),
                storage: self.changed_slots(address, entry)?,
            };
            // Not `is_noop`: a slot written back to its old value after a wipe counts.
            if account.before == account.after && !account.wiped && account.storage.is_empty() {
                continue;
            }
            self.add_new_code(&account, &mut diff.codes);
            diff.accounts.insert(*address, account);
        }
        Ok(diff)
    }

    fn changed_slots(
        &self,
        address: &Address,
        entry: &Entry,
    ) -> Result<HashMap<U256, (U256, U256)>, SourceError> {
        let mut changed = HashMap::default();
        for (&slot, value) in &entry.slots {
            if entry.wiped() && !value.now.is_zero() {
                changed.insert(slot, (self.source.storage(address, slot)?, value.now));
            } else if !entry.wiped() && value.before != value.now {
                changed.insert(slot, (value.before, value.now));
            }
        }
        Ok(changed)
    }

    fn add_new_code(&self, account: &AccountDiff, codes: &mut B256Map<Bytes>) {
        let Some(after) = account.after.filter(Account::has_code) else { return };
        if account.before.is_none_or(|before| before.code_hash != after.code_hash)
            && let Some(code) = self.codes.get(&after.code_hash)
        {
            codes.insert(after.code_hash, code.original_bytes());
        }
    }
}

impl<S: StateSource> Database for BlockState<S> {
    type Error = DbError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, DbError> {
        Ok(self.entry(address)?.now.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            account_id: None,
            code: (!account.has_code()).then(Bytecode::default),
        }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, DbError> {
        if let Some(code) = self.codes.get(&hash) {
            return Ok(code.clone());
        }
        let bytes = self.source.code(&hash)?;
        // Bytes that only look like a delegation could be deployed before EIP-3541.
        let code = Bytecode::new_raw_checked(bytes.clone())
            .unwrap_or_else(|_| Bytecode::new_legacy(bytes));
        self.codes.insert(hash, code.clone());
        Ok(code)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, DbError> {
        self.entry(address)?;
        let entry = self.accounts.get_mut(&address).expect("inserted above");
        if let Some(value) = entry.slots.get(&slot) {
            return Ok(value.now);
        }
        if entry.cleared {
            return Ok(U256::ZERO);
        }
        let value = self.source.storage(&address, slot)?;
        entry.slots.insert(slot, Slot { before: value, now: value });
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, DbError> {
        Ok(self.source.block_hash(number)?)
    }
}
