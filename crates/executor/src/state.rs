//! The state of a block under execution: what was read from the parent, and what became of it.

use std::{collections::hash_map::Entry as MapEntry, sync::Arc};

use banyan_primitives::{
    Account, AccountDiff, Address, AddressMap, B256, B256Map, Bytes, HashMap, SourceError,
    StateDiff, StateSource, U256,
};
use revm::{
    Database,
    database_interface::DBErrorMarker,
    state::{AccountInfo, Bytecode, EvmState},
};

use crate::{
    access_log::AccessLog,
    codes::CodeCache,
    fees::{FeeAmounts, FeeCounters},
    hash_memo::HashMemo,
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
    /// Every account read or changed, in the form of the diff that comes out in the end: until
    /// then most of them say "no change". The parent's storage of an account is visible unless it
    /// is `wiped`, or there was no account `before`. Slots of a wiped account have no true `before`
    /// yet.
    accounts: AddressMap<AccountDiff>,
    codes: B256Map<Bytecode>,
    /// Code known from other blocks.
    shared_codes: Option<Arc<CodeCache>>,
    fees: FeeCounters,
    /// What is touched, if that is to be kept.
    pub(crate) log: Option<Box<AccessLog>>,
    /// A slot was read that does not show in the journal.
    pub(crate) hidden_read: bool,
    pub(crate) hashes: HashMemo,
    /// What is read is not kept here: for one transaction the journal does that.
    is_transparent: bool,
}

fn cleared(entry: &AccountDiff) -> bool {
    entry.wiped || entry.before.is_none()
}

fn clear_storage(entry: &mut AccountDiff) {
    // Where there was no account, there was no storage.
    entry.wiped = entry.before.is_some();
    entry.storage.clear();
}

fn destroy(entry: &mut AccountDiff) {
    entry.after = None;
    clear_storage(entry);
}

/// Adds to a balance as a transaction's fee does since EIP-161: what would overflow is lost, and an
/// account that is empty even then ceases to exist.
fn add_fee(entry: &mut AccountDiff, wei: U256) {
    let mut account = entry.after.unwrap_or_default();
    account.balance = account.balance.checked_add(wei).unwrap_or(account.balance);
    if account.is_empty() {
        destroy(entry);
    } else {
        entry.after = Some(account);
    }
}

/// The account as a transaction found it.
pub(crate) fn before(account: &revm::state::Account) -> Option<Account> {
    (!account.is_loaded_as_not_existing()).then(|| account_of(&account.original_info))
}

/// The touched account as a transaction left it, and whether its storage began anew.
pub(crate) fn after(account: &revm::state::Account) -> (Option<Account>, bool) {
    // Before EIP-161 revm marks a touched empty account as created, or leaves it untouched.
    if account.is_selfdestructed() || (account.is_empty() && !account.is_created()) {
        return (None, !account.is_loaded_as_not_existing());
    }
    (Some(account_of(&account.info)), account.is_created())
}

pub(crate) fn account_of(info: &AccountInfo) -> Account {
    Account { nonce: info.nonce, balance: info.balance, code_hash: info.code_hash }
}

impl<S: StateSource> BlockState<S> {
    pub(crate) fn new(source: S) -> Self {
        Self {
            source,
            accounts: AddressMap::default(),
            codes: B256Map::default(),
            shared_codes: None,
            fees: FeeCounters::default(),
            log: None,
            hidden_read: false,
            hashes: HashMemo::default(),
            is_transparent: false,
        }
    }

    /// For workers: each of their transactions finds another state.
    pub(crate) fn transparent(source: S) -> Self {
        Self { is_transparent: true, ..Self::new(source) }
    }

    /// Looks for code in `codes` before the source.
    pub(crate) fn share_codes(&mut self, codes: Arc<CodeCache>) {
        self.shared_codes = Some(codes);
    }

    /// Makes room for about `accounts` more, since rehashing large tables is dear.
    pub(crate) fn reserve(&mut self, accounts: usize) {
        self.accounts.reserve(accounts);
    }

    pub(crate) fn account(&mut self, address: Address) -> Result<Option<Account>, DbError> {
        Ok(self.entry(address)?.after)
    }

    /// Writes balance and nonce. Storage stays as it is.
    pub(crate) fn set_account(&mut self, address: Address, to: Account) -> Result<(), DbError> {
        self.fees.watch(to.balance);
        let before = self.entry(address)?.after.replace(to);
        if let Some(log) = &mut self.log {
            log.change(address, &before.unwrap_or_default(), &to);
        }
        Ok(())
    }

    /// Writes a slot that was read before.
    pub(crate) fn set_slot(
        &mut self,
        address: Address,
        slot: U256,
        value: U256,
    ) -> Result<(), DbError> {
        let entry = self.entry(address)?;
        entry.storage.entry(slot).or_default().1 = value;
        if let Some(log) = &mut self.log {
            log.slot(address, slot, Some(value));
        }
        Ok(())
    }

