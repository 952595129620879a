//! What the transactions of a block touched, noted while they are committed: an append-only log of
//! fixed-size records, from which a list is made only if somebody asks ([`crate::BlockAccesses`]).

use banyan_primitives::{Account, Address, Bytes, U256};
use revm::state::{Account as EvmAccount, EvmState};

use crate::{
    fees::FeeAmounts,
    state::{account_of, after},
};

/// What became of an account in a transaction, besides being looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) balance: bool,
    pub(crate) nonce: bool,
    pub(crate) code: bool,
    /// Its storage began anew.
    pub(crate) wiped: bool,
    /// It destroyed itself, and what it is paid in the end is lost.
    pub(crate) destroyed: bool,
}

impl Change {
    fn between(before: &Account, after: &Account) -> Self {
        Self {
            balance: before.balance != after.balance,
            nonce: before.nonce != after.nonce,
            code: before.code_hash != after.code_hash,
            ..Self::default()
        }
    }

    fn is_any(self) -> bool {
        self != Self::default()
    }
}

/// An account that was touched; nonce and balance as they were left, where they changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccountRecord {
    pub(crate) address: Address,
    pub(crate) change: Change,
    pub(crate) nonce: u64,
    pub(crate) balance: U256,
}

/// A slot that was touched, as it was left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotRecord {
    /// Position of its account's record.
    pub(crate) account: u32,
    pub(crate) written: bool,
    pub(crate) slot: U256,
    pub(crate) value: U256,
}

/// How far the log had got: all of its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) accounts: usize,
    pub(crate) slots: usize,
    pub(crate) fees: usize,
}

/// The log of one block. What comes before the transactions, each of them, and what comes after them
/// are parts of their own.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccessLog {
    pub(crate) accounts: Vec<AccountRecord>,
    pub(crate) slots: Vec<SlotRecord>,
    /// New code, with the position of its account's record.
    pub(crate) codes: Vec<(usize, Bytes)>,
    /// Recipients of fees that are counted, with their balances before the block.
    pub(crate) recipients: Vec<(Address, U256)>,
    /// What a transaction that pays fees pays each of the recipients.
    pub(crate) fees: Vec<U256>,
    /// Where parts end; the last is open.
    pub(crate) ends: Vec<Mark>,
}

impl AccessLog {
    /// Makes room for so many transactions.
    pub(crate) fn reserve(&mut self, transactions: usize) {
        self.ends.reserve(transactions + 1);
        self.accounts.reserve(2 * transactions);
        self.fees.reserve(self.recipients.len() * transactions);
    }

    pub(crate) fn here(&self) -> Mark {
        let (accounts, slots) = (self.accounts.len(), self.slots.len());
        Mark { accounts, slots, fees: self.fees.len() }
    }

    /// The next transaction's part begins.
    pub(crate) fn next(&mut self) {
        self.ends.push(self.here());
    }

    /// An account that was looked at.
    pub(crate) fn look(&mut self, address: Address) {
        let (nonce, balance) = (0, U256::ZERO);
        self.accounts.push(AccountRecord { address, change: Change::default(), nonce, balance });
    }

    /// An account that was changed without the EVM; its code stays.
    pub(crate) fn change(&mut self, address: Address, before: &Account, after: &Account) {
        let change = Change::between(before, after);
        let Account { nonce, balance, .. } = *after;
        self.accounts.push(AccountRecord { address, change, nonce, balance });
    }

    /// New code of the account noted last.
    pub(crate) fn code(&mut self, code: Bytes) {
        self.codes.push((self.accounts.len().saturating_sub(1), code));
    }

    /// A slot of an account, read or written without the EVM.
    pub(crate) fn slot(&mut self, address: Address, slot: U256, written: Option<U256>) {
        let part = self.ends.last().map_or(0, |end| end.accounts);
        let noted = self.accounts[part..].iter().rposition(|record| record.address == address);
        let account = noted.map_or_else(
            || {
                self.look(address);
                self.accounts.len() - 1
            },
            |at| part + at,
        );
        let (written, value) = (written.is_some(), written.unwrap_or_default());
        self.slots.push(SlotRecord { account: account as u32, written, slot, value });
    }

    /// What a program looked at and left as it was.
    pub(crate) fn program(&mut self, accounts: &[Address], slots: &[(Address, U256)]) {
        accounts.iter().for_each(|address| self.look(*address));
        slots.iter().for_each(|(address, slot)| self.slot(*address, *slot, None));
    }

    /// Everything that one transaction in the EVM touched.
    pub(crate) fn evm(&mut self, changes: &EvmState) {
        for (address, account) in changes {
            self.evm_account(*address, account);
        }
    }

    fn evm_account(&mut self, address: Address, account: &EvmAccount) {
        if !account.is_touched() {
            self.look(address);
            return self.evm_slots(account, false);
        }
        let (now, wiped) = after(account);
        let (exists, now) = (now.is_some(), now.unwrap_or_default());
        let before = account_of(&account.original_info);
        self.change(address, &before, &now);
        if let Some(record) = self.accounts.last_mut() {
            record.change.wiped = wiped && !account.is_loaded_as_not_existing();
            record.change.destroyed = account.is_selfdestructed();
        }
        if before.code_hash != now.code_hash {
            let code = account.info.code.as_ref().filter(|_| now.has_code());
            self.code(code.map(|code| code.original_bytes()).unwrap_or_default());
        }
        self.evm_slots(account, exists);
    }

    /// The slots of the account noted last; what is written to one that is gone does not count.
    fn evm_slots(&mut self, account: &EvmAccount, counts: bool) {
        let at = self.accounts.len() as u32 - 1;
        self.slots.extend(account.storage.iter().map(|(slot, value)| SlotRecord {
            account: at,
            written: counts && value.is_changed(),
            slot: *slot,
            value: value.present_value,
        }));
    }

    /// The fees of a transaction, if it pays any.
    pub(crate) fn fees(&mut self, fees: Option<&FeeAmounts>) {
        if let Some(fees) = fees {
            self.fees.extend(&fees.0[..self.recipients.len()]);
        }
    }
}

/// Where the state was written, in the order of the transactions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    pub(crate) log: &'a AccessLog,
    pub(crate) since: Mark,
}

impl Written<'_> {
    pub(crate) fn accounts(&self) -> impl Iterator<Item = Address> {
        let records = self.log.accounts.get(self.since.accounts..).unwrap_or_default();
        records.iter().filter(|record| record.change.is_any()).map(|record| record.address)
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = (Address, U256)> {
        let records = self.log.slots.get(self.since.slots..).unwrap_or_default();
        let address = |account: u32| self.log.accounts[account as usize].address;
        let written = records.iter().filter(|record| record.written);
        written.map(move |record| (address(record.account), record.slot))
    }
}
