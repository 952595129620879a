//! EIP-1186 proofs, verified by `alloy-trie`.

mod common;

use alloy_trie::{TrieAccount, proof::verify_proof};
use banyan_commitment::{AccountProof, MemoryTrie, account_proof};
use banyan_primitives::{
    Account, Address, B256, EMPTY_ROOT_HASH, U256, keccak256,
    trie::{HashedDiff, Nibbles},
};

fn address(index: u64) -> Address {
    Address::left_padding_from(&index.to_be_bytes())
}

fn hashed_slot(slot: u64) -> B256 {
    keccak256(U256::from(slot).to_be_bytes::<32>())
}

/// Account `i` below `count` has `slots(i)` slots, of which slot `s` holds `s + 1`.
fn state(count: u64, slots: fn(u64) -> u64) -> (MemoryTrie, B256) {
    let mut alloc = HashedDiff::default();
    for index in 0..count {
        let key = keccak256(address(index));
        let balance = U256::from(index);
        alloc.accounts.insert(key, Some(Account { nonce: index, balance, ..Default::default() }));
        let change = alloc.storage.entry(key).or_default();
        change.slots = (0..slots(index)).map(|s| (hashed_slot(s), U256::from(s + 1))).collect();
    }
    let (state, output) = MemoryTrie::genesis(&alloc).expect("a sound state");
    (state, output.root)
}

fn verify(root: B256, proof: &AccountProof) {
    let leaf = proof.account.map(|Account { nonce, balance, code_hash }| {
        alloy_rlp::encode(TrieAccount::new(nonce, balance, proof.storage_root, code_hash))
    });
    let key = Nibbles::unpack(keccak256(proof.address));
    verify_proof(root, key, leaf, &proof.proof).expect("the account is proven");
    for slot in &proof.storage {
        let value = (!slot.value.is_zero()).then(|| alloy_rlp::encode(slot.value));
        let key = Nibbles::unpack(keccak256(slot.slot.to_be_bytes::<32>()));
        verify_proof(proof.storage_root, key, value, &slot.proof).expect("the slot is proven");
    }
}

#[test]
fn present_and_absent_accounts_and_slots_are_proven() {
    let (state, root) = state(400, |index| index % 60);
    for index in 0..500 {
        let proof = account_proof(&state, address(index), &[0, 1, 30, 58, 1000].map(U256::from));
        let proof = proof.unwrap();
        verify(root, &proof);
        assert_eq!(proof.account.map(|account| account.nonce), (index < 400).then_some(index));
        let expected = |slot| if index < 400 && slot < index % 60 { slot + 1 } else { 0 };
        let values: Vec<_> = proof.storage.iter().map(|slot| slot.value).collect();
        assert_eq!(values, [0, 1, 30, 58, 1000].map(|slot| U256::from(expected(slot))));
    }
}

#[test]
fn proofs_in_small_states() {
    for count in [0, 1, 2, 3, 17] {
        let (state, root) = state(count, |index| index);
        for index in 0..20 {
            let slots: Vec<_> = (0..20).map(U256::from).collect();
            verify(root, &account_proof(&state, address(index), &slots).unwrap());
        }
    }
}

#[test]
fn an_absent_account_has_the_empty_storage_root_and_empty_storage_proofs() {
    let (state, _) = state(20, |_| 3);
    let proof = account_proof(&state, address(99), &[U256::ZERO]).unwrap();
    assert_eq!((proof.account, proof.storage_root), (None, EMPTY_ROOT_HASH));
    assert!(!proof.proof.is_empty());
    assert!(proof.storage[0].proof.is_empty());
}
