use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use banyan_primitives::{B256, KeyRule};

use crate::{
    BlockRead, DatabaseOptions, Journal, OpenError, Read, ReadTxn, StorageError, Table, WriteTxn,
    env::Env, journal::JournalOptions, lock::DirectoryLock, open, tables::META_CHAIN,
};

/// An open database; cheap to clone, safe to share. Closed, and flushed to disk, when the last
/// handle and the last transaction are gone.
#[derive(Clone, Debug)]
pub struct Database {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    env: Arc<Env>,
    path: PathBuf,
    _caretaker: Caretaker,
}

/// Sizes of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseStats {
    /// Size of the data file, bytes.
    pub file_bytes: u64,
    /// Pages inside the file that may be used again, bytes.
    pub free_bytes: u64,
    /// Every table.
    pub tables: Vec<TableStats>,
}

/// Size of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// The table.
    pub table: Table,
    /// Number of entries.
    pub entries: u64,
    /// Size of its pages, bytes.
    pub bytes: u64,
}

impl Database {
    /// Opens or creates the database in directory `path` and takes possession of it.
    pub fn open(path: &Path, options: DatabaseOptions) -> Result<Self, OpenError> {
        std::fs::create_dir_all(path)
            .map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        let lock = DirectoryLock::acquire(path)?;
        let cell = match open::open(path, &options) {
            Ok(cell) => cell,
            Err(error) => {
                lock.discard();
                return Err(error);
            }
        };
        let env = Arc::new(Env::new(cell, options, lock));
        let caretaker = Caretaker::start(Arc::clone(&env))
            .map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        let shared = Shared { env, path: path.to_owned(), _caretaker: caretaker };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Ties a new database to a chain; refuses one that holds another chain.
    pub fn bind(&self, chain_id: u64, genesis_hash: B256) -> Result<(), OpenError> {
        let path = self.shared.path.clone();
        match self.bound_chain() {
            Ok(Some(found)) => open::check_chain(&path, found, (chain_id, genesis_hash)),
            Ok(None) => self
                .write_chain(chain_id, genesis_hash)
                .map_err(|source| OpenError::Storage { path, source }),
            Err(source) => Err(OpenError::Storage { path, source }),
        }
    }

    /// Chain id and genesis hash this database is tied to.
    pub fn bound_chain(&self) -> Result<Option<(u64, B256)>, StorageError> {
        let bytes = self.read()?.get(Table::Meta, META_CHAIN)?;
        bytes.map(|bytes| open::decode_chain(&bytes)).transpose()
    }

    fn write_chain(&self, chain_id: u64, genesis_hash: B256) -> Result<(), StorageError> {
        let txn = self.write()?;
        txn.put(Table::Meta, META_CHAIN, &open::encode_chain((chain_id, genesis_hash)))?;
        txn.commit()?;
        self.sync()
    }

    /// Opens the journal beside this database, which must be bound to a chain, and reads it. At most
    /// one may be open. With `sync`, what is appended reaches the disk before the append returns.
    pub fn journal(&self, sync: bool) -> Result<Journal, OpenError> {
        let storage = |source| OpenError::Storage { path: self.shared.path.clone(), source };
        let bound = self.bound_chain().map_err(storage)?;
        let (_, chain) = bound.ok_or_else(|| {
            storage(StorageError::OutOfOrder("a journal before the chain is bound".into()))
        })?;
        let seen = self.read().and_then(|txn| txn.journal_sequence()).map_err(storage)?;
        let segment = self.shared.env.options.journal_segment;
        Journal::open(&self.shared.path, JournalOptions { chain, sync, segment, seen })
    }

    /// Begins a read transaction: a snapshot of the last commit, for at most
    /// [`DatabaseOptions::read_deadline`].
    pub fn read(&self) -> Result<ReadTxn, StorageError> {
        ReadTxn::begin(&self.shared.env)
    }

    /// Begins the write transaction; waits while another one is open. Beginning a second one on
    /// the same thread never returns.
    pub fn write(&self) -> Result<WriteTxn<'_>, StorageError> {
        self.shared.env.end_expired_readers();
        WriteTxn::begin(&self.shared.env)
    }

    /// Flushes everything committed to disk. Waits for an open write transaction, so it must not
    /// be called by the thread that holds one.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.shared.env.sync()
    }

    /// How the keys of the flat state are hashed.
    pub fn keys(&self) -> KeyRule {
        self.shared.env.options.keys
    }

    /// Directory of the database.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Sizes of the file and of every table.
    pub fn stats(&self) -> Result<DatabaseStats, StorageError> {
        let env = &self.shared.env;
        let mdbx = env.mdbx();
        let txn = mdbx.begin_ro_txn()?;
        let tables = Table::ALL
            .into_iter()
            .map(|table| {
                let stat = txn.table_stat(env.handle(table))?;
                Ok(TableStats { table, entries: stat.entries() as u64, bytes: stat.total_size() })
            })
            .collect::<Result<_, StorageError>>()?;
        drop(txn);
        let page_size = u64::from(mdbx.stat()?.page_size());
        Ok(DatabaseStats {
            file_bytes: mdbx.info()?.geometry().current_size(),
            free_bytes: mdbx.freelist()? as u64 * page_size,
            tables,
        })
    }
}

/// The thread that flushes an idle database and ends forgotten readers.
#[derive(Debug)]
struct Caretaker {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Caretaker {
    fn start(env: Arc<Env>) -> std::io::Result<Self> {
        let shortest = env.options.sync_period.min(env.options.read_deadline) / 4;
        let pause = shortest.clamp(Duration::from_millis(10), Duration::from_secs(1));
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("db-caretaker".into()).spawn(move || {
            while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                env.end_expired_readers();
                if let Err(error) = env.sync_if_due() {
                    tracing::error!(%error, "database could not be flushed to disk");
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Caretaker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("database caretaker had panicked");
        }
    }
}
