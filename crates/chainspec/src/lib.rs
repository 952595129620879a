//! Chain rules as data: the fork schedule, fee parameters and genesis of one chain.
//!
//! A [`ChainSpec`] is read from a genesis file in geth or op-geth form
//! ([`ChainSpec::from_genesis_json`]) and then only asked: which [`Rules`] hold for a block, which
//! fee parameters, what is in the genesis block. It is *not* the place of the rules themselves;
//! those are in `consensus` and `executor`.

mod commitment;
mod config;
mod forks;
mod genesis;
mod json;
mod schedule;
mod spec;

pub use commitment::{Commitment, WideParams};
pub use forks::{Activation, BlobParams, Fork, OpFork, Rules, ScheduledFork};
pub use genesis::{GenesisAccount, GenesisError};
pub use spec::{BaseFeeParams, ChainSpec, DaoFork, OpParams};
