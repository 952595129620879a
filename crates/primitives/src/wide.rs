//! The `wide` commitment by its definition, from all leaves: for genesis and small states.

use crate::{Account, B256, U256};

/// Where a leaf stands: an account at its key, a slot at eight bytes of its account's key and then
/// its own.
pub type Path = [u8; 40];

const RECORD: &str = "banyan/wide/record/v1";
const LEAF: &str = "banyan/wide/leaf/v1";
const NODE: &str = "banyan/wide/node/v1";

/// The leaf of an account.
pub fn account_leaf(key: &B256, account: &Account) -> (Path, B256) {
    let mut path = [0; 40];
    path[..32].copy_from_slice(key.as_slice());
    let mut record = [0; 72];
    record[..8].copy_from_slice(&account.nonce.to_be_bytes());
    record[8..40].copy_from_slice(&account.balance.to_be_bytes::<32>());
    record[40..].copy_from_slice(account.code_hash.as_slice());
    (path, pair(LEAF, key, &blake3::derive_key(RECORD, &record).into()))
}

/// The leaf of a slot that is not zero.
pub fn slot_leaf(account: &B256, slot: &B256, value: U256) -> (Path, B256) {
    let mut path = [0; 40];
    path[..8].copy_from_slice(&account[..8]);
    path[8..].copy_from_slice(slot.as_slice());
    (path, pair(LEAF, slot, &value.to_be_bytes::<32>().into()))
}

/// The root over leaves.
pub fn root(mut leaves: Vec<(Path, B256)>) -> B256 {
    leaves.sort_unstable_by_key(|(path, _)| *path);
    below(&leaves, 0)
}

/// An empty subtree is zero, one leaf is itself. Recursion is bounded by the bits of a path.
fn below(leaves: &[(Path, B256)], depth: usize) -> B256 {
    match leaves {
        [] => B256::ZERO,
        [(_, leaf)] => *leaf,
        _ => {
            let right = |(path, _): &(Path, B256)| path[depth / 8] >> (7 - depth % 8) & 1 == 1;
            let (zeros, ones) = leaves.split_at(leaves.partition_point(|leaf| !right(leaf)));
            pair(NODE, &below(zeros, depth + 1), &below(ones, depth + 1))
        }
    }
}

fn pair(context: &str, left: &B256, right: &B256) -> B256 {
    blake3::derive_key(context, &[left.0, right.0].concat()).into()
}
