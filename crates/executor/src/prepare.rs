//! Preparing calls of known programs on other threads: the hashes of mapping slots are half of their
//! cost, and need nothing but the transaction.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use banyan_primitives::{Address, AddressMap, B256, RecoveredBlock};

use crate::{
    program::{Library, Prepared, Scratch},
    shortcuts::Setting,
    simple::SimpleRules,
};

/// Transactions that a thread takes at a time.
const CHUNK: usize = 16;

/// One block's program calls, prepared by workers before the committer gets to them.
pub(crate) struct Preparation<'a> {
    block: &'a RecoveredBlock,
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

impl<'a> Preparation<'a> {
    pub(crate) fn new(
        block: &'a RecoveredBlock,
        rules: SimpleRules,
        setting: Setting,
        library: &'a Library,
        code_hashes: AddressMap<B256>,
    ) -> Self {
        let prepared = block.body.transactions.iter().map(|_| OnceLock::new()).collect();
        Self {
            block,
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

    /// What is there for the transaction at `index`, which is the committer's now.
    pub(crate) fn get(&self, index: u32) -> Option<&Prepared> {
        let index = index as usize;
        self.position.store(index, Ordering::Relaxed);
        self.prepared.get(index)?.get()
    }

    /// Sends the workers home.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// What a worker thread does.
    pub(crate) fn run(&self) {
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
                self.prepare(index, &mut scratch);
            }
        }
    }

    fn prepare(&self, index: usize, scratch: &mut Scratch) {
        let (tx, sender): (_, Address) =
            (&self.block.body.transactions[index], self.block.senders[index]);
        let Some(simple) = self.rules.read(tx) else { return };
        let Some(code_hash) = self.code_hashes.get(&simple.to) else { return };
        let call = self.setting.call(&simple, sender, *code_hash);
        if let Some(prepared) = self.library.prepare(&call, scratch) {
            // Nobody else has this index.
            let _ = self.prepared[index].set(prepared);
        }
    }
}
