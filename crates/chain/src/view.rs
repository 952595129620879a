use std::{collections::HashSet, sync::Arc};

use banyan_commitment::wide::wide_root;
use banyan_primitives::{
    B256, BlockRef, Receipt, RecoveredBlock, SealedHeader, SourceError, trie::HashedDiff,
};
use banyan_state::{Layer, StateView};
use banyan_storage::{BlockRead, Database, Marker, StateRead};

use crate::{
    ChainError, Commitments, ExecutedBlock, Roots,
    commit::lead_back,
    tree::{BlockTree, Branch},
};

/// Retries when the database moves while a view is opened.
const STALE_RETRIES: usize = 3;

/// How often blocks may have changed the same accounts and slots in [`ChainView::changed_at_most`].
const REPEATS: usize = 40;

/// Where a mined transaction stands.
#[derive(Clone, Debug)]
pub struct TransactionLocation {
    /// Its block.
    pub block: RecoveredBlock,
    /// Its index in the block.
    pub index: usize,
}

/// The chain as it stood at one moment: head, safe, finalized, unpersisted blocks, and the
/// database below. All reads of the node go through a view; none waits for the chain thread.
///
/// The database goes on while a view is held. Blocks that were persisted meanwhile are found
/// there; blocks that were reverted meanwhile are not canonical any more.
#[derive(Debug)]
pub struct ChainView {
    db: Database,
    tree: BlockTree,
    head: SealedHeader,
    safe: Option<SealedHeader>,
    finalized: Option<SealedHeader>,
    commitments: Commitments,
}

impl ChainView {
    pub(crate) fn new(
        db: Database,
        tree: &BlockTree,
        safe: Option<SealedHeader>,
        finalized: Option<SealedHeader>,
        commitments: Commitments,
    ) -> Self {
        Self { db, tree: tree.clone(), head: tree.head().clone(), safe, finalized, commitments }
    }

    /// How the headers of this chain come by their state roots.
    pub const fn commitments(&self) -> &Commitments {
        &self.commitments
    }

    /// The roots of a chain whose headers lag (`wide`); `None` on others.
    pub const fn roots(&self) -> Option<&Roots> {
        self.commitments.lagging()
    }

    /// Newest block.
    pub const fn head(&self) -> &SealedHeader {
        &self.head
    }

    /// Safe block, once the CL has named one.
    pub const fn safe(&self) -> Option<&SealedHeader> {
        self.safe.as_ref()
    }

    /// Finalized block, once the CL has named one.
    pub const fn finalized(&self) -> Option<&SealedHeader> {
        self.finalized.as_ref()
    }

    /// Height of the newest block in the database at the time of the view.
    pub fn persisted_number(&self) -> u64 {
        self.tree.persisted().number
    }

    /// Hash of the canonical block at a height.
    pub fn canonical_hash(&self, number: u64) -> Result<Option<B256>, ChainError> {
        if let Some(block) = self.tree.canonical_at(number) {
            return Ok(Some(block.block.hash()));
        }
        if number > self.head.number {
            return Ok(None);
        }
        Ok(self.db.read()?.canonical_hash(number)?)
    }

    /// True if the block is on the canonical chain of this view.
    pub fn is_canonical(&self, hash: &B256) -> Result<bool, ChainError> {
        let Some(header) = self.header_by_hash(hash)? else { return Ok(false) };
        Ok(self.canonical_hash(header.number)? == Some(*hash))
    }

    /// Header of a canonical block.
    pub fn header_by_number(&self, number: u64) -> Result<Option<SealedHeader>, ChainError> {
        if number == self.head.number {
            return Ok(Some(self.head.clone()));
        }
        match self.canonical_hash(number)? {
            Some(hash) => self.header_by_hash(&hash),
            None => Ok(None),
        }
    }

    /// Header of any known valid block, canonical or not.
    pub fn header_by_hash(&self, hash: &B256) -> Result<Option<SealedHeader>, ChainError> {
        if let Some(block) = self.tree.get(hash) {
            return Ok(Some(block.block.block.header.clone()));
        }
        let txn = self.db.read()?;
        let Some(block) = txn.block_ref(hash)? else { return Ok(None) };
        Ok(txn.header(block)?)
    }

    /// Canonical block at a height.
    pub fn block_by_number(&self, number: u64) -> Result<Option<RecoveredBlock>, ChainError> {
        match self.canonical_hash(number)? {
            Some(hash) => self.block_by_hash(&hash),
            None => Ok(None),
        }
    }

