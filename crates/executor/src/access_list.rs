//! Block access lists (EIP-7928): what each transaction of a block touched, and what it changed.

use std::{collections::BTreeMap, sync::OnceLock};

use alloy_eips::eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, BlockAccessList, CodeChange, NonceChange,
    SlotChanges, StorageChange,
};
use banyan_primitives::{Address, AddressMap, Receipt, U256, address};

use crate::access_log::{AccessLog, AccountRecord, Mark, Written};

/// The caller of system contracts: listed only if a transaction touches it.
const SYSTEM_ADDRESS: Address = address!("0xfffffffffffffffffffffffffffffffffffffffe");

/// What a block touched, noted while it was executed.
#[derive(Debug)]
pub struct BlockAccesses {
    log: AccessLog,
    list: OnceLock<BlockAccessList>,
}

impl BlockAccesses {
    pub(crate) fn new(log: AccessLog) -> Self {
        Self { log, list: OnceLock::new() }
    }

    /// The list of EIP-7928, made on the first call: accounts and slots in order, index 0 for what
    /// came before the transactions, and one more than there are for what came after them.
    ///
    /// On OP chains, for which there is no standard, what a transaction's fees need (the L1
    /// attributes) is not listed as read.
    pub fn list(&self) -> &BlockAccessList {
        self.list.get_or_init(|| list(&self.log))
    }

    /// Accounts whose storage began anew, and when, in that order. Since Cancun (EIP-6780) there
    /// was nothing in it, and no list needs to say so.
    pub fn wipes(&self) -> impl Iterator<Item = (BlockAccessIndex, Address)> {
        let parts = Parts { log: &self.log, next: 0 };
        parts.flat_map(|part| {
            let wiped = part.accounts.iter().filter(|record| record.change.wiped);
            wiped.map(move |record| (part.index, record.address))
        })
    }
}

/// What was committed since the observer was called last.
#[derive(Clone, Copy, Debug)]
pub struct Committed<'a> {
    /// Receipts of the transactions.
    pub receipts: &'a [Receipt],
    pub(crate) written: Written<'a>,
}

impl Committed<'_> {
    /// Accounts that were changed; some more than once. The recipients of fees are not among them
    /// for their fees alone: these are paid in the end.
    pub fn accounts(&self) -> impl Iterator<Item = Address> {
        self.written.accounts()
    }

    /// Slots that were changed; some more than once.
    pub fn slots(&self) -> impl Iterator<Item = (Address, U256)> {
        self.written.slots()
    }
}

/// One part of a log: what happened at one index.
#[derive(Clone, Copy)]
struct Part<'a> {
    index: BlockAccessIndex,
    from: Mark,
    to: Mark,
    accounts: &'a [AccountRecord],
}

struct Parts<'a> {
    log: &'a AccessLog,
    next: usize,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let ends = &self.log.ends;
        if self.next > ends.len() {
            return None;
        }
        let from = self.next.checked_sub(1).map_or(Mark::default(), |last| ends[last]);
        let to = ends.get(self.next).copied().unwrap_or_else(|| self.log.here());
        let index = BlockAccessIndex::new(self.next as u64);
        self.next += 1;
        Some(Part { index, from, to, accounts: &self.log.accounts[from.accounts..to.accounts] })
    }
}

/// What becomes an account's entry.
#[derive(Default)]
struct Draft {
    slots: BTreeMap<U256, Vec<StorageChange>>,
    balances: Vec<BalanceChange>,
    nonces: Vec<NonceChange>,
    codes: Vec<CodeChange>,
}

impl Draft {
    fn set_balance(&mut self, block_access_index: BlockAccessIndex, post_balance: U256) {
        self.forget_balance(block_access_index);
        self.balances.push(BalanceChange { block_access_index, post_balance });
    }

    fn forget_balance(&mut self, index: BlockAccessIndex) {
        self.balances.pop_if(|last| last.block_access_index == index);
    }

    fn set_nonce(&mut self, block_access_index: BlockAccessIndex, new_nonce: u64) {
        self.nonces.pop_if(|last| last.block_access_index == block_access_index);
        self.nonces.push(NonceChange { block_access_index, new_nonce });
    }

    fn finish(self, address: Address) -> AccountChanges {
        let (mut storage_changes, mut storage_reads) = (Vec::new(), Vec::new());
        for (slot, changes) in self.slots {
            match changes.is_empty() {
                true => storage_reads.push(slot),
                false => storage_changes.push(SlotChanges { slot, changes }),
            }
        }
        AccountChanges {
            address,
            storage_changes,
            storage_reads,
            balance_changes: self.balances,
            nonce_changes: self.nonces,
            code_changes: self.codes,
        }
    }
}

/// The list under way.
struct Drafts<'a> {
    log: &'a AccessLog,
    accounts: BTreeMap<Address, Draft>,
    /// Balances of the recipients of fees.
    balances: AddressMap<U256>,
    codes: usize,
    transactions: usize,
}

