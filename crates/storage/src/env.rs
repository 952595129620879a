use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use banyan_primitives::{B256, KeyRule};
use libmdbx::NoWriteMap;

use crate::{StorageError, Table, lock::DirectoryLock, txn::Reader};

/// MDBX environment. Not a write map: a full disk must be an error of `write`, not a SIGBUS.
pub(crate) type Mdbx = libmdbx::Database<NoWriteMap>;
/// Table handles, one per [`Table`], in its order.
pub(crate) type Handles<'env> = Vec<libmdbx::Table<'env>>;

self_cell::self_cell!(
    /// An environment with the table handles that borrow it.
    pub(crate) struct EnvCell {
        owner: Mdbx,
        #[covariant]
        dependent: Handles,
    }
);

/// How to open a database.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// Upper limit of the file's size, bytes (address space, not disk).
    pub max_size: usize,
    /// The file grows by this many bytes at a time.
    pub growth_step: usize,
    /// Most concurrent read transactions.
    pub max_readers: u32,
    /// How long a read transaction may live. A reader holds every page of its snapshot against
    /// reuse, so a forgotten one would let the file grow without bound.
    pub read_deadline: Duration,
    /// Written data is flushed to disk once this many bytes are waiting.
    pub sync_bytes: u64,
    /// Written data is flushed to disk after this long at the latest. A crash of the process
    /// loses nothing; a crash of the machine loses at most what was not flushed.
    pub sync_period: Duration,
    /// Size of the journal's first segment, bytes; later ones are up to 16 times as large.
    pub journal_segment: u64,
    /// Chain id and genesis hash: a database of another chain is refused before anything is
    /// written to it.
    pub chain: Option<(u64, B256)>,
    /// How that chain hashes the keys of its flat state.
    pub keys: KeyRule,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            max_size: 4 << 40,
            growth_step: 16 << 20,
            max_readers: 1024,
            read_deadline: Duration::from_secs(60),
            sync_bytes: 64 << 20,
            sync_period: Duration::from_secs(2),
            journal_segment: 1 << 20,
            chain: None,
            keys: KeyRule::default(),
        }
    }
}

/// What is written but not yet flushed.
#[derive(Debug, Default)]
struct Unsynced {
    bytes: u64,
    since: Option<Instant>,
}

/// The open environment, shared by the database handle and every read transaction.
///
/// Invariant: `lock` is dropped after `cell`, so nobody opens a file that is still being closed.
pub(crate) struct Env {
    pub(crate) cell: EnvCell,
    pub(crate) options: DatabaseOptions,
    readers: Mutex<Vec<Weak<Reader>>>,
    unsynced: Mutex<Unsynced>,
    /// A flush failed. The kernel may have dropped what it could not write, and says so only once:
    /// nothing more is accepted until the database is opened anew.
    failed: AtomicBool,
    _lock: DirectoryLock,
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Env").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Env {
    pub(crate) fn new(cell: EnvCell, options: DatabaseOptions, lock: DirectoryLock) -> Self {
        let (readers, unsynced) = (Mutex::default(), Mutex::default());
        let failed = AtomicBool::new(false);
        Self { cell, options, readers, unsynced, failed, _lock: lock }
    }

    pub(crate) fn mdbx(&self) -> &Mdbx {
        self.cell.borrow_owner()
    }

    pub(crate) fn handle(&self, table: Table) -> &libmdbx::Table<'_> {
        self.cell.borrow_dependent().get(table as usize).expect("one handle per table")
    }

    /// Remembers a reader, so that it can be ended at its deadline.
    pub(crate) fn register(&self, reader: &Arc<Reader>) {
        let mut readers = lock(&self.readers);
        if readers.len() == readers.capacity() {
            readers.retain(|reader| reader.strong_count() > 0);
        }
        readers.push(Arc::downgrade(reader));
    }

    /// Ends the read transactions that are past their deadline, used or idle.
    pub(crate) fn end_expired_readers(&self) {
        let mut expired = Vec::new();
        lock(&self.readers).retain(|reader| match reader.upgrade() {
            None => false,
            Some(reader) if reader.is_expired() => {
                expired.push(reader);
                false
            }
            Some(_) => true,
        });
        for reader in expired {
            reader.end();
        }
    }

    /// Fails if a flush has failed before.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        if self.failed.load(Ordering::Relaxed) { Err(StorageError::Dead) } else { Ok(()) }
    }

    /// Counts committed bytes; flushes when enough are waiting. The commit stands whatever comes of
    /// the flush; if it fails, the next write does.
    pub(crate) fn committed(&self, bytes: u64) {
        let mut unsynced = lock(&self.unsynced);
        unsynced.bytes += bytes;
        unsynced.since.get_or_insert_with(Instant::now);
        let due = unsynced.bytes >= self.options.sync_bytes;
        drop(unsynced);
        if due && let Err(error) = self.sync() {
            tracing::error!(%error, "database could not be flushed to disk");
        }
    }

    /// Flushes if something has been waiting for [`DatabaseOptions::sync_period`].
    pub(crate) fn sync_if_due(&self) -> Result<(), StorageError> {
        let since = lock(&self.unsynced).since;
        match since {
            Some(since) if since.elapsed() >= self.options.sync_period => self.sync(),
            _ => Ok(()),
        }
    }

    /// Flushes everything committed to disk.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        self.check()?;
        // Taken before the flush: what is committed meanwhile counts for the next one.
        *lock(&self.unsynced) = Unsynced::default();
        self.mdbx().sync(true).map(drop).map_err(|error| {
            self.failed.store(true, Ordering::Relaxed);
            error.into()
        })
    }
}

/// Locks a mutex whose data cannot be left half-changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::open;

    fn env(options: DatabaseOptions) -> (tempfile::TempDir, Env) {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::acquire(dir.path()).unwrap();
        let cell = open::open(dir.path(), &options).unwrap();
        (dir, Env::new(cell, options, lock))
    }

    fn waiting(env: &Env) -> u64 {
        lock(&env.unsynced).bytes
    }

    #[test]
    fn commits_are_flushed_by_size() {
        let (_dir, env) = env(DatabaseOptions { sync_bytes: 100, ..Default::default() });
        env.committed(60);
        assert_eq!(waiting(&env), 60);
        env.committed(40);
        assert_eq!(waiting(&env), 0);
    }

    #[test]
    fn commits_are_flushed_by_age() {
        let left = |period| {
            let (_dir, env) = env(DatabaseOptions { sync_period: period, ..Default::default() });
            env.committed(60);
            env.sync_if_due().unwrap();
            waiting(&env)
        };
        assert_eq!(left(Duration::from_secs(3600)), 60);
        assert_eq!(left(Duration::ZERO), 0);
    }

    #[test]
    fn the_list_of_readers_does_not_grow_with_their_number() {
        let (_dir, env) = env(DatabaseOptions::default());
        let env = Arc::new(env);
        for _ in 0..1000 {
            crate::ReadTxn::begin(&env).unwrap();
        }
        assert!(lock(&env.readers).len() < 16);
    }
}