    /// Any known valid block, canonical or not.
    pub fn block_by_hash(&self, hash: &B256) -> Result<Option<RecoveredBlock>, ChainError> {
        if let Some(block) = self.tree.get(hash) {
            return Ok(Some(block.block.clone()));
        }
        let txn = self.db.read()?;
        let Some(block) = txn.block_ref(hash)? else { return Ok(None) };
        Ok(txn.block(block)?)
    }

    /// A block in memory with all that executing it gave; persisted blocks have only receipts.
    pub fn executed(&self, hash: &B256) -> Option<&Arc<ExecutedBlock>> {
        self.tree.get(hash)
    }

    /// Receipts of a block.
    pub fn receipts(&self, hash: &B256) -> Result<Option<Arc<Vec<Receipt>>>, ChainError> {
        if let Some(block) = self.tree.get(hash) {
            return Ok(Some(Arc::new(block.output.receipts.clone())));
        }
        let txn = self.db.read()?;
        let Some(block) = txn.block_ref(hash)? else { return Ok(None) };
        Ok(txn.receipts(block)?.map(Arc::new))
    }

    /// A canonical transaction by hash.
    pub fn transaction(&self, hash: &B256) -> Result<Option<TransactionLocation>, ChainError> {
        for executed in self.tree.canonical().iter().rev() {
            if let Some(index) = executed.index_of(hash) {
                return Ok(Some(TransactionLocation { block: executed.block.clone(), index }));
            }
        }
        let txn = self.db.read()?;
        let Some(position) = txn.transaction_position(hash)? else { return Ok(None) };
        let Some(block_hash) = txn.canonical_hash(position.number)? else { return Ok(None) };
        let block = txn.block(BlockRef::new(position.number, block_hash))?;
        let Some(block) = block else { return Ok(None) };
        let index = position.index as usize;
        let found = block.body.transactions.get(index).is_some_and(|tx| tx.hash() == hash);
        Ok(found.then_some(TransactionLocation { block, index }))
    }

    /// State after the head.
    pub fn state(&self) -> Result<StateView, ChainError> {
        self.state_of(BlockRef::from(&self.head))
    }

    /// State after a block; `None` if the block is unknown. Persisted blocks are read from history.
    pub fn state_at(&self, hash: &B256) -> Result<Option<StateView>, ChainError> {
        let Some(header) = self.header_by_hash(hash)? else { return Ok(None) };
        self.state_of(BlockRef::from(&header)).map(Some)
    }

    fn state_of(&self, block: BlockRef) -> Result<StateView, ChainError> {
        let branch = self.tree.branch(block);
        match StateView::new(&self.db, branch.layers(), block) {
            Err(SourceError::Stale(_)) => {}
            view => return Ok(view?),
        }
        if self.db.read()?.canonical_hash(block.number)? == Some(block.hash) {
            return Ok(StateView::history(&self.db, block.number)?);
        }
        layered_view(&self.db, &branch, block)
    }

    /// As [`Self::state_at`], as a view that also has the tries: for execution and proofs. Costs
    /// time proportional to what changed since the block if it is persisted.
    pub fn trie_state_at(&self, hash: &B256) -> Result<Option<StateView>, ChainError> {
        let Some(header) = self.header_by_hash(hash)? else { return Ok(None) };
        let block = BlockRef::from(&header);
        layered_view(&self.db, &self.tree.branch(block), block).map(Some)
    }

    /// The state after a block of a `wide` chain with the rows of its tree, for proofs, and its
    /// root. Costs time proportional to what changed between the block and what is stored.
    pub fn wide_state_at(&self, hash: &B256) -> Result<Option<(StateView, B256)>, ChainError> {
        let Some(header) = self.header_by_hash(hash)? else { return Ok(None) };
        let block = BlockRef::from(&header);
        let (tip, state) = self.change_from_tip(block)?;
        let output = wide_root(&tip, &state)?;
        if tip.block() == block {
            return Ok(Some((tip, output.root)));
        }
        let parent = tip.block();
        let layer = Layer { block, parent, state, nodes: output.nodes, ..Default::default() };
        Ok(Some((tip.with_layer(Arc::new(layer))?, output.root)))
    }

    /// A block and its ancestors in memory.
    pub(crate) fn branch(&self, block: BlockRef) -> Branch {
        self.tree.branch(block)
    }

    /// The state after a block in memory, or after the persisted tip; stale if the database has gone
    /// past what is below the block.
    pub(crate) fn state_in_memory(&self, block: BlockRef) -> Result<StateView, ChainError> {
        Ok(StateView::new(&self.db, self.tree.branch(block).layers(), block)?)
    }

