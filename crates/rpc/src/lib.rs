//! JSON-RPC: the Engine API (JWT) and the public `eth_` family over HTTP and WebSocket.
//!
//! The only crate that knows jsonrpsee and wire types. It joins `chain`, `txpool` and `payload`;
//! it decides nothing itself. Start at [`Rpc`].

mod admin;
mod args;
mod banyan;
mod block_id;
mod config;
mod debug;
mod engine;
mod error;
mod eth;
mod gate;
mod json;
mod jwt;
mod meter;
mod methods;
mod miner;
mod namespace;
mod net;
mod quantity;
mod sequencer;
mod server;
mod shared;
mod txpool;
mod web3;

pub use config::{AuthConfig, HttpConfig, NodeInfo, RpcConfig, ServerLimits, WsConfig};
pub use jwt::{JwtError, JwtSecret};
pub use namespace::{Namespace, UnknownNamespace};
pub use sequencer::{Sequencer, SequencerError};
pub use server::{Rpc, RpcContext, ServeError, ServerHandle};
