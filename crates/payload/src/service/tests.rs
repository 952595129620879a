use banyan_chain::{ChainConfig, ChainHandle};
use banyan_primitives::B256;
use banyan_storage::{Database, DatabaseOptions};
use banyan_txpool::PoolConfig;
use tempfile::TempDir;

use super::*;

struct Kit {
    chain: ChainHandle,
    payload: PayloadHandle,
    _dir: TempDir,
}

impl Kit {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let spec = Arc::new(ChainSpec::dev());
        let options = DatabaseOptions { max_size: 1 << 30, ..Default::default() };
        let database = Database::open(dir.path(), options).unwrap();
        let chain =
            ChainHandle::start(Arc::clone(&spec), database, ChainConfig::default()).unwrap();
        let head = chain.view().head().clone();
        let pool = PoolHandle::new(spec, PoolConfig::default(), head);
        let payload = PayloadHandle::start_service(&chain, pool, BuilderConfig::default()).unwrap();
        Self { chain, payload, _dir: dir }
    }

    /// Starts an empty block `seconds` after the head.
    async fn start(&self, seconds: u64) -> PayloadId {
        let view = self.chain.view();
        let parent = view.head().clone();
        let attributes = PayloadAttributes {
            timestamp: parent.timestamp + seconds,
            withdrawals: Some(Default::default()),
            parent_beacon_block_root: Some(B256::ZERO),
            gas_limit: Some(30_000_000),
            eip1559_params: Some(B64::ZERO),
            min_base_fee: Some(0),
            ..Default::default()
        };
        self.payload.start(view, parent, attributes, 3).await.unwrap()
    }

    fn job(&self, id: PayloadId) -> Arc<Job> {
        self.payload.lock().jobs.iter().find(|job| job.id == id).cloned().unwrap()
    }
}

#[tokio::test]
async fn a_job_that_failed_is_tried_again_with_the_same_attributes() {
    let kit = Kit::new();
    let id = kit.start(1).await;
    assert!(kit.payload.get(id).await.unwrap().is_ok());
    // As if reading the state had failed after the forced transactions.
    kit.job(id).best.send_replace(Some(Err(BuildError::Fault("disk".into()))));
    assert!(kit.payload.get(id).await.unwrap().is_err());
    assert_eq!(kit.start(1).await, id);
    assert!(kit.payload.get(id).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_new_job_ends_the_attempts_at_older_ones() {
    let kit = Kit::new();
    let first = kit.job(kit.start(1).await);
    first.best.subscribe().wait_for(Option::is_some).await.unwrap();
    assert!(!first.is_wanted(), "still improved");
    let second = kit.job(kit.start(2).await);
    assert!(first.is_wanted(), "an attempt at it would keep the second waiting");
    assert!(!second.is_wanted());
}

#[tokio::test]
async fn once_the_head_has_moved_nothing_more_is_built_below_it() {
    let kit = Kit::new();
    let job = kit.job(kit.start(1).await);
    let best = job.best.subscribe().wait_for(Option::is_some).await.unwrap().clone();
    kit.payload.head_is(job.parent.hash());
    assert!(!job.is_wanted(), "still improved");
    kit.payload.head_is(best.unwrap().unwrap().executed.block.hash());
    assert!(job.is_wanted());
    assert!(kit.payload.get(job.id).await.unwrap().is_ok(), "what there is stays");
}

/// The tries in memory would go back to its parent, and what they hold would be lost to the head.
#[tokio::test]
async fn an_attempt_that_comes_too_late_is_not_sealed() {
    let kit = Kit::new();
    let job = kit.job(kit.start(1).await);
    job.best.subscribe().wait_for(Option::is_some).await.unwrap();
    let (chain, payload) = (&kit.chain, &kit.payload);
    let pool = PoolHandle::new(
        Arc::clone(chain.spec()),
        PoolConfig::default(),
        chain.view().head().clone(),
    );
    let thread = BuildThread {
        spec: Arc::clone(&payload.spec),
        executor: Arc::clone(&payload.executor),
        pool,
        shared: Arc::clone(&payload.shared),
    };
    let take = || job.wanted.store(true, Ordering::Relaxed);
    assert!(thread.attempt(&job, || {}).is_ok());
    assert!(thread.attempt(&job, take).is_err(), "its block is taken meanwhile");
    let first = Job::new(job.id, job.parent.clone(), Arc::clone(&job.view), job.attributes.clone());
    let take = || first.wanted.store(true, Ordering::Relaxed);
    assert!(thread.attempt(&first, take).is_ok(), "whoever takes it waits for a first block");
}

#[tokio::test]
async fn the_end_of_the_build_thread_is_told() {
    let kit = Kit::new();
    assert!(kit.payload.is_running());
    kit.payload.shutdown();
    while kit.payload.is_running() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
