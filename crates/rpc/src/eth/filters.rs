//! Polling filters: `eth_newFilter` and relatives. A filter remembers the block up to which it has
//! told; what is new is found by walking the chain at the next poll, so an idle filter costs nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use banyan_chain::ChainView;
use banyan_primitives::{B256, BlockRef};
use banyan_txpool::PooledTransaction;
use serde::Serialize;
use tokio::sync::broadcast::{self, error::TryRecvError};

use super::logs::{Effort, LogFilter, query};
use crate::{
    args::Args,
    error::{RpcError, RpcResult},
    json::{RpcLog, RpcTransaction},
    server::HexIds,
    shared::Shared,
};

/// Most filters at once.
const MAX_FILTERS: usize = 1024;
/// A filter that nobody polls is dropped after this time, as geth does.
const IDLE_TIME: Duration = Duration::from_secs(300);
/// Most blocks told in one poll; older ones are left out.
const MAX_BLOCKS_PER_POLL: u64 = 10_000;

/// All filters, by id.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    entries: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    filter: Arc<Mutex<Filter>>,
    last_poll: Instant,
}

#[derive(Debug)]
enum Filter {
    Blocks { told: BlockRef },
    Logs { told: BlockRef, wanted: LogFilter },
    Transactions { news: broadcast::Receiver<Arc<PooledTransaction>>, full: bool },
}

/// News since the last poll.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Changes {
    Hashes(Vec<B256>),
    Logs(Vec<RpcLog>),
    Transactions(Vec<RpcTransaction>),
}

impl Filters {
    fn add(&self, filter: Filter) -> RpcResult<String> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| entry.last_poll.elapsed() < IDLE_TIME);
        if entries.len() >= MAX_FILTERS {
            return Err(RpcError::server("too many filters: uninstall some and try again"));
        }
        let id = HexIds::next_text();
        let filter = Arc::new(Mutex::new(filter));
        entries.insert(id.clone(), Entry { filter, last_poll: Instant::now() });
        Ok(id)
    }

    fn get(&self, id: &str) -> RpcResult<Arc<Mutex<Filter>>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get_mut(id).ok_or_else(|| RpcError::server("filter not found"))?;
        entry.last_poll = Instant::now();
        Ok(entry.filter.clone())
    }

    fn remove(&self, id: &str) -> bool {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.remove(id).is_some()
    }
}

fn head_ref(shared: &Shared) -> BlockRef {
    shared.view().head().into()
}

/// `(filter)`: new logs.
pub(super) fn new_filter(shared: &Shared, mut args: Args<'_>) -> RpcResult<String> {
    let wanted: LogFilter = args.required()?;
    args.end()?;
    shared.filters.add(Filter::Logs { told: head_ref(shared), wanted })
}

/// New block hashes.
pub(super) fn new_block_filter(shared: &Shared, args: Args<'_>) -> RpcResult<String> {
    args.end()?;
    shared.filters.add(Filter::Blocks { told: head_ref(shared) })
}

/// `(in full?)`: transactions that the pool takes in.
pub(super) fn new_transaction_filter(shared: &Shared, mut args: Args<'_>) -> RpcResult<String> {
    let full: bool = args.optional()?.unwrap_or_default();
    args.end()?;
    shared.filters.add(Filter::Transactions { news: shared.new_transactions.subscribe(), full })
}

/// `(id)`: true if there was such a filter.
pub(super) fn uninstall(shared: &Shared, mut args: Args<'_>) -> RpcResult<bool> {
    let id: String = args.required()?;
    args.end()?;
    Ok(shared.filters.remove(&id))
}

/// `(id)`: all logs that a log filter wants, told or not.
pub(super) fn logs(shared: &Shared, mut args: Args<'_>) -> RpcResult<Vec<RpcLog>> {
    let id: String = args.required()?;
    let effort = Effort::new(&shared.context.config, &args);
    args.end()?;
    let filter = shared.filters.get(&id)?;
    let wanted = match &*filter.lock().unwrap_or_else(PoisonError::into_inner) {
        Filter::Logs { wanted, .. } => wanted.clone(),
        Filter::Blocks { .. } | Filter::Transactions { .. } => {
            return Err(RpcError::server("filter not found"));
        }
    };
    query(shared, &wanted, &effort)
}

