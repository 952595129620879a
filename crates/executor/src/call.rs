use std::{sync::Arc, sync::atomic::AtomicBool, time::Instant};

use banyan_chainspec::ChainSpec;
use banyan_primitives::{
    Account, Address, AddressMap, B256, Bytes, HashMap, HashSet, Log, SourceError, StateSource,
    TxKind, U256,
};

use crate::{Accesses, BlockContext, simulate};

/// A transaction that is only simulated (`eth_call`, `eth_estimateGas`). Unsigned; no nonce check.
#[derive(Clone, Debug, Default)]
pub struct CallRequest {
    /// Caller.
    pub from: Address,
    /// Target; create if `TxKind::Create`.
    pub to: TxKind,
    /// Gas limit.
    pub gas: u64,
    /// Legacy gas price or maximum fee, wei; zero switches fee checks off.
    pub max_fee: u128,
    /// Priority fee, wei.
    pub max_priority_fee: Option<u128>,
    /// Value in wei.
    pub value: U256,
    /// Input.
    pub input: Bytes,
    /// Access list.
    pub access_list: alloy_eips::eip2930::AccessList,
    /// Authorisations (EIP-7702).
    pub authorizations: Vec<alloy_eips::eip7702::SignedAuthorization>,
    /// Blob hashes, and the maximum fee per blob gas.
    pub blob_hashes: Vec<B256>,
    /// Maximum fee per blob gas.
    pub max_fee_per_blob_gas: u128,
    /// Nonce, for the address of a created contract; `None` takes the account's.
    pub nonce: Option<u64>,
}

/// What a call pretends: changes laid over the state, and over the rules.
#[derive(Clone, Debug, Default)]
pub struct StateOverrides {
    /// Accounts with changed balance, nonce or code hash.
    pub accounts: AddressMap<Account>,
    /// Whole storage replaced (`state`): slots not listed are zero.
    pub storage: AddressMap<HashMap<U256, U256>>,
    /// Single slots replaced (`stateDiff`).
    pub storage_diff: AddressMap<HashMap<U256, U256>>,
    /// Code for overridden accounts.
    pub codes: HashMap<B256, Bytes>,
    /// Hashes of blocks (`BLOCKHASH`).
    pub block_hashes: HashMap<u64, B256>,
    /// Precompiles that are not at their address.
    pub hidden_precompiles: HashSet<Address>,
    /// Precompiles at other addresses: new address, address of the precompile.
    pub moved_precompiles: AddressMap<Address>,
    /// Blob base fee, wei; from Cancun on.
    pub blob_base_fee: Option<u128>,
}

/// When a call must stop.
#[derive(Clone, Debug)]
pub struct CallLimits {
    /// Give up at this instant.
    pub deadline: Option<Instant>,
    /// Give up when set (the client went away).
    pub cancelled: Arc<AtomicBool>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallStatus {
    /// Returned.
    Success,
    /// REVERT; `output` holds the reason.
    Revert,
    /// Exceptional halt, in geth's words (`out of gas`, `invalid opcode: …`, …).
    Halt(String),
}

/// What a call gave.
#[derive(Clone, Debug)]
pub struct CallOutcome {
    /// How it ended.
    pub status: CallStatus,
    /// Return or revert data.
    pub output: Bytes,
    /// Gas used, after refunds.
    pub gas_used: u64,
    /// Gas used at the highest point, before refunds: a lower bound of the gas limit needed.
    pub gas_before_refund: u64,
    /// Logs (empty unless successful).
    pub logs: Vec<Log>,
}

/// Why a call was not executed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The request itself cannot be executed, in geth's words.
    #[error("{0}")]
    Invalid(String),
    /// Deadline or cancellation.
    #[error("execution aborted (timeout)")]
    Aborted,
    /// State could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// Runs a call on a state and throws its changes away.
///
/// As in geth: nonce and sender code are not checked, the block's gas limit does not bind, and a
/// call without a price sees a base fee of zero. On OP chains no L1 and no operator fee is charged.
pub fn call<S: StateSource>(
    spec: &ChainSpec,
    context: &BlockContext,
    source: S,
    request: &CallRequest,
    overrides: &StateOverrides,
    limits: &CallLimits,
) -> Result<CallOutcome, CallError> {
    let source = Overridden { source, overrides };
    simulate::run(spec, context, source, request, overrides, limits, None)
}

/// As [`call`], and tells what the call accessed, whether it succeeded or not.
pub fn call_with_accesses<S: StateSource>(
    spec: &ChainSpec,
    context: &BlockContext,
    source: S,
    request: &CallRequest,
    overrides: &StateOverrides,
    limits: &CallLimits,
) -> Result<(CallOutcome, Accesses), CallError> {
    let source = Overridden { source, overrides };
    let mut accesses = Accesses::default();
    let outcome =
        simulate::run(spec, context, source, request, overrides, limits, Some(&mut accesses))?;
    Ok((outcome, accesses))
}

/// A state with overrides laid over it.
struct Overridden<'a, S> {
    source: S,
    overrides: &'a StateOverrides,
}

impl<S: StateSource> StateSource for Overridden<'_, S> {
    fn account(&self, address: &Address) -> Result<Option<Account>, SourceError> {
        match self.overrides.accounts.get(address) {
            Some(account) => Ok(Some(*account)),
            None => self.source.account(address),
        }
    }

    fn storage(&self, address: &Address, slot: U256) -> Result<U256, SourceError> {
        let single = self.overrides.storage_diff.get(address).and_then(|slots| slots.get(&slot));
        match (single, self.overrides.storage.get(address)) {
            (Some(value), _) => Ok(*value),
            (None, Some(slots)) => Ok(slots.get(&slot).copied().unwrap_or_default()),
            (None, None) => self.source.storage(address, slot),
        }
    }

    fn code(&self, hash: &B256) -> Result<Bytes, SourceError> {
        match self.overrides.codes.get(hash) {
            Some(code) => Ok(code.clone()),
            None => self.source.code(hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        match self.overrides.block_hashes.get(&number) {
            Some(hash) => Ok(*hash),
            None => self.source.block_hash(number),
        }
    }
}
