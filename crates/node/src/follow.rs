//! Follows the head: keeps the pool up to date.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use banyan_chain::{CanonicalChange, ChainError, ChainHandle, ChainView};
use banyan_primitives::{Address, B256, RecoveredBlock, SealedHeader};
use banyan_txpool::{CanonicalUpdate, PoolHandle};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::MissedTickBehavior,
};

/// How often the pool is told the time, and looks whether it is behind.
const TICK: Duration = Duration::from_secs(30);
/// Blocks walked one by one after missed changes; beyond that all accounts are read anew.
const MAX_WALK: usize = 256;

/// Follows until the chain stops.
pub(crate) async fn follow(
    chain: ChainHandle,
    pool: PoolHandle,
    mut changes: Receiver<Arc<CanonicalChange>>,
) {
    let started = Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The head that the pool is on. It moves only when the pool has, so a missed change shows.
    let mut at = chain.view().head().clone();
    let mut panicked = false;
    loop {
        let change = tokio::select! {
            change = changes.recv() => match change {
                Ok(change) => Some(change),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "head changes were missed; the pool catches up");
                    None
                }
                Err(RecvError::Closed) => return,
            },
            _ = ticks.tick() => {
                pool.tick(started.elapsed());
                None
            }
        };
        let (handles, from) = ((chain.clone(), pool.clone()), at.clone());
        let work = move || advance(&handles.0, &handles.1, &from, change.as_deref());
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(head)) => (at, panicked) = (head, false),
            Ok(Err(error)) => tracing::warn!(%error, "the pool is behind the head"),
            Err(error) => {
                tracing::error!(%error, "following the head failed");
                // The same blocks shall not make it fail again and again.
                if std::mem::replace(&mut panicked, true) {
                    at = chain.view().head().clone();
                }
            }
        }
    }
}

/// Brings the pool from the head `from` to the present one; returns that. `change` is what just
/// happened to the chain, if anything; it is enough if it begins at `from`.
fn advance(
    chain: &ChainHandle,
    pool: &PoolHandle,
    from: &SealedHeader,
    change: Option<&CanonicalChange>,
) -> Result<SealedHeader, ChainError> {
    let (view, update) = match change {
        Some(change) if head_before(change) == from.hash() => {
            let included = change.included.iter().map(|executed| &executed.block);
            let mut update = update(change.view.head(), change.reverted.iter(), included);
            // What blocks changed that left the chain is not told.
            update.changed = change.reverted.is_empty().then(|| changed_accounts(change));
            (Arc::clone(&change.view), update)
        }
        _ => {
            let view = chain.view();
            if view.head().hash() == from.hash() {
                return Ok(from.clone());
            }
            let update = catch_up(&view, from)?;
            (view, update)
        }
    };
    pool.on_canonical(&update, view.state()?);
    let status = pool.status();
    metrics::gauge!("banyan_pool_pending_transactions").set(status.pending as f64);
    metrics::gauge!("banyan_pool_queued_transactions").set(status.queued as f64);
    Ok(update.head)
}

/// The head that a change began with.
fn head_before(change: &CanonicalChange) -> B256 {
    match (change.reverted.last(), change.included.first()) {
        (Some(reverted), _) => reverted.hash(),
        (None, Some(included)) => included.block.header.parent_hash,
        (None, None) => change.view.head().hash(),
    }
}

/// Blocks are oldest first.
fn update<'a>(
    head: &SealedHeader,
    reverted: impl Iterator<Item = &'a RecoveredBlock>,
    included: impl Iterator<Item = &'a RecoveredBlock>,
) -> CanonicalUpdate {
    let transactions = included.flat_map(RecoveredBlock::transactions);
    CanonicalUpdate {
        head: head.clone(),
        reverted: reverted
            .flat_map(RecoveredBlock::transactions)
            .map(|(tx, sender)| (tx.clone(), sender))
            .collect(),
        included: transactions.map(|(tx, sender)| (sender, *tx.hash())).collect(),
        changed: None,
    }
}

