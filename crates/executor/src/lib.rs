//! Execution: a read view and a block in, receipts and a diff out. Never writes.
//!
//! The only crate that knows revm. Start at [`execute_block`]; building uses [`BlockExecutor`]
//! step by step; [`call`] simulates. [`MemoryState`] is a state in maps, for oracles and tests.

mod access;
mod access_list;
mod access_log;
mod ahead;
mod block;
mod call;
mod codes;
mod collision;
mod context;
mod dao;
mod deposit_log;
mod error;
mod evm;
mod executor;
mod fees;
mod hash_memo;
mod hooks;
mod l1_cost;
mod memory;
mod op_precompiles;
mod pay_later;
mod precompiles;
mod prepare;
mod program;
mod shortcuts;
mod simple;
mod simulate;
mod state;
mod system;
mod tx;
mod words;

pub use access::Accesses;
pub use access_list::{BlockAccesses, Committed};
pub use alloy_eips::eip7928::BlockAccessList;
pub use block::{
    BlockExecutor, BlockOutput, Observer, StateRootFn, TxOutcome, execute_block,
    execute_block_with_roots,
};
pub use call::{
    CallError, CallLimits, CallOutcome, CallRequest, CallStatus, StateOverrides, call,
    call_with_accesses,
};
pub use context::BlockContext;
pub use error::{ExecutionError, TxError};
pub use executor::{Along, Execution, ExecutionStats, Executor, ExecutorConfig, ProgramMode};
pub use l1_cost::{L1FeeReceipt, L1Fees, estimated_da_size, l1_cost, l1_fee_receipts};
pub use memory::MemoryState;
pub use precompiles::precompiles;
