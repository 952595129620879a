//! Which transactions depend on which, as far as that can be told from the outside.

use std::sync::{Arc, Mutex, OnceLock, atomic::AtomicU32};

use banyan_primitives::{Address, AddressMap, AddressSet, HashMap, Transaction, TransactionTrait};

use super::{
    Entry, Work,
    schedule::Ticket,
    targets::{Target, Targets, names},
};

/// Who came last, to link transactions that depend on each other.
#[derive(Default)]
pub(super) struct Linker {
    by_account: AddressMap<u32>,
    by_target: AddressMap<(Arc<Target>, u32)>,
    /// By contract and account named.
    by_name: HashMap<(Address, Address), u32>,
}

impl Linker {
    /// The last caller of the same contract that names an account which `tx` names, too, besides
    /// its sender.
    fn link_names(
        &mut self,
        tx: &Transaction,
        to: Address,
        sender: Address,
        index: u32,
    ) -> Option<u32> {
        let mut last = None;
        for name in names(tx.input()).filter(|name| *name != sender && *name != to) {
            last = last.max(self.by_name.insert((to, name), index));
        }
        last
    }

    /// A transaction of the committer's: what does it change that jobs will read?
    pub(super) fn pass(
        &mut self,
        tx: &Transaction,
        sender: Address,
        index: u32,
        watched: &AddressSet,
    ) {
        for address in [Some(sender), tx.to()].into_iter().flatten() {
            if watched.contains(&address) {
                self.by_account.insert(address, index);
                if let Some((_, last)) = self.by_target.get_mut(&address) {
                    *last = index;
                }
            }
        }
    }

    pub(super) fn link(
        &mut self,
        tx: Transaction,
        sender: Address,
        index: u32,
        work: Work,
        targets: &Targets,
    ) -> Entry {
        let is_job = work == Work::Job && !tx.is_deposit();
        let after_sender = self.by_account.insert(sender, index);
        let (mut after_target, mut after_name) = (None, None);
        let mut target = None;
        match tx.to() {
            // A plain transfer changes its receiver, who may be a sender later.
            Some(to) if work == Work::Cheap => {
                self.by_account.insert(to, index);
            }
            Some(to) => {
                let known = self.by_target.get_mut(&to);
                let stats = match known {
                    Some((stats, last)) => {
                        after_target = Some(std::mem::replace(last, index));
                        stats.clone()
                    }
                    None => {
                        let stats = targets.get(&to);
                        self.by_target.insert(to, (stats.clone(), index));
                        stats
                    }
                };
                target = Some(stats);
                after_name = self
                    .link_names(&tx, to, sender, index)
                    .or_else(|| after_target.filter(|_| tx.input().len() < 36));
            }
            None => {}
        }
        Entry {
            tx,
            sender,
            ticket: Ticket::new(),
            is_job,
            target,
            after_sender,
            after_target,
            after_name,
            blocked_by: AtomicU32::new(0),
            envelope: OnceLock::new(),
            result: Mutex::new(None),
        }
    }
}
