//! Large states that are made once, kept, and then taken as the genesis state of benchmarks.

use banyan_chainspec::{ChainSpec, Commitment};
use banyan_commitment::wide::wide_root;
use banyan_primitives::{B256, trie::HashedDiff};
use banyan_state::{FlatState, write_leaves, write_nodes};
use banyan_storage::{Database, Marker, WriteTxn};

use crate::{
    ChainError, OpenError,
    recovery::{genesis_root, put_genesis, write_alloc},
    roots::check_keys,
};

/// Writes the state of `spec`'s allocation and `more` into a database that is empty, and gives back its
/// root. `more` are batches of new accounts and slots with hashed keys; each is written in a transaction
/// of its own. No block is written: [`adopt_genesis`] does that.
pub fn grow_state(
    spec: &ChainSpec,
    db: &Database,
    more: impl Iterator<Item = HashedDiff>,
) -> Result<B256, OpenError> {
    check_keys(spec, db)?;
    let is_wide = spec.commitment != Commitment::Mpt;
    let txn = db.write().map_err(ChainError::from)?;
    write_alloc(spec, &txn).map_err(ChainError::from)?;
    let mut root = B256::ZERO;
    if is_wide {
        root = write_root(spec, &txn)?;
    }
    txn.commit().map_err(ChainError::from)?;
    for batch in more {
        let txn = db.write().map_err(ChainError::from)?;
        if is_wide {
            root = write_rows(&txn, &batch)?;
        }
        write_leaves(&txn, &batch).and_then(|()| txn.commit()).map_err(ChainError::from)?;
    }
    if !is_wide {
        // By a rebuild, which is much faster than batch by batch.
        let txn = db.write().map_err(ChainError::from)?;
        root = write_root(spec, &txn)?;
        txn.commit().map_err(ChainError::from)?;
    }
    Ok(root)
}

/// Writes the nodes of the state that is there, on a `wide` chain of the allocation.
fn write_root(spec: &ChainSpec, txn: &WriteTxn<'_>) -> Result<B256, ChainError> {
    let (root, nodes) = genesis_root(spec, txn)?;
    write_nodes(txn, &nodes)?;
    Ok(root)
}

/// The rows of the `wide` tree with a batch, before its leaves are written.
fn write_rows(txn: &WriteTxn<'_>, batch: &HashedDiff) -> Result<B256, ChainError> {
    let output = wide_root(&FlatState::new(txn), batch)?;
    write_nodes(txn, &output.nodes)?;
    Ok(output.root)
}

/// Makes the genesis block of `spec` the only block of a database that has its state already, and no
/// chain. The state is taken as it is.
pub fn adopt_genesis(spec: &ChainSpec, db: &Database) -> Result<(), OpenError> {
    check_keys(spec, db)?;
    if let Some((chain_id, hash)) = db.bound_chain().map_err(ChainError::from)? {
        let bound = format!("the database has a chain already: {chain_id}, genesis {hash}");
        return Err(ChainError::Fault(bound).into());
    }
    let txn = db.write().map_err(ChainError::from)?;
    let finish = || {
        txn.set_marker(Marker::Tip, (&spec.genesis_header).into())?;
        put_genesis(spec, &txn)
    };
    finish().and_then(|_| txn.commit()).map_err(ChainError::from)?;
    Ok(())
}