fn list(log: &AccessLog) -> BlockAccessList {
    let mut drafts = Drafts {
        log,
        accounts: BTreeMap::new(),
        balances: log.recipients.iter().copied().collect(),
        codes: 0,
        transactions: log.ends.len().saturating_sub(1),
    };
    for part in (Parts { log, next: 0 }) {
        let before = drafts.balances.clone();
        drafts.add_accounts(&part);
        drafts.add_slots(&part);
        drafts.add_fees(&part, &before);
    }
    drafts.accounts.into_iter().map(|(address, draft)| draft.finish(address)).collect()
}

impl Drafts<'_> {
    fn add_accounts(&mut self, part: &Part<'_>) {
        let index = part.index;
        let own = (1..=self.transactions as u64).contains(&index.get());
        for (at, record) in (part.from.accounts..).zip(part.accounts) {
            if record.address == SYSTEM_ADDRESS && !own {
                continue;
            }
            let draft = self.accounts.entry(record.address).or_default();
            if record.change.balance {
                draft.set_balance(index, record.balance);
                if let Some(balance) = self.balances.get_mut(&record.address) {
                    *balance = record.balance;
                }
            }
            if record.change.nonce {
                draft.set_nonce(index, record.nonce);
            }
            if let Some((_, code)) = self.log.codes.get(self.codes).filter(|(of, _)| *of == at) {
                self.codes += 1;
                draft.codes.push(CodeChange { block_access_index: index, new_code: code.clone() });
            }
        }
    }

    fn add_slots(&mut self, part: &Part<'_>) {
        let block_access_index = part.index;
        for record in &self.log.slots[part.from.slots..part.to.slots] {
            let address = self.log.accounts[record.account as usize].address;
            let draft = self.accounts.entry(address).or_default();
            let changes = draft.slots.entry(record.slot).or_default();
            if record.written {
                changes.pop_if(|last| last.block_access_index == block_access_index);
                changes.push(StorageChange { block_access_index, new_value: record.value });
            }
        }
    }

    /// Pays the fees of a transaction, as the last thing it does.
    fn add_fees(&mut self, part: &Part<'_>, before: &AddressMap<U256>) {
        let fees = &self.log.fees[part.from.fees..part.to.fees];
        for ((address, _), fee) in self.log.recipients.iter().zip(fees) {
            let draft = self.accounts.entry(*address).or_default();
            let balance = self.balances.entry(*address).or_default();
            let of = |record: &&AccountRecord| record.address == *address;
            if part.accounts.iter().filter(of).any(|record| record.change.destroyed) {
                continue;
            }
            *balance = balance.checked_add(*fee).unwrap_or(*balance);
            match before.get(address) == Some(balance) {
                true => draft.forget_balance(part.index),
                false => draft.set_balance(part.index, *balance),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use banyan_primitives::Account;

    use super::*;
    use crate::fees::FeeAmounts;

    const MINER: Address = Address::repeat_byte(2);
    const USER: Address = Address::repeat_byte(1);

    fn account(nonce: u64, balance: u64) -> Account {
        Account { nonce, balance: U256::from(balance), ..Default::default() }
    }

    fn index(index: u64) -> BlockAccessIndex {
        BlockAccessIndex::new(index)
    }

    #[test]
    fn what_a_recipient_of_fees_pays_and_earns_in_one_transaction_may_cancel_out() {
        let mut log = AccessLog::default();
        log.recipients.push((MINER, U256::from(10)));
        log.next();
        let fee = |wei: u64| {
            let mut fees = FeeAmounts::default();
            fees.0[0] = U256::from(wei);
            fees
        };
        log.change(MINER, &account(0, 10), &account(1, 7));
        log.fees(Some(&fee(3)));
        log.next();
        log.change(USER, &account(0, 9), &account(1, 5));
        log.fees(Some(&fee(4)));
        log.next();
        let accesses = BlockAccesses::new(log);
        let [user, miner] = accesses.list().as_slice() else { panic!("two accounts") };
        assert_eq!((user.address, miner.address), (USER, MINER));
        let balance = |at, wei: u64| BalanceChange {
            block_access_index: index(at),
            post_balance: U256::from(wei),
        };
        assert_eq!(user.balance_changes, [balance(2, 5)]);
        assert_eq!(miner.balance_changes, [balance(2, 14)]);
        assert_eq!(miner.nonce_changes.len(), 1);
    }

    #[test]
    fn a_slot_is_listed_as_read_only_if_nobody_changes_it() {
        let mut log = AccessLog::default();
        log.next();
        log.slot(USER, U256::from(2), None);
        log.slot(USER, U256::ONE, None);
        log.next();
        log.slot(USER, U256::from(2), Some(U256::from(8)));
        log.next();
        log.slot(USER, U256::from(3), Some(U256::from(9)));
        let accesses = BlockAccesses::new(log);
        let [user] = accesses.list().as_slice() else { panic!("one account") };
        assert_eq!(user.storage_reads, [U256::ONE]);
        let changes: Vec<_> =
            user.storage_changes.iter().map(|it| (it.slot, &it.changes)).collect();
        let change = |at, value: u64| vec![StorageChange::new(index(at), U256::from(value))];
        assert_eq!(changes, [(U256::from(2), &change(2, 8)), (U256::from(3), &change(3, 9))]);
    }
}
