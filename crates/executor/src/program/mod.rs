//! Programs learnt from traces: what `transfer`, `transferFrom`, `approve` and their like do, as
//! guarded straight-line code that replaces the EVM where it is known to do the same.
//!
//! A call is recorded opcode by opcode ([`record`]) and lifted ([`lift`]) to expressions over
//! calldata, caller, block and storage ([`expr`], [`bytes`]), to the conditions under which the
//! same opcodes would run again, and to effects ([`path`]). Running it ([`eval`]) reads first and
//! writes nothing: what it gives back is for the caller to apply. The [`Library`] holds programs
//! by fork, code, selector, length of calldata and whether value comes along.
//!
//! Nobody needs to believe in a program. One counts only after it gave what the EVM gave, on its
//! own transaction and on [`library::SHADOWS`] more, and a single difference, ever, ends it.
//!
//! The committer, for a call without access list, blobs and authorisations whose target has code:
//!
//! ```ignore
//! let Some(plan) = library.plan(&call) else { /* execute */ };
//! match library.follow(plan, &call, prepared.as_ref(), machine.state_mut(), &mut scratch)? {
//!     Answer::Effect(effect) => { /* nonce, fees, value; then writes, logs, effect.gas_used(&call) */ }
//!     Answer::Evm(watch) => {
//!         /* execute, keep the journal's state */
//!         if let Some(mismatch) = library.learn(watch, &call, &outcome) { /* say it loudly */ }
//!     }
//! }
//! ```
//!
//! Any other thread may call [`Library::prepare`] before.
//!
//! What is not understood is not lifted: anything that fails, creates, destroys, moves value inside,
//! looks at balances, gas or block hashes, or calls precompiles or accounts without code. That two
//! storage slots or accounts are the same or not is guarded, too, without assuming anything about
//! hashes.

mod bytes;
mod compare;
mod eval;
mod expr;
mod library;
mod lift;
mod lift_ops;
mod path;
mod record;
#[cfg(test)]
mod tests;

use banyan_primitives::{Address, B256, Bytes, Log, U256};
use revm::{context::BlockEnv, primitives::hardfork::SpecId, state::EvmState};

pub(crate) use self::{
    eval::Scratch,
    library::{Answer, Library, Prepared, Watch},
};

/// A transaction that calls a contract: no access list, no blobs, no authorisations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallEnv<'a> {
    pub(crate) spec: SpecId,
    pub(crate) chain_id: u64,
    pub(crate) block: &'a BlockEnv,
    pub(crate) caller: Address,
    pub(crate) target: Address,
    /// Of the target, now.
    pub(crate) code_hash: B256,
    /// That the caller has, above all fees.
    pub(crate) value: U256,
    pub(crate) input: &'a Bytes,
    /// Gas limit of the transaction less `intrinsic`.
    pub(crate) gas: u64,
    /// Intrinsic gas.
    pub(crate) intrinsic: u64,
    /// Least gas that is charged (EIP-7623); zero before Prague.
    pub(crate) floor: u64,
}

/// What a call that succeeds does, besides nonce, fees and value of its transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    /// Gas spent by execution, before the refund.
    pub(crate) gas: u64,
    /// Refund as counted, not yet capped.
    pub(crate) refund: u64,
    /// Account, slot and new value, for slots that change.
    pub(crate) writes: Vec<(Address, U256, U256)>,
    /// In order.
    pub(crate) logs: Vec<Log>,
}

impl Effect {
    /// Gas that the transaction is charged for (EIP-3529, EIP-7623).
    pub(crate) fn gas_used(&self, call: &CallEnv<'_>) -> u64 {
        let spent = call.intrinsic + self.gas;
        (spent - self.refund.min(spent / 5)).max(call.floor)
    }
}

/// What the EVM made of a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) success: bool,
    /// As in the receipt.
    pub(crate) gas_used: u64,
    pub(crate) logs: &'a [Log],
    /// What it left in the journal.
    pub(crate) state: &'a EvmState,
}

/// A program gave another result than the EVM. It is never used again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "learnt program of {target} (code {code_hash}) differs from the EVM in {difference}: \
     caller {caller}, value {value}, input {input}, gas {gas}"
)]
pub(crate) struct Mismatch {
    pub(crate) target: Address,
    pub(crate) code_hash: B256,
    pub(crate) caller: Address,
    pub(crate) value: U256,
    pub(crate) input: Bytes,
    pub(crate) gas: u64,
    pub(crate) difference: String,
}
