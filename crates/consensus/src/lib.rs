//! The pure rules of a block: header, body, fees, payload attributes. No state, no I/O, no clock.
//!
//! Everything here is a function of a [`banyan_chainspec::ChainSpec`] and of blocks. What needs
//! execution (balances, nonces, intrinsic gas) belongs to `executor`; what needs a root of state to
//! `commitment`. Start at [`validate_header`].

mod activation;
mod attributes;
mod body;
mod difficulty;
mod error;
mod extra_data;
mod fees;
mod header;
mod ommers;
mod output;
#[cfg(test)]
mod testing;

pub use activation::{is_activation_block, validate_activation};
pub use attributes::{
    AttributesError, PayloadAttributes, attributes_extra_data, validate_attributes,
};
pub use body::{validate_body, validate_transaction};
pub use difficulty::next_difficulty;
pub use error::InvalidBlock;
pub use fees::{blob_base_fee, next_base_fee, next_excess_blob_gas};
pub use header::{MAX_GAS_LIMIT, validate_header, validate_transition};
pub use ommers::{OMMER_ANCESTORS, validate_ommers};
pub use output::{ExecutionResult, validate_output};
