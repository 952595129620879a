//! The `wide` rule: one binary Blake3 tree over accounts and slots.
//!
//! The tree itself, its hashes and the verifier are in `banyan_wide_proof`. Here it is computed from
//! the state: everything to be hashed is laid out in a `Forest` first and then hashed level by
//! level in batches (`batch`).
//!
//! What is stored are rows (`tree`): parts of the tree down to *buckets*, of whose few leaves only the
//! common hash is kept; they are read again from the flat state when one of them changes (`leaves`).
//! [`wide_root`] walks down along sorted changes, divides and joins buckets and rows, and gives back the
//! new root with the rows to store (`update`). [`wide_rebuild`] is its oracle, [`wide_check`] reads
//! everything and compares. Where buckets and rows end depends on the past, the root never does.

mod batch;
mod change;
mod check;
mod forest;
mod kept;
mod leaves;
mod path;
mod prove;
mod rebuild;
mod tree;
mod update;

pub use batch::{BatchHasher, Lanes, Mode, Scalar};
pub use check::{WideStats, wide_check};
pub use kept::WideTree;
pub use prove::{WideProof, wide_proof};
pub use rebuild::wide_rebuild;
pub use update::{wide_root, wide_stored_root};
