//! Opening: genesis into an empty database, or the chain as the markers left it. What the journal
//! holds above it comes next (`replay`).

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use arc_swap::ArcSwap;
use banyan_chainspec::{ChainSpec, Commitment};
use banyan_commitment::{MemoryTrie, rebuild, rebuild_storage, wide::wide_root};
use banyan_executor::Executor;
use banyan_primitives::{
    Account, B256, BlockBody, BlockRef, MESSAGE_PASSER_TRIE, RecoveredBlock, SealedBlock,
    SealedHeader, keccak256,
    trie::{HashedDiff, HashedStorageDiff, NodeDiff},
};
use banyan_state::{FlatState, GenesisAccount, write_genesis, write_nodes};
use banyan_storage::{BlockRead, Database, Markers, StorageError, WriteTxn};
use lru::LruCache;
use tokio::sync::broadcast;

use crate::{
    ChainConfig, ChainError, ChainView, Commitments, Durability, OpenError,
    buffer::OrphanBuffer,
    difficulty::TotalDifficulties,
    invalid::InvalidCache,
    machine::Chain,
    persist::Persister,
    preload::Prepared,
    roots::{RootWorker, check_keys},
    tree::BlockTree,
};

/// Moves of the head a slow subscriber may fall behind.
const CHANGES_KEPT: usize = 256;

/// Built blocks that wait for their newPayload; older ones are executed again if they come.
const BUILT_KEPT: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");

/// Blocks of which it is known what they touch: some 200 bytes for each transaction and more.
const ACCESSES_KEPT: NonZeroUsize = NonZeroUsize::new(32).expect("not zero");

impl Chain {
    /// Opens the chain of `spec` in `db`.
    pub(crate) fn open(
        spec: Arc<ChainSpec>,
        db: Database,
        config: ChainConfig,
    ) -> Result<Self, OpenError> {
        check_keys(&spec, &db)?;
        db.bind(spec.chain_id, spec.genesis_header.hash())?;
        let stored = db.read().and_then(|txn| txn.markers()).map_err(ChainError::from)?;
        let markers = match stored {
            Some(markers) => markers,
            None => init_genesis(&spec, &db)?,
        };
        let head = stored_header(&db, markers.head)?;
        let label =
            |label: Option<BlockRef>| label.map(|label| stored_header(&db, label)).transpose();
        let (safe, finalized) = (label(markers.safe)?, label(markers.finalized)?);
        let tree = BlockTree::new(head);
        let no_thread = |error| ChainError::Fault(format!("cannot start a thread: {error}"));
        let persister = Persister::spawn(db.clone()).map_err(no_thread)?;
        let commitments = Commitments::of(&spec, &db, config.root_memory);
        let (labels, known) = ((safe.clone(), finalized.clone()), commitments.clone());
        let view = ChainView::new(db.clone(), &tree, labels.0, labels.1, known);
        let published = Arc::new(ArcSwap::from_pointee(view));
        let prepared = Prepared::default();
        let spawn = |roots| {
            let (view, prepared) = (Arc::clone(&published), Arc::clone(&prepared));
            RootWorker::spawn(roots, config.root_memory, view, prepared)
        };
        let root_worker =
            commitments.lagging().cloned().map(spawn).transpose().map_err(no_thread)?;
        let journal = match config.durability {
            Durability::Off => None,
            Durability::Process => Some(db.journal(false)?),
            Durability::Power => Some(db.journal(true)?),
        };
        Ok(Self {
            spec,
            db,
            executor: Arc::new(Executor::new(config.executor.clone())),
            config,
            tree,
            invalid: InvalidCache::new(),
            buffer: OrphanBuffer::new(),
            built: LruCache::new(BUILT_KEPT),
            accesses: LruCache::new(ACCESSES_KEPT),
            total_difficulties: TotalDifficulties::new(),
            safe,
            finalized,
            persister,
            commitments,
            root_worker,
            preloader: None,
            prepared,
            journal,
            published,
            changes: broadcast::channel(CHANGES_KEPT).0,
            last_reverse: None,
            stopping: Arc::default(),
        })
    }
}

