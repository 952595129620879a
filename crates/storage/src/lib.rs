//! The database: one MDBX environment, typed tables, block data, markers. The only crate that
//! knows MDBX.
//!
//! It stores and finds; it knows no rules of the chain and keeps no state in memory. Start at
//! [`Database`]; [`BlockRead`] and [`StateRead`] are what a transaction can be asked; [`Journal`] is
//! the log beside it. The byte layout is `docs/storage-format.md`.

mod blocks;
mod codec;
mod database;
mod env;
mod error;
mod header;
mod journal;
mod lock;
mod open;
mod state;
mod tables;
mod txn;

pub use blocks::{BlockRead, Marker, Markers, TransactionPosition};
pub use database::{Database, DatabaseStats, TableStats};
pub use env::DatabaseOptions;
pub use error::{OpenError, StorageError};
pub use journal::Journal;
pub use state::{AccountChange, BlockChanges, StateRead};
pub use tables::{SCHEMA_VERSION, Table};
pub use txn::{Entry, Read, ReadTxn, Visit, WriteTxn};
