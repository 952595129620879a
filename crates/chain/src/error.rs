use banyan_commitment::CommitmentError;
use banyan_primitives::SourceError;

/// A fault of ours while handling a block or a read: never the block's fault, never INVALID.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChainError {
    /// Reading state or blocks failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A root could not be computed.
    #[error(transparent)]
    Commitment(#[from] CommitmentError),
    /// The chain thread has stopped (shutdown, or an earlier fault).
    #[error("the node is shutting down")]
    Stopped,
    /// The queue of the chain thread is full.
    #[error("the node is overloaded: {0} requests are waiting")]
    Overloaded(usize),
    /// The database could not be written. What was acknowledged is still in memory.
    #[error("database write failed: {0}")]
    Write(String),
    /// Anything else of ours.
    #[error("internal fault: {0}")]
    Fault(String),
}

impl ChainError {
    /// True if a fresh view would answer.
    pub const fn is_stale(&self) -> bool {
        matches!(
            self,
            Self::Source(SourceError::Stale(_))
                | Self::Commitment(CommitmentError::Source(SourceError::Stale(_)))
        )
    }
}

/// Why `forkchoiceUpdated` could not be answered with a status.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ForkchoiceError {
    /// −38002: safe or finalized are unknown or not ancestors of the head.
    #[error("invalid forkchoice state: {0}")]
    InvalidState(String),
    /// −38006: the reorg goes below the retained history.
    #[error("too deep reorg: {0}")]
    TooDeep(String),
    /// Our own fault.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// Why a chain could not be opened; says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database does not belong to this chain, or cannot be used.
    #[error(transparent)]
    Database(#[from] banyan_storage::OpenError),
    /// The genesis allocation does not hash to the genesis header's state root.
    #[error("genesis state root is {computed}, the genesis header says {header}")]
    GenesisRoot {
        /// Of the header.
        header: banyan_primitives::B256,
        /// Of the allocation.
        computed: banyan_primitives::B256,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
}