/// `(id)`: what is new since the last poll.
pub(super) fn changes(shared: &Shared, mut args: Args<'_>) -> RpcResult<Changes> {
    let id: String = args.required()?;
    let effort = Effort::new(&shared.context.config, &args);
    args.end()?;
    let filter = shared.filters.get(&id)?;
    let view = shared.view();
    match &mut *filter.lock().unwrap_or_else(PoisonError::into_inner) {
        Filter::Blocks { told } => {
            let moves = Moves::since(&view, *told)?;
            *told = moves.head;
            Ok(Changes::Hashes(moves.joined_hashes(&view)?))
        }
        Filter::Logs { told, wanted } => {
            let moves = Moves::since(&view, *told)?;
            // Before the logs are there: too many are refused once, not at every poll.
            *told = moves.head;
            Ok(Changes::Logs(moves.logs(&view, wanted, &effort)?))
        }
        Filter::Transactions { news, full } => Ok(new_transactions(news, *full)),
    }
}

fn new_transactions(news: &mut broadcast::Receiver<Arc<PooledTransaction>>, full: bool) -> Changes {
    let mut found = Vec::new();
    loop {
        match news.try_recv() {
            Ok(tx) => found.push(tx),
            // The oldest were overwritten; the rest is still there.
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    if full {
        let convert = |tx: &Arc<PooledTransaction>| RpcTransaction::pending(&tx.tx, tx.sender);
        return Changes::Transactions(found.iter().map(convert).collect());
    }
    Changes::Hashes(found.iter().map(|tx| tx.hash()).collect())
}

/// What happened to the chain since a block that was its head once.
#[derive(Debug)]
struct Moves {
    /// Blocks that left the chain, newest first.
    left: Vec<B256>,
    /// First height that joined it.
    first_joined: u64,
    head: BlockRef,
}

impl Moves {
    fn since(view: &ChainView, told: BlockRef) -> RpcResult<Self> {
        let mut left = Vec::new();
        let mut ancestor = told;
        while !view.is_canonical(&ancestor.hash)? {
            left.push(ancestor.hash);
            // A block forgotten meanwhile: all we know is its height.
            let Some(header) = view.header_by_hash(&ancestor.hash)? else { break };
            ancestor = BlockRef::new(header.number.saturating_sub(1), header.parent_hash);
        }
        let head: BlockRef = view.head().into();
        let oldest = head.number.saturating_sub(MAX_BLOCKS_PER_POLL - 1);
        Ok(Self { left, first_joined: (ancestor.number.saturating_add(1)).max(oldest), head })
    }

    fn joined_hashes(&self, view: &ChainView) -> RpcResult<Vec<B256>> {
        let mut hashes = Vec::new();
        for number in self.first_joined..=self.head.number {
            hashes.extend(view.canonical_hash(number)?);
        }
        Ok(hashes)
    }

    fn logs(
        &self,
        view: &ChainView,
        wanted: &LogFilter,
        effort: &Effort,
    ) -> RpcResult<Vec<RpcLog>> {
        let mut logs = Vec::new();
        for hash in &self.left {
            let Some(block) = view.block_by_hash(hash)? else { continue };
            let removed = wanted.logs_of(view, &block)?;
            logs.extend(removed.into_iter().map(RpcLog::into_removed));
            effort.check(logs.len())?;
        }
        for hash in self.joined_hashes(view)? {
            let Some(block) = view.block_by_hash(&hash)? else { continue };
            logs.extend(wanted.logs_of(view, &block)?);
            effort.check(logs.len())?;
        }
        Ok(logs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_filter() -> Filter {
        Filter::Blocks { told: BlockRef::default() }
    }

    #[test]
    fn filters_are_bounded_and_idle_ones_make_room() {
        let filters = Filters::default();
        let first = filters.add(block_filter()).unwrap();
        for _ in 1..MAX_FILTERS {
            filters.add(block_filter()).unwrap();
        }
        assert!(filters.add(block_filter()).is_err());
        let long_ago = Instant::now().checked_sub(IDLE_TIME).unwrap();
        filters.entries.lock().unwrap().get_mut(&first).unwrap().last_poll = long_ago;
        filters.add(block_filter()).unwrap();
        assert!(filters.get(&first).is_err());
    }

    #[test]
    fn an_uninstalled_filter_is_gone() {
        let filters = Filters::default();
        let id = filters.add(block_filter()).unwrap();
        assert!(id.starts_with("0x"));
        assert!(filters.remove(&id));
        assert!(!filters.remove(&id));
        assert_eq!(filters.get(&id).unwrap_err(), RpcError::server("filter not found"));
    }
}
