//! Blocks, transactions, receipts and logs as `eth_` shows them: geth's fields, in geth's words,
//! and op-geth's on OP chains.

mod block;
mod receipt;
mod transaction;

pub(crate) use block::{RpcBlock, RpcHeader};
pub(crate) use receipt::{RpcLog, RpcReceipt, block_logs, block_receipts};
pub(crate) use transaction::{Position, RpcTransaction};
