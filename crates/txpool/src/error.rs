use banyan_primitives::SourceError;

/// Why a transaction was refused, in geth's words, since tools match on them.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PoolError {
    /// `already known`.
    #[error("already known")]
    AlreadyKnown,
    /// `nonce too low: next nonce 5, tx nonce 3` and the like.
    #[error("{0}")]
    Invalid(String),
    /// `replacement transaction underpriced`.
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    /// `transaction underpriced`: the pool is full of transactions that pay better tips.
    #[error("transaction underpriced")]
    Underpriced,
    /// State could not be read: not the transaction's fault.
    #[error(transparent)]
    Source(#[from] SourceError),
}
