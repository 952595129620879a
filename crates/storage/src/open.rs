//! Opening: whose file is this, is it whole, can we read it; only then is it touched.

use std::path::{Path, PathBuf};

use banyan_primitives::B256;
use libmdbx::{Mode, ReadWriteOptions, SyncMode, TableFlags, WriteFlags};

use crate::{
    DatabaseOptions, OpenError, SCHEMA_VERSION, StorageError, Table,
    codec::{damaged, decode_hash},
    env::{EnvCell, Handles, Mdbx},
    header,
    tables::{META_CHAIN, META_SCHEMA},
};

const DATA_FILE: &str = "mdbx.dat";

/// Opens the environment in `directory`, which is locked by us, with all tables.
pub(crate) fn open(directory: &Path, options: &DatabaseOptions) -> Result<EnvCell, OpenError> {
    let file = directory.join(DATA_FILE);
    if file.exists() {
        inspect(directory, &file, options)?;
    }
    let mdbx = Mdbx::open_with_options(
        directory,
        libmdbx::DatabaseOptions {
            max_readers: Some(options.max_readers),
            no_rdahead: true,
            page_size: Some(libmdbx::PageSize::Set(header::PAGE_SIZE)),
            ..base_options(writable(options))
        },
    )
    .map_err(|error| open_error(&file, error))?;
    EnvCell::try_new(mdbx, |mdbx| {
        create_tables(mdbx)
            .map_err(|source| OpenError::Storage { path: directory.to_owned(), source })
    })
}

/// Always the same sizes: where they differ from the file's, MDBX cuts the file to the newest commit,
/// and then finds the last synced one damaged if that was larger.
fn writable(options: &DatabaseOptions) -> Mode {
    Mode::ReadWrite(ReadWriteOptions {
        sync_mode: SyncMode::SafeNoSync,
        min_size: None,
        max_size: Some(signed(options.max_size)),
        growth_step: Some(signed(options.growth_step)),
        // Never: the last synced commit, to which a power failure leads back, may need what is cut.
        shrink_threshold: Some(0),
    })
}

fn signed(size: usize) -> isize {
    isize::try_from(size).unwrap_or(isize::MAX)
}

fn base_options(mode: Mode) -> libmdbx::DatabaseOptions {
    libmdbx::DatabaseOptions { max_tables: Some(64), mode, ..Default::default() }
}

/// Refuses a data file that is not ours, or not one we can use, without writing to it.
fn inspect(directory: &Path, file: &Path, options: &DatabaseOptions) -> Result<(), OpenError> {
    let length =
        file.metadata().map_err(|source| OpenError::Io { path: file.to_owned(), source })?.len();
    let wanted = header::wanted_length(file)
        .map_err(|source| OpenError::Io { path: file.to_owned(), source })?
        .unwrap_or(1);
    if length < wanted {
        let what = format!("the file has {length} bytes but should have {wanted}");
        return Err(OpenError::Damaged { path: file.to_owned(), what });
    }
    match Mdbx::open_with_options(directory, base_options(Mode::ReadOnly)) {
        Ok(mdbx) => check_contents(&mdbx, directory, file, options.chain),
        // After a crash MDBX has to write its header once before it can be read.
        Err(libmdbx::Error::WannaRecovery) => {
            let mdbx = Mdbx::open_with_options(directory, base_options(writable(options)))
                .map_err(|error| open_error(file, error))?;
            check_contents(&mdbx, directory, file, options.chain)
        }
        Err(error) => Err(open_error(file, error)),
    }
}

/// Schema first: only then it is known where the chain stands.
fn check_contents(
    mdbx: &Mdbx,
    directory: &Path,
    file: &Path,
    chain: Option<Chain>,
) -> Result<(), OpenError> {
    check_owner(mdbx, file)?;
    let Some(wanted) = chain else { return Ok(()) };
    let found = stored_chain(mdbx)
        .map_err(|source| OpenError::Storage { path: directory.to_owned(), source })?;
    found.map_or(Ok(()), |found| check_chain(directory, found, wanted))
}

/// Chain id and genesis hash.
pub(crate) type Chain = (u64, B256);

/// A database of one chain is never used for another.
pub(crate) fn check_chain(directory: &Path, found: Chain, wanted: Chain) -> Result<(), OpenError> {
    if found == wanted {
        return Ok(());
    }
    let ((found_chain, found_genesis), (chain, genesis)) = (found, wanted);
    let path = directory.to_owned();
    Err(OpenError::OtherChain { path, found_chain, found_genesis, chain, genesis })
}

/// Reads what [`encode_chain`] wrote.
pub(crate) fn decode_chain(bytes: &[u8]) -> Result<Chain, StorageError> {
    let (id, hash) = bytes.split_first_chunk::<8>().ok_or_else(|| damaged("chain id", bytes))?;
    Ok((u64::from_be_bytes(*id), decode_hash(hash)?))
}

/// The chain as the meta table holds it.
pub(crate) fn encode_chain((id, genesis): Chain) -> Vec<u8> {
    [&id.to_be_bytes(), genesis.as_slice()].concat()
}

