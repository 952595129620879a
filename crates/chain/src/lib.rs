//! The block tree and fork choice.
//!
//! One thread decides the chain: it takes events in order ([`ChainHandle`] sends them), executes
//! and inserts blocks, moves the head, and publishes an immutable [`ChainView`]. Readers load the
//! view and never wait for the thread. A second thread writes old blocks to the database.
//!
//! `tree`, `insert`, `execute` and `forkchoice` are a plain state machine without threads or
//! clocks in decisions; `event_loop` is the thin shell around it. Not here: building (`payload`),
//! wire types (`rpc`).

mod buffer;
mod commit;
mod difficulty;
mod error;
mod event_loop;
mod execute;
mod executed;
mod forkchoice;
mod grow;
mod handle;
mod import;
mod insert;
mod invalid;
mod machine;
mod persist;
mod preload;
mod recovery;
mod replay;
mod reveal;
mod root_tree;
mod roots;
mod seal;
mod tree;
mod view;
mod witness;

pub use commit::Commitments;
pub use error::{ChainError, ForkchoiceError, OpenError};
pub use executed::{BlockTimings, ExecutedBlock, record_execution};
pub use grow::{adopt_genesis, grow_state};
pub use handle::{
    CanonicalChange, ChainConfig, ChainHandle, Durability, ForkchoiceState, PayloadStatus,
};
pub use roots::Roots;
pub use seal::{SealError, SealRequest, seal};
pub use view::{ChainView, TransactionLocation};
pub use witness::ExecutionWitness;
