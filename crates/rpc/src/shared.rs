use std::sync::{Arc, PoisonError, atomic::Ordering};

use banyan_chain::ChainView;
use banyan_chainspec::ChainSpec;
use banyan_primitives::{B256, SealedHeader};
use banyan_state::StateView;
use banyan_txpool::PooledTransaction;
use jsonrpsee::RpcModule;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{Mutex, Semaphore, broadcast};

use crate::{
    RpcContext,
    args::{Abandoned, Args},
    block_id::BlockId,
    error::{RpcError, RpcResult},
    eth::Filters,
};

/// Quick reads under way at once on one group of ports; more wait.
const MAX_LIGHT_READS: usize = 64;
/// Reads that may wait on one group of ports; more are refused.
const MAX_WAITING: usize = 4096;
/// Announcements of pool transactions kept for a slow subscriber.
const TRANSACTION_BACKLOG: usize = 4096;

/// How much work a read may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// A few look-ups.
    Light,
    /// Execution, proofs, scans over many blocks.
    Heavy,
}

/// What all methods share. Cheap to clone: every part is a handle.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    /// Chain, pool, builder, settings.
    pub(crate) context: RpcContext,
    /// Held through a forkchoiceUpdated call: they are handled strictly in order of arrival.
    pub(crate) forkchoice_order: Arc<Mutex<()>>,
    /// Polling filters.
    pub(crate) filters: Arc<Filters>,
    /// Transactions as the pool takes them in.
    pub(crate) new_transactions: broadcast::Sender<Arc<PooledTransaction>>,
    /// Tip suggested on the present head.
    pub(crate) suggested_tip: Arc<TipCache>,
    light: Arc<Semaphore>,
    heavy: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// Remembers the suggested tip as long as the head stays.
#[derive(Debug, Default)]
pub(crate) struct TipCache(std::sync::Mutex<Option<(B256, u128)>>);

impl TipCache {
    /// The tip, wei, if it was computed on `head`.
    pub(crate) fn get(&self, head: B256) -> Option<u128> {
        let entry = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entry.filter(|(on, _)| *on == head).map(|(_, tip)| tip)
    }

    /// Remembers the tip on `head`.
    pub(crate) fn set(&self, head: B256, tip: u128) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((head, tip));
    }
}

impl Shared {
    /// Sets up what the methods share, and listens to the pool.
    pub(crate) fn new(context: RpcContext) -> Self {
        let (new_transactions, _) = broadcast::channel(TRANSACTION_BACKLOG);
        let announce = new_transactions.clone();
        context.pool.set_listener(Box::new(move |tx| {
            // Without subscribers there is nobody to tell.
            let _ = announce.send(tx.clone());
        }));
        Self {
            light: Arc::new(Semaphore::new(MAX_LIGHT_READS)),
            heavy: Arc::new(Semaphore::new(context.config.max_heavy_reads.max(1))),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            context,
            forkchoice_order: Arc::default(),
            filters: Arc::default(),
            new_transactions,
            suggested_tip: Arc::default(),
        }
    }

    /// The same with limits of its own, so that public readers cannot starve the Engine API port.
    pub(crate) fn with_own_limits(&self) -> Self {
        Self {
            light: Arc::new(Semaphore::new(MAX_LIGHT_READS)),
            heavy: Arc::new(Semaphore::new(self.context.config.max_heavy_reads.max(1))),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            ..self.clone()
        }
    }

    /// The chain's rules.
    pub(crate) fn spec(&self) -> &Arc<ChainSpec> {
        self.context.chain.spec()
    }

    /// Network id: the chain id unless configured.
    pub(crate) fn network_id(&self) -> u64 {
        self.context.config.network_id.unwrap_or(self.spec().chain_id)
    }

    /// The present view.
    pub(crate) fn view(&self) -> Arc<ChainView> {
        self.context.chain.view()
    }

    /// The block that `id` names and the state after it.
    pub(crate) fn state(
        &self,
        view: &ChainView,
        id: BlockId,
    ) -> RpcResult<(SealedHeader, StateView)> {
        let header = id.known_header(view)?;
        let state = view.state_at(&header.hash())?.ok_or_else(|| no_state(&header))?;
        Ok((header, state))
    }

    /// The state after the block that `id` names, with its tries.
    pub(crate) fn trie_state(&self, view: &ChainView, id: BlockId) -> RpcResult<StateView> {
        let header = id.known_header(view)?;
        view.trie_state_at(&header.hash())?.ok_or_else(|| no_state(&header))
    }

    /// Runs `job` on a blocking thread, within the limits. The server drops this future when the
    /// connection closes; the job is told so, and gives up.
    pub(crate) async fn read<R: Send + 'static>(
        self: &Arc<Self>,
        weight: Weight,
        job: impl FnOnce(&Self, Abandoned) -> RpcResult<R> + Send + 'static,
    ) -> RpcResult<R> {
        let gate = match weight {
            Weight::Light => &self.light,
            Weight::Heavy => &self.heavy,
        };
        // Those that wait are held in memory, with their parameters.
        let waiting = self.waiting.clone().try_acquire_owned();
        let waiting = waiting.map_err(|_| RpcError::server("too many calls under way"))?;
        let permit = gate.clone().acquire_owned().await.map_err(RpcError::internal)?;
        drop(waiting);
        let shared = self.clone();
        let caller = Caller::default();
        let abandoned = caller.0.clone();
        let answer = blocking(move || {
            // It may have waited long for a thread.
            let answer = abandoned.check().and_then(|()| job(&shared, abandoned));
            drop(permit);
            answer
        })
        .await;
        drop(caller);
        answer
    }
}

/// Whoever waits for an answer. Dropped early if the connection closes.
#[derive(Debug, Default)]
struct Caller(Abandoned);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn no_state(header: &SealedHeader) -> RpcError {
    RpcError::server(format!("state of block {} is not available", header.hash()))
}

/// Runs `job` on a blocking thread. A panic in it fails this request only.
pub(crate) async fn blocking<R: Send + 'static>(
    job: impl FnOnce() -> RpcResult<R> + Send + 'static,
) -> RpcResult<R> {
    tokio::task::spawn_blocking(job).await.map_err(RpcError::internal)?
}

/// A method that reads: parameters in, answer out, on a blocking thread.
pub(crate) type Handler<R> = fn(&Shared, Args<'_>) -> RpcResult<R>;

/// Registers a method that reads. Its answer is turned into JSON on the blocking thread too, since
/// answers can be large.
pub(crate) fn register_read<R: Serialize + 'static>(
    module: &mut RpcModule<Shared>,
    name: &'static str,
    weight: Weight,
    handler: Handler<R>,
) {
    module
        .register_async_method(name, move |params, shared, _| async move {
            let job = move |shared: &Shared, abandoned: Abandoned| {
                answer(shared, Args::new(&params)?.of_caller(abandoned), handler)
            };
            shared.read(weight, job).await
        })
        .expect("method names are unique");
}

/// Registers a method that answers at once, without touching disk.
pub(crate) fn register_quick<R: Serialize + 'static>(
    module: &mut RpcModule<Shared>,
    name: &'static str,
    handler: Handler<R>,
) {
    module
        .register_method(name, move |params, shared, _| {
            answer(shared, Args::new(&params)?, handler)
        })
        .expect("method names are unique");
}

fn answer<R: Serialize>(
    shared: &Shared,
    args: Args<'_>,
    handler: Handler<R>,
) -> RpcResult<Box<RawValue>> {
    let answer = handler(shared, args)?;
    serde_json::value::to_raw_value(&answer).map_err(RpcError::internal)
}
