use std::path::{Path, PathBuf};

use anyhow::Context;
use banyan_executor::{Executor, ExecutorConfig};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What a worker thread brings to its cases: a runtime, an executor for cases without a node, and a
/// place for databases.
#[derive(Debug)]
pub struct Worker {
    executor: Executor,
    runtime: Runtime,
    scratch: PathBuf,
}

impl Worker {
    /// A worker whose databases lie in the system's folder for temporary files, or in memory where
    /// the system has such a place and `TMPDIR` says nothing else. `executor` says how blocks are
    /// executed.
    pub fn new(executor: ExecutorConfig) -> anyhow::Result<Self> {
        let executor = Executor::new(executor);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { executor, runtime, scratch: scratch_folder() })
    }

    /// Executes blocks. It lives through many cases, so that what it learns in one is tried in
    /// others.
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Drives the handlers of one node; every case awaits one call at a time.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// An empty folder that vanishes with the case.
    pub fn folder(&self) -> anyhow::Result<TempDir> {
        let folder =
            tempfile::Builder::new().prefix("banyan-conformance-").tempdir_in(&self.scratch);
        folder.with_context(|| format!("no temporary folder in {}", self.scratch.display()))
    }
}

fn scratch_folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if std::env::var_os("TMPDIR").is_none()
        && memory.is_dir()
        && tempfile::tempfile_in(memory).is_ok()
    {
        return memory.to_path_buf();
    }
    std::env::temp_dir()
}
