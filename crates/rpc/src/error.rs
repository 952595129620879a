use std::borrow::Cow;

use banyan_chain::{ChainError, ForkchoiceError};
use banyan_commitment::CommitmentError;
use banyan_consensus::AttributesError;
use banyan_executor::CallError;
use banyan_payload::BuildError;
use banyan_primitives::{Bytes, SourceError};
use banyan_txpool::PoolError;
use jsonrpsee::types::ErrorObjectOwned;

/// JSON-RPC error codes; those below −38000 are the Engine API's.
pub(crate) mod code {
    /// EVM revert (geth).
    pub(crate) const REVERT: i32 = 3;
    /// `eth_sendRawTransactionSync` waited in vain (EIP-7966).
    pub(crate) const SYNC_TIMEOUT: i32 = 4;
    /// An answer above the limit of its port (geth).
    pub(crate) const RESPONSE_TOO_LARGE: i32 = -32003;
    /// Not a request that can be answered, e.g. a batch above the limit (geth).
    pub(crate) const INVALID_REQUEST: i32 = -32600;
    /// Any other failure of the request (geth).
    pub(crate) const SERVER: i32 = -32000;
    /// Parameters missing, malformed or of the wrong structure.
    pub(crate) const INVALID_PARAMS: i32 = -32602;
    /// Our own fault.
    pub(crate) const INTERNAL: i32 = -32603;
    /// Payload does not exist or is not available.
    pub(crate) const UNKNOWN_PAYLOAD: i32 = -38001;
    /// Forkchoice state is invalid or inconsistent.
    pub(crate) const INVALID_FORKCHOICE: i32 = -38002;
    /// Payload attributes are invalid or inconsistent.
    pub(crate) const INVALID_ATTRIBUTES: i32 = -38003;
    /// Too many entities asked for.
    pub(crate) const TOO_LARGE: i32 = -38004;
    /// Payload belongs to a fork that the method does not serve.
    pub(crate) const UNSUPPORTED_FORK: i32 = -38005;
    /// The reorg goes below the retained history.
    pub(crate) const TOO_DEEP: i32 = -38006;
}

/// What a method answers with.
pub(crate) type RpcResult<T> = Result<T, RpcError>;

/// An error as JSON-RPC shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RpcError {
    /// One of [`code`].
    pub(crate) code: i32,
    /// What happened.
    pub(crate) message: Cow<'static, str>,
    /// Revert data, or the hash of a transaction still waited for.
    pub(crate) data: Option<Bytes>,
}

impl RpcError {
    /// An error without data.
    pub(crate) fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// −32000.
    pub(crate) fn server(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code::SERVER, message)
    }

    /// −32602.
    pub(crate) fn params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }

    /// −32603, logged: the operator should look.
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(target: "rpc", %error, "request failed by a fault of ours");
        Self::new(code::INTERNAL, error.to_string())
    }

    /// −38003.
    pub(crate) fn attributes(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code::INVALID_ATTRIBUTES, message)
    }

    /// −38005.
    pub(crate) fn unsupported_fork(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(code::UNSUPPORTED_FORK, message)
    }

    /// −38004.
    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(code::TOO_LARGE, format!("Too large request: at most {limit} items"))
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        Self::owned(error.code, error.message, error.data)
    }
}

impl From<SourceError> for RpcError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Stale(_) => Self::server(error.to_string()),
            SourceError::MissingCode(_) | SourceError::Fault(_) => Self::internal(error),
        }
    }
}

impl From<ChainError> for RpcError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Source(source) => source.into(),
            ChainError::Commitment(commitment) => commitment.into(),
            ChainError::Stopped
            | ChainError::Overloaded(_)
            | ChainError::Write(_)
            | ChainError::Fault(_) => Self::internal(error),
        }
    }
}

impl From<CommitmentError> for RpcError {
    fn from(error: CommitmentError) -> Self {
        match error {
            CommitmentError::Source(source) => source.into(),
            CommitmentError::Damaged(_) | CommitmentError::UnlistedAccount(_) => {
                Self::internal(error)
            }
        }
    }
}

impl From<CallError> for RpcError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Source(source) => source.into(),
            CallError::Invalid(_) | CallError::Aborted => Self::server(error.to_string()),
        }
    }
}

impl From<PoolError> for RpcError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Source(source) => source.into(),
            refused => Self::server(refused.to_string()),
        }
    }
}

impl From<AttributesError> for RpcError {
    fn from(error: AttributesError) -> Self {
        Self::attributes(error.to_string())
    }
}

impl From<BuildError> for RpcError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Attributes(error) => error.into(),
            BuildError::Fault(_) => Self::internal(error),
        }
    }
}

impl From<ForkchoiceError> for RpcError {
    fn from(error: ForkchoiceError) -> Self {
        match error {
            ForkchoiceError::InvalidState(_) => {
                Self::new(code::INVALID_FORKCHOICE, error.to_string())
            }
            ForkchoiceError::TooDeep(_) => Self::new(code::TOO_DEEP, error.to_string()),
            ForkchoiceError::Chain(error) => error.into(),
        }
    }
}
