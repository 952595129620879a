use banyan_primitives::B256;

/// The block breaks a rule. Answered as INVALID; never used for faults of our own.
///
/// The words follow geth's where it has the same check, so that operators find them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBlock {
    /// A root or hash in the header is not that of the content.
    #[error("{what} mismatch: header has {header}, computed {computed}")]
    Mismatch {
        /// Field of the header.
        what: &'static str,
        /// Its value.
        header: B256,
        /// What it should be.
        computed: B256,
    },
    /// Any other rule, in words.
    #[error("{0}")]
    Rule(String),
}

impl InvalidBlock {
    /// A broken rule, in words.
    pub(crate) fn rule(what: impl Into<String>) -> Self {
        Self::Rule(what.into())
    }
}

/// Ok if `computed` is what the header has.
pub(crate) fn check_hash(
    what: &'static str,
    header: B256,
    computed: B256,
) -> Result<(), InvalidBlock> {
    if header == computed {
        return Ok(());
    }
    Err(InvalidBlock::Mismatch { what, header, computed })
}
