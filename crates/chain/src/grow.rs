//! Large states that are made once, kept, and then taken as the genesis state of benchmarks.

use banyan_chainspec::{ChainSpec, Commitment};
use banyan_commitment::{rebuild, wide::wide_root};
use banyan_primitives::{
    B256,
    trie::{HashedDiff, NodeDiff},
};
use banyan_state::{FlatState, write_nodes};
use banyan_storage::{Database, Marker, StorageError, WriteTxn};

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
    let txn = db.write().map_err(ChainError::from)?;
    write_alloc(spec, &txn).map_err(ChainError::from)?;
    let (mut root, nodes) = genesis_root(spec, &txn)?;
    write_nodes(&txn, &nodes).and_then(|()| txn.commit()).map_err(ChainError::from)?;
    for batch in more {
        let txn = db.write().map_err(ChainError::from)?;
        if spec.commitment != Commitment::Mpt {
            root = write_rows(&txn, &batch)?;
        }
        put_leaves(&txn, &batch).and_then(|()| txn.commit()).map_err(ChainError::from)?;
    }
    if spec.commitment == Commitment::Mpt {
        let txn = db.write().map_err(ChainError::from)?;
        let output = rebuild(&FlatState::new(&txn)).map_err(ChainError::from)?;
        write_nodes(&txn, &output.nodes).and_then(|()| txn.commit()).map_err(ChainError::from)?;
        root = output.root;
    }
    Ok(root)
}

/// The rows of the `wide` tree with a batch, before its leaves are written.
fn write_rows(txn: &WriteTxn<'_>, batch: &HashedDiff) -> Result<B256, ChainError> {
    let output = wide_root(&FlatState::new(txn), batch)?;
    write_nodes(txn, &NodeDiff { accounts: output.nodes.accounts, ..Default::default() })?;
    Ok(output.root)
}

fn put_leaves(txn: &WriteTxn<'_>, batch: &HashedDiff) -> Result<(), StorageError> {
    for (address, account) in &batch.accounts {
        txn.put_account(address, account.as_ref())?;
    }
    for (address, storage) in &batch.storage {
        for (slot, value) in &storage.slots {
            txn.put_slot(address, slot, *value)?;
        }
    }
    Ok(())
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
