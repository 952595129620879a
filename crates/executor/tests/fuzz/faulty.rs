//! A state that cannot be read everywhere, or not by everybody.

use std::sync::Once;

use banyan_executor::MemoryState;
use banyan_primitives::{Account, Address, B256, Bytes, SourceError, StateSource, U256};

const WORDS: &str = "planned: this state does not like workers";

/// A state with a fault at one account.
pub(crate) struct Faulty<'a> {
    pub(crate) state: &'a MemoryState,
    pub(crate) address: Address,
    pub(crate) fault: Fault,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Nobody can read it.
    Error,
    /// The executor's threads die of it; the committer can read it.
    WorkersPanic,
}

impl Faulty<'_> {
    fn touch(&self, address: &Address) -> Result<(), SourceError> {
        let in_worker = || {
            let thread = std::thread::current();
            thread.name().is_some_and(|name| name.starts_with("exec-"))
        };
        match self.fault {
            _ if *address != self.address => Ok(()),
            Fault::Error => Err(SourceError::Fault("planned".into())),
            Fault::WorkersPanic if in_worker() => panic!("{WORDS}"),
            Fault::WorkersPanic => Ok(()),
        }
    }
}

impl StateSource for Faulty<'_> {
    fn account(&self, address: &Address) -> Result<Option<Account>, SourceError> {
        self.touch(address)?;
        self.state.account(address)
    }

    fn storage(&self, address: &Address, slot: U256) -> Result<U256, SourceError> {
        self.touch(address)?;
        self.state.storage(address, slot)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, SourceError> {
        self.state.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        self.state.block_hash(number)
    }
}

/// Panics that are planned need not be printed.
pub(crate) fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload_as_str() != Some(WORDS) {
                print(panic);
            }
        }));
    });
}
