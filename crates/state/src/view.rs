use std::sync::{Arc, Mutex};

use banyan_primitives::{
    Account, Address, B256, BlockRef, Bytes, KeyRule, SourceError, StateSource, U256,
    trie::{Leaf, Nibbles, SlotKey, TrieId, TrieSource},
};
use banyan_storage::{BlockRead, Database, Marker, Read, ReadTxn, StateRead};

use crate::{
    Layer,
    history::oldest_state,
    range::visit_slots,
    source::{KeyRange, first_node, leaves, storage_roots},
};

/// The state after one block: layers over the database, or history.
///
/// Invariant: the persisted tip, as this view's own read transaction sees it, is the block below
/// the oldest of `layers` (which are newest first, each the child of the next). Checked when the
/// view is made and true ever after, since neither changes. In a historic view there are no
/// layers and the tip is at or above `block`.
#[derive(Debug)]
pub struct StateView {
    block: BlockRef,
    layers: Vec<Arc<Layer>>,
    txn: ReadTxn,
    tip: BlockRef,
    /// Read from the history of `block` instead of the tip's state.
    historic: bool,
    keys: KeyRule,
    /// The last address hashed: contracts read many slots of one account.
    last_address: Mutex<(Address, B256)>,
}

impl StateView {
    /// The state after `block`, which is the newest of `layers` (newest first, each the child of
    /// the next one), or the persisted tip if there are none.
    ///
    /// Fails with [`SourceError::Stale`] if the database has moved to a block that is neither the
    /// parent of the oldest layer nor that of one of the layers.
    pub fn new(
        db: &Database,
        layers: Vec<Arc<Layer>>,
        block: BlockRef,
    ) -> Result<Self, SourceError> {
        check_chain(&layers, block)?;
        Self::layered(db.read()?, layers, block)
    }

    /// The same state over a read transaction of its own: threads that share one wait for each
    /// other. Fails with [`SourceError::Stale`] if the database has moved too far meanwhile.
    pub fn another(&self) -> Result<Self, SourceError> {
        if self.historic {
            return Err(SourceError::Stale(self.block.hash));
        }
        Self::layered(self.txn.another()?, self.layers.clone(), self.block)
    }

    fn layered(
        txn: ReadTxn,
        mut layers: Vec<Arc<Layer>>,
        block: BlockRef,
    ) -> Result<Self, SourceError> {
        let tip = txn.marker(Marker::Tip)?.ok_or(SourceError::Stale(block.hash))?;
        let base = layers.last().map_or(block, |oldest| oldest.parent);
        if let Some(persisted) = layers.iter().position(|layer| layer.block == tip) {
            // The database says the same as these layers by now.
            layers.truncate(persisted);
        } else if base != tip {
            return Err(SourceError::Stale(block.hash));
        }
        Ok(Self::over(txn, tip, layers, block, false))
    }

    /// The state after the canonical block `number`, at or below the persisted tip. Not a source
    /// for tries: see [`crate::reverse_layer`].
    pub fn history(db: &Database, number: u64) -> Result<Self, SourceError> {
        let txn = db.read()?;
        let hash = txn.canonical_hash(number)?.unwrap_or_default();
        let stale = SourceError::Stale(hash);
        let tip = txn.marker(Marker::Tip)?.ok_or(stale.clone())?;
        if hash.is_zero() || number > tip.number || number < oldest_state(&txn)? {
            return Err(stale);
        }
        let historic = number < tip.number;
        Ok(Self::over(txn, tip, Vec::new(), BlockRef::new(number, hash), historic))
    }

    fn over(
        txn: ReadTxn,
        tip: BlockRef,
        layers: Vec<Arc<Layer>>,
        block: BlockRef,
        historic: bool,
    ) -> Self {
        let keys = txn.keys();
        let last_address = Mutex::new((Address::ZERO, keys.account(&Address::ZERO)));
        Self { block, layers, txn, tip, historic, keys, last_address }
    }

    /// The state that `layer` leads to from this one, over the same snapshot.
    pub fn with_layer(mut self, layer: Arc<Layer>) -> Result<Self, SourceError> {
        self.layers.insert(0, layer);
        self.block = self.layers.first().map_or(self.block, |newest| newest.block);
        check_chain(&self.layers, self.block)?;
        Ok(self)
    }

    /// The block after which this state stands.
    pub fn block(&self) -> BlockRef {
        self.block
    }