    /// Replaces the code of an account outside of a transaction.
    pub(crate) fn set_code(&mut self, address: Address, code: Bytes) -> Result<(), DbError> {
        let code = Bytecode::new_legacy(code);
        let account = self.entry(address)?.after.unwrap_or_default();
        let code_hash = code.hash_slow();
        self.set_account(address, Account { code_hash, ..account })?;
        if let Some(log) = self.log.as_mut().filter(|_| account.code_hash != code_hash) {
            log.code(code.original_bytes());
        }
        self.codes.insert(code_hash, code);
        Ok(())
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
        let before = entry.after.unwrap_or_default();
        let account = Account { balance: before.balance.saturating_add(wei), ..before };
        if clear_empty && account.is_empty() {
            destroy(entry);
        } else {
            entry.after = Some(account);
        }
        if let Some(log) = &mut self.log {
            log.change(address, &before, &account);
        }
        Ok(())
    }

    /// Keeps the fees of `recipients` as counters from now on.
    pub(crate) fn count_fees(&mut self, recipients: &[Address]) -> Result<(), DbError> {
        for recipient in recipients {
            // Loading shows an absurd balance.
            self.entry(*recipient)?;
        }
        self.fees.start(recipients);
        Ok(())
    }

    /// Keeps what is touched from now on.
    pub(crate) fn record(&mut self) -> Result<(), DbError> {
        let mut log = AccessLog::default();
        for index in 0..self.fees.len() {
            let recipient = self.fees.recipient(index);
            let account = self.entry(recipient)?.after.unwrap_or_default();
            log.recipients.push((recipient, account.balance));
        }
        self.log = Some(Box::new(log));
        Ok(())
    }

    /// Notes a balance that was written.
    pub(crate) fn watch(&mut self, balance: U256) {
        self.fees.watch(balance);
    }

    /// Credits one transaction's fees, after its other changes; `None` if it pays none.
    pub(crate) fn credit(&mut self, fees: Option<&FeeAmounts>) -> Result<(), DbError> {
        self.fees.credit(fees);
        if let Some(log) = &mut self.log {
            log.fees(fees);
        }
        if self.fees.eager { self.settle_fees() } else { Ok(()) }
    }

    /// Adds what the counters hold to the balances.
    pub(crate) fn settle_fees(&mut self) -> Result<(), DbError> {
        for index in 0..self.fees.len() {
            let recipient = self.fees.recipient(index);
            self.entry(recipient)?;
        }
        Ok(())
    }

    /// Takes over what a transaction left in revm's journal; the table's room is left for the next.
    pub(crate) fn commit(&mut self, changes: &mut EvmState) {
        if let Some(log) = &mut self.log {
            log.evm(changes);
        }
        for (address, account) in changes.drain() {
            if account.is_touched() {
                self.commit_account(address, account);
            }
        }
    }

    fn commit_account(&mut self, address: Address, account: revm::state::Account) {
        self.fees.watch(account.info.balance);
        let entry = self.accounts.get_mut(&address).expect("revm loads what it touches");
        if account.is_selfdestructed() {
            self.fees.burn(&address);
        }
        let (now, wiped) = after(&account);
        let Some(now) = now else { return destroy(entry) };
        if wiped {
            clear_storage(entry);
        }
        if let Some(code) = account.info.code
            && entry.after.is_none_or(|old| old.code_hash != now.code_hash)
        {
            self.codes.insert(now.code_hash, code);
        }
        entry.after = Some(now);
        for (slot, value) in account.storage {
            if value.is_changed() {
                grow(&mut entry.storage);
                let old = (value.original_value, value.original_value);
                entry.storage.entry(slot).or_insert(old).1 = value.present_value;
            }
        }
    }