    /// The state of the persisted tip, whatever block that is by now.
    pub(crate) fn tip(&self) -> Result<StateView, ChainError> {
        tip_view(&self.db)
    }

    /// The persisted tip, and all that leads from it to `block`: back to the block's branch, if the
    /// database has gone past it, and up.
    pub(crate) fn change_from_tip(
        &self,
        block: BlockRef,
    ) -> Result<(StateView, HashedDiff), ChainError> {
        let (tip, branch) = (tip_view(&self.db)?, self.tree.branch(block));
        let at = tip.block();
        let mut above = branch.blocks;
        let reached = match above.iter().position(|block| block.block_ref() == at) {
            Some(persisted) => {
                above.truncate(persisted);
                true
            }
            None => branch.base == at,
        };
        let mut change = HashedDiff::default();
        if !reached {
            let txn = tip.transaction();
            if txn.canonical_hash(branch.base.number)? != Some(branch.base.hash) {
                return Err(SourceError::Stale(branch.base.hash).into());
            }
            change = banyan_state::reverse_layer(txn, branch.base.number)?.state;
        }
        above.iter().rev().for_each(|block| change.extend(&block.layer.state));
        Ok((tip, change))
    }

    /// Height of the oldest block whose state can be read.
    pub fn oldest_state(&self) -> Result<u64, ChainError> {
        Ok(banyan_state::oldest_state(&self.db.read()?)?)
    }

    /// True if the persisted blocks above `number` changed at most `most` accounts and slots: the
    /// work in [`Self::trie_state_at`]. Gives up early if there is much to look through.
    pub fn changed_at_most(&self, number: u64, most: usize) -> Result<bool, ChainError> {
        let txn = self.db.read()?;
        let tip = txn.marker(Marker::Tip)?.map_or(0, |tip| tip.number);
        let (mut looked_at, mut distinct) = (0, HashSet::new());
        for later in number.saturating_add(1)..=tip {
            let Some(changes) = txn.block_changes(later)? else { break };
            for change in changes.accounts {
                looked_at += change.slots.len() + 1;
                distinct.insert((change.address, None));
                distinct.extend(change.slots.into_iter().map(|slot| (change.address, Some(slot))));
            }
            if distinct.len() > most || looked_at / REPEATS > most {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Opens the state of `block` over the database as it stands now: on the branch's layers, with a
/// reverse layer below them if the database has gone past the branch's base.
pub(crate) fn layered_view(
    db: &Database,
    branch: &Branch,
    block: BlockRef,
) -> Result<StateView, ChainError> {
    let mut attempt = 0;
    loop {
        let view = match StateView::new(db, branch.layers(), block) {
            Err(SourceError::Stale(_)) => {
                let mut layers = branch.layers();
                layers.push(Arc::new(reverse_layer(db, branch.base)?));
                StateView::new(db, layers, block)
            }
            view => view,
        };
        match view {
            // The database moved once more in between.
            Err(SourceError::Stale(_)) if attempt < STALE_RETRIES => attempt += 1,
            view => return Ok(view?),
        }
    }
}

/// The layer that leads from the persisted tip back to its canonical ancestor `base`, with trie
/// nodes, checked against `base`'s header.
pub(crate) fn reverse_layer(db: &Database, base: BlockRef) -> Result<Layer, ChainError> {
    let tip = tip_view(db)?;
    let txn = tip.transaction();
    if txn.canonical_hash(base.number)? != Some(base.hash) {
        return Err(SourceError::Stale(base.hash).into());
    }
    let layer = banyan_state::reverse_layer(txn, base.number)?;
    if layer.block == layer.parent {
        return Ok(layer);
    }
    let from = layer.parent;
    let layer = match txn.header(base)? {
        Some(header) => lead_back(&tip, layer, txn, &header)?,
        None => None,
    };
    layer.ok_or_else(|| {
        ChainError::Fault(format!("history leads from {from} to a wrong state of {base}"))
    })
}

/// The state of the persisted tip, whatever block that is by now.
fn tip_view(db: &Database) -> Result<StateView, ChainError> {
    let mut attempt = 0;
    loop {
        let tip = db.read()?.marker(Marker::Tip)?;
        let tip = tip.ok_or_else(|| ChainError::Fault("the database has no state".into()))?;
        match StateView::new(db, Vec::new(), tip) {
            Err(SourceError::Stale(_)) if attempt < STALE_RETRIES => attempt += 1,
            view => return Ok(view?),
        }
    }
}
