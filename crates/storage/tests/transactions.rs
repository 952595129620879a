//! Transactions: snapshots, deadlines, limits, failed writes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod common;

use std::{ops::ControlFlow, thread, time::Duration};

use banyan_storage::{Database, DatabaseOptions, Read, ReadTxn, StorageError, Table, WriteTxn};
use common::{dump, open, options};

fn fill(db: &Database, byte: u8) {
    let txn = db.write().unwrap();
    for n in 0..500u32 {
        txn.put(Table::Codes, &n.to_be_bytes(), &[byte; 1000]).unwrap();
    }
    txn.commit().unwrap();
}

#[test]
fn transactions_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Database>();
    shared::<ReadTxn>();
    shared::<WriteTxn<'_>>();
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 1);
    let txn = db.read().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..500u32 {
                    let value = txn.get(Table::Codes, &n.to_be_bytes()).unwrap();
                    assert_eq!(value, Some(vec![1; 1000]));
                }
            });
        }
        scope.spawn(|| fill(&db, 2));
    });
}

#[test]
fn a_reader_sees_the_commit_it_began_with() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 1);
    let before = db.read().unwrap();
    let write = db.write().unwrap();
    write.put(Table::Codes, &7u32.to_be_bytes(), b"new").unwrap();
    assert_eq!(write.get(Table::Codes, &7u32.to_be_bytes()).unwrap(), Some(b"new".to_vec()));
    write.commit().unwrap();
    assert_eq!(before.get(Table::Codes, &7u32.to_be_bytes()).unwrap(), Some(vec![1; 1000]));
    let after = db.read().unwrap();
    assert_eq!(after.get(Table::Codes, &7u32.to_be_bytes()).unwrap(), Some(b"new".to_vec()));
}

#[test]
fn scans_begin_where_they_are_told_whatever_was_scanned_before() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 1);
    let txn = db.read().unwrap();
    let check = |from: u32, limit: usize| {
        let mut found = Vec::new();
        txn.scan(Table::Codes, &from.to_be_bytes(), &mut |key, _| {
            found.push(u32::from_be_bytes(key.try_into().unwrap()));
            let full = found.len() >= limit;
            Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
        .unwrap();
        assert_eq!(found, (from..500).take(limit).collect::<Vec<_>>());
    };
    // Forth and back, the same again, where the last one ended, past the end, after that.
    let starts =
        [(7, 3), (9, 3), (10, 1), (400, 200), (0, 1), (0, 600), (777, 5), (499, 2), (3, 40)];
    let scan_all = || starts.into_iter().for_each(|(from, limit)| check(from, limit));
    scan_all();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(scan_all);
        }
    });
}

#[test]
fn a_dropped_write_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let before = dump(&db);
    let txn = db.write().unwrap();
    txn.put(Table::Codes, b"key", b"value").unwrap();
    drop(txn);
    assert_eq!(dump(&db), before);
}

#[test]
fn deleting_a_prefix_leaves_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let txn = db.write().unwrap();
    for key in ["a", "b", "b1", "b\u{7f}", "c"] {
        txn.put(Table::Codes, key.as_bytes(), b"").unwrap();
    }
    txn.delete_prefix(Table::Codes, b"b").unwrap();
    let mut left = Vec::new();
    txn.scan(Table::Codes, b"", &mut |key, _| {
        left.push(key.to_vec());
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    assert_eq!(left, [b"a", b"c"]);
    assert!(!txn.delete(Table::Codes, b"b").unwrap());
}

#[test]
fn an_append_below_the_last_key_fails() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let txn = db.write().unwrap();
    txn.append(Table::Codes, b"b", b"").unwrap();
    assert!(txn.append(Table::Codes, b"a", b"").is_err());
}

fn short_deadline() -> DatabaseOptions {
    DatabaseOptions { read_deadline: Duration::from_millis(100), sync_bytes: 1, ..options() }
}

#[test]
fn a_read_past_its_deadline_fails_with_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path(), short_deadline()).unwrap();
    fill(&db, 1);
    let txn = db.read().unwrap();
    // A long scan ends itself.
    let error = txn
        .scan(Table::Codes, b"", &mut |_, _| {
            thread::sleep(Duration::from_millis(1));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap_err();
    assert_eq!(error, StorageError::Expired(Duration::from_millis(100)));
    assert_eq!(txn.get(Table::Codes, b"x").unwrap_err(), error);
    assert!(error.to_string().contains("open for more than 100ms"), "{error}");
    // A new one has its time anew, however slow the machine is.
    while db.read().unwrap().get(Table::Codes, b"x").is_err() {}
}

#[test]
fn an_idle_reader_past_its_deadline_does_not_let_the_file_grow() {
    let rewrite = |options: DatabaseOptions| {
        let dir = tempfile::tempdir().unwrap();
        let db = Database::open(dir.path(), options).unwrap();
        fill(&db, 0);
        let idle = db.read().unwrap();
        thread::sleep(Duration::from_millis(120));
        for byte in 0..20 {
            fill(&db, byte);
        }
        drop(idle);
        db.stats().unwrap().file_bytes
    };
    let bounded = rewrite(short_deadline());
    let held = rewrite(DatabaseOptions { sync_bytes: 1, ..options() });
    assert!(bounded < 6 << 20, "{bounded}");
    assert!(held > 2 * bounded, "the test would notice: {held} against {bounded}");
}

#[test]
fn forgotten_readers_give_their_slots_back() {
    let dir = tempfile::tempdir().unwrap();
    let options = DatabaseOptions { max_readers: 4, ..short_deadline() };
    let db = Database::open(dir.path(), options).unwrap();
    let mut open = Vec::new();
    let error = loop {
        match db.read() {
            Ok(txn) => open.push(txn),
            Err(error) => break error,
        }
    };
    assert_eq!(error, StorageError::TooManyReaders);
    while db.read().is_err() {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(!open.is_empty());
}

#[test]
fn a_full_database_fails_the_write_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let options = DatabaseOptions { max_size: 4 << 20, ..options() };
    let db = Database::open(dir.path(), options).unwrap();
    fill(&db, 1);
    let before = dump(&db);
    let txn = db.write().unwrap();
    let error = (0..10_000u32)
        .find_map(|n| txn.put(Table::Headers, &n.to_be_bytes(), &[9; 2000]).err())
        .unwrap();
    assert_eq!(error, StorageError::Full);
    // A transaction that failed cannot be committed by mistake.
    assert_eq!(txn.commit(), Err(StorageError::Full));
    assert_eq!(dump(&db), before);
    let txn = db.write().unwrap();
    txn.put(Table::Headers, b"small", b"fits").unwrap();
    txn.commit().unwrap();
    assert_eq!(dump(&db).len(), before.len() + 1);
    drop(db);
    // The limit is no property of the file.
    fill(&open(dir.path()), 2);
}

#[test]
fn statistics_count_entries_and_space() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 1);
    let stats = db.stats().unwrap();
    let codes = stats.tables.iter().find(|stats| stats.table == Table::Codes).unwrap();
    assert_eq!(codes.entries, 500);
    assert!(codes.bytes >= 500_000 && stats.file_bytes >= codes.bytes);
    assert!(stats.file_bytes <= 8 << 20, "preallocated {}", stats.file_bytes);
    let txn = db.write().unwrap();
    txn.delete_prefix(Table::Codes, b"").unwrap();
    txn.commit().unwrap();
    assert!(db.stats().unwrap().free_bytes >= 400_000);
}