/// The chain of a database that is ours; `None` before its genesis was written.
fn stored_chain(mdbx: &Mdbx) -> Result<Option<Chain>, StorageError> {
    let txn = mdbx.begin_ro_txn()?;
    let meta = match txn.open_table(Some(Table::Meta.name())) {
        Ok(meta) => meta,
        Err(libmdbx::Error::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let bytes = txn.get::<Vec<u8>>(&meta, META_CHAIN)?;
    bytes.map(|bytes| decode_chain(&bytes)).transpose()
}

/// The file must carry our schema version, or be an MDBX file with nothing in it (a first start
/// that was interrupted).
fn check_owner(mdbx: &Mdbx, file: &Path) -> Result<(), OpenError> {
    let storage = |source| OpenError::Storage { path: file.to_owned(), source };
    let found = match schema_version(mdbx).map_err(storage)? {
        Schema::Empty => return Ok(()),
        Schema::Foreign => return Err(OpenError::Foreign { path: file.to_owned() }),
        Schema::Version(found) => found,
    };
    let (path, supported) = (file.to_owned(), SCHEMA_VERSION);
    match found.cmp(&supported) {
        std::cmp::Ordering::Greater => Err(OpenError::NewerSchema { path, found, supported }),
        std::cmp::Ordering::Less => Err(OpenError::OlderSchema { path, found, supported }),
        std::cmp::Ordering::Equal => Ok(()),
    }
}

enum Schema {
    Empty,
    Foreign,
    Version(u32),
}

fn schema_version(mdbx: &Mdbx) -> Result<Schema, StorageError> {
    let txn = mdbx.begin_ro_txn()?;
    let root = txn.open_table(None)?;
    if txn.table_stat(&root)?.entries() == 0 {
        return Ok(Schema::Empty);
    }
    let meta = match txn.open_table(Some(Table::Meta.name())) {
        Ok(meta) => meta,
        Err(libmdbx::Error::NotFound | libmdbx::Error::Incompatible) => {
            return Ok(Schema::Foreign);
        }
        Err(error) => return Err(error.into()),
    };
    let Some(version) = txn.get::<Vec<u8>>(&meta, META_SCHEMA)? else {
        return Ok(Schema::Foreign);
    };
    let version: [u8; 4] =
        version.as_slice().try_into().map_err(|_| damaged("schema version", &version))?;
    Ok(Schema::Version(u32::from_be_bytes(version)))
}

/// Creates the tables that are missing and keeps their handles open for good.
fn create_tables(mdbx: &Mdbx) -> Result<Handles<'_>, StorageError> {
    let txn = mdbx.begin_rw_txn()?;
    for table in Table::ALL {
        let handle = txn.create_table(Some(table.name()), TableFlags::empty())?;
        if table == Table::Meta && txn.get::<Vec<u8>>(&handle, META_SCHEMA)?.is_none() {
            txn.put(&handle, META_SCHEMA, SCHEMA_VERSION.to_be_bytes(), WriteFlags::UPSERT)?;
        }
        txn.prime_for_permaopen(handle);
    }
    let (_, handles) = txn.commit_and_rebind_open_dbs()?;
    mdbx.sync(true)?;
    Ok(handles)
}

fn open_error(file: &Path, error: libmdbx::Error) -> OpenError {
    use libmdbx::Error as E;
    let (path, what) = (PathBuf::from(file), error.to_string());
    match error {
        E::Invalid | E::VersionMismatch => OpenError::NotADatabase { path, what },
        E::Corrupted | E::PageNotFound | E::NoData | E::WannaRecovery => {
            OpenError::Damaged { path, what }
        }
        E::Busy => OpenError::Locked { path, pid: None },
        E::Access | E::PermissionDenied | E::ReadOnlyFilesystem => OpenError::Io {
            path,
            source: std::io::Error::new(std::io::ErrorKind::PermissionDenied, what),
        },
        other => OpenError::Storage { path, source: other.into() },
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const CHILD_IN: &str = "BANYAN_STORAGE_INSPECT_IN";

    fn options() -> DatabaseOptions {
        DatabaseOptions { max_size: 1 << 30, growth_step: 8 << 20, ..Default::default() }
    }

    /// Not a test of its own: the child of `the_first_look_after_a_crash_leaves_the_size_alone`.
    #[test]
    fn child_commits_without_a_flush_and_aborts() {
        let Some(dir) = std::env::var_os(CHILD_IN) else { return };
        let cell = open(Path::new(&dir), &options()).unwrap();
        let txn = cell.borrow_owner().begin_rw_txn().unwrap();
        let codes = txn.open_table(Some(Table::Codes.name())).unwrap();
        txn.put(&codes, b"code", b"1", WriteFlags::UPSERT).unwrap();
        txn.commit().unwrap();
        std::process::abort();
    }

    /// The kill loop met it: the first look cut the file to the newest commit. When blocks had been
    /// unwound since the last flush, MDBX then found the flushed commit beyond the end of the file.
    #[test]
    fn the_first_look_after_a_crash_leaves_the_size_alone() {
        let dir = tempfile::tempdir().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["open::tests::child_commits_without_a_flush_and_aborts", "--exact"])
            .env(CHILD_IN, dir.path())
            .output()
            .unwrap()
            .status;
        assert!(!status.success());
        let file = dir.path().join(DATA_FILE);
        let before = file.metadata().unwrap().len();
        inspect(dir.path(), &file, &options()).unwrap();
        assert_eq!(file.metadata().unwrap().len(), before);
    }
}
