//! What tests and benchmarks of several crates share: readers of fixtures. The house rules are this
//! crate's own tests (`tests/tidy`).

pub mod archive;
/// Quantities as fixtures write them.
pub mod number;
/// Rules of OP chains.
pub mod op_chain;
pub mod real_block;
