//! A block whose access list is known (EIP-7928): what each transaction writes is there before any
//! is executed, so that none has to wait for another.

use std::sync::atomic::Ordering;

use alloy_eips::eip7928::{AccountChanges, BlockAccessIndex};
use banyan_primitives::{Account, KECCAK_EMPTY, SourceError, StateSource, keccak256};

use super::{
    RunAhead,
    versions::{AccountVersion, Certainty},
};

impl<S: StateSource> RunAhead<'_, S> {
    /// Takes over what a list says. It is for the transactions that were offered, and they begin
    /// only after this.
    pub(crate) fn know(&self, list: &[AccountChanges]) -> Result<(), SourceError> {
        for account in list {
            self.know_account(account)?;
            for slot in &account.storage_changes {
                for change in &slot.changes {
                    if let Some(writer) = self.writer(change.block_access_index) {
                        let (address, value) = (account.address, change.new_value);
                        let certainty = Certainty::Listed;
                        self.versions.write_slot(address, slot.slot, writer, value, certainty);
                    }
                }
            }
        }
        self.is_listed.store(true, Ordering::Release);
        Ok(())
    }

    /// The place of an index among the writers, if a transaction can read behind it.
    fn writer(&self, index: BlockAccessIndex) -> Option<u32> {
        let writer = u32::try_from(index.get()).ok()?;
        (writer < self.entries().len() as u32).then_some(writer)
    }

    fn know_account(&self, changes: &AccountChanges) -> Result<(), SourceError> {
        let AccountChanges { balance_changes, nonce_changes, code_changes, .. } = changes;
        let indices = balance_changes.iter().map(|change| change.block_access_index);
        let indices = indices.chain(nonce_changes.iter().map(|change| change.block_access_index));
        let indices = indices.chain(code_changes.iter().map(|change| change.block_access_index));
        let mut indices: Vec<_> = indices.collect();
        if indices.is_empty() {
            return Ok(());
        }
        indices.sort_unstable();
        indices.dedup();
        let mut account = self.source.account(&changes.address)?.unwrap_or_default();
        for index in indices {
            let Some(writer) = self.writer(index) else { break };
            self.change(&mut account, changes, index);
            let account = (!account.is_empty()).then_some(account);
            let version = AccountVersion { account, wiped: false };
            self.versions.write_account(changes.address, writer, version, Certainty::Listed);
        }
        Ok(())
    }

    /// What becomes of an account at `index`.
    fn change(&self, account: &mut Account, changes: &AccountChanges, index: BlockAccessIndex) {
        let AccountChanges { balance_changes, nonce_changes, code_changes, .. } = changes;
        if let Ok(at) = balance_changes.binary_search_by_key(&index, |it| it.block_access_index) {
            account.balance = balance_changes[at].post_balance;
        }
        if let Ok(at) = nonce_changes.binary_search_by_key(&index, |it| it.block_access_index) {
            account.nonce = nonce_changes[at].new_nonce;
        }
        if let Ok(at) = code_changes.binary_search_by_key(&index, |it| it.block_access_index) {
            let code = &code_changes[at].new_code;
            account.code_hash = KECCAK_EMPTY;
            if !code.is_empty() {
                account.code_hash = keccak256(code);
                let mut codes =
                    self.codes.write().unwrap_or_else(std::sync::PoisonError::into_inner);
                codes.insert(account.code_hash, code.clone());
            }
        }
    }
}
