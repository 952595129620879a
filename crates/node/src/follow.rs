//! Follows the head: keeps the pool up to date and writes one line per block.

use std::{sync::Arc, time::Duration};

use banyan_chain::{CanonicalChange, ChainHandle, ExecutedBlock};
use banyan_primitives::{B256, StateSource};
use banyan_txpool::{CanonicalUpdate, PoolHandle};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Follows until the chain stops.
pub(crate) async fn follow(
    chain: ChainHandle,
    pool: PoolHandle,
    mut changes: Receiver<Arc<CanonicalChange>>,
) {
    loop {
        let chain_and_pool = (chain.clone(), pool.clone());
        let work = match changes.recv().await {
            Ok(change) => tokio::task::spawn_blocking(move || apply(&chain_and_pool.1, &change)),
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
    change.included.iter().for_each(|executed| log_block(executed));
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

fn log_block(executed: &ExecutedBlock) {
    let elapsed = executed.timings.execute + executed.timings.root;
    let gas = executed.output.gas_used;
    tracing::info!(
        number = executed.block.number(),
        hash = %executed.block.hash(),
        txs = executed.block.senders.len(),
        gas,
        mgas_per_s = format_args!("{:.1}", mgas_per_second(gas, elapsed)),
        elapsed_ms = format_args!("{:.2}", elapsed.as_secs_f64() * 1e3),
        "block"
    );
}

fn mgas_per_second(gas: u64, elapsed: Duration) -> f64 {
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.0 { gas as f64 / 1e6 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_gas_by_time() {
        assert_eq!(mgas_per_second(30_000_000, Duration::from_millis(100)), 300.0);
        assert_eq!(mgas_per_second(1, Duration::ZERO), 0.0);
    }
}
