//! The transaction pool: who may send what next, and in which order a builder should take it. No
//! peer-to-peer: transactions come in through RPC and from blocks that left the chain.
//!
//! Start at [`PoolHandle`]. A transaction walks through four steps: `validate` (rules that need
//! no state), state reads, `admit` (rules of the sender's account and queue), then it lies in the
//! `Sender` of its account inside `State`. A head change (`canonical`) and `best` are the two
//! other ways in and out.
//!
//! *Pending* means executable: nonces without a gap from the account's nonce on, each with a fee
//! cap of at least the next base fee, together affordable. All others are *queued*.

mod admit;
mod best;
mod blobs;
mod canonical;
mod config;
mod entry;
mod error;
mod gas;
mod handle;
mod recent;
mod sender;
mod state;
mod transaction;
mod validate;

#[cfg(test)]
mod testing;

pub use best::BestTransactions;
pub use blobs::load_trusted_setup;
pub use config::PoolConfig;
pub use error::PoolError;
pub use handle::{
    CanonicalUpdate, CheckedTransaction, PoolContent, PoolHandle, PoolListener, PoolStatus,
};
pub use transaction::PooledTransaction;
