use std::{path::PathBuf, time::Duration};

use banyan_primitives::{B256, SourceError};

/// Why a database could not be opened. The data file is left as it was; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process (or another handle in this one) owns the database.
    #[error(
        "database {path} is in use by process {}: stop that process, or choose another data \
         directory", .pid.map_or("unknown".to_owned(), |pid| pid.to_string())
    )]
    Locked {
        /// Directory of the database.
        path: PathBuf,
        /// Owner, where it could be read.
        pid: Option<u32>,
    },
    /// The file is no MDBX database, or one of another MDBX format.
    #[error(
        "{path} is not a database of this node ({what}): choose another data directory, or move \
         the file away"
    )]
    NotADatabase {
        /// The data file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// An MDBX database that some other program wrote.
    #[error(
        "{path} belongs to another program: choose another data directory, or move the file away"
    )]
    Foreign {
        /// The data file.
        path: PathBuf,
    },
    /// Truncated or damaged.
    #[error(
        "database {path} is damaged ({what}): restore it from a backup, or remove the directory \
         and sync again"
    )]
    Damaged {
        /// The data file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// Written by a newer version of this program.
    #[error(
        "database {path} has schema version {found}, this program knows {supported}: use a newer \
         release, or another data directory"
    )]
    NewerSchema {
        /// The data file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Version of this program.
        supported: u32,
    },
    /// Written by an older version of this program, and there is no migration.
    #[error(
        "database {path} has schema version {found}, this program needs {supported}: use the \
         release that wrote it, or remove the directory and sync again"
    )]
    OlderSchema {
        /// The data file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Version of this program.
        supported: u32,
    },
    /// The database holds another chain.
    #[error(
        "database {path} holds chain {found_chain} with genesis {found_genesis}, but the genesis \
         given is of chain {chain} with hash {genesis}: check the genesis file, or choose another \
         data directory"
    )]
    OtherChain {
        /// Directory of the database.
        path: PathBuf,
        /// Chain id in the database.
        found_chain: u64,
        /// Genesis hash in the database.
        found_genesis: B256,
        /// Chain id asked for.
        chain: u64,
        /// Genesis hash asked for.
        genesis: B256,
    },
    /// The directory or a file in it could not be used.
    #[error("cannot use {path}: {source}; check that the directory exists and is writable")]
    Io {
        /// What was opened.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Any other failure of the database.
    #[error("cannot open database {path}: {source}")]
    Storage {
        /// Directory of the database.
        path: PathBuf,
        /// The cause.
        source: StorageError,
    },
}

/// A read or write of the database failed: always a fault of ours. After a failed write the
/// transaction is void and the database is as it was before it began.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// A read transaction was open for too long.
    #[error("read transaction was open for more than {0:?}: ask for less at a time, or read anew")]
    Expired(Duration),
    /// The database has reached its configured size limit.
    #[error("database is full (size limit reached): raise the limit, or free space by pruning")]
    Full,
    /// The disk is full.
    #[error("no space left on the disk of the database: free some, then it can go on")]
    NoSpace,
    /// All reader slots are taken.
    #[error("too many concurrent reads of the database: try again later")]
    TooManyReaders,
    /// What was read makes no sense.
    #[error("database is damaged: {0}")]
    Damaged(String),
    /// The write does not follow from what the database holds.
    #[error("write out of order: {0}")]
    OutOfOrder(String),
    /// The database failed before and accepts no more writes until it is opened anew.
    #[error("database has failed before and must be opened anew: restart the node")]
    Dead,
    /// Anything else.
    #[error("database failure: {0}")]
    Other(String),
}

/// `ENOSPC` and `EDQUOT` of Linux and macOS.
const OUT_OF_SPACE: [i32; 3] = [28, 122, 69];

impl From<libmdbx::Error> for StorageError {
    fn from(error: libmdbx::Error) -> Self {
        use libmdbx::Error as E;
        match error {
            E::MapFull | E::UnableExtendMapsize => Self::Full,
            E::ReadersFull => Self::TooManyReaders,
            E::Panic => Self::Dead,
            E::Corrupted | E::PageNotFound | E::CursorFull | E::Invalid => {
                Self::Damaged(error.to_string())
            }
            E::Other(code) if OUT_OF_SPACE.contains(&code) => Self::NoSpace,
            // Also MDBX's word for a write that was cut short.
            E::Io => Self::Other("input or output failed: the disk is full, or failing".to_owned()),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<alloy_rlp::Error> for StorageError {
    fn from(error: alloy_rlp::Error) -> Self {
        Self::Damaged(format!("stored RLP: {error}"))
    }
}

impl From<StorageError> for SourceError {
    fn from(error: StorageError) -> Self {
        Self::Fault(error.to_string())
    }
}
