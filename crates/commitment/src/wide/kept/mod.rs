//! The whole tree in memory, kept from block to block.
//!
//! Sixteen parts, each a heap of hashes (`dense`) above small buckets of leaves (`bucket`), of which
//! path and hash are kept, about a hundred bytes a leaf. The slots of a contract that has many are a
//! heap of their own in one of the buckets. A block changes its buckets, then level by level all
//! that is above them: first the heaps of contracts, all of a part together (`piece`, `jobs`). A heap
//! with many changes, be it a part or a contract, is divided into pieces below some level, which
//! are done side by side. Hardly anything of it is in the processor's caches, so what will be used is
//! read ahead (`warm`). It is done in place; what undoes it is kept for the last blocks, so that
//! siblings and reorgs cost as much as the blocks that they take back. Leaves that a block lists
//! and leaves as they are, as accounts whose slots change, cost a look.

mod bucket;
mod dense;
mod fill;
mod jobs;
mod piece;
mod warm;

use std::collections::VecDeque;

use banyan_primitives::{
    B256,
    trie::{HashedDiff, Leaf, TrieSource},
};
use banyan_wide_proof::{Context, EMPTY, Hash, account_record};
use dense::{Change, Dense, Span};
use fill::Walk;
use jobs::Jobs;
use piece::{Pair, join};
use rayon::prelude::*;

use super::{
    batch::{BatchHasher, Lanes, Mode},
    change::{Change as LeafChange, changes},
    leaves::{damage, distinct},
    path::Prefix,
};
use crate::CommitmentError;

/// The parts are chosen by so many bits.
const PART_BITS: usize = 4;
const PARTS: usize = 1 << PART_BITS;
/// Leaves hashed by one task.
const TASK: usize = 512;

/// The `wide` tree of one state, all of it in memory.
#[derive(Debug)]
pub struct WideTree {
    root: B256,
    parts: Vec<Part>,
    /// The last blocks: the root before, and what takes the tree back there.
    history: VecDeque<(B256, Vec<Change>)>,
    /// How many blocks can be taken back.
    keep: usize,
}

#[derive(Debug)]
struct Part {
    tree: Dense,
    jobs: Jobs,
}

impl WideTree {
    /// The tree of the state of `source`, read in full. The last `keep` blocks can be taken back.
    pub fn build<S: TrieSource + Sync>(source: &S, keep: usize) -> Result<Self, CommitmentError> {
        let parts = Part::read_all(source, &|| true)?;
        Ok(Self::of(parts.unwrap_or_default(), keep))
    }

