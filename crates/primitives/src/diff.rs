use crate::{Account, Address, AddressMap, B256, B256Map, Bytes, HashMap, U256};

/// What a block (or one transaction) changed: the only thing execution gives back besides receipts.
///
/// Keys are plain addresses and slots. Deletions are explicit (`after: None`, a zero slot value),
/// never absence. `before` values are those of the parent state, so that a diff can be undone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDiff {
    /// Changed accounts.
    pub accounts: AddressMap<AccountDiff>,
    /// Code that may be new to the database, by hash.
    pub codes: B256Map<Bytes>,
}

/// The change of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountDiff {
    /// The account in the parent state; `None` if it did not exist.
    pub before: Option<Account>,
    /// The account afterwards; `None` if it does not exist any more.
    pub after: Option<Account>,
    /// All storage of the parent state is gone before `storage` applies (SELFDESTRUCT, or
    /// re-creation after one). Slots not listed are then zero.
    pub wiped: bool,
    /// Changed slots: slot → (value in the parent state, value afterwards). With `wiped` a slot
    /// that ends as zero need not be listed.
    pub storage: HashMap<U256, (U256, U256)>,
}

impl AccountDiff {
    /// True if nothing differs from the parent state.
    pub fn is_noop(&self) -> bool {
        self.before == self.after && !self.wiped && self.storage.values().all(|(b, a)| b == a)
    }
}

impl StateDiff {
    /// Number of changed accounts.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// True if nothing changed.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// The account afterwards, if the diff says anything about it.
    pub fn account(&self, address: &Address) -> Option<Option<Account>> {
        self.accounts.get(address).map(|diff| diff.after)
    }

    /// The slot value afterwards, if the diff says anything about it.
    pub fn storage(&self, address: &Address, slot: U256) -> Option<U256> {
        let diff = self.accounts.get(address)?;
        match diff.storage.get(&slot) {
            Some((_, after)) => Some(*after),
            None if diff.wiped => Some(U256::ZERO),
            None => None,
        }
    }

    /// Code by hash, if the diff carries it.
    pub fn code(&self, hash: &B256) -> Option<&Bytes> {
        self.codes.get(hash)
    }
}
