//! The journal gives back what was appended, whatever happened to the end of its files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use banyan_primitives::{B256, BlockRef, RecoveredBlock};
use banyan_storage::{Database, Journal, Markers, StorageError};
use common::{block, deposit, open, transfer};
use proptest::prelude::*;
use tempfile::TempDir;

const GENESIS: B256 = B256::repeat_byte(1);

fn database(dir: &TempDir) -> Database {
    let db = open(dir.path());
    db.bind(901, GENESIS).unwrap();
    db
}

fn small_block(number: u64) -> RecoveredBlock {
    block(number, 0, vec![deposit(1), transfer(number)])
}

/// A block of some `bytes` bytes.
fn large_block(number: u64, bytes: usize) -> RecoveredBlock {
    let mut transactions = vec![deposit(1)];
    transactions.resize_with(bytes / 110, || transfer(number));
    block(number, 0, transactions)
}

fn labels(head: &RecoveredBlock) -> Markers {
    Markers { head: head.block_ref(), safe: Some(head.parent_ref()), finalized: None }
}

fn append(journal: &mut Journal, block: &RecoveredBlock) {
    journal.append([block], labels(block)).unwrap();
}

fn holds(journal: &Journal, wanted: &RecoveredBlock) -> bool {
    match journal.block(&wanted.hash()).unwrap() {
        Some(found) => {
            assert_eq!(&found, wanted);
            assert_eq!(journal.parent_of(&wanted.hash()), Some(wanted.parent_ref()));
            true
        }
        None => false,
    }
}

/// Files of the journal, in the order in which they were made.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir.join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn blocks_and_labels_are_there_when_it_is_opened_again() {
    let dir = TempDir::new().unwrap();
    let db = database(&dir);
    for sync in [false, true] {
        let mut journal = db.journal(sync).unwrap();
        let number = if sync { 10 } else { 1 };
        let (first, second) = (small_block(number), small_block(number + 1));
        append(&mut journal, &first);
        append(&mut journal, &second);
        drop(journal);
        let journal = db.journal(sync).unwrap();
        assert!(holds(&journal, &first) && holds(&journal, &second));
        let heads: Vec<_> = journal.heads().take(2).copied().collect();
        assert_eq!(heads, [labels(&second), labels(&first)]);
    }
}

#[test]
fn a_label_that_is_not_set_stays_so_and_genesis_is_a_label() {
    let dir = TempDir::new().unwrap();
    let db = database(&dir);
    let genesis = BlockRef::new(0, GENESIS);
    let markers = Markers { head: genesis, safe: Some(genesis), finalized: None };
    db.journal(false).unwrap().append([], markers).unwrap();
    assert_eq!(db.journal(false).unwrap().heads().next(), Some(&markers));
}

#[test]
fn what_it_holds_already_is_not_written_again() {
    let dir = TempDir::new().unwrap();
    let db = database(&dir);
    let mut journal = db.journal(false).unwrap();
    let block = small_block(1);
    append(&mut journal, &block);
    let before = fs::read(&files(dir.path())[0]).unwrap();
    append(&mut journal, &block);
    assert_eq!(fs::read(&files(dir.path())[0]).unwrap(), before);
}

#[test]
fn it_grows_by_segments_and_uses_them_again() {
    let dir = TempDir::new().unwrap();
    let db = database(&dir);
    let mut journal = db.journal(false).unwrap();
    let blocks: Vec<_> = (1..60).map(|number| large_block(number, 400_000)).collect();
    for block in &blocks {
        append(&mut journal, block);
        if block.number() > 5 {
            journal.release(block.number() - 5);
        }
    }
    assert!(files(dir.path()).len() <= 5, "{:?}", files(dir.path()));
    drop(journal);
    let journal = db.journal(false).unwrap();
    let (old, new) = blocks.split_at(blocks.len() - 5);
    assert!(new.iter().all(|block| holds(&journal, block)));
    assert!(!holds(&journal, &old[0]), "released, and its segment written over");
    assert_eq!(journal.heads().next(), Some(&labels(blocks.last().unwrap())));
}

