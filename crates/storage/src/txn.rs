use std::{
    borrow::Cow,
    ops::ControlFlow,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use banyan_primitives::KeyRule;
use libmdbx::{Cursor, NoWriteMap, RO, RW, Transaction, TransactionKind, WriteFlags};

use crate::{StorageError, Table, env::Env};

/// What a visitor of [`Read::scan`] says after each entry.
pub type Visit = Result<ControlFlow<()>, StorageError>;
/// A key with its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A snapshot of the tables: a read transaction, or a write transaction with its own writes.
pub trait Read: Send + Sync {
    /// How the keys of the flat state are hashed.
    fn keys(&self) -> KeyRule;

    /// The value of a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;

    /// Visits entries (key, value) in order of key, from the first key ≥ `from`, until the visitor
    /// breaks or fails. The visitor must not use the transaction.
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StorageError>;

    /// The first entry whose key is ≥ `from` and starts with `prefix`.
    fn first(
        &self,
        table: Table,
        from: &[u8],
        prefix: &[u8],
    ) -> Result<Option<Entry>, StorageError> {
        let mut found = None;
        self.scan(table, from, &mut |key, value| {
            if key.starts_with(prefix) {
                found = Some((key.to_vec(), value.to_vec()));
            }
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }
}

fn get_in<K: TransactionKind>(
    txn: &Transaction<'_, K, NoWriteMap>,
    env: &Env,
    table: Table,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StorageError> {
    Ok(txn.get(env.handle(table), key)?)
}

fn scan_with<'txn, K: TransactionKind>(
    cursor: &mut Cursor<'txn, K>,
    from: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Visit,
) -> Result<(), StorageError> {
    let mut entry = if from.is_empty() { cursor.first()? } else { cursor.set_range(from)? };
    while let Some((key, value)) = entry {
        let (key, value): (Cow<'txn, [u8]>, Cow<'txn, [u8]>) = (key, value);
        if visit(&key, &value)?.is_break() {
            break;
        }
        entry = cursor.next()?;
    }
    Ok(())
}

type RoTransaction<'env> = Transaction<'env, RO, NoWriteMap>;

self_cell::self_cell!(
    struct TxnCell {
        owner: Arc<Env>,
        #[covariant]
        dependent: RoTransaction,
    }
);

/// A cursor for each table that was scanned, in the order of [`Table`]: where it stands is often near
/// where the next scan begins.
type Cursors<'txn> = [Mutex<Option<Cursor<'txn, RO>>>; Table::ALL.len()];

self_cell::self_cell!(
    struct ReadCell {
        owner: TxnCell,
        #[not_covariant]
        dependent: Cursors,
    }
);

impl ReadCell {
    fn begin(env: &Arc<Env>) -> Result<Self, StorageError> {
        let txn = TxnCell::try_new(Arc::clone(env), |env| env.mdbx().begin_ro_txn())?;
        Ok(Self::new(txn, |_| std::array::from_fn(|_| Mutex::new(None))))
    }

    fn txn(&self) -> &RoTransaction<'_> {
        self.borrow_owner().borrow_dependent()
    }

    fn scan(
        &self,
        (table, from): (Table, &[u8]),
        visit: impl FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StorageError> {
        self.with_dependent(|txn, cursors| {
            let open = || txn.borrow_dependent().cursor(txn.borrow_owner().handle(table));
            // If another thread uses it, one for this scan alone.
            let kept = cursors.get(table as usize).and_then(|cursor| cursor.try_lock().ok());
            let Some(mut kept) = kept else { return scan_with(&mut open()?, from, visit) };
            let cursor = match &mut *kept {
                Some(cursor) => cursor,
                empty => empty.insert(open()?),
            };
            scan_with(cursor, from, visit)
        })
    }
}

/// A read transaction, which ends at its deadline whoever still holds it.
pub(crate) struct Reader {
    cell: RwLock<Option<ReadCell>>,
    opened: Instant,
    env: Arc<Env>,
}

impl Reader {
    pub(crate) fn is_expired(&self) -> bool {
        self.opened.elapsed() > self.env.options.read_deadline
    }

    /// Releases the snapshot; waits for a read in progress (which stops at the deadline).
    pub(crate) fn end(&self) {
        let cell = self.cell.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(cell);
    }

    fn expired(&self) -> StorageError {
        StorageError::Expired(self.env.options.read_deadline)
    }

    fn with<T>(
        &self,
        read: impl FnOnce(&ReadCell) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        if self.is_expired() {
            self.end();
            return Err(self.expired());
        }
        let cell = self.cell.read().unwrap_or_else(PoisonError::into_inner);
        match cell.as_ref() {
            Some(cell) => read(cell),
            None => Err(self.expired()),
        }
    }
}

/// A read transaction: one unchanging snapshot. Send and Sync; reads of several threads wait for
/// each other, so busy workers should each open their own.
pub struct ReadTxn {
    reader: Arc<Reader>,
}

impl std::fmt::Debug for ReadTxn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadTxn").field("opened", &self.reader.opened).finish_non_exhaustive()
    }
}