    /// As [`Self::build`]; gives up, and gives `None`, as soon as `go_on` is false.
    pub fn build_while<S: TrieSource + Sync>(
        source: &S,
        keep: usize,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<Self>, CommitmentError> {
        Ok(Part::read_all(source, go_on)?.map(|parts| Self::of(parts, keep)))
    }

    fn of(parts: Vec<Part>, keep: usize) -> Self {
        let mut tree = Self { root: B256::ZERO, parts, history: VecDeque::new(), keep };
        tree.join_parts();
        tree
    }

    /// Root of the state where the tree stands.
    pub fn root(&self) -> B256 {
        self.root
    }

    /// Accounts and slots in it.
    pub fn leaves(&self) -> usize {
        self.parts.iter().map(|part| part.tree.leaves()).sum()
    }

    /// Takes the tree back to the state with this root, the last one if there are several; false if
    /// it is not among the last ones.
    pub fn back_to(&mut self, root: B256) -> bool {
        if self.root == root {
            return true;
        }
        let Some(index) = self.history.iter().rposition(|(before, _)| *before == root) else {
            return false;
        };
        while self.history.len() > index {
            if let Some((before, undo)) = self.history.pop_back() {
                self.apply(&undo);
                debug_assert_eq!(self.root, before, "what undoes a block gives the root before");
            }
        }
        true
    }

    /// Moves the tree from the state of `parent`, where it stands, to that after `diff`, and gives
    /// its root. The parent is read for storage that is wiped, and for nothing else.
    pub fn advance<S: TrieSource>(
        &mut self,
        parent: &S,
        diff: &HashedDiff,
    ) -> Result<B256, CommitmentError> {
        self.update(&changes(parent, diff)?)?;
        Ok(self.root)
    }

    fn update(&mut self, changes: &[LeafChange]) -> Result<(), CommitmentError> {
        if changes.windows(2).any(|pair| pair[0].0.same_path(&pair[1].0)) {
            return Err(damage(&Prefix::ROOT, "two leaves have the same path"));
        }
        let before = self.root;
        let tasks = changes.par_chunks(TASK).map(hash_leaves);
        let undo = self.apply(&tasks.collect::<Vec<_>>().concat());
        if !undo.is_empty() {
            self.history.push_back((before, undo));
        }
        if self.history.len() > self.keep {
            self.history.pop_front();
        }
        Ok(())
    }

    /// Applies changes in order of path, and gives what undoes them, in order of path as well.
    fn apply(&mut self, mut changes: &[Change]) -> Vec<Change> {
        let groups: Vec<_> = (0..PARTS)
            .map(|part| {
                let end = changes.partition_point(|change| {
                    usize::from(change.path[0] >> (8 - PART_BITS)) <= part
                });
                let (group, rest) = changes.split_at(end);
                changes = rest;
                group
            })
            .collect();
        let undo = self.parts.par_iter_mut().zip(groups).map(|(Part { tree, jobs }, group)| {
            let mut undo = Vec::with_capacity(group.len());
            tree.update(group, &mut undo, jobs);
            undo
        });
        let undo = undo.collect::<Vec<_>>().concat();
        self.join_parts();
        undo
    }

    /// Computes the root from those of the parts.
    fn join_parts(&mut self) {
        let mut pairs = [Pair::EMPTY; PARTS];
        for (node, part) in (PARTS..).zip(&self.parts) {
            pairs[node / 2].set(node, &part.tree.root());
        }
        join(&mut pairs, PART_BITS, 0, &mut Jobs::default());
        self.root = B256::from(pairs[0].odd());
    }
}

impl Part {
    /// All parts of the state of `source`; `None` if they are to be given up.
    fn read_all<S: TrieSource + Sync>(
        source: &S,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<Vec<Self>>, CommitmentError> {
        let parts = (0..PARTS).into_par_iter().map(|index| Self::read(source, index, go_on));
        parts.collect()
    }

    /// The one with this index.
    fn read<S: TrieSource>(
        source: &S,
        index: usize,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<Self>, CommitmentError> {
        let tree = Dense::new(Span::part(PART_BITS));
        let mut part = Self { tree, jobs: Jobs::default() };
        let (mut first, mut last) = (B256::ZERO, B256::repeat_byte(0xff));
        first[0] = (index << (8 - PART_BITS)) as u8;
        last[0] = first[0] | 0xff >> PART_BITS;
        let mut walk = Walk::new(first, last);
        while let Some(leaves) = walk.chunk(source)? {
            if !go_on() {
                return Ok(None);
            }
            distinct(&Prefix::ROOT, &leaves)?;
            let leaves = leaves.into_iter().map(|(spot, leaf)| (spot, Some(leaf)));
            let changes = hash_leaves(&leaves.collect::<Vec<_>>());
            part.tree.update(&changes, &mut Vec::new(), &mut part.jobs);
        }
        Ok(Some(part))
    }
}

/// The changes with the hashes of their leaves.
fn hash_leaves(changes: &[LeafChange]) -> Vec<Change> {
    let lanes = Lanes::default();
    let (mut records, mut blocks) = (Vec::new(), Vec::with_capacity(changes.len()));
    for (spot, leaf) in changes {
        let mut block = [0; 64];
        block[..32].copy_from_slice(spot.id());
        match leaf {
            Some(Leaf::Slot(value)) => block[32..].copy_from_slice(&value.to_be_bytes::<32>()),
            Some(Leaf::Account(account)) => records.push(account_record(
                account.nonce,
                &account.balance.to_be_bytes::<32>(),
                &account.code_hash.0,
            )),
            None => continue,
        }
        blocks.push(block);
    }
    let mut values: Vec<Hash> = vec![EMPTY; records.len()];
    lanes.hash(Mode::Derive(&Context::RECORD), &records, &mut values);
    let mut values = values.iter();
    let present = changes.iter().filter_map(|(_, leaf)| leaf.as_ref());
    for (block, leaf) in blocks.iter_mut().zip(present) {
        if matches!(leaf, Leaf::Account(_)) {
            block[32..].copy_from_slice(values.next().unwrap_or(&EMPTY));
        }
    }
    let mut hashes: Vec<Hash> = vec![EMPTY; blocks.len()];
    lanes.hash(Mode::Derive(&Context::LEAF), &blocks, &mut hashes);
    let mut hashes = hashes.into_iter();
    let hash = |(spot, leaf): &LeafChange| Change {
        path: *spot.path(),
        hash: leaf.as_ref().and_then(|_| hashes.next()),
    };
    changes.iter().map(hash).collect()
}
