use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use banyan_primitives::{
    B256, EMPTY_ROOT_HASH,
    trie::{HashedDiff, TrieId, TrieSource},
};

use rayon::prelude::*;

use super::{
    apply::Applier,
    compute::{BlockPatch, compute, storage_of},
    node::Trie,
    past::{Past, undo_of, values},
    reads::{Reader, Reads, reveal},
};
use crate::{CommitmentError, RootOutput, reader};

/// Patches that wait for a block to be built on theirs: siblings, and payloads in the making.
const MAX_PATCHES: usize = 8;

/// The upper part of the state tries, kept in memory from block to block.
///
/// It stands at one state, and holds of it what past blocks have touched, up to a budget. A root
/// does not move it: it comes with a patch, which is applied when a root on top of it is wanted. So
/// siblings, and payloads that are sealed again and again, all start from their parent's tree. To a
/// state of the last blocks, or of one of their siblings, it goes by one more batch (`past`). Any
/// other state is read anew.
///
/// States are known by their root hash, which names all of their content: whoever asks says no more
/// than where the parent's state is read.
#[derive(Debug)]
pub struct Trees {
    pub(super) budget: usize,
    /// Never held while anything is read or computed: both may wait for other threads.
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    /// Whoever computes or reads ahead holds it, too. Mostly nobody does when a patch is applied, and
    /// the nodes are changed in place; else those on the way are copied.
    pub(super) accounts: Arc<Trie>,
    /// Batches applied.
    epoch: u32,
    /// How many of the last batches are kept.
    window: u32,
    patches: Vec<Pending>,
    past: Past,
    reads: Arc<Reads>,
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
        let accounts = Arc::new(Trie::unloaded(EMPTY_ROOT_HASH));
        let reads = Arc::new(Reads::new(budget / 8));
        let (patches, past) = (Vec::new(), Past::new(budget / 16));
        let state = State { accounts, epoch: 0, window: u32::MAX, patches, past, reads };
        Self { budget, state: Mutex::new(state) }
    }

    /// Root after `diff` on the state of `parent`, as [`crate::state_root`] computes it. What is in
    /// memory is not read.
    pub fn state_root<S: TrieSource + Sync>(
        &self,
        parent: &S,
        diff: &HashedDiff,
    ) -> Result<RootOutput, CommitmentError> {
        self.state_root_knowing(parent, diff, HashedDiff::default())
    }

    /// As [`Self::state_root`]. `before` are the values that the same keys have in the state of
    /// `parent`: leaves that are known to exist are not read, and the tree can come back from here.
    /// Storage that was wiped is `wiped` there if it had been empty.
    pub fn state_root_knowing<S: TrieSource + Sync>(
        &self,
        parent: &S,
        diff: &HashedDiff,
        before: HashedDiff,
    ) -> Result<RootOutput, CommitmentError> {
        let root = reader::Reader { source: parent, trie: TrieId::Accounts }.root_hash()?;
        self.go_to(parent, root);
        let (output, patch) = {
            let (accounts, reads) = self.lock().at(root, self.budget);
            let reads = Reader { reads: &reads, keeps: false, elsewhere: false };
            let found = compute((&accounts, reads), parent, (diff, &before));
            if let Err(CommitmentError::Damaged(_)) = found {
                // What was read may be in the tree.
                self.lock().restart(root);
            }
            found?
        };
        let mut state = self.lock();
        if state.accounts.root == root && output.root != root {
            state.patches.retain(|pending| pending.root != output.root);
            if state.patches.len() == MAX_PATCHES {
                let oldest = state.patches.remove(0);
                state.past.forget(root, oldest.root);
            }
            state.patches.push(Pending { root: output.root, patch });
            if let Some(undo) = undo_of(diff, before) {
                state.past.add(root, output.root, undo);
            }
        }
        Ok(output)
    }

    /// If there is a way for the tree to the state with this root, which is `parent`'s, it goes there:
    /// back, or forth, or to a sibling. What is read for that is not where the tree stands, but where
    /// it goes: there the batch that leads there changes nothing, so that it leads there from both.
    fn go_to<S: TrieSource + Sync>(&self, parent: &S, root: B256) {
        let (accounts, way) = {
            let state = self.lock();
            if state.is_near(root) {
                return;
            }
            (Arc::clone(&state.accounts), state.past.way(state.accounts.root, root))
        };
        let way = way.map(|way| if way.is_back { Ok(way.keys) } else { values(way.keys, parent) });
        let Some(Ok(way)) = way else { return };
        let reads = Reads::new(0);
        let reads = Reader { reads: &reads, keeps: false, elsewhere: true };
        let found = compute((&accounts, reads), parent, (&way, &HashedDiff::default()));
        let mut state = self.lock();
        let Some((_, patch)) = found.ok().filter(|(output, _)| output.root == root) else { return };
        if state.accounts.root == accounts.root {
            drop(accounts);
            state.forget_reads(self.budget);
            state.patches.clear();
            state.apply(patch, self.budget);
        }
    }

    /// Moves the tree to the state with this root, if that is one patch ahead: off the critical path,
    /// when it is clear that the next block builds on it. Without this the next root does it.
    pub fn settle(&self, root: B256) {
        let mut state = self.lock();
        if state.patches.iter().any(|patch| patch.root == root) {
            state.move_to(root, self.budget);
        }
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
        let (accounts, reads) = {
            let mut state = self.lock();
            if !state.is_near(root) {
                return Ok(());
            }
            state.at(root, self.budget)
        };
        let (accounts, reads) =
            (&*accounts, Reader { reads: &reads, keeps: true, elsewhere: false });
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
        self.lock().accounts.bytes
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// True if the tree stands at the state with this root, or one patch before it.
    pub(super) fn is_near(&self, root: B256) -> bool {
        self.accounts.root == root || self.patches.iter().any(|patch| patch.root == root)
    }

    /// True if nothing of any state is in memory.
    pub(super) fn is_empty(&self) -> bool {
        self.accounts.top.is_none() && self.patches.is_empty()
    }

    /// The tree at the state with this root.
    pub(super) fn at(&mut self, root: B256, budget: usize) -> (Arc<Trie>, Arc<Reads>) {
        if self.accounts.root != root {
            self.move_to(root, budget);
        }
        (Arc::clone(&self.accounts), Arc::clone(&self.reads))
    }

    fn move_to(&mut self, root: B256, budget: usize) {
        self.forget_reads(budget);
        let mut patches = mem::take(&mut self.patches);
        match patches.iter().position(|pending| pending.root == root) {
            None => self.restart(root),
            Some(index) => {
                let Pending { patch, .. } = patches.swap_remove(index);
                self.apply(patch, budget);
            }
        }
    }

    fn forget_reads(&mut self, budget: usize) {
        match Arc::get_mut(&mut self.reads) {
            Some(reads) => reads.clear(),
            None => self.reads = Arc::new(Reads::new(budget / 8)),
        }
    }

    /// Forgets the tree.
    fn restart(&mut self, root: B256) {
        let old = mem::replace(&mut self.accounts, Arc::new(Trie::unloaded(root)));
        rayon::spawn(|| drop(old)); // it may be large
    }

    pub(super) fn apply(&mut self, patch: BlockPatch, budget: usize) {
        let BlockPatch { accounts: (mut patch, trie), storage } = patch;
        self.epoch += 1;
        let oldest = self.epoch.saturating_sub(self.window);
        let mut applier = Applier { epoch: self.epoch, oldest, storage, grown: 0, warm: false };
        applier.trie(Arc::make_mut(&mut self.accounts), &mut patch, trie);
        let bytes = self.accounts.bytes;
        if bytes > budget {
            self.window = self.window.min(self.epoch) / 4 * 3;
        } else if bytes < budget / 4 * 3 {
            self.window = self.window.saturating_add(1 + self.window / 64);
        }
        if bytes > budget.saturating_add(budget / 4) {
            // Letting go on the way was too slow.
            self.restart(self.accounts.root);
        }
    }
}