fn changed_accounts(change: &CanonicalChange) -> Vec<Address> {
    let diffs = change.included.iter().map(|executed| &executed.output.diff);
    diffs.flat_map(|diff| diff.accounts.keys().copied()).collect()
}

/// All that happened between the head `from` and that of `view`; of blocks too far apart only that
/// any account may have changed.
fn catch_up(view: &ChainView, from: &SealedHeader) -> Result<CanonicalUpdate, ChainError> {
    let (reverted, included) = walk(view, from)?.unwrap_or_default();
    Ok(update(view.head(), reverted.iter().rev(), included.iter().rev()))
}

/// Blocks that left and blocks that joined the chain, newest first.
type Walk = (Vec<RecoveredBlock>, Vec<RecoveredBlock>);

/// Walks from both heads down to their common ancestor; `None` if it is far, or a block is gone.
fn walk(view: &ChainView, from: &SealedHeader) -> Result<Option<Walk>, ChainError> {
    let (mut reverted, mut included) = (Vec::new(), Vec::new());
    let (mut old, mut new) = (from.clone(), view.head().clone());
    while old.hash() != new.hash() {
        let (tip, blocks) = match new.number >= old.number {
            true => (&mut new, &mut included),
            false => (&mut old, &mut reverted),
        };
        let Some(block) = view.block_by_hash(&tip.hash())? else { return Ok(None) };
        let Some(parent) = view.header_by_hash(&tip.parent_hash)? else { return Ok(None) };
        *tip = parent;
        blocks.push(block);
        if reverted.len() + included.len() > MAX_WALK {
            return Ok(None);
        }
    }
    Ok(Some((reverted, included)))
}

#[cfg(test)]
mod tests {
    use banyan_chain::{ChainConfig, Durability};
    use banyan_chainspec::ChainSpec;
    use banyan_primitives::{SealedHeader, Transaction};
    use banyan_txpool::PoolConfig;

    use super::*;
    use crate::bench::{Generator, Stack, Workload};

    /// A pool that nobody tells of the chain's changes.
    #[tokio::test(flavor = "multi_thread")]
    async fn after_missed_changes_the_pool_catches_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut generator = Generator::new(Workload::Transfers, 1, 2, ChainSpec::dev().chain_id);
        let genesis = generator.genesis(30_000_000, None).unwrap();
        let spec = Arc::new(ChainSpec::from_genesis_json(&genesis).unwrap());
        let config = ChainConfig { durability: Durability::Off, ..ChainConfig::default() };
        let stack = Stack::open(&spec, folder.path(), config, PoolConfig::default()).unwrap();
        let start = stack.chain.view().head().clone();
        let pool = PoolHandle::new(Arc::clone(&spec), PoolConfig::default(), start.clone());
        let txs = generator.transactions(4);
        for tx in &txs {
            pool.add(tx.clone(), None, stack.chain.view().state().unwrap()).unwrap();
        }
        let pooled = |txs: &[Transaction]| txs.iter().all(|tx| pool.get(tx.hash()).is_some());
        let advance = |from: &SealedHeader| advance(&stack.chain, &pool, from, None).unwrap();

        for tx in &txs[..2] {
            stack.build(30_000_000, std::slice::from_ref(tx)).await.unwrap();
        }
        let second = advance(&start);
        assert_eq!((second.number, pool.status().pending), (2, 2));
        assert!(pooled(&txs[2..]));
        assert_eq!(advance(&second).hash(), second.hash(), "nothing new");

        // The second block leaves the chain; another one comes in its place.
        stack.engine.set_head(second.parent_hash).await.unwrap();
        stack.build(30_000_000, &txs[2..3]).await.unwrap();
        let other = advance(&second);
        assert_eq!(other.number, 2);
        assert_ne!(other.hash(), second.hash());
        assert_eq!(pool.status().pending, 2);
        assert!(pooled(&txs[1..2]) && pooled(&txs[3..]));
        stack.close().await.unwrap();
    }
}
