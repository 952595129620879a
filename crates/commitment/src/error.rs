use banyan_primitives::{
    B256, SourceError,
    trie::{Nibbles, TrieId},
};

/// A root or proof could not be computed: always a fault of ours, never the block's.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitmentError {
    /// Reading failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Stored nodes contradict the flat state, or are not in our encoding.
    #[error("state trie is damaged at {0}; rebuild it from the flat state")]
    Damaged(String),
    /// The diff changes storage of an account that its account list leaves out, so the account's
    /// leaf would keep its old storage root.
    #[error("state diff changes storage of hashed account {0} without listing the account")]
    UnlistedAccount(B256),
}

/// The error for a stored trie that is not what it should be at `path`.
pub(crate) fn damaged(trie: TrieId, path: &Nibbles, what: &str) -> CommitmentError {
    CommitmentError::Damaged(match trie {
        TrieId::Accounts => format!("path {path:?} of the account trie: {what}"),
        TrieId::Storage(account) => {
            format!("path {path:?} of the storage trie of hashed account {account}: {what}")
        }
    })
}