    /// True if everything that a transaction read elsewhere has the value that it would have here.
    /// Unless it `saw_versions` other than the parent's, what this block has not seen is the same
    /// for both.
    pub(crate) fn holds(
        &mut self,
        changes: &EvmState,
        saw_versions: bool,
    ) -> Result<bool, DbError> {
        for (address, account) in changes {
            // Their balances lag behind.
            if self.fees.is_recipient(address) || !self.agrees(address, account, saw_versions)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes over what a transaction did elsewhere, if that [holds](Self::holds).
    pub(crate) fn adopt(&mut self, changes: &mut EvmState) {
        if let Some(log) = &mut self.log {
            log.evm(changes);
        }
        for (address, account) in changes.drain() {
            if account.is_touched() {
                let before = before(&account);
                let unseen = || AccountDiff { before, after: before, ..Default::default() };
                self.accounts.entry(address).or_insert_with(unseen);
                self.commit_account(address, account);
            }
        }
    }

    /// True if the account and its slots were found as they are here.
    fn agrees(
        &mut self,
        address: &Address,
        found: &revm::state::Account,
        saw_versions: bool,
    ) -> Result<bool, DbError> {
        if saw_versions {
            self.entry(*address)?;
        }
        let Some(entry) = self.accounts.get_mut(address) else { return Ok(true) };
        if entry.after != before(found) {
            return Ok(false);
        }
        // In an account that it created, a transaction reads nothing.
        let slots = found.storage.iter().filter(|_| !found.is_created());
        for (slot, value) in slots {
            let now = match entry.storage.get(slot) {
                Some((_, now)) => *now,
                None if cleared(entry) => U256::ZERO,
                None if !saw_versions => continue,
                None => read_slot(&self.source, entry, *address, *slot)?,
            };
            if now != value.original_value {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    /// The account, read from the parent if the block has not seen it, with its fees.
    pub(crate) fn entry(&mut self, address: Address) -> Result<&mut AccountDiff, DbError> {
        let pending = self.fees.take(&address);
        let entry = match self.accounts.entry(address) {
            MapEntry::Occupied(entry) => entry.into_mut(),
            MapEntry::Vacant(vacant) => {
                let before = self.source.account(&address)?;
                self.fees.watch(before.map_or(U256::ZERO, |account| account.balance));
                let unchanged = AccountDiff { before, after: before, ..Default::default() };
                vacant.insert(unchanged)
            }
        };
        if let Some(wei) = pending {
            add_fee(entry, wei);
            self.fees.watch(entry.after.map_or(U256::ZERO, |account| account.balance));
        }
        Ok(entry)
    }

    /// What differs from the parent state, so far. Reads the source only for storage written again
    /// after the account was destroyed.
    pub(crate) fn diff(&mut self) -> Result<StateDiff, SourceError> {
        self.settle_fees().map_err(|error| error.0)?;
        let mut accounts = self.accounts.clone();
        self.only_changes(&mut accounts)
    }

    /// As [`Self::diff`], at the end: the table becomes the diff.
    pub(crate) fn take_diff(&mut self) -> Result<StateDiff, SourceError> {
        self.settle_fees().map_err(|error| error.0)?;
        let mut accounts = std::mem::take(&mut self.accounts);
        self.only_changes(&mut accounts)
    }

    fn only_changes(
        &self,
        accounts: &mut AddressMap<AccountDiff>,
    ) -> Result<StateDiff, SourceError> {
        let mut codes = B256Map::default();
        let mut failed = None;
        accounts.retain(|address, entry| {
            if let Err(error) = self.only_changed_slots(address, entry) {
                failed = Some(error);
            }
            self.add_new_code(entry, &mut codes);
            // Not `is_noop`: a slot written back to its old value after a wipe counts.
            entry.before != entry.after || entry.wiped || !entry.storage.is_empty()
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(StateDiff { accounts: std::mem::take(accounts), codes }),
        }
    }

    fn only_changed_slots(
        &self,
        address: &Address,
        entry: &mut AccountDiff,
    ) -> Result<(), SourceError> {
        if !entry.wiped {
            entry.storage.retain(|_, (before, after)| before != after);
            return Ok(());
        }
        entry.storage.retain(|_, (_, after)| !after.is_zero());
        for (slot, (before, _)) in &mut entry.storage {
            *before = self.source.storage(address, *slot)?;
        }
        Ok(())
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

/// A contract with many slots in use will have more: fewer, larger steps than the table's own.
fn grow(slots: &mut HashMap<U256, (U256, U256)>) {
    if slots.len() == slots.capacity() && slots.len() > 16 {
        slots.reserve(3 * slots.len());
    }
}

impl<S: StateSource> Database for BlockState<S> {
    type Error = DbError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, DbError> {
        let account = match self.is_transparent {
            true => self.source.account(&address)?,
            false => self.entry(address)?.after,
        };
        Ok(account.map(|account| AccountInfo {
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
        let shared = self.shared_codes.as_ref();
        if let Some(code) = shared.and_then(|codes| codes.get(&hash)) {
            self.codes.insert(hash, code.clone());
            return Ok(code);
        }
        let bytes = self.source.code(&hash)?;
        // Bytes that only look like a delegation could be deployed before EIP-3541.
        let code = Bytecode::new_raw_checked(bytes.clone())
            .unwrap_or_else(|_| Bytecode::new_legacy(bytes));
        if let Some(codes) = shared {
            codes.insert(hash, code.clone());
        }
        self.codes.insert(hash, code.clone());
        Ok(code)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, DbError> {
        if self.is_transparent {
            return Ok(self.source.storage(&address, slot)?);
        }
        if let Some(entry) = self.accounts.get_mut(&address) {
            return read_slot(&self.source, entry, address, slot);
        }
        self.entry(address)?;
        let entry = self.accounts.get_mut(&address).expect("inserted above");
        read_slot(&self.source, entry, address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, DbError> {
        Ok(self.source.block_hash(number)?)
    }
}

/// Reads a slot, from the parent if the block has not seen it.
fn read_slot<S: StateSource>(
    source: &S,
    entry: &mut AccountDiff,
    address: Address,
    slot: U256,
) -> Result<U256, DbError> {
    if let Some((_, now)) = entry.storage.get(&slot) {
        return Ok(*now);
    }
    if cleared(entry) {
        return Ok(U256::ZERO);
    }
    let value = source.storage(&address, slot)?;
    grow(&mut entry.storage);
    entry.storage.insert(slot, (value, value));
    Ok(value)
}
