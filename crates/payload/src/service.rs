use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use banyan_chain::{ChainHandle, ChainView};
use banyan_chainspec::ChainSpec;
use banyan_consensus::{PayloadAttributes, validate_attributes};
use banyan_executor::Executor;
use banyan_primitives::{B256, Bytes, SealedHeader, alloy_primitives::B64};
use banyan_txpool::PoolHandle;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use tokio::sync::oneshot;

use crate::{BuildError, BuiltPayload, DaLimits, builder::Builder, id::payload_id, job::Job};

/// Names a build job: a hash of parent and attributes, first byte the payload version.
pub type PayloadId = B64;

/// Jobs that may wait for the build thread.
const QUEUE: usize = 64;

/// The gas limit that Ethereum's clients aim at where nothing is configured.
const USUAL_GAS_LIMIT: u64 = 60_000_000;

/// Settings of the builder.
#[derive(Clone, Debug)]
pub struct BuilderConfig {
    /// Pause between two attempts at a better block.
    pub interval: Duration,
    /// Attempts end this long after the job started.
    pub deadline: Duration,
    /// Gas limit aimed at on Ethereum chains; `None` keeps the parent's.
    pub gas_limit: Option<u64>,
    /// Extra data on Ethereum chains.
    pub extra_data: Bytes,
    /// Most jobs kept at a time; the oldest is dropped.
    pub max_jobs: usize,
}

impl Default for BuilderConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(200),
            deadline: Duration::from_secs(12),
            gas_limit: None,
            extra_data: Bytes::from_static(b"banyan"),
            max_jobs: 16,
        }
    }
}

#[derive(Debug)]
enum Command {
    /// A new job, and where to say that its forced transactions are executed.
    Start(Arc<Job>, oneshot::Sender<Result<(), BuildError>>),
    Stop,
}

#[derive(Debug)]
struct Shared {
    jobs: VecDeque<Arc<Job>>,
    config: BuilderConfig,
    limits: DaLimits,
}

/// Handle of the build thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct PayloadHandle {
    spec: Arc<ChainSpec>,
    executor: Arc<Executor>,
    commands: Sender<Command>,
    shared: Arc<Mutex<Shared>>,
    thread: Arc<JoinHandle<()>>,
}

impl PayloadHandle {
    /// Starts the build thread, with the rules and the executor of `chain`.
    pub fn start_service(
        chain: &ChainHandle,
        pool: PoolHandle,
        config: BuilderConfig,
    ) -> std::io::Result<Self> {
        let (spec, executor) = (Arc::clone(chain.spec()), Arc::clone(chain.executor()));
        let (commands, inbox) = bounded(QUEUE);
        let shared = Shared { jobs: VecDeque::new(), config, limits: DaLimits::default() };
        let shared = Arc::new(Mutex::new(shared));
        let thread = BuildThread {
            spec: Arc::clone(&spec),
            executor: Arc::clone(&executor),
            pool,
            shared: Arc::clone(&shared),
        };
        let thread =
            std::thread::Builder::new().name("build".into()).spawn(move || thread.run(&inbox))?;
        Ok(Self { spec, executor, commands, shared, thread: Arc::new(thread) })
    }

    /// False once the build thread has ended: stopped, or by a panic. No block is built any more
    /// then, and the process should end.
    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends the build thread after the attempt in progress.
    pub fn shutdown(&self) {
        for job in &self.lock().jobs {
            job.wanted.store(true, Ordering::Relaxed);
        }
        // An error says that the thread has ended already.
        let _ = self.commands.send(Command::Stop);
    }

    /// Starts a job (or finds the same one running) on `parent`, whose state `view` can give.
    /// `version` is that of the forkchoiceUpdated call; it is the first byte of the id. Returns
    /// once the forced transactions are executed, so that bad ones are refused here.
    pub async fn start(
        &self,
        view: Arc<ChainView>,
        parent: SealedHeader,
        attributes: PayloadAttributes,
        version: u8,
    ) -> Result<PayloadId, BuildError> {
        validate_attributes(&self.spec, &parent, &attributes)?;
        let id = payload_id(&parent.hash(), &attributes, version);
        let (reply, answer) = oneshot::channel();
        {
            let mut shared = self.lock();
            // The CL asks again with the same attributes after a fault of ours: that must be a new
            // try, not the old answer.
            shared.jobs.retain(|job| job.id != id || !job.has_failed());
            if shared.jobs.iter().any(|job| job.id == id) {
                return Ok(id);
            }
            let job = Arc::new(Job::new(id, parent, view, attributes));
            let command = Command::Start(Arc::clone(&job), reply);
            self.commands
                .try_send(command)
                .map_err(|_| BuildError::Fault("too many jobs, or shutting down".into()))?;
            shared.jobs.iter().for_each(|older| older.supersede());
            shared.jobs.push_back(job);
            while shared.jobs.len() > shared.config.max_jobs.max(1) {
                shared.jobs.pop_front();
            }
        }
        let outcome = answer.await.map_err(|_| BuildError::Fault("shutting down".into()))?;
        if outcome.is_err() {
            self.lock().jobs.retain(|job| job.id != id);
        }
        outcome.map(|()| id)
    }

    /// Best block so far, at once; waits only while there is none. `None`: unknown id.
    pub async fn get(&self, id: PayloadId) -> Option<Result<BuiltPayload, BuildError>> {
        let job = self.lock().jobs.iter().find(|job| job.id == id).cloned()?;
        job.wanted.store(true, Ordering::Relaxed);
        let mut best = job.best.subscribe();
        let found = best.wait_for(Option::is_some).await;
        Some(match found.map(|best| best.clone()) {
            Ok(Some(result)) => result,
            _ => Err(BuildError::Fault("the job was dropped".into())),
        })
    }

