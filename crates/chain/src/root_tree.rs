//! Where the roots of a `wide` chain come from: a tree in memory that follows the blocks, or the rows
//! in the database if the state is too large for it.

use banyan_commitment::{
    MemoryTrie,
    wide::{WideTree, wide_root},
};
use banyan_primitives::{B256, BlockRef, trie::HashedDiff};
use banyan_state::SharedView;
use banyan_storage::Database;

use crate::{ChainError, ChainView, Roots, commit::merged, preload::is_too_large, tree::Branch};

/// Blocks that the tree can be taken back.
const KEPT: usize = 64;
/// What a leaf takes in memory, bytes, about.
const LEAF: u64 = 128;
/// So many roots in a row that the tree could not give: the chain has gone elsewhere.
const MISSES: u32 = 8;

/// Computes roots, one after the other.
#[derive(Debug)]
pub(crate) struct RootTree {
    db: Database,
    roots: Roots,
    /// Most bytes in memory, about.
    memory: u64,
    tree: Option<WideTree>,
    /// Roots since the tree could give one.
    misses: u32,
}

impl RootTree {
    pub(crate) fn new(db: Database, roots: Roots, memory: u64) -> Self {
        Self { db, roots, memory, tree: None, misses: 0 }
    }

    /// Builds the tree of what is stored, if it fits, before the first root is asked for: that takes
    /// longer than a block. Gives up as soon as `go_on` is false.
    pub(crate) fn prepare(
        &mut self,
        view: &ChainView,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), ChainError> {
        if !is_too_large(&self.db, LEAF, self.memory)? {
            let tip = view.tip()?;
            self.tree = WideTree::build_while(&SharedView::new(&tip, 0), KEPT, go_on)?;
        }
        Ok(())
    }

    /// The root after a block.
    pub(crate) fn root_after(
        &mut self,
        view: &ChainView,
        block: BlockRef,
    ) -> Result<B256, ChainError> {
        // Whatever it stands at after a failure is dropped with it.
        if let Some(mut tree) = self.tree.take() {
            let found = self.follow(&mut tree, &view.branch(block))?;
            self.tree = Some(tree);
            if let Some(root) = found {
                self.misses = 0;
                return Ok(root);
            }
        }
        let (tip, change) = view.change_from_tip(block)?;
        let tip = SharedView::new(&tip, 0);
        self.misses += 1;
        let wanted = self.tree.is_none() || self.misses >= MISSES;
        if !wanted || wipes(&change) || is_too_large(&self.db, LEAF, self.memory)? {
            return Ok(wide_root(&tip, &change)?.root);
        }
        self.tree = None;
        let mut tree = WideTree::build(&tip, KEPT)?;
        let root = tree.advance(&MemoryTrie::default(), &change)?;
        (self.tree, self.misses) = (Some(tree), 0);
        Ok(root)
    }

    /// The root after the newest block of `branch`, if the tree can be brought to an ancestor.
    fn follow(&self, tree: &mut WideTree, branch: &Branch) -> Result<Option<B256>, ChainError> {
        for (index, block) in branch.blocks.iter().enumerate() {
            let Some(root) = self.roots.known(block.block.parent_ref())? else { continue };
            if !tree.back_to(root) {
                continue;
            }
            let above = branch.blocks.iter().take(index + 1).rev();
            let change = merged(above.map(|block| &block.layer.state));
            if wipes(&change) {
                return Ok(None);
            }
            // The state below is read for storage that is wiped only.
            return Ok(Some(tree.advance(&MemoryTrie::default(), &change)?));
        }
        Ok(None)
    }
}

/// True if an account loses all its storage, which would have to be read.
fn wipes(change: &HashedDiff) -> bool {
    change.storage.values().any(|storage| storage.wiped)
}
