use crate::{Account, Address, B256, Bytes, U256};

/// Why a read of state did not succeed. Never the fault of a block.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// The view can no longer answer: the database moved on (or the state is pruned). Take a fresh
    /// view or read from history.
    #[error("state of block {0} is not available any more")]
    Stale(B256),
    /// Code with this hash is referenced but not stored.
    #[error("code {0} is missing from the database")]
    MissingCode(B256),
    /// I/O, corruption, or a limit of ours.
    #[error("database failure: {0}")]
    Fault(String),
}

/// Read access to the state after one block: what an execution needs, and nothing else.
///
/// Two kinds of implementation: the node's layered database view, and maps in memory (oracles,
/// fixtures).
pub trait StateSource {
    /// The account, `None` if it does not exist.
    fn account(&self, address: &Address) -> Result<Option<Account>, SourceError>;
    /// The value of a storage slot; zero if absent.
    fn storage(&self, address: &Address, slot: U256) -> Result<U256, SourceError>;
    /// Code by its hash. Never asked for the hash of empty code.
    fn code(&self, hash: &B256) -> Result<Bytes, SourceError>;
    /// Hash of the ancestor at `number` on this state's own branch; zero if unknown.
    fn block_hash(&self, number: u64) -> Result<B256, SourceError>;
    /// True if what one thread has read is cheap for the others afterwards: then reading ahead pays.
    fn remembers(&self) -> bool {
        false
    }
}

impl<S: StateSource + ?Sized> StateSource for &S {
    fn account(&self, address: &Address) -> Result<Option<Account>, SourceError> {
        (**self).account(address)
    }
    fn storage(&self, address: &Address, slot: U256) -> Result<U256, SourceError> {
        (**self).storage(address, slot)
    }
    fn code(&self, hash: &B256) -> Result<Bytes, SourceError> {
        (**self).code(hash)
    }
    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        (**self).block_hash(number)
    }
    fn remembers(&self) -> bool {
        (**self).remembers()
    }
}
