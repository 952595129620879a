//! `eth_subscribe`: `newHeads`, `logs`, `newPendingTransactions`, over WebSocket.

use std::{future::ready, sync::Arc};

use banyan_chain::CanonicalChange;
use banyan_primitives::{Receipt, RecoveredBlock};
use banyan_txpool::PooledTransaction;
use jsonrpsee::{
    Extensions, PendingSubscriptionSink, RpcModule,
    types::{Params, error::METHOD_NOT_FOUND_CODE},
};
use serde::Serialize;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::logs::LogFilter;
use crate::{
    args::Args,
    error::{RpcError, RpcResult},
    json::{RpcHeader, RpcLog, RpcTransaction, block_logs},
    shared::{Shared, blocking},
};

/// Adds `eth_subscribe` and `eth_unsubscribe`.
pub(super) fn register(module: &mut RpcModule<Shared>) {
    module
        .register_subscription("eth_subscribe", "eth_subscription", "eth_unsubscribe", subscribe)
        .expect("method names are unique");
}

/// What a subscriber wants.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Heads,
    Logs(Box<LogFilter>),
    Transactions { full: bool },
}

impl Kind {
    fn parse(params: &Params<'_>) -> RpcResult<Self> {
        let mut args = Args::new(params)?;
        let name: String = args.required()?;
        let kind = match name.as_str() {
            "newHeads" => Self::Heads,
            "logs" => Self::Logs(args.optional()?.unwrap_or_default()),
            "newPendingTransactions" => {
                Self::Transactions { full: args.optional()?.unwrap_or_default() }
            }
            _ => {
                let message = format!("no {name:?} subscription in eth namespace");
                return Err(RpcError::new(METHOD_NOT_FOUND_CODE, message));
            }
        };
        args.end()?;
        Ok(kind)
    }
}

async fn subscribe(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    shared: Arc<Shared>,
    _: Extensions,
) {
    let kind = match Kind::parse(&params) {
        Ok(kind) => kind,
        Err(error) => return pending.reject(error).await,
    };
    let chain = &shared.context.chain;
    match kind {
        Kind::Heads => {
            let convert = |change: Arc<CanonicalChange>| ready(new_heads(&change));
            follow(pending, chain.subscribe(), convert).await;
        }
        Kind::Logs(filter) => {
            let filter = Arc::new(*filter);
            let convert = |change| new_logs_off_reactor(change, filter.clone());
            follow(pending, chain.subscribe(), convert).await;
        }
        Kind::Transactions { full } => {
            let convert = |tx: Arc<PooledTransaction>| ready(vec![Announcement::new(&tx, full)]);
            follow(pending, shared.new_transactions.subscribe(), convert).await;
        }
    }
}

/// Accepts the subscription, then sends what `convert` makes of each event until the subscriber is
/// gone. A subscriber that is too slow loses the oldest events, never holds up the node.
async fn follow<E, T, F>(
    pending: PendingSubscriptionSink,
    mut events: Receiver<E>,
    convert: impl Fn(E) -> F,
) where
    E: Clone,
    T: Serialize,
    F: Future<Output = Vec<T>>,
{
    // The connection may be gone already.
    let Ok(sink) = pending.accept().await else { return };
    loop {
        let event = tokio::select! {
            () = sink.closed() => return,
            event = events.recv() => event,
        };
        let messages = match event {
            Ok(event) => convert(event).await,
            Err(RecvError::Lagged(lost)) => {
                tracing::debug!(target: "rpc", lost, "slow subscriber lost events");
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        for message in &messages {
            let Ok(json) = serde_json::value::to_raw_value(message) else { return };
            if sink.send(json).await.is_err() {
                return;
            }
        }
    }
}

/// The receipts of blocks that a reorg took back may have to come from disk.
async fn new_logs_off_reactor(change: Arc<CanonicalChange>, filter: Arc<LogFilter>) -> Vec<RpcLog> {
    blocking(move || Ok(new_logs(&change, &filter))).await.unwrap_or_default()
}

fn new_heads(change: &CanonicalChange) -> Vec<RpcHeader> {
    change.included.iter().map(|executed| RpcHeader::from(&executed.block.header)).collect()
}

fn new_logs(change: &CanonicalChange, filter: &LogFilter) -> Vec<RpcLog> {
    let wanted = |block: &RecoveredBlock, receipts: &[Receipt]| {
        if !filter.may_match(&block.header.logs_bloom) {
            return Vec::new();
        }
        let mut logs = block_logs(block, receipts);
        logs.retain(|log| filter.matches(log));
        logs
    };
    let removed = change.reverted.iter().rev().flat_map(|block| {
        // Reverted blocks stay readable; without receipts there is nothing to take back.
        let receipts = change.view.receipts(&block.hash()).ok().flatten().unwrap_or_default();
        wanted(block, &receipts)
    });
    let included = change.included.iter();
    let included = included.flat_map(|found| wanted(&found.block, &found.output.receipts));
    removed.map(RpcLog::into_removed).chain(included).collect()
}

/// A transaction that the pool took in.
#[derive(Serialize)]
#[serde(untagged)]
enum Announcement {
    Hash(banyan_primitives::B256),
    Full(Box<RpcTransaction>),
}

impl Announcement {
    fn new(tx: &PooledTransaction, full: bool) -> Self {
        if full {
            return Self::Full(Box::new(RpcTransaction::pending(&tx.tx, tx.sender)));
        }
        Self::Hash(tx.hash())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_named_as_in_geth() {
        let parse = |text: &str| Kind::parse(&Params::new(Some(text)));
        assert_eq!(parse(r#"["newHeads"]"#).unwrap(), Kind::Heads);
        assert_eq!(parse(r#"["logs"]"#).unwrap(), Kind::Logs(Box::default()));
        let full = Kind::Transactions { full: true };
        assert_eq!(parse(r#"["newPendingTransactions", true]"#).unwrap(), full);
        assert_eq!(
            parse(r#"["other"]"#).unwrap_err().message,
            "no \"other\" subscription in eth namespace"
        );
        assert!(parse("[]").is_err());
    }
}
