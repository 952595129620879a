use std::collections::BTreeMap;

use banyan_primitives::{
    Account, AccountDiff, Address, B256, B256Map, BlockRef, Bytes, KECCAK_EMPTY, KeyRule,
    MESSAGE_PASSER, MESSAGE_PASSER_TRIE, StateDiff, U256,
    trie::{HashedDiff, HashedStorageDiff, NodeDiff},
};
use rayon::prelude::*;

/// With fewer keys, waking other threads costs more than it saves (a hash is 0.1 to 0.3 µs).
const KEYS_PER_TASK: usize = 512;

/// The frozen change of one block above the persisted tip. Shared by `Arc`, never changed.
///
/// A reverse layer ([`crate::reverse_layer`]) leads from the tip back to an earlier block: there
/// `parent` is the tip and `block` the earlier one.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    /// The block after which this state stands.
    pub block: BlockRef,
    /// The block before.
    pub parent: BlockRef,
    /// State changes by hashed key.
    pub state: HashedDiff,
    /// Storage changes of the message passer once more, under keccak keys, where those of `state`
    /// are others: for its trie, [`MESSAGE_PASSER_TRIE`].
    pub withdrawals: Option<HashedStorageDiff>,
    /// Trie node changes.
    pub nodes: NodeDiff,
    /// Code deployed in the block.
    pub codes: B256Map<Bytes>,
}

impl Layer {
    /// Hashes and sorts a diff. Nodes are added by [`Layer::with_nodes`] once the root is known.
    pub fn new(keys: KeyRule, block: BlockRef, parent: BlockRef, diff: &StateDiff) -> Self {
        Self::with_before(keys, block, parent, diff).0
    }

    /// As [`Layer::new`]; besides the values that the same keys had before, for the tries in memory: nothing
    /// under `wide` keys, where there are none. Storage is `wiped` there if it was wiped and nothing had
    /// been in it.
    pub fn with_before(
        keys: KeyRule,
        block: BlockRef,
        parent: BlockRef,
        diff: &StateDiff,
    ) -> (Self, HashedDiff) {
        let (state, before) = hash_diff(keys, diff);
        let layer = Self {
            block,
            parent,
            state,
            withdrawals: withdrawals(keys, diff),
            nodes: NodeDiff::default(),
            codes: diff.codes.clone(),
        };
        (layer, before)
    }

    /// Storage changes of an account, the message passer's under keccak keys among them.
    pub(crate) fn storage(&self, account: &B256) -> Option<&HashedStorageDiff> {
        match self.state.storage.get(account) {
            None if *account == MESSAGE_PASSER_TRIE => self.withdrawals.as_ref(),
            found => found,
        }
    }

    /// The layer with its trie nodes.
    pub fn with_nodes(self, nodes: NodeDiff) -> Self {
        Self { nodes, ..self }
    }
}

/// The diff under hashed keys. Accounts and slots that end as they began are left out.
fn hash_diff(keys: KeyRule, diff: &StateDiff) -> (HashedDiff, HashedDiff) {
    let changed: Vec<_> = diff.accounts.iter().filter(|(_, account)| !account.is_noop()).collect();
    let mut hashed: Vec<_> = changed
        .par_chunks(KEYS_PER_TASK)
        .flat_map_iter(|changed| {
            let own = keys.accounts(changed.iter().map(|(address, _)| *address));
            let storages =
                changed.iter().map(|(address, account)| hash_storage(keys, address, account));
            let accounts = changed.iter().map(|(_, account)| *account);
            own.into_iter().zip(accounts.zip(storages)).collect::<Vec<_>>()
        })
        .collect();
    // Sorted once for all maps.
    hashed.sort_unstable_by_key(|(key, _)| *key);
    let accounts = |state: fn(&AccountDiff) -> Option<Account>| {
        hashed.iter().map(move |(key, (account, _))| (*key, state(account))).collect()
    };
    let (mut out, mut old) = (HashedDiff::default(), HashedDiff::default());
    out.accounts = accounts(|account| account.after);
    if keys == KeyRule::Keccak {
        old.accounts = accounts(|account| account.before);
    }
    for (address, (_, (storage, before))) in hashed {
        if storage.wiped || !storage.slots.is_empty() {
            out.storage.insert(address, storage);
            if keys == KeyRule::Keccak {
                old.storage.insert(address, before);
            }
        }
    }
    (out, old)
}

fn withdrawals(keys: KeyRule, diff: &StateDiff) -> Option<HashedStorageDiff> {
    let account = match keys {
        KeyRule::Keccak => return None,
        KeyRule::Wide => diff.accounts.get(&MESSAGE_PASSER)?,
    };
    let (storage, _) = hash_storage(KeyRule::Keccak, &MESSAGE_PASSER, account);
    (storage.wiped || !storage.slots.is_empty()).then_some(storage)
}

