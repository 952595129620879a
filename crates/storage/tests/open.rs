//! Opening a database: what is refused, with which words, and that it is left as it was.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod common;

use std::{fs, path::Path, process::Command};

use banyan_primitives::B256;
use banyan_storage::{Database, DatabaseOptions, OpenError, Read, SCHEMA_VERSION, Table};
use common::{open, options};
use libmdbx::{NoWriteMap, TableFlags, WriteFlags};

const GENESIS: B256 = B256::repeat_byte(0x11);

/// A database of chain 901 with something in it, closed.
fn create(dir: &Path) {
    let db = open(dir);
    db.bind(901, GENESIS).unwrap();
    let txn = db.write().unwrap();
    for n in 0..2000u32 {
        txn.put(Table::Codes, &n.to_be_bytes(), &[7; 500]).unwrap();
    }
    txn.commit().unwrap();
}

/// Opening is refused and changes no byte of the data file.
fn refused(dir: &Path) -> OpenError {
    let data = dir.join("mdbx.dat");
    let before = fs::read(&data).unwrap();
    let error = Database::open(dir, options()).unwrap_err();
    assert!(fs::read(&data).unwrap() == before, "the data file was changed: {error}");
    error
}

/// Writes to the file with MDBX itself, as another program would.
fn with_mdbx(dir: &Path, table: &str, key: &[u8], value: &[u8]) {
    let options = libmdbx::DatabaseOptions { max_tables: Some(64), ..Default::default() };
    let db = libmdbx::Database::<NoWriteMap>::open_with_options(dir, options).unwrap();
    let txn = db.begin_rw_txn().unwrap();
    let handle = txn.create_table(Some(table), TableFlags::empty()).unwrap();
    txn.put(&handle, key, value, WriteFlags::UPSERT).unwrap();
    txn.commit().unwrap();
}

#[test]
fn a_database_opens_again_for_its_chain_only() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    let db = open(dir.path());
    assert_eq!(db.bound_chain().unwrap(), Some((901, GENESIS)));
    db.bind(901, GENESIS).unwrap();
    let before = common::dump(&db);
    for (chain, genesis) in [(10, GENESIS), (901, B256::repeat_byte(0x22))] {
        let error = db.bind(chain, genesis).unwrap_err();
        assert!(matches!(error, OpenError::OtherChain { .. }), "{error}");
        assert!(error.to_string().contains("check the genesis file"), "{error}");
    }
    assert_eq!(common::dump(&db), before);
    let codes = db.read().unwrap().get(Table::Codes, &1999u32.to_be_bytes()).unwrap();
    assert_eq!(codes, Some(vec![7; 500]));
}

#[test]
fn a_database_of_another_chain_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    let data = dir.path().join("mdbx.dat");
    let before = fs::read(&data).unwrap();
    for chain in [(10, GENESIS), (901, B256::repeat_byte(0x22))] {
        let wanted = DatabaseOptions { chain: Some(chain), ..options() };
        let error = Database::open(dir.path(), wanted).unwrap_err();
        assert!(matches!(error, OpenError::OtherChain { .. }), "{error}");
        assert!(fs::read(&data).unwrap() == before, "the data file was changed: {error}");
    }
    let own = DatabaseOptions { chain: Some((901, GENESIS)), ..options() };
    assert_eq!(
        Database::open(dir.path(), own).unwrap().bound_chain().unwrap(),
        Some((901, GENESIS))
    );
    let fresh = tempfile::tempdir().unwrap();
    let own = DatabaseOptions { chain: Some((901, GENESIS)), ..options() };
    assert_eq!(Database::open(fresh.path(), own).unwrap().bound_chain().unwrap(), None);
}

#[test]
fn a_database_in_use_names_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let error = Database::open(dir.path(), options()).unwrap_err();
    let own = std::process::id();
    assert!(matches!(&error, OpenError::Locked { pid: Some(pid), .. } if *pid == own), "{error}");
    // The lock outlives the handle as long as somebody reads.
    let reader = db.read().unwrap();
    drop(db);
    assert!(Database::open(dir.path(), options()).is_err());
    drop(reader);
    open(dir.path());
}

#[test]
fn other_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mdbx.dat"), vec![0x5a; 100_000]).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::NotADatabase { .. }), "{error}");
    assert!(!dir.path().join("banyan.lock").exists(), "left a lock file behind");
}

#[test]
fn databases_of_other_programs_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    with_mdbx(dir.path(), "PlainState", b"key", b"value");
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    // A table of the same name is not enough.
    with_mdbx(dir.path(), "Meta", b"key", b"value");
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
}

#[test]
fn other_schemas_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    with_mdbx(dir.path(), "Meta", b"schema", &(SCHEMA_VERSION + 1).to_be_bytes());
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::NewerSchema { .. }), "{error}");
    assert!(error.to_string().contains("newer release"), "{error}");
    with_mdbx(dir.path(), "Meta", b"schema", &(SCHEMA_VERSION - 1).to_be_bytes());
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::OlderSchema { .. }), "{error}");
}

#[test]
fn truncated_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    let data = dir.path().join("mdbx.dat");
    let whole = fs::read(&data).unwrap();
    for length in [0, 1, 100, 4096, 8192, 12_288, 20_000, 65_536, 500_000, 614_400] {
        fs::write(&data, &whole[..length]).unwrap();
        let error = refused(dir.path());
        assert!(matches!(error, OpenError::Damaged { .. }), "{length} bytes: {error}");
    }
    fs::write(&data, &whole).unwrap();
    open(dir.path());
}

#[test]
fn a_damaged_header_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path());
    let data = dir.path().join("mdbx.dat");
    let mut bytes = fs::read(&data).unwrap();
    bytes[..3 * 4096].fill(0);
    fs::write(&data, &bytes).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::NotADatabase { .. }), "{error}");
}

#[test]
fn an_interrupted_first_start_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    drop(libmdbx::Database::<NoWriteMap>::open(dir.path()).unwrap());
    open(dir.path()).bind(901, GENESIS).unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_an_io_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = Database::open(&file.join("db"), options()).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

/// Not a test of its own: the child of `what_was_committed_survives_an_abort`.
#[test]
fn child_commits_and_aborts() {
    let Some(dir) = std::env::var_os("BANYAN_STORAGE_ABORT_IN") else { return };
    let db = open(Path::new(&dir));
    for n in 0..50u32 {
        let txn = db.write().unwrap();
        txn.put(Table::Codes, &n.to_be_bytes(), &[1; 3000]).unwrap();
        txn.commit().unwrap();
    }
    let txn = db.write().unwrap();
    txn.put(Table::Codes, &99u32.to_be_bytes(), b"never").unwrap();
    std::process::abort();
}

#[test]
fn what_was_committed_survives_an_abort() {
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["child_commits_and_aborts", "--exact", "--test-threads=1"])
        .env("BANYAN_STORAGE_ABORT_IN", dir.path())
        .output()
        .unwrap()
        .status;
    assert!(!status.success());
    let db = open(dir.path());
    let txn = db.read().unwrap();
    for n in 0..50u32 {
        assert_eq!(txn.get(Table::Codes, &n.to_be_bytes()).unwrap(), Some(vec![1; 3000]));
    }
    assert_eq!(txn.get(Table::Codes, &99u32.to_be_bytes()).unwrap(), None);
}
