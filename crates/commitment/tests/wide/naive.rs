//! The tree as `banyan_wide_proof` defines it, hash by hash.

use banyan_commitment::MemoryTrie;
use banyan_primitives::B256;
use banyan_wide_proof::{EMPTY, Hash, Key, account_value, inner, leaf};

/// Every leaf of a state with its hash, in order of path.
pub(crate) fn leaves(state: &MemoryTrie) -> Vec<(Key, Hash)> {
    let mut leaves = Vec::new();
    for (id, account) in state.accounts() {
        let balance = account.balance.to_be_bytes();
        let value = account_value(account.nonce, &balance, &account.code_hash.0);
        leaves.push((Key::of_account_id(id.0), leaf(&id.0, &value)));
        for (slot, value) in state.slots(id).into_iter().flatten() {
            let key = Key::of_slot_id(&id.0, slot.0);
            leaves.push((key, leaf(&slot.0, &value.to_be_bytes())));
        }
    }
    leaves.sort_by_key(|(key, _)| *key.path());
    leaves
}

/// Root of a state.
pub(crate) fn root(state: &MemoryTrie) -> B256 {
    B256::from(subtree(&leaves(state), 0))
}

fn subtree(leaves: &[(Key, Hash)], depth: usize) -> Hash {
    match leaves {
        [] => EMPTY,
        [(_, hash)] => *hash,
        _ => {
            let (left, right) = leaves.split_at(leaves.partition_point(|(key, _)| !key.bit(depth)));
            let (left_hash, right_hash) = (subtree(left, depth + 1), subtree(right, depth + 1));
            match (left.is_empty(), right.is_empty()) {
                (true, _) => right_hash,
                (_, true) => left_hash,
                _ => inner(depth, &left_hash, &right_hash),
            }
        }
    }
}
