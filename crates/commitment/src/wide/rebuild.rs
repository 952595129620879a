use banyan_primitives::{B256, trie::TrieSource};
use rayon::prelude::*;

use super::{
    forest::{Forest, Node},
    leaves::{Limit, read_leaves},
    path::Prefix,
};
use crate::CommitmentError;

/// Leaves held at once by one task.
const CHUNK: usize = 4096;
/// Bits by which a subtree with more leaves is divided.
const STEP: usize = 4;

/// Root of the `wide` tree computed from the flat state alone: the oracle.
pub fn wide_rebuild<S: TrieSource + Sync>(source: &S) -> Result<B256, CommitmentError> {
    below(source, Prefix::ROOT)
}

/// The hash of the tree at `prefix`.
fn below<S: TrieSource + Sync>(source: &S, prefix: Prefix) -> Result<B256, CommitmentError> {
    let mut forest = Forest::default();
    let leaves = read_leaves(source, &prefix, Limit { accounts: CHUNK, slots: CHUNK })?;
    let root = if leaves.len() < CHUNK {
        let leaf = |(spot, leaf)| (spot, forest.leaf(&spot, &leaf));
        let leaves: Vec<_> = leaves.into_iter().map(leaf).collect();
        forest.subtree(&leaves)
    } else {
        drop(leaves);
        let children = (0..1 << STEP).into_par_iter().map(|turns| {
            let turn = |prefix: Prefix, bit| prefix.child(turns >> bit & 1 == 1);
            below(source, (0..STEP).rev().fold(prefix, turn))
        });
        let children = children.collect::<Result<Vec<_>, _>>()?;
        join(&mut forest, prefix.depth(), &children)
    };
    forest.run();
    Ok(B256::from(*forest.hash(root)))
}

/// The tree at `depth` of its parts, a power of two of them.
fn join(forest: &mut Forest, depth: usize, parts: &[B256]) -> Node {
    match parts {
        [] | [B256::ZERO] => Node::EMPTY,
        [part] => forest.known(part.0),
        _ => {
            let (left, right) = parts.split_at(parts.len() / 2);
            let (left, right) = (join(forest, depth + 1, left), join(forest, depth + 1, right));
            forest.inner(depth, left, right)
        }
    }
}
