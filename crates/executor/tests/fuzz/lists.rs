//! Block access lists: what they say must be what happened, however the block was executed, and a
//! block executed again with one comes out the same, whatever the list says.

use alloy_eips::eip7928::AccountChanges;
use banyan_chainspec::ChainSpec;
use banyan_executor::{BlockAccessList, BlockAccesses, Executor, ExecutorConfig, MemoryState};
use banyan_primitives::{
    Account, Address, AddressMap, HashMap, KECCAK_EMPTY, RecoveredBlock, U256, keccak256,
};
use rand::{Rng, SeedableRng, seq::IndexedMutRandom};
use rand_chacha::ChaCha8Rng;

use crate::chain::Step;

/// A block's list against the plain EVM's, and against the state after the block.
pub(crate) fn check(
    spec: &ChainSpec,
    block: &RecoveredBlock,
    step: &Step,
    found: Option<&BlockAccesses>,
) -> Result<(), String> {
    let Some(accesses) = found else { return Ok(()) };
    let config = ExecutorConfig { record: true, ..ExecutorConfig::SEQUENTIAL };
    let plain = Executor::new(config).execute_block(spec, block, &step.parent);
    let plain = plain.map_err(|error| format!("{error:?}"))?;
    let wanted = plain.accesses.as_ref().ok_or("the oracle has no list")?.list();
    if let Some((a, b)) = accesses.list().iter().zip(wanted).find(|(a, b)| a != b) {
        return Err(format!("list: {a:?}\n  oracle: {b:?}"));
    }
    if accesses.list().len() != wanted.len() {
        return Err(format!("list of {}, oracle: {}", accesses.list().len(), wanted.len()));
    }
    let mut after = step.parent.clone();
    after.apply(&plain.output.diff);
    let (found, wanted) = (applied(&step.parent, accesses), content(&after));
    if found.0 != wanted.0 || found.1 != wanted.1 {
        return Err(format!("list gives {found:?}\n  oracle: {wanted:?}"));
    }
    Ok(())
}

/// What is in a state: accounts that are not empty, slots that are not zero.
type Content = (AddressMap<Account>, HashMap<(Address, U256), U256>);

fn content(state: &MemoryState) -> Content {
    let accounts = state.accounts.iter().filter(|(_, account)| !account.is_empty());
    let accounts: AddressMap<_> = accounts.map(|(address, account)| (*address, *account)).collect();
    let slots = state.storage.iter().flat_map(|(address, slots)| {
        slots.iter().map(move |(slot, value)| ((*address, *slot), *value))
    });
    (accounts, slots.filter(|(_, value)| !value.is_zero()).collect())
}

/// The state after a block, by its list.
fn applied(parent: &MemoryState, accesses: &BlockAccesses) -> Content {
    let mut state = parent.clone();
    let wipes: AddressMap<_> = accesses.wipes().map(|(index, address)| (address, index)).collect();
    for address in wipes.keys() {
        state.storage.remove(address);
    }
    for changes in accesses.list() {
        let account = state.accounts.entry(changes.address).or_default();
        apply_account(account, changes);
        let slots = state.storage.entry(changes.address).or_default();
        for slot in &changes.storage_changes {
            let last = slot.changes.last().unwrap();
            if wipes.get(&changes.address).is_none_or(|wipe| last.block_access_index >= *wipe) {
                slots.insert(slot.slot, last.new_value);
            }
        }
    }
    content(&state)
}

fn apply_account(account: &mut Account, changes: &AccountChanges) {
    if let Some(last) = changes.balance_changes.last() {
        account.balance = last.post_balance;
    }
    if let Some(last) = changes.nonce_changes.last() {
        account.nonce = last.new_nonce;
    }
    if let Some(last) = changes.code_changes.last() {
        let code = &last.new_code;
        account.code_hash = if code.is_empty() { KECCAK_EMPTY } else { keccak256(code) };
    }
}

/// A list with faults: values, indices, things left out.
pub(crate) fn corrupted(list: &BlockAccessList, seed: u64) -> BlockAccessList {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut list = list.clone();
    list.retain(|_| rng.random_ratio(7, 8));
    for account in &mut list {
        for change in &mut account.balance_changes {
            if rng.random_ratio(1, 8) {
                change.post_balance = U256::from(rng.random::<u64>());
            }
        }
        for change in &mut account.nonce_changes {
            if rng.random_ratio(1, 8) {
                change.block_access_index.0 = rng.random_range(0..8);
            }
        }
        account.code_changes.retain(|_| rng.random_ratio(3, 4));
        for slot in &mut account.storage_changes {
            if let Some(change) = slot.changes.choose_mut(&mut rng) {
                change.new_value ^= U256::from(rng.random_range(0..2));
            }
        }
    }
    list
}
