use std::{
    cell::{Cell, RefCell},
    collections::hash_map::Entry,
    sync::Arc,
};

use banyan_primitives::{
    Account, Address, AddressMap, B256, Bytes, HashMap, SourceError, StateSource, U256,
};

use super::{Entry as Place, RunAhead, versions::Found};

/// So many loops of a contract until a worker looks up: some microseconds.
const LOOK_EVERY: u32 = 256;

/// The state that one transaction probably finds: what transactions before it wrote or are thought
/// to write, over the parent state.
pub(crate) struct Snapshot<'a, S> {
    ahead: &'a RunAhead<'a, S>,
    reader: Cell<u32>,
    ticks: Cell<u32>,
    /// The transaction being executed; `None` if nobody can overtake it.
    entry: RefCell<Option<Arc<Place>>>,
    saw_versions: Cell<bool>,
    blocked: Cell<Option<u32>>,
    /// What this thread read of the parent state.
    parent: RefCell<AddressMap<Read>>,
}

/// An account of the parent state, and what was read of its slots.
struct Read {
    account: Option<Account>,
    slots: HashMap<U256, U256>,
}

impl<'a, S> Snapshot<'a, S> {
    pub(crate) fn new(ahead: &'a RunAhead<'a, S>) -> Self {
        Self {
            ahead,
            reader: Cell::new(0),
            ticks: Cell::new(0),
            entry: RefCell::new(None),
            saw_versions: Cell::new(false),
            blocked: Cell::new(None),
            parent: RefCell::default(),
        }
    }

    /// Begins an execution of the transaction of `entry`, at `reader` in the order.
    pub(crate) fn begin(&self, reader: u32, entry: Arc<Place>) {
        self.reader.set(reader);
        self.entry.replace(Some(entry));
        self.saw_versions.set(false);
        self.blocked.set(None);
    }

    /// True if something was read that is not the parent's.
    pub(crate) fn saw_versions(&self) -> bool {
        self.saw_versions.get()
    }

    /// The transaction that must be executed first, if the execution ran into one.
    pub(crate) fn blocked(&self) -> Option<u32> {
        self.blocked.get()
    }

    /// True if the result is of no use any more. Asked now and then, it shows that the worker gets on.
    pub(crate) fn is_overtaken(&self) -> bool {
        let entry = self.entry.borrow();
        let Some(Place { ticket, .. }) = entry.as_deref() else { return false };
        ticket.beat();
        !ticket.is_running()
    }

    /// As [`Self::is_overtaken`], for the hot path: looks only now and then.
    pub(crate) fn is_overtaken_now_and_then(&self) -> bool {
        let ticks = self.ticks.get().wrapping_add(1);
        self.ticks.set(ticks);
        ticks.is_multiple_of(LOOK_EVERY) && self.is_overtaken()
    }

    fn check(&self) -> Result<(), SourceError> {
        match self.is_overtaken() {
            true => Err(SourceError::Fault("overtaken by the committer".into())),
            false => Ok(()),
        }
    }

    /// What was found, `None` for the parent's.
    fn found<T>(&self, found: Found<T>) -> Result<Option<T>, SourceError> {
        match found {
            Found::Parent => Ok(None),
            Found::Value(value) => {
                self.saw_versions.set(true);
                Ok(Some(value))
            }
            Found::Blocked(writer) => {
                self.blocked.set(Some(writer));
                Err(SourceError::Fault(format!("transaction {writer} comes first")))
            }
        }
    }
}

impl<S: StateSource> Snapshot<'_, S> {
    /// Shows an account of the parent state, read once.
    fn parent<T>(
        &self,
        address: &Address,
        show: impl FnOnce(&S, &mut Read) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let mut parent = self.parent.borrow_mut();
        let read = match parent.entry(*address) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(vacant) => {
                let account = self.ahead.source.account(address)?;
                vacant.insert(Read { account, slots: HashMap::default() })
            }
        };
        show(&self.ahead.source, read)
    }
}

impl<S: StateSource> StateSource for Snapshot<'_, S> {
    fn account(&self, address: &Address) -> Result<Option<Account>, SourceError> {
        self.check()?;
        match self.found(self.ahead.versions.account(address, self.reader.get()))? {
            Some(version) => Ok(version.account),
            None => self.parent(address, |_, read| Ok(read.account)),
        }
    }

    fn storage(&self, address: &Address, slot: U256) -> Result<U256, SourceError> {
        self.check()?;
        match self.found(self.ahead.versions.slot(address, slot, self.reader.get()))? {
            Some(value) => Ok(value),
            None => self.parent(address, |source, read| match read.slots.entry(slot) {
                Entry::Occupied(entry) => Ok(*entry.get()),
                Entry::Vacant(vacant) => Ok(*vacant.insert(source.storage(address, slot)?)),
            }),
        }
    }

    fn code(&self, hash: &B256) -> Result<Bytes, SourceError> {
        match self.ahead.new_code(hash) {
            Some(code) => Ok(code),
            None => self.ahead.source.code(hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        self.ahead.source.block_hash(number)
    }
}
