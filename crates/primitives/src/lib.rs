//! The vocabulary of the node: transactions, receipts, blocks, accounts, state diffs and the two
//! narrow read traits at the walls between crates.
//!
//! No I/O, no threads, no clock. Everything above speaks in these types; chosen alloy and OP types
//! are re-exported here so that one name is used throughout. Start at [`RecoveredBlock`] (what
//! comes in) and [`StateDiff`] (what execution gives back).

mod account;
mod block;
mod diff;
mod keccak;
mod keys;
mod ordered;
mod receipt;
pub mod roots;
pub mod signer;
mod source;
mod transaction;
pub mod trie;

pub use account::Account;
pub use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, Transaction as TransactionTrait,
    constants::KECCAK_EMPTY, transaction::Recovered,
};
pub use alloy_eips::{
    BlockNumHash,
    eip2718::{Decodable2718, Encodable2718},
    eip4895::{Withdrawal, Withdrawals},
    eip7685::Requests,
};
pub use alloy_primitives::{
    self, Address, B64, B256, Bloom, Bytes, Log, LogData, Sealable, Sealed, Signature, TxKind,
    U256, address, b256, bytes, keccak256,
    map::{AddressMap, AddressSet, B256Map, HashMap, HashSet},
};
pub use block::{Block, BlockBody, BlockRef, RecoveredBlock, SealedBlock, SealedHeader};
pub use diff::{AccountDiff, StateDiff};
pub use keccak::Messages;
pub use keys::{KeyRule, MESSAGE_PASSER, MESSAGE_PASSER_TRIE};
pub use op_alloy_consensus::TxDeposit;
pub use receipt::Receipt;
pub use source::{SourceError, StateSource};
pub use transaction::{PooledSidecar, Transaction, TxType, TypedTransaction};
