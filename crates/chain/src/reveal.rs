//! Reading ahead for the state root while a block executes: what its transactions will certainly
//! change, and what they have changed so far.

use banyan_commitment::Trees;
use banyan_executor::Committed;
use banyan_primitives::{
    AddressMap, AddressSet, B256, RecoveredBlock, TransactionTrait, keccak256,
};
use banyan_state::SharedView;
use rayon::Scope;

/// With fewer cores, committer and workers have use for all of them: what the root gains, execution
/// loses.
const CORES: usize = 4;

/// Below this many transactions the root is computed before other threads are awake.
const WORTH_WAKING: usize = 64;

/// Accounts whose paths one task reads.
const BATCH: usize = 64;

/// Reveals paths of the tries on other threads. What cannot be read will fail where it matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Revealer<'a> {
    tries: &'a Trees,
    parent: &'a SharedView<'a>,
}

impl<'a> Revealer<'a> {
    /// `None` if it would not pay.
    pub(crate) fn new(
        tries: Option<&'a Trees>,
        parent: &'a SharedView<'a>,
        block: &RecoveredBlock,
    ) -> Option<Self> {
        let pays =
            block.body.transactions.len() >= WORTH_WAKING && rayon::current_num_threads() >= CORES;
        tries.filter(|_| pays).map(|tries| Self { tries, parent })
    }

    /// Senders and receivers of the block.
    pub(crate) fn parties<'s>(self, scope: &Scope<'s>, block: &RecoveredBlock)
    where
        'a: 's,
    {
        let mut parties = AddressSet::default();
        for (tx, sender) in block.transactions() {
            parties.insert(sender);
            parties.extend(tx.to());
        }
        let parties: Vec<_> = parties.into_iter().collect();
        for batch in parties.chunks(BATCH) {
            let batch = batch.to_vec();
            scope.spawn(move |_| {
                let keys: Vec<_> =
                    batch.iter().map(|address| (keccak256(address), Vec::new())).collect();
                let _ = self.tries.reveal(self.parent, &keys);
            });
        }
    }

    /// What the last transactions changed in storage.
    pub(crate) fn changed<'s>(self, scope: &Scope<'s>, committed: &Committed<'_>)
    where
        'a: 's,
    {
        let mut slots = AddressMap::<Vec<B256>>::default();
        for (address, slot) in committed.slots() {
            slots.entry(address).or_default().push(B256::from(slot));
        }
        if slots.is_empty() {
            return;
        }
        scope.spawn(move |_| {
            let hashed = slots.into_iter().map(|(address, slots)| {
                (keccak256(address), slots.into_iter().map(keccak256).collect())
            });
            let keys: Vec<(B256, Vec<B256>)> = hashed.collect();
            let _ = self.tries.reveal(self.parent, &keys);
        });
    }
}