    /// Builds one block at once, on the caller's thread and apart from all jobs, for test suites.
    /// `extra_data` stands in the place of the configured one; transactions may be forced in on
    /// Ethereum chains too.
    pub fn build_once(
        &self,
        pool: &PoolHandle,
        view: Arc<ChainView>,
        parent: SealedHeader,
        attributes: PayloadAttributes,
        extra_data: Option<Bytes>,
    ) -> Result<BuiltPayload, BuildError> {
        let mut checked = attributes.clone();
        if !self.spec.is_op() {
            checked.transactions.clear();
        }
        validate_attributes(&self.spec, &parent, &checked)?;
        let (mut config, limits) = {
            let shared = self.lock();
            (shared.config.clone(), shared.limits)
        };
        config.gas_limit = config.gas_limit.or(Some(USUAL_GAS_LIMIT));
        config.extra_data = extra_data.unwrap_or(config.extra_data);
        let (spec, executor) = (&self.spec, &self.executor);
        let builder = Builder { spec, executor, pool, config: &config, limits };
        builder.build(&Job::new(PayloadId::ZERO, parent, view, attributes), || {})
    }

    /// True once the job's first attempt is done, so that [`Self::get`] would not cut it short.
    pub fn is_ready(&self, id: PayloadId) -> bool {
        self.lock().jobs.iter().any(|job| job.id == id && job.best.borrow().is_some())
    }

    /// The head is this block: ends the attempts at blocks on others. What they gave stays.
    pub fn head_is(&self, head: B256) {
        let shared = self.lock();
        let left = shared.jobs.iter().filter(|job| job.parent.hash() != head);
        left.for_each(|job| job.supersede());
    }

    /// Sets the DA limits for all further building.
    pub fn set_da_limits(&self, limits: DaLimits) {
        self.lock().limits = limits;
    }

    /// Sets the gas limit that is aimed at on Ethereum chains (`miner_setGasLimit`).
    pub fn set_gas_limit(&self, gas_limit: u64) {
        self.lock().config.gas_limit = Some(gas_limit);
    }

    /// Sets the extra data of blocks on Ethereum chains (`miner_setExtra`); at most 32 bytes.
    pub fn set_extra_data(&self, extra: Bytes) {
        self.lock().config.extra_data = extra;
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The build thread's own state.
struct BuildThread {
    spec: Arc<ChainSpec>,
    executor: Arc<Executor>,
    pool: PoolHandle,
    shared: Arc<Mutex<Shared>>,
}

/// A job that may still be improved.
struct Open {
    job: Arc<Job>,
    /// The pool's generation at the last attempt.
    seen: u64,
    next: Instant,
}

impl BuildThread {
    fn run(&self, inbox: &Receiver<Command>) {
        let mut open: Option<Open> = None;
        loop {
            let command = match &open {
                Some(open) => {
                    inbox.recv_timeout(open.next.saturating_duration_since(Instant::now()))
                }
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match command {
                Ok(Command::Start(job, reply)) => open = self.first(job, reply),
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => open = open.and_then(|open| self.improve(open)),
            }
        }
    }

    /// First attempt at a job. It answers `reply` as soon as the forced transactions are done.
    fn first(&self, job: Arc<Job>, reply: oneshot::Sender<Result<(), BuildError>>) -> Option<Open> {
        let started = Instant::now();
        let seen = self.pool.generation();
        let mut reply = Some(reply);
        let result = self.attempt(&job, || {
            if let Some(reply) = reply.take() {
                let _ = reply.send(Ok(()));
            }
        });
        if let (Some(reply), Err(error)) = (reply, &result) {
            let _ = reply.send(Err(error.clone()));
        }
        job.offer(result);
        metrics::histogram!("banyan_payload_build_seconds").record(started.elapsed());
        let open = !job.attributes.no_tx_pool && !job.is_wanted();
        open.then(|| Open { job, seen, next: self.next_attempt(started) })
    }

    /// Another attempt, if the pool has changed and nobody has taken the block yet.
    fn improve(&self, open: Open) -> Option<Open> {
        let Open { job, seen, .. } = open;
        let deadline = self.config().deadline;
        if job.is_wanted() || job.started.elapsed() > deadline {
            return None;
        }
        let (started, generation) = (Instant::now(), self.pool.generation());
        if generation != seen {
            let result = self.attempt(&job, || {});
            // A cut-short attempt is worth less than the block somebody has just taken.
            if !job.is_wanted() {
                job.offer(result);
            }
        }
        Some(Open { job, seen: generation, next: self.next_attempt(started) })
    }

    fn attempt(&self, job: &Job, forced_done: impl FnOnce()) -> Result<BuiltPayload, BuildError> {
        let config = self.config();
        let limits = self.shared.lock().unwrap_or_else(PoisonError::into_inner).limits;
        let (spec, executor, pool) = (&self.spec, &self.executor, &self.pool);
        let builder = Builder { spec, executor, pool, config: &config, limits };
        builder.build(job, forced_done)
    }

    /// A pause at least as long as the attempt took, so that building never takes a whole core.
    fn next_attempt(&self, started: Instant) -> Instant {
        Instant::now() + self.config().interval.max(started.elapsed())
    }

    fn config(&self) -> BuilderConfig {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).config.clone()
    }
}

#[cfg(test)]
mod tests;
