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
    let (hash, _) = below(source, Prefix::ROOT)?;
    Ok(hash)
}

/// The hash of the subtree at `prefix`, and whether it is of more than one leaf.
fn below<S: TrieSource + Sync>(
    source: &S,
    prefix: Prefix,
) -> Result<(B256, bool), CommitmentError> {
    let mut forest = Forest::default();
    let leaves = read_leaves(source, &prefix, Limit { accounts: CHUNK, slots: CHUNK })?;
    let root = if leaves.len() < CHUNK {
        let leaf = |(spot, leaf)| (spot, forest.leaf(&spot, &leaf));
        let leaves: Vec<_> = leaves.into_iter().map(leaf).collect();
        let root = forest.subtree(prefix.depth(), &leaves);
        forest.run();
        return Ok((B256::from(*forest.hash(root)), leaves.len() > 1));
    } else {
        drop(leaves);
        let children = (0..1 << STEP).into_par_iter().map(|turns| {
            let turn = |prefix: Prefix, bit| prefix.child(turns >> bit & 1 == 1);
            below(source, (0..STEP).rev().fold(prefix, turn))
        });
        let mut children = children.collect::<Result<Vec<_>, _>>()?.into_iter();
        join(&mut forest, prefix.depth(), STEP, &mut children)
    };
    forest.run();
    Ok((B256::from(*forest.hash(root.0)), root.1))
}

/// The subtree whose parts, `step` levels down, come from `parts` in order.
fn join(
    forest: &mut Forest,
    depth: usize,
    step: usize,
    parts: &mut impl Iterator<Item = (B256, bool)>,
) -> (Node, bool) {
    if step == 0 {
        let (hash, many) = parts.next().unwrap_or_default();
        return if hash.is_zero() { (Node::EMPTY, false) } else { (forest.known(hash.0), many) };
    }
    let left = join(forest, depth + 1, step - 1, parts);
    let right = join(forest, depth + 1, step - 1, parts);
    match (left, right) {
        ((Node::EMPTY, _), single @ (_, false)) | (single @ (_, false), (Node::EMPTY, _)) => single,
        _ => (forest.inner(depth, left.0, right.0), true),
    }
}
