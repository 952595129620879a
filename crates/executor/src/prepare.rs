//! Preparing what the committer does without the EVM on other threads: the hashes of mapping slots are
//! half of the cost of a known call, and reading accounts from disk most of that of a transfer.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use banyan_primitives::{AddressMap, B256, RecoveredBlock, SourceError, StateSource};

use crate::{
    program::{Library, Prepared, Scratch},
    shortcuts::Setting,
    simple::SimpleRules,
};

/// Transactions that a thread takes at a time.
const CHUNK: usize = 16;

/// One block's simple transactions, prepared by workers before the committer gets to them.
pub(crate) struct Preparation<'a, S> {
    block: &'a RecoveredBlock,
    /// The parent state; read ahead if it remembers.
    source: S,
    rules: SimpleRules,
    setting: Setting,
    library: &'a Library,
    /// Code of the contracts called, as the parent state has it.
    code_hashes: AddressMap<B256>,
    prepared: Vec<OnceLock<Prepared>>,
    next: AtomicUsize,
    position: AtomicUsize,
    stopped: AtomicBool,
}

impl<'a, S> Preparation<'a, S> {
    pub(crate) fn new(
        (block, source): (&'a RecoveredBlock, S),
        rules: SimpleRules,
        setting: Setting,
        library: &'a Library,
        code_hashes: AddressMap<B256>,
    ) -> Self {
        let prepared = block.body.transactions.iter().map(|_| OnceLock::new()).collect();
        Self {
            block,
            source,
            rules,
            setting,
            library,
            code_hashes,
            prepared,
            next: AtomicUsize::new(0),
            position: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// The committer is at the transaction at `index`.
    pub(crate) fn reached(&self, index: u32) {
        self.position.store(index as usize, Ordering::Relaxed);
    }

    /// What is there for the transaction at `index`.
    pub(crate) fn get(&self, index: u32) -> Option<&Prepared> {
        self.prepared.get(index as usize)?.get()
    }

    /// Sends the workers home.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// What a worker thread does.
    pub(crate) fn run(&self)
    where
        S: StateSource,
    {
        let mut scratch = Scratch::default();
        while !self.stopped.load(Ordering::Relaxed) {
            // Nothing is gained by what the committer is about to do itself.
            let ahead = self.position.load(Ordering::Relaxed) + CHUNK;
            self.next.fetch_max(ahead, Ordering::Relaxed);
            let start = self.next.fetch_add(CHUNK, Ordering::Relaxed);
            if start >= self.prepared.len() {
                return;
            }
            for index in start..self.prepared.len().min(start + CHUNK) {
                // What cannot be read will fail where it matters.
                let _ = self.prepare(index, &mut scratch);
            }
        }
    }

    fn prepare(&self, index: usize, scratch: &mut Scratch) -> Result<(), SourceError>
    where
        S: StateSource,
    {
        let (tx, sender) = (&self.block.body.transactions[index], self.block.senders[index]);
        let Some(simple) = self.rules.read(tx) else { return Ok(()) };
        let remembers = self.source.remembers();
        if remembers {
            self.source.account(&sender)?;
        }
        let Some(code_hash) = self.code_hashes.get(&simple.to) else {
            return if remembers { self.source.account(&simple.to).map(drop) } else { Ok(()) };
        };
        let call = self.setting.call(&simple, sender, *code_hash);
        let Some(prepared) = self.library.prepare(&call, scratch) else { return Ok(()) };
        if remembers {
            // Most hashes are slots of the contract called.
            for slot in prepared.hashes() {
                self.source.storage(&simple.to, slot)?;
            }
        }
        // Nobody else has this index.
        let _ = self.prepared[index].set(prepared);
        Ok(())
    }
}
