use alloy_consensus::TxEip4844;
use alloy_eips::{
    eip4844::{Blob, BlobTransactionSidecar, Bytes48},
    eip7594::BlobTransactionSidecarEip7594,
};
use banyan_chainspec::BlobParams;
use banyan_primitives::{Address, U256};

use super::*;
use crate::testing::{key, sign};

fn rules(fork: Fork) -> Rules {
    let params = BlobParams { target: 6, max: 9, update_fraction: 5_007_716 };
    Rules { fork, op: None, blobs: Some(params) }
}

/// The point at infinity: commitment to, and every proof of, the empty blob.
fn infinity() -> Bytes48 {
    let mut bytes = [0; 48];
    bytes[0] = 0xc0;
    Bytes48::new(bytes)
}

/// Empty blobs with one proof each.
fn version_0(count: usize) -> BlobTransactionSidecar {
    let points = vec![infinity(); count];
    BlobTransactionSidecar::new(vec![Blob::default(); count], points.clone(), points)
}

/// Empty blobs with their cell proofs.
fn version_1(count: usize) -> BlobTransactionSidecarEip7594 {
    let proofs = vec![infinity(); count * CELLS_PER_EXT_BLOB];
    let blobs = vec![Blob::default(); count];
    BlobTransactionSidecarEip7594::new(blobs, vec![infinity(); count], proofs)
}

fn blob_tx(count: usize) -> TxEip4844 {
    let hash = kzg_to_versioned_hash(infinity().as_slice());
    TxEip4844 {
        blob_versioned_hashes: vec![hash; count],
        max_fee_per_blob_gas: 1,
        ..Default::default()
    }
}

fn run(fork: Fork, tx: TxEip4844, sidecar: impl Into<PooledSidecar>) -> Result<(), String> {
    let tx = Transaction::Eip4844(sign(tx, &key(1)));
    validate(&rules(fork), &tx, Some(&sidecar.into())).map_err(|error| error.to_string())
}

fn check(fork: Fork, tx: TxEip4844, sidecar: impl Into<PooledSidecar>, words: &str) {
    assert_eq!(run(fork, tx, sidecar).unwrap_err(), words);
}

#[test]
fn sidecars_have_the_version_of_their_fork() {
    assert_eq!(run(Fork::Cancun, blob_tx(2), version_0(2)), Ok(()));
    assert_eq!(run(Fork::Osaka, blob_tx(2), version_1(2)), Ok(()));
    assert_eq!(run(Fork::Osaka, blob_tx(2), version_0(2)), Ok(()), "it will be upgraded");
    let words = "unexpected sidecar version, want: 0, got: 1";
    check(Fork::Prague, blob_tx(1), version_1(1), words);
}

#[test]
fn false_proofs_are_refused() {
    // Another valid point: the generator of G1.
    let generator = banyan_primitives::alloy_primitives::hex!(
        "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58"
        "6c55e83ff97a1aeffb3af00adb22c6bb"
    );
    let mut sidecar = version_0(1);
    sidecar.proofs[0] = Bytes48::new(generator);
    let words = "KZG verification error: invalid KZG proof";
    check(Fork::Cancun, blob_tx(1), sidecar, words);
    let mut sidecar = version_1(1);
    sidecar.cell_proofs[77] = Bytes48::new(generator);
    check(Fork::Osaka, blob_tx(1), sidecar, words);
    let mut sidecar = version_0(1);
    sidecar.proofs[0] = Bytes48::new([0xff; 48]);
    let error = run(Fork::Cancun, blob_tx(1), sidecar).unwrap_err();
    assert!(error.starts_with("KZG verification error: "), "{error}");
}

#[test]
fn numbers_must_agree() {
    check(Fork::Cancun, blob_tx(0), version_0(0), "blobless blob transaction");
    let words = "invalid number of 2 blobs compared to 1 blob hashes";
    check(Fork::Cancun, blob_tx(1), version_0(2), words);
    let mut sidecar = version_0(2);
    sidecar.commitments.pop();
    let words = "invalid number of 1 blob commitments compared to 2 blob hashes";
    check(Fork::Cancun, blob_tx(2), sidecar, words);
    let mut sidecar = version_0(1);
    sidecar.proofs.clear();
    check(Fork::Cancun, blob_tx(1), sidecar, "invalid number of 0 blob proofs expected 1");
    let mut sidecar = version_1(1);
    sidecar.cell_proofs.pop();
    check(Fork::Osaka, blob_tx(1), sidecar, "invalid number of 127 blob proofs expected 128");
}

#[test]
fn blobs_are_limited_by_block_and_since_osaka_by_transaction() {
    let words = "transaction blob limit exceeded: blob count 10, limit 9";
    check(Fork::Prague, blob_tx(10), version_0(10), words);
    let words = "transaction blob limit exceeded: blob count 7, limit 6";
    check(Fork::Osaka, blob_tx(7), version_1(7), words);
}

#[test]
fn hashes_and_fee_are_checked() {
    let mut tx = blob_tx(1);
    tx.blob_versioned_hashes[0] = B256::repeat_byte(1);
    let computed = kzg_to_versioned_hash(infinity().as_slice());
    let words = format!(
        "blob 0: computed hash {computed} mismatches transaction one {}",
        B256::repeat_byte(1)
    );
    check(Fork::Cancun, tx, version_0(1), &words);
    let tx = TxEip4844 { max_fee_per_blob_gas: 0, ..blob_tx(1) };
    let words = "transaction gas price below minimum: blob fee cap 0, minimum needed 1";
    check(Fork::Cancun, tx, version_0(1), words);
}

#[test]
fn an_old_sidecar_gets_cell_proofs_if_its_sender_can_pay() {
    let tx = Transaction::Eip4844(sign(blob_tx(1), &key(1)));
    let sidecar = Some(version_0(1).into());
    let tx = PooledTransaction::new(tx, &[], Address::ZERO, sidecar, false, 0);
    let mut entry = Entry::new(tx, U256::ZERO);
    let mut upgraded = |fork, balance| {
        let account = Account { balance: U256::from(balance), ..Default::default() };
        upgrade(&rules(fork), &mut entry, &account).unwrap();
        entry.tx.sidecar.clone().unwrap()
    };
    let blob_gas = 131_072u64;
    assert_eq!(upgraded(Fork::Prague, blob_gas), version_0(1).into());
    assert_eq!(upgraded(Fork::Osaka, blob_gas - 1), version_0(1).into());
    assert_eq!(upgraded(Fork::Osaka, blob_gas), version_1(1).into());
    assert_eq!(upgraded(Fork::Osaka, blob_gas), version_1(1).into());
}

#[test]
fn the_index_finds_a_blob_as_long_as_one_transaction_holds_it() {
    let pooled = |nonce| {
        let tx = TxEip4844 { nonce, ..blob_tx(2) };
        let tx = Transaction::Eip4844(sign(tx, &key(1)));
        let sidecar = Some(version_0(2).into());
        PooledTransaction::new(tx, &[], Address::ZERO, sidecar, false, nonce)
    };
    let (first, second) = (pooled(0), pooled(1));
    let hash = kzg_to_versioned_hash(infinity().as_slice());
    let mut index = BlobIndex::default();
    index.insert(&first);
    index.insert(&second);
    assert_eq!(index.holder(&hash), Some((first.hash(), 0)));
    index.remove(&first);
    assert_eq!(index.holder(&hash), Some((second.hash(), 0)));
    assert_eq!(index.bytes(), second.sidecar_bytes());
    index.remove(&second);
    assert_eq!((index.holder(&hash), index.bytes()), (None, 0));
}