impl ReadTxn {
    pub(crate) fn begin(env: &Arc<Env>) -> Result<Self, StorageError> {
        let opened = Instant::now();
        let cell = match ReadCell::begin(env) {
            Err(StorageError::TooManyReaders) => {
                env.end_expired_readers();
                ReadCell::begin(env)?
            }
            other => other?,
        };
        let reader =
            Arc::new(Reader { cell: RwLock::new(Some(cell)), opened, env: Arc::clone(env) });
        env.register(&reader);
        Ok(Self { reader })
    }

    /// Another transaction on the same database, for another thread. What it sees is the newest,
    /// not what this one sees.
    pub fn another(&self) -> Result<Self, StorageError> {
        Self::begin(&self.reader.env)
    }

    /// When it was opened.
    pub fn opened(&self) -> Instant {
        self.reader.opened
    }
}

/// Entries of a scan between two looks at the clock.
const ENTRIES_PER_CHECK: usize = 256;

impl Read for ReadTxn {
    fn keys(&self) -> KeyRule {
        self.reader.env.options.keys
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.reader.with(|cell| get_in(cell.txn(), &self.reader.env, table, key))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StorageError> {
        let mut seen = 0;
        self.reader.with(|cell| {
            cell.scan((table, from), |key, value| {
                seen += 1;
                if seen % ENTRIES_PER_CHECK == 0 && self.reader.is_expired() {
                    return Err(self.reader.expired());
                }
                visit(key, value)
            })
        })
    }
}

/// The write transaction: all of it is committed, or nothing. Dropped without [`commit`], it
/// leaves no trace.
///
/// [`commit`]: WriteTxn::commit
pub struct WriteTxn<'db> {
    txn: Transaction<'db, RW, NoWriteMap>,
    env: &'db Env,
    bytes: AtomicU64,
    /// The first write that failed: what was written around it must not be committed.
    failure: OnceLock<StorageError>,
}

impl std::fmt::Debug for WriteTxn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteTxn").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<'db> WriteTxn<'db> {
    pub(crate) fn begin(env: &'db Env) -> Result<Self, StorageError> {
        env.check()?;
        let txn = env.mdbx().begin_rw_txn()?;
        Ok(Self { txn, env, bytes: AtomicU64::new(0), failure: OnceLock::new() })
    }

    /// Stores a value, replacing an earlier one.
    pub fn put(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        self.store(table, key, value, WriteFlags::UPSERT)
    }

    /// Stores a value whose key is above all keys of the table: cheaper than [`WriteTxn::put`],
    /// and leaves full pages behind. Fails if the key is not above.
    pub fn append(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        self.store(table, key, value, WriteFlags::APPEND)
    }

    fn store(
        &self,
        table: Table,
        key: &[u8],
        value: &[u8],
        flags: WriteFlags,
    ) -> Result<(), StorageError> {
        self.bytes.fetch_add((key.len() + value.len()) as u64, Ordering::Relaxed);
        self.noting_failure(self.txn.put(self.env.handle(table), key, value, flags))
    }

    /// Removes a key; false if it was not there.
    pub fn delete(&self, table: Table, key: &[u8]) -> Result<bool, StorageError> {
        self.bytes.fetch_add(key.len() as u64, Ordering::Relaxed);
        self.noting_failure(self.txn.del(self.env.handle(table), key, None))
    }

    fn noting_failure<T>(&self, result: libmdbx::Result<T>) -> Result<T, StorageError> {
        result.map_err(|error| self.failure.get_or_init(|| error.into()).clone())
    }

    /// Removes every key that starts with `prefix`.
    pub fn delete_prefix(&self, table: Table, prefix: &[u8]) -> Result<(), StorageError> {
        let mut keys = Vec::new();
        self.scan(table, prefix, &mut |key, _| {
            if !key.starts_with(prefix) {
                return Ok(ControlFlow::Break(()));
            }
            keys.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        for key in keys {
            self.delete(table, &key)?;
        }
        Ok(())
    }

    /// Makes the writes visible to later transactions, all at once. They reach the disk within
    /// the limits of [`crate::DatabaseOptions`], or by [`crate::Database::sync`]. On an error
    /// nothing was written, unless the error is that of a flush that had become due. After a write
    /// that failed this fails likewise.
    pub fn commit(self) -> Result<(), StorageError> {
        if let Some(failure) = self.failure.into_inner() {
            return Err(failure);
        }
        self.txn.commit()?;
        self.env.committed(self.bytes.into_inner());
        Ok(())
    }
}

impl Read for WriteTxn<'_> {
    fn keys(&self) -> KeyRule {
        self.env.options.keys
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        get_in(&self.txn, self.env, table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StorageError> {
        scan_with(&mut self.txn.cursor(self.env.handle(table))?, from, visit)
    }
}
