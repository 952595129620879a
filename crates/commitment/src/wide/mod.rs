//! The `wide` rule: one binary Blake3 tree over accounts and slots.
//!
//! The tree itself, its hashes and the verifier are in `banyan_wide_proof`. Here it is computed from
//! the state: everything to be hashed is laid out in a `Forest` first and then hashed level by
//! level in batches (`batch`).

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
