use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use banyan_primitives::{
    B256, EMPTY_ROOT_HASH,
    trie::{HashedDiff, TrieId, TrieSource},
};

use rayon::prelude::*;

use super::{
    apply::Applier,
    compute::{BlockPatch, compute, storage_of},
    node::Trie,
    reads::{Reader, Reads, reveal},
};
use crate::{CommitmentError, RootOutput, reader};

/// Patches that wait for a block to be built on theirs: siblings, and payloads in the making.
const MAX_PATCHES: usize = 8;

/// The upper part of the state tries, kept in memory from block to block.
///
/// It stands at one state, and holds of it what past blocks have touched, up to a budget. A root
/// does not move it: it comes with a patch, which is applied when a root on top of it is wanted. So
/// siblings, and payloads that are sealed again and again, all start from their parent's tree. A
/// state that is neither where the tree stands nor one patch ahead is read anew.
///
/// States are known by their root hash, which names all of their content: whoever asks says no more
/// than where the parent's state is read.
#[derive(Debug)]
pub struct Trees {
    budget: usize,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    accounts: Trie,
    /// Batches applied.
    epoch: u32,
    /// How many of the last batches are kept.
    window: u32,
    patches: Vec<Pending>,
    reads: Reads,
}

/// A patch on the state where the tree stands, and the root of the state after it.
#[derive(Debug)]
struct Pending {
    root: B256,
    patch: BlockPatch,
}

/// How many accounts one task reveals at least.
const KEYS_PER_TASK: usize = 16;

impl Trees {
    /// A tree that takes up to about `budget` bytes, at first empty.
    pub fn new(budget: usize) -> Self {
        let accounts = Trie::unloaded(EMPTY_ROOT_HASH);
        let reads = Reads::new(budget / 8);
        let state = State { accounts, epoch: 0, window: u32::MAX, patches: Vec::new(), reads };
        Self { budget, state: RwLock::new(state) }
    }

    /// Root after `diff` on the state of `parent`, as [`crate::state_root`] computes it. What is in
    /// memory is not read.
    pub fn state_root<S: TrieSource + Sync>(
        &self,
        parent: &S,
        diff: &HashedDiff,
    ) -> Result<RootOutput, CommitmentError> {
        let root = reader::Reader { source: parent, trie: TrieId::Accounts }.root_hash()?;
        let (output, patch) = {
            let state = self.at(root);
            let reads = Reader { reads: &state.reads, keeps: false };
            compute((&state.accounts, reads), parent, diff)?
        };
        let mut state = self.write();
        if state.accounts.root == root && output.root != root {
            state.patches.retain(|pending| pending.root != output.root);
            if state.patches.len() == MAX_PATCHES {
                state.patches.remove(0);
            }
            state.patches.push(Pending { root: output.root, patch });
        }
        Ok(output)
    }

    /// Reads ahead what changes of these accounts and slots will need, hashed addresses with hashed
    /// slots, so that the root finds it in memory. May be called by several threads while the block
    /// still executes, also with keys that the block will not change after all. Nothing is done if
    /// the tree does not stand at the state of `parent` nor one patch behind.
    pub fn reveal<S: TrieSource + Sync>(
        &self,
        parent: &S,
        keys: &[(B256, Vec<B256>)],
    ) -> Result<(), CommitmentError> {
        let root = reader::Reader { source: parent, trie: TrieId::Accounts }.root_hash()?;
        let knows = |state: &State| {
            state.accounts.root == root || state.patches.iter().any(|patch| patch.root == root)
        };
        if !knows(&self.read()) {
            return Ok(());
        }
        let state = self.at(root);
        let State { accounts, reads, .. } = &*state;
        let reads = Reader { reads, keeps: true };
        let empty = Trie::unloaded(EMPTY_ROOT_HASH);
        keys.par_iter().with_min_len(KEYS_PER_TASK).try_for_each(|(account, slots)| {
            reveal(reads, parent, TrieId::Accounts, Some(accounts), account)?;
            let storage = storage_of(accounts, account, &empty);
            slots.iter().try_for_each(|slot| {
                reveal(reads, parent, TrieId::Storage(*account), storage, slot)
            })
        })
    }

    /// Bytes that the tree takes, about.
    pub fn bytes(&self) -> usize {
        self.read().accounts.bytes
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tree at the state with this root.
    fn at(&self, root: B256) -> RwLockReadGuard<'_, State> {
        let state = self.read();
        if state.accounts.root == root {
            return state;
        }
        drop(state);
        let mut state = self.write();
        if state.accounts.root != root {
            state.move_to(root, self.budget);
        }
        RwLockWriteGuard::downgrade(state)
    }
}

impl State {
    fn move_to(&mut self, root: B256, budget: usize) {
        self.reads.clear();
        let mut patches = std::mem::take(&mut self.patches);
        match patches.iter().position(|pending| pending.root == root) {
            None => self.accounts = Trie::unloaded(root),
            Some(index) => self.apply(patches.swap_remove(index).patch, budget),
        }
    }

    fn apply(&mut self, patch: BlockPatch, budget: usize) {
        let BlockPatch { accounts: (mut patch, trie), storage } = patch;
        self.epoch += 1;
        let oldest = self.epoch.saturating_sub(self.window);
        let mut applier = Applier { epoch: self.epoch, oldest, storage, grown: 0 };
        applier.trie(&mut self.accounts, &mut patch, trie);
        let bytes = self.accounts.bytes;
        if bytes > budget {
            self.window = self.window.min(self.epoch) / 4 * 3;
        } else if bytes < budget / 4 * 3 {
            self.window = self.window.saturating_add(1 + self.window / 64);
        }
        if bytes > budget.saturating_add(budget / 4) {
            // Letting go on the way was too slow.
            self.accounts = Trie::unloaded(self.accounts.root);
        }
    }
}
