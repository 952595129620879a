//! The rules of the sender's account and of its other transactions; words are geth's.

use std::sync::Arc;

use banyan_primitives::{Account, TransactionTrait};

use crate::{
    PoolConfig, PoolError, PooledTransaction, entry::Entry, state::State, validate::refuse,
};

/// Takes a validated transaction in, or refuses it and leaves the pool as it was. `account` is the
/// sender's, as the caller read it.
pub(crate) fn admit(
    state: &mut State,
    config: &PoolConfig,
    entry: Entry,
    account: Account,
) -> Result<Arc<PooledTransaction>, PoolError> {
    let (hash, sender) = (entry.tx.hash(), entry.tx.sender);
    if state.get(&hash).is_some() {
        return Err(PoolError::AlreadyKnown);
    }
    let account = state.touched.get(&sender).copied().unwrap_or(account);
    state.set_account(sender, account);
    state.evict(config);
    check_nonce(state, &entry, &account)?;
    check_kind(state, config, &entry)?;
    check_funds(state, &entry, &account)?;
    check_slots(state, config, &entry)?;
    check_delegation(state, &entry, &account)?;
    check_replacement(state, config, &entry)?;

    let tx = Arc::clone(&entry.tx);
    let replaced = state.put(entry, account).map(|old| (old, account));
    state.note_read(&sender);
    let evicted = state.evict(config);
    if state.get(&hash).is_some() {
        return Ok(tx);
    }
    // It was itself among the worst: the others come back.
    for (entry, account) in evicted.into_iter().chain(replaced) {
        if entry.tx.hash() != hash {
            state.put(entry, account);
        }
    }
    Err(PoolError::Underpriced)
}

fn check_nonce(state: &State, entry: &Entry, account: &Account) -> Result<(), PoolError> {
    let nonce = entry.nonce();
    if nonce < account.nonce {
        return refuse(format!("nonce too low: next nonce {}, tx nonce {nonce}", account.nonce));
    }
    // Blobs are large: only what can follow at once is worth its memory.
    let gap = state.sender(&entry.tx.sender).map_or(account.nonce, |sender| sender.first_gap());
    if entry.tx.sidecar.is_some() && nonce > gap {
        return refuse(format!("nonce too high: tx nonce {nonce}, gapped nonce {gap}"));
    }
    Ok(())
}

/// An account's pooled transactions all carry blobs, or none does; and those with blobs are few, as
/// they are large.
fn check_kind(state: &State, config: &PoolConfig, entry: &Entry) -> Result<(), PoolError> {
    let Some(sender) = state.sender(&entry.tx.sender) else { return Ok(()) };
    let blobs = entry.tx.sidecar.is_some();
    if sender.txs().values().next().is_some_and(|other| other.tx.sidecar.is_some() != blobs) {
        return refuse("address already reserved");
    }
    let (pooled, replaces) = (sender.txs().len(), sender.txs().contains_key(&entry.nonce()));
    if blobs && !replaces && pooled >= config.max_account_slots {
        return refuse(format!("account limit exceeded: pooled {pooled} txs"));
    }
    Ok(())
}

/// The balance must cover this transaction, and all pooled ones of the sender together.
fn check_funds(state: &State, entry: &Entry, account: &Account) -> Result<(), PoolError> {
    const SHORT: &str = "insufficient funds for gas * price + value";
    let (balance, cost) = (account.balance, entry.cost);
    if cost > balance {
        let over = cost - balance;
        return refuse(format!("{SHORT}: balance {balance}, tx cost {cost}, overshot {over}"));
    }
    let Some(sender) = state.sender(&entry.tx.sender) else { return Ok(()) };
    let spent = sender.cost();
    if let Some(old) = sender.txs().get(&entry.nonce()) {
        let need = spent.saturating_sub(old.cost).saturating_add(cost);
        if need <= balance || cost <= old.cost {
            return Ok(());
        }
        let (bump, over) = (cost - old.cost, need - balance);
        return refuse(format!(
            "{SHORT}: balance {balance}, queued cost {spent}, tx bumped {bump}, overshot {over}"
        ));
    }
    let need = spent.saturating_add(cost);
    if need <= balance {
        return Ok(());
    }
    let over = need - balance;
    refuse(format!(
        "{SHORT}: balance {balance}, queued cost {spent}, tx cost {cost}, overshot {over}"
    ))
}

/// A sender may let only so many transactions wait.
fn check_slots(state: &State, config: &PoolConfig, entry: &Entry) -> Result<(), PoolError> {
    let base_fee = state.head.base_fee;
    let Some(sender) = state.sender(&entry.tx.sender) else { return Ok(()) };
    let follows = entry.nonce() == sender.ready_end() && entry.pays(base_fee);
    if follows || sender.txs().contains_key(&entry.nonce()) {
        return Ok(());
    }
    if sender.queued(base_fee).count < config.max_account_slots {
        return Ok(());
    }
    refuse(format!("account limit exceeded: pooled {} txs", sender.txs().len()))
}

/// EIP-7702 makes pooled transactions worthless from outside: whoever calls a delegated account
/// can spend its balance. So an account that is delegated, or about to be, gets one place, and an
/// account with more than one pooled transaction cannot be delegated.
fn check_delegation(state: &State, entry: &Entry, account: &Account) -> Result<(), PoolError> {
    let address = &entry.tx.sender;
    if account.has_code() || state.is_authority(address) {
        let next = state.sender(address).map_or(account.nonce, |sender| sender.first_gap());
        let in_flight = account.nonce..next;
        if in_flight.is_empty() && entry.nonce() != account.nonce {
            return refuse("gapped-nonce tx from delegated accounts");
        }
        if !in_flight.is_empty() && !in_flight.contains(&entry.nonce()) {
            return refuse("in-flight transaction limit reached for delegated accounts");
        }
    }
    let reserved = |authority| state.sender(authority).is_some_and(|known| known.txs().len() > 1);
    if entry.authorities.iter().any(reserved) {
        return refuse("authority already reserved");
    }
    Ok(())
}

/// A replacement must pay more by the configured percentage, in each of its fees.
fn check_replacement(state: &State, config: &PoolConfig, entry: &Entry) -> Result<(), PoolError> {
    let Some(sender) = state.sender(&entry.tx.sender) else { return Ok(()) };
    let Some(old) = sender.txs().get(&entry.nonce()) else { return Ok(()) };
    let (old, new) = (&old.tx.tx, &entry.tx.tx);
    let blob_fees = (old.max_fee_per_blob_gas(), new.max_fee_per_blob_gas());
    let percent = match blob_fees {
        (None, None) => config.price_bump,
        _ => config.blob_price_bump,
    };
    let bumped = |old: u128, new: u128| {
        new > old && new >= old.saturating_add(old.saturating_mul(percent) / 100)
    };
    let pays = bumped(old.max_fee_per_gas(), new.max_fee_per_gas())
        && bumped(old.priority_fee_or_price(), new.priority_fee_or_price())
        && !matches!(blob_fees, (Some(old), Some(new)) if !bumped(old, new));
    if pays { Ok(()) } else { Err(PoolError::ReplacementUnderpriced) }
}

#[cfg(test)]
mod tests;
