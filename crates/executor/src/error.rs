use banyan_primitives::SourceError;

/// Why a block could not be executed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExecutionError {
    /// The block's fault: a transaction that may not stand where it stands.
    #[error("transaction {index}: {reason}")]
    InvalidTransaction {
        /// Index in the block.
        index: usize,
        /// In geth's words, since tools match on them.
        reason: String,
    },
    /// The block's fault, not tied to a transaction (failed system call, malformed deposit log).
    #[error("{0}")]
    InvalidBlock(String),
    /// State could not be read: not the block's fault.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// Why a single transaction was not executed. It leaves no trace in the executor's state.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TxError {
    /// Needs more gas (or blob gas, or DA footprint) than is left in the block: may fit a later one.
    #[error("{0}")]
    DoesNotFit(String),
    /// Nonce too low: already included. Harmless, skip this transaction only.
    #[error("nonce too low")]
    NonceTooLow,
    /// Cannot be executed now: drop it and skip this sender.
    #[error("{0}")]
    Invalid(String),
    /// State could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl TxError {
    /// The same error as the fault of a block that holds the transaction at `index`.
    pub(crate) fn at(self, index: usize) -> ExecutionError {
        match self {
            Self::Source(error) => ExecutionError::Source(error),
            invalid => ExecutionError::InvalidTransaction { index, reason: invalid.to_string() },
        }
    }
}
