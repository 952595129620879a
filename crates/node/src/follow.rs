//! Follows the head: keeps the pool up to date and has the blocks logged.

use std::{sync::Arc, time::Instant};

use banyan_chain::{CanonicalChange, ChainHandle};
use banyan_primitives::{B256, StateSource};
use banyan_txpool::{CanonicalUpdate, PoolHandle};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::timeout_at,
};

use crate::block_log::{BlockFacts, BlockLog};

/// Follows until the chain stops.
pub(crate) async fn follow(
    chain: ChainHandle,
    pool: PoolHandle,
    mut changes: Receiver<Arc<CanonicalChange>>,
) {
    let mut log = BlockLog::new(Instant::now());
    loop {
        let chain_and_pool = (chain.clone(), pool.clone());
        let work = match next(&mut changes, &mut log).await {
            Ok(change) => {
                for executed in &change.included {
                    let lines = log.add(BlockFacts::of(executed), Instant::now());
                    lines.iter().for_each(|line| line.log());
                }
                tokio::task::spawn_blocking(move || apply(&chain_and_pool.1, &change))
            }
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "head changes were missed; the pool is checked anew");
                tokio::task::spawn_blocking(move || catch_up(&chain_and_pool.0, &chain_and_pool.1))
            }
            Err(RecvError::Closed) => return,
        };
        if let Err(error) = work.await {
            tracing::error!(%error, "following the head failed");
        }
    }
}

/// The next change. Blocks that wait to be told are told in the meantime.
async fn next(
    changes: &mut Receiver<Arc<CanonicalChange>>,
    log: &mut BlockLog,
) -> Result<Arc<CanonicalChange>, RecvError> {
    while let Some(due) = log.due() {
        match timeout_at(due.into(), changes.recv()).await {
            Ok(change) => return change,
            Err(_) => log.flush(Instant::now()).iter().for_each(|line| line.log()),
        }
    }
    changes.recv().await
}

fn apply(pool: &PoolHandle, change: &CanonicalChange) {
    let update = CanonicalUpdate {
        head: change.view.head().clone(),
        reverted: change
            .reverted
            .iter()
            .flat_map(|block| block.transactions().map(|(tx, sender)| (tx.clone(), sender)))
            .collect(),
        included: change
            .included
            .iter()
            .flat_map(|executed| executed.block.transactions())
            .map(|(tx, sender)| (sender, *tx.hash()))
            .collect(),
    };
    if !change.reverted.is_empty() {
        let head = change.view.head();
        tracing::info!(
            number = head.number, hash = %head.hash(),
            reverted = change.reverted.len(), included = change.included.len(), "reorg"
        );
    }
    update_pool(pool, &update, change.view.state());
}

/// After missed changes any sender may be touched: each is named, with the hash of no transaction.
fn catch_up(chain: &ChainHandle, pool: &PoolHandle) {
    let (view, content) = (chain.view(), pool.content());
    let senders = content.pending.keys().chain(content.queued.keys());
    let included = senders.map(|sender| (*sender, B256::ZERO)).collect();
    let update = CanonicalUpdate { head: view.head().clone(), reverted: Vec::new(), included };
    update_pool(pool, &update, view.state());
}

fn update_pool<S: StateSource, E: std::fmt::Display>(
    pool: &PoolHandle,
    update: &CanonicalUpdate,
    state: Result<S, E>,
) {
    match state {
        Ok(state) => pool.on_canonical(update, state),
        Err(error) => tracing::warn!(%error, "the pool could not follow the head"),
    }
    let status = pool.status();
    metrics::gauge!("banyan_pool_pending_transactions").set(status.pending as f64);
    metrics::gauge!("banyan_pool_queued_transactions").set(status.queued as f64);
}