#[test]
fn a_block_above_the_durable_height_is_never_released() {
    let dir = TempDir::new().unwrap();
    let db = database(&dir);
    let mut journal = db.journal(false).unwrap();
    // An abandoned branch reaches higher than the chain that followed it.
    let blocks = [9, 3, 4, 5].map(|number| large_block(number, 700_000));
    for block in &blocks {
        append(&mut journal, block);
    }
    assert!(journal.wants_release());
    journal.release(5);
    assert!(blocks.iter().all(|block| holds(&journal, block)), "9 keeps those behind it");
    journal.release(9);
    assert!(!holds(&journal, &blocks[0]) && holds(&journal, &blocks[3]));
}

#[test]
fn a_block_larger_than_any_segment_gets_one_of_its_own() {
    let dir = TempDir::new().unwrap();
    let db = database(&dir);
    let block = large_block(1, 20 << 20);
    append(&mut db.journal(false).unwrap(), &block);
    assert!(holds(&db.journal(false).unwrap(), &block));
}

#[test]
fn files_of_another_chain_are_not_read() {
    let dir = TempDir::new().unwrap();
    let block = small_block(1);
    append(&mut database(&dir).journal(false).unwrap(), &block);
    let other = TempDir::new().unwrap();
    fs::create_dir(other.path().join("journal")).unwrap();
    for file in files(dir.path()) {
        let name = file.file_name().unwrap();
        fs::copy(&file, other.path().join("journal").join(name)).unwrap();
    }
    let db = open(other.path());
    db.bind(901, B256::repeat_byte(2)).unwrap();
    let mut journal = db.journal(false).unwrap();
    assert!(!holds(&journal, &block) && journal.heads().next().is_none());
    append(&mut journal, &block);
    assert!(holds(&db.journal(false).unwrap(), &block), "and the file serves this chain now");
}

#[cfg(target_os = "linux")]
#[test]
fn without_room_an_append_fails_and_the_next_one_goes_on() {
    let dir = TempDir::new().unwrap();
    let db = database(&dir);
    let mut journal = db.journal(true).unwrap();
    let segment = dir.path().join("journal").join("000000.segment");
    std::os::unix::fs::symlink("/dev/full", &segment).unwrap();
    let block = small_block(1);
    let error = journal.append([&block], labels(&block)).unwrap_err();
    assert_eq!(error, StorageError::NoSpace);
    assert!(!segment.exists(), "what could not be filled is not left behind");
    append(&mut journal, &block);
    assert!(holds(&db.journal(true).unwrap(), &block));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever byte is changed, or wherever the file is cut: the records before are there, in order,
    /// no record is wrong, and it can be appended to.
    #[test]
    fn a_damaged_end_costs_only_what_follows(
        cut in any::<bool>(),
        place in 0.0..1.0_f64,
        count in 1..6_u64,
    ) {
        let dir = TempDir::new().unwrap();
        let db = database(&dir);
        let blocks: Vec<_> = (1..=count).map(small_block).collect();
        let mut journal = db.journal(false).unwrap();
        for block in &blocks {
            append(&mut journal, block);
        }
        drop(journal);
        let path = &files(dir.path())[0];
        let mut bytes = fs::read(path).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let place = (used as f64 * place) as usize;
        if cut {
            bytes.truncate(place);
        } else {
            bytes[place] ^= 1;
        }
        fs::write(path, &bytes).unwrap();

        let mut journal = db.journal(false).unwrap();
        let found: Vec<bool> = blocks.iter().map(|block| holds(&journal, block)).collect();
        let kept = found.iter().take_while(|found| **found).count();
        prop_assert!(found[kept..].iter().all(|found| !found), "{found:?}");
        if let Some(head) = journal.heads().next() {
            prop_assert!(head.head.number as usize <= kept);
        }
        let next = small_block(100);
        append(&mut journal, &next);
        let journal = db.journal(false).unwrap();
        prop_assert!(holds(&journal, &next));
        prop_assert_eq!(journal.heads().next(), Some(&labels(&next)));
        for block in &blocks[..kept] {
            prop_assert!(holds(&journal, block));
        }
    }
}