/// The storage change of an account, and what was there before.
fn hash_storage(
    keys: KeyRule,
    address: &Address,
    account: &AccountDiff,
) -> (HashedStorageDiff, HashedStorageDiff) {
    // After a wipe every slot listed counts, also one that ends with its old value.
    let changed: Vec<_> = account
        .storage
        .iter()
        .filter(|(_, (before, after))| account.wiped || before != after)
        .map(|(slot, (before, after))| (*slot, *before, *after))
        .collect();
    let hash = |changed: &[(U256, U256, U256)]| {
        let own = keys.slots(address, changed.iter().map(|(slot, ..)| *slot)).into_iter();
        own.zip(changed).map(|(key, (_, before, after))| (key, *before, *after)).collect::<Vec<_>>()
    };
    let mut hashed = match changed.len() {
        0..=KEYS_PER_TASK => hash(&changed),
        _ => changed.par_chunks(KEYS_PER_TASK).flat_map_iter(hash).collect(),
    };
    // Sorted once for both maps.
    hashed.sort_unstable_by_key(|(key, ..)| *key);
    let slots = hashed.iter().map(|(key, _, after)| (*key, *after)).collect();
    let before = match keys {
        KeyRule::Keccak => hashed.iter().map(|(key, before, _)| (*key, *before)).collect(),
        KeyRule::Wide => BTreeMap::new(),
    };
    let wiped = account.wiped;
    // Nobody without code has storage: who was only sent something before it was created has none.
    // (Those few of old that do are found out by their root.)
    let had_code = |before: &Account| before.code_hash != KECCAK_EMPTY;
    let was_empty = wiped && !account.before.as_ref().is_some_and(had_code);
    (HashedStorageDiff { wiped, slots }, HashedStorageDiff { wiped: was_empty, slots: before })
}

#[cfg(test)]
mod tests {
    use banyan_primitives::{Account, U256, keccak256};

    use super::*;

    fn account(nonce: u64) -> Option<Account> {
        Some(Account { nonce, ..Default::default() })
    }

    fn diff_of(accounts: Vec<(u64, AccountDiff)>) -> StateDiff {
        let key = |n: u64| Address::from_word(B256::from(U256::from(n)));
        let accounts = accounts.into_iter().map(|(n, diff)| (key(n), diff)).collect();
        StateDiff { accounts, ..Default::default() }
    }

    fn layer_of(accounts: Vec<(u64, AccountDiff)>) -> Layer {
        let block = BlockRef::default();
        Layer::new(KeyRule::Keccak, block, block, &diff_of(accounts))
    }

    #[test]
    fn the_message_passers_slots_are_there_under_keccak_keys_too() {
        let storage = [(U256::from(3), (U256::ZERO, U256::from(1)))].into_iter().collect();
        let sent =
            AccountDiff { before: account(1), after: account(1), storage, ..Default::default() };
        let diff = StateDiff {
            accounts: [(MESSAGE_PASSER, sent)].into_iter().collect(),
            ..Default::default()
        };
        let block = BlockRef::default();
        let layer = Layer::new(KeyRule::Wide, block, block, &diff);
        let key = KeyRule::Keccak.slot(&MESSAGE_PASSER, U256::from(3));
        assert!(layer.storage(&MESSAGE_PASSER_TRIE).unwrap().slots.contains_key(&key));
        let account = KeyRule::Wide.account(&MESSAGE_PASSER);
        assert_eq!(layer.state.storage.keys().collect::<Vec<_>>(), [&account]);
        let mpt = Layer::new(KeyRule::Keccak, block, block, &diff);
        assert_eq!((mpt.state.storage.len(), mpt.withdrawals), (1, None));
    }

    #[test]
    fn unchanged_accounts_and_slots_are_left_out() {
        let one = U256::from(1);
        let storage = [(one, (one, one)), (U256::from(2), (one, U256::ZERO))];
        let changed = AccountDiff {
            before: account(1),
            after: account(1),
            storage: storage.into_iter().collect(),
            ..Default::default()
        };
        let noop = AccountDiff { before: account(3), after: account(3), ..Default::default() };
        let layer = layer_of(vec![(1, changed), (2, noop)]);
        assert_eq!(layer.state.accounts.len(), 1);
        let slots = &layer.state.storage.first_key_value().unwrap().1.slots;
        assert_eq!(slots.values().collect::<Vec<_>>(), vec![&U256::ZERO]);
    }

    #[test]
    fn a_wipe_keeps_slots_that_end_with_their_old_value() {
        let one = U256::from(1);
        let wiped = AccountDiff {
            before: account(1),
            after: account(1),
            wiped: true,
            storage: [(one, (one, one))].into_iter().collect(),
        };
        let layer = layer_of(vec![(1, wiped)]);
        let storage = layer.state.storage.first_key_value().unwrap().1;
        assert!(storage.wiped);
        assert_eq!(storage.slots.len(), 1);
    }

    #[test]
    fn who_had_no_code_before_a_wipe_had_no_storage() {
        let slot = (U256::from(1), (U256::ZERO, U256::from(1)));
        let wiped = |before: Option<Account>| {
            let storage = [slot].into_iter().collect();
            let diff = AccountDiff { before, after: account(1), wiped: true, storage };
            let block = BlockRef::default();
            let diff = diff_of(vec![(1, diff)]);
            let (_, before) = Layer::with_before(KeyRule::Keccak, block, block, &diff);
            before.storage.first_key_value().unwrap().1.wiped
        };
        let contract = Account { code_hash: B256::repeat_byte(1), ..Default::default() };
        assert!(wiped(None) && wiped(account(0)));
        assert!(!wiped(Some(contract)));
    }

    #[test]
    fn large_diffs_hash_to_the_same_as_small_ones() {
        let accounts: Vec<_> = (0..1000)
            .map(|n| (n, AccountDiff { after: account(n), ..Default::default() }))
            .collect();
        let layer = layer_of(accounts);
        assert_eq!(layer.state.accounts.len(), 1000);
        let key = keccak256(Address::from_word(B256::from(U256::from(77))));
        assert_eq!(layer.state.accounts.get(&key), Some(&account(77)));
    }
}
