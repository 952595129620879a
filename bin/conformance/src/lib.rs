//! Runs conformance fixtures against Banyan: any folder with files of the known formats, detected
//! per file.
//!
//! Engine cases go through the node's own path: JSON parameters into the Engine API handlers, the
//! chain thread and a database of their own. Start at [`run`]; each format is one module under
//! `formats`, which turns a file into [`Case`]s. What is checked is described in
//! `docs/conformance.md`.

mod alloc;
mod collect;
mod expected;
mod formats;
mod genesis;
mod node;
mod report;
mod run;
mod scratch;
mod witness;

use std::path::PathBuf;

use banyan_executor::ExecutorConfig;
pub(crate) use banyan_testing::{number, op_chain};
pub use report::{Outcome, Report, ResultLine};
pub use run::run;
pub use scratch::Worker;

/// What to run and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Folders with fixtures, or with packed ones.
    pub fixtures: Vec<PathBuf>,
    /// Texts of which a case's file or id must contain one; empty: all cases.
    pub filter: Vec<String>,
    /// Stop at the first unexpected failure.
    pub fail_fast: bool,
    /// Worker threads; `None`: one per core.
    pub jobs: Option<usize>,
    /// How blocks are executed.
    pub executor: ExecutorConfig,
    /// List of expected failures; an absent file is an empty list.
    pub expected_failures: PathBuf,
    /// Where packed fixtures are unpacked.
    pub unpack_to: PathBuf,
}

/// One test case, ready to run.
pub struct Case {
    /// Its name in the fixture file.
    pub id: String,
    /// Rules it runs under, for the table.
    pub fork: String,
    /// The test; an error says what differs.
    pub check: Check,
}

/// The body of a case.
pub type Check = Box<dyn FnOnce(&Worker) -> anyhow::Result<()> + Send>;

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case").field("id", &self.id).field("fork", &self.fork).finish()
    }
}

impl Case {
    /// A case named `id` under the rules of `fork`.
    pub fn new(
        id: impl Into<String>,
        fork: impl Into<String>,
        check: impl FnOnce(&Worker) -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        Self { id: id.into(), fork: fork.into(), check: Box::new(check) }
    }
}
