//! Blocks, the canonical chain, markers.

mod common;

use banyan_primitives::{B256, BlockRef};
use banyan_storage::{BlockRead, Marker, StorageError, Table, TransactionPosition};
use common::{block, deposit, open, receipt, transfer};

#[test]
fn blocks_and_receipts_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let blocks =
        [block(1, 0, vec![deposit(1), transfer(0)]), block(2, 0, Vec::new()), block(0, 0, vec![])];
    let receipts = vec![receipt(1), receipt(2)];
    let txn = db.write().unwrap();
    for block in &blocks {
        txn.put_block(block, &receipts).unwrap();
        // Visible to the writer before the commit.
        assert_eq!(txn.block(block.block_ref()).unwrap().as_ref(), Some(block));
    }
    txn.commit().unwrap();
    let txn = db.read().unwrap();
    for block in &blocks {
        assert_eq!(txn.block(block.block_ref()).unwrap().as_ref(), Some(block));
        assert_eq!(txn.header(block.block_ref()).unwrap().as_ref(), Some(&block.header));
        assert_eq!(txn.receipts(block.block_ref()).unwrap().as_ref(), Some(&receipts));
        assert_eq!(txn.block_ref(&block.hash()).unwrap(), Some(block.block_ref()));
    }
    let unknown = BlockRef::new(1, B256::ZERO);
    assert_eq!(txn.block(unknown).unwrap(), None);
    assert_eq!(txn.receipts(unknown).unwrap(), None);
    assert_eq!(txn.block_ref(&unknown.hash).unwrap(), None);
}

#[test]
fn a_reverted_block_stays_readable_and_its_transactions_move() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let (shared, only_a) = (transfer(0), transfer(1));
    let a = block(5, 1, vec![deposit(1), shared.clone(), only_a.clone()]);
    let b = block(5, 2, vec![shared.clone()]);
    let txn = db.write().unwrap();
    for block in [&a, &b] {
        txn.put_block(block, &[]).unwrap();
        txn.set_canonical(block).unwrap();
    }
    assert_eq!(txn.canonical_hash(5).unwrap(), Some(b.hash()));
    let at = |number, index| Some(TransactionPosition { number, index });
    assert_eq!(txn.transaction_position(shared.hash()).unwrap(), at(5, 0));
    assert_eq!(txn.transaction_position(only_a.hash()).unwrap(), None);
    for block in [&a, &b] {
        assert_eq!(txn.block(block.block_ref()).unwrap().as_ref(), Some(block));
    }
    // The transaction is in the chain at a later height when the old block goes.
    let later = block(6, 0, vec![deposit(9), shared.clone()]);
    txn.put_block(&later, &[]).unwrap();
    txn.set_canonical(&later).unwrap();
    txn.remove_canonical(5).unwrap();
    assert_eq!(txn.canonical_hash(5).unwrap(), None);
    assert_eq!(txn.transaction_position(shared.hash()).unwrap(), at(6, 1));
    txn.remove_canonical(5).unwrap();
}

#[test]
fn markers_are_set_moved_and_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let all = [Marker::Tip, Marker::Head, Marker::Safe, Marker::Finalized];
    let txn = db.write().unwrap();
    for (number, marker) in all.into_iter().enumerate() {
        assert_eq!(txn.marker(marker).unwrap(), None);
        txn.set_marker(marker, BlockRef::new(number as u64, B256::repeat_byte(3))).unwrap();
    }
    for (number, marker) in all.into_iter().enumerate() {
        let expected = BlockRef::new(number as u64, B256::repeat_byte(3));
        assert_eq!(txn.marker(marker).unwrap(), Some(expected));
    }
    txn.clear_marker(Marker::Safe).unwrap();
    assert_eq!(txn.marker(Marker::Safe).unwrap(), None);
}

#[test]
fn damaged_entries_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let txn = db.write().unwrap();
    let block = block(1, 0, vec![deposit(1)]);
    txn.put_block(&block, &[receipt(1)]).unwrap();
    let reference = block.block_ref();
    let key = [&1u64.to_be_bytes(), reference.hash.as_slice()].concat();
    for bytes in [&b""[..], b"\xff", b"\xc0", &[0; 700]] {
        txn.put(Table::Bodies, &key, bytes).unwrap();
        let error = txn.block(reference).unwrap_err();
        assert!(matches!(error, StorageError::Damaged(_)), "{error}");
    }
    txn.delete(Table::Bodies, &key).unwrap();
    assert!(matches!(txn.block(reference), Err(StorageError::Damaged(_))));
    txn.put(Table::Markers, b"head", b"short").unwrap();
    assert!(matches!(txn.marker(Marker::Head), Err(StorageError::Damaged(_))));
}
