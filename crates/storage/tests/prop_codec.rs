//! What is written is what is read, for every value, and keys keep the order of their numbers.

mod common;

use banyan_primitives::{
    Account, B256, Bytes, KECCAK_EMPTY, U256,
    trie::{Nibbles, TrieId},
};
use banyan_storage::StateRead;
use proptest::prelude::*;

fn hash() -> impl Strategy<Value = B256> {
    any::<[u8; 32]>().prop_map(B256::from)
}

fn value() -> impl Strategy<Value = U256> {
    (any::<[u8; 32]>(), 0usize..256).prop_map(|(bytes, bits)| U256::from_be_bytes(bytes) >> bits)
}

fn account() -> impl Strategy<Value = Account> {
    (any::<u64>(), 0u32..64, value(), proptest::option::of(hash())).prop_map(
        |(nonce, bits, balance, code)| Account {
            nonce: nonce >> bits,
            balance,
            code_hash: code.unwrap_or(KECCAK_EMPTY),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn state_round_trips(
        accounts in proptest::collection::btree_map(hash(), account(), 0..20),
        slots in proptest::collection::btree_map(hash(), value(), 0..20),
        address in hash(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let db = common::open(dir.path());
        let txn = db.write().unwrap();
        for (key, account) in &accounts {
            txn.put_account(key, Some(account)).unwrap();
        }
        for (key, value) in &slots {
            txn.put_slot(&address, key, *value).unwrap();
        }
        let expected: Vec<_> = accounts.iter().map(|(k, v)| (*k, *v)).collect();
        prop_assert_eq!(txn.accounts(&B256::ZERO, None, 100).unwrap(), expected);
        for (key, account) in &accounts {
            prop_assert_eq!(txn.account(key).unwrap(), Some(*account));
        }
        let mut expected: Vec<_> = slots.into_iter().collect();
        for (key, value) in &expected {
            prop_assert_eq!(txn.slot(&address, key).unwrap(), *value);
        }
        expected.retain(|(_, value)| !value.is_zero());
        prop_assert_eq!(txn.slots(&address, &B256::ZERO, None, 100).unwrap(), expected);
    }

    #[test]
    fn history_finds_the_first_later_entry(
        entries in proptest::collection::btree_map(any::<u64>(), value(), 0..10),
        address in hash(),
        slot in hash(),
        at in any::<u64>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let db = common::open(dir.path());
        let txn = db.write().unwrap();
        for (number, value) in &entries {
            txn.put_slot_history(&address, &slot, *number, *value).unwrap();
            let account = Account { balance: *value, ..Default::default() };
            txn.put_account_history(&address, *number, Some(&account)).unwrap();
        }
        for at in entries.keys().copied().chain([at]) {
            let expected = entries.iter().find(|(number, _)| **number > at).map(|(_, v)| *v);
            prop_assert_eq!(txn.slot_history(&address, &slot, at).unwrap(), expected);
            let account = txn.account_history(&address, at).unwrap();
            prop_assert_eq!(account.map(|account| account.unwrap().balance), expected);
        }
        let other = B256::from(U256::from_be_bytes(address.0) ^ U256::from(1));
        prop_assert_eq!(txn.account_history(&other, 0).unwrap(), None);
    }

    #[test]
    fn trie_nodes_are_found_in_order_of_path(
        paths in proptest::collection::btree_set(proptest::collection::vec(0u8..16, 0..65), 0..20),
        prefix in proptest::collection::vec(0u8..16, 0..3),
        address in hash(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let db = common::open(dir.path());
        let txn = db.write().unwrap();
        let prefix = Nibbles::from_nibbles(prefix);
        for trie in [TrieId::Accounts, TrieId::Storage(address), TrieId::Storage(B256::ZERO)] {
            for path in &paths {
                let node = Bytes::from(path.clone());
                txn.put_trie_node(trie, &Nibbles::from_nibbles(path), Some(&node)).unwrap();
            }
            let expected: Vec<_> = paths
                .iter()
                .map(|path| (Nibbles::from_nibbles(path), Bytes::from(path.clone())))
                .filter(|(path, _)| path.starts_with(&prefix))
                .collect();
            let found = txn.trie_nodes(trie, &Nibbles::new(), &prefix, 100).unwrap();
            prop_assert_eq!(found, expected);
        }
        txn.delete_storage_trie(&address).unwrap();
        let left = |trie| txn.trie_nodes(trie, &Nibbles::new(), &Nibbles::new(), 100).unwrap().len();
        prop_assert_eq!(left(TrieId::Storage(address)), 0);
        prop_assert_eq!(left(TrieId::Accounts), paths.len());
        prop_assert_eq!(left(TrieId::Storage(B256::ZERO)), paths.len());
    }
}