    /// The transaction below the layers, for reading blocks of the same snapshot.
    pub fn transaction(&self) -> &ReadTxn {
        &self.txn
    }

    /// The account with this hashed address.
    pub fn account_hashed(&self, address: &B256) -> Result<Option<Account>, SourceError> {
        for layer in &self.layers {
            if let Some(account) = layer.state.accounts.get(address) {
                return Ok(*account);
            }
        }
        if self.historic
            && let Some(account) = self.txn.account_history(address, self.block.number)?
        {
            return Ok(account);
        }
        Ok(self.txn.account(address)?)
    }

    /// The slot with this hashed key; zero if absent.
    pub fn storage_hashed(&self, address: &B256, slot: &B256) -> Result<U256, SourceError> {
        for layer in &self.layers {
            let Some(storage) = layer.storage(address) else { continue };
            match storage.slots.get(slot) {
                Some(value) => return Ok(*value),
                None if storage.wiped => return Ok(U256::ZERO),
                None => {}
            }
        }
        if self.historic
            && let Some(value) = self.txn.slot_history(address, slot, self.block.number)?
        {
            return Ok(value);
        }
        Ok(self.txn.slot(address, slot)?)
    }

    fn hash_address(&self, address: &Address) -> B256 {
        // Never waits: a view shared by threads may as well hash.
        let Ok(mut last) = self.last_address.try_lock() else { return self.keys.account(address) };
        if last.0 != *address {
            *last = (*address, self.keys.account(address));
        }
        last.1
    }

    fn layer_refs(&self) -> Result<Vec<&Layer>, SourceError> {
        if self.historic {
            return Err(SourceError::Fault(format!(
                "the trie at block {} is read through a reverse layer, not from history",
                self.block
            )));
        }
        Ok(self.layers.iter().map(Arc::as_ref).collect())
    }
}

/// The layers must hang together and end at `block`: else the caller mixed up branches.
fn check_chain(layers: &[Arc<Layer>], block: BlockRef) -> Result<(), SourceError> {
    let mut expected = block;
    for layer in layers {
        if layer.block != expected {
            return Err(SourceError::Fault(format!(
                "layer of block {} given where {expected} belongs",
                layer.block
            )));
        }
        expected = layer.parent;
    }
    Ok(())
}

impl StateSource for StateView {
    fn account(&self, address: &Address) -> Result<Option<Account>, SourceError> {
        self.account_hashed(&self.hash_address(address))
    }

    fn storage(&self, address: &Address, slot: U256) -> Result<U256, SourceError> {
        self.storage_hashed(&self.hash_address(address), &self.keys.slot(address, slot))
    }

    fn code(&self, hash: &B256) -> Result<Bytes, SourceError> {
        let layered = self.layers.iter().find_map(|layer| layer.codes.get(hash));
        match layered {
            Some(code) => Ok(code.clone()),
            None => self.txn.code(hash)?.ok_or(SourceError::MissingCode(*hash)),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        if number > self.block.number {
            return Ok(B256::ZERO);
        }
        if number == self.block.number {
            return Ok(self.block.hash);
        }
        if let Some(layer) = self.layers.iter().find(|layer| layer.block.number == number) {
            return Ok(layer.block.hash);
        }
        if number > self.tip.number {
            return Ok(B256::ZERO);
        }
        // At and below the tip the canonical chain is the tip's own, hence this view's.
        Ok(self.txn.canonical_hash(number)?.unwrap_or_default())
    }
}

impl TrieSource for StateView {
    fn first_node(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
    ) -> Result<Option<(Nibbles, Bytes)>, SourceError> {
        first_node(&self.txn, &self.layer_refs()?, trie, prefix)
    }

    fn storage_roots(&self, accounts: &[B256]) -> Result<Vec<Option<Bytes>>, SourceError> {
        storage_roots(&self.txn, &self.layer_refs()?, accounts)
    }

    fn leaves(
        &self,
        trie: TrieId,
        prefix: &Nibbles,
        from: B256,
        limit: usize,
    ) -> Result<Vec<(B256, Leaf)>, SourceError> {
        leaves(&self.txn, &self.layer_refs()?, trie, &KeyRange::new(prefix, from), limit)
    }

    fn visit_slots(
        &self,
        range: (&SlotKey, &SlotKey),
        limit: usize,
        visit: &mut dyn FnMut(SlotKey, U256),
    ) -> Result<(), SourceError> {
        visit_slots(self, &self.layer_refs()?, range, limit, visit)
    }
}