fn stored_header(db: &Database, block: BlockRef) -> Result<SealedHeader, ChainError> {
    let header = db.read()?.header(block)?;
    header.ok_or_else(|| ChainError::Fault(format!("header {block} is missing from the database")))
}

/// Writes the genesis block and its state in one transaction.
fn init_genesis(spec: &ChainSpec, db: &Database) -> Result<Markers, OpenError> {
    let header = &spec.genesis_header;
    let txn = db.write().map_err(ChainError::from)?;
    write_alloc(spec, &txn).map_err(ChainError::from)?;
    let (root, nodes) = genesis_root(spec, &txn)?;
    if root != header.state_root {
        return Err(OpenError::GenesisRoot { header: header.state_root, computed: root });
    }
    let finish = || {
        write_nodes(&txn, &nodes)?;
        put_genesis(spec, &txn)
    };
    let markers = finish().map_err(ChainError::from)?;
    txn.commit().map_err(ChainError::from)?;
    Ok(markers)
}

/// Writes the accounts of the allocation, and makes genesis the tip.
pub(crate) fn write_alloc(spec: &ChainSpec, txn: &WriteTxn<'_>) -> Result<(), StorageError> {
    let accounts = spec.alloc.iter().map(|(address, account)| GenesisAccount {
        address: *address,
        nonce: account.nonce,
        balance: account.balance,
        code: account.code.clone(),
        storage: account.storage.iter().map(|(slot, value)| (*slot, *value)).collect(),
    });
    write_genesis(txn, (&spec.genesis_header).into(), accounts)
}

/// Writes the genesis block, whose state is there.
pub(crate) fn put_genesis(spec: &ChainSpec, txn: &WriteTxn<'_>) -> Result<Markers, StorageError> {
    let header = spec.genesis_header.clone();
    let block = BlockRef::from(&header);
    if spec.commitment.wide().is_some() {
        txn.put_state_root(block, &header.state_root)?;
    }
    let withdrawals = header.withdrawals_root.map(|_| Default::default());
    let body = BlockBody { withdrawals, ..Default::default() };
    let genesis = RecoveredBlock::new(SealedBlock { header, body }, Vec::new());
    txn.put_block(&genesis, &[])?;
    txn.set_canonical(&genesis)?;
    let markers = Markers { head: block, safe: None, finalized: None };
    txn.set_markers(&markers)?;
    Ok(markers)
}

/// The root of what was written, and the trie nodes to write.
pub(crate) fn genesis_root(
    spec: &ChainSpec,
    txn: &WriteTxn<'_>,
) -> Result<(B256, NodeDiff), ChainError> {
    let state = FlatState::new(txn);
    match spec.commitment {
        Commitment::Mpt => {
            let output = rebuild(&state)?;
            Ok((output.root, output.nodes))
        }
        Commitment::Wide(_) => {
            let passer = rebuild_storage(&state, MESSAGE_PASSER_TRIE)?;
            let storage = [(MESSAGE_PASSER_TRIE, passer.nodes)].into();
            let whole = wide_root(&MemoryTrie::default(), &as_change(spec))?;
            Ok((whole.root, NodeDiff { accounts: whole.nodes.accounts, storage }))
        }
    }
}

/// The allocation as the change that makes it of nothing.
fn as_change(spec: &ChainSpec) -> HashedDiff {
    let keys = spec.commitment.keys();
    let mut change = HashedDiff::default();
    for (address, genesis) in &spec.alloc {
        let key = keys.account(address);
        let mut account =
            Account { nonce: genesis.nonce, balance: genesis.balance, ..Default::default() };
        if !genesis.code.is_empty() {
            account.code_hash = keccak256(&genesis.code);
        }
        change.accounts.insert(key, Some(account));
        let slots = genesis.storage.iter();
        let slots: BTreeMap<_, _> =
            slots.map(|(slot, value)| (keys.slot(address, *slot), *value)).collect();
        if !slots.is_empty() {
            change.storage.insert(key, HashedStorageDiff { wiped: false, slots });
        }
    }
    change
}
