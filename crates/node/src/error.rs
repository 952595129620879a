use std::{io, net::SocketAddr, path::PathBuf};

use banyan_chain::{ChainError, OpenError};
use banyan_chainspec::GenesisError;
use banyan_rpc::{JwtError, ServeError};
use banyan_storage::{OpenError as DatabaseError, StorageError};

/// Why the node did not start, or stopped. Each says what to do where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file or directory of ours.
    #[error("{what} {}: {source}", path.display())]
    File {
        /// What was tried, e.g. `cannot read genesis file`.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The genesis file is no genesis file we can follow.
    #[error("{}: {source}", path.display())]
    Genesis {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: GenesisError,
    },
    /// The user has no data directory.
    #[error("neither XDG_DATA_HOME nor HOME is set: give --datadir")]
    NoDataDir,
    /// The node's key is no key.
    #[error("{origin}: not a secp256k1 key (64 hexadecimal digits); delete it to get a new one")]
    Key {
        /// File or flag.
        origin: String,
    },
    /// The database could not be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database and the chain do not go together.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is nothing to look at.
    #[error("there is no database at {}; make one with `init`", .0.display())]
    NoDatabase(PathBuf),
    /// A fault while running.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The JWT secret.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// A port of JSON-RPC.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The metrics port.
    #[error("cannot listen on {addr} for metrics: {source}; choose another --metrics address")]
    MetricsPort {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The metrics recorder or the log could not be set up.
    #[error("{0}")]
    Setup(String),
    /// An imported file is not what it should be, or holds a block that breaks the rules.
    #[error("{}: block {index} of the file: {reason}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// Position of the block in the file, from 0.
        index: u64,
        /// What is wrong.
        reason: String,
    },
    /// Our own driver (dev chain or benchmark) got an answer it cannot go on with.
    #[error(transparent)]
    Engine(#[from] crate::EngineError),
    /// The system's asynchronous runtime could not be started.
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The build thread is gone: no block can be built any more.
    #[error("the build thread ended by a fault of ours; see the log, and start the node again")]
    BuilderStopped,
    /// Blocks that cannot be executed again.
    #[error("re-execute: {0}")]
    ReExecute(String),
    /// A benchmark that makes no sense.
    #[error("bench: {0}")]
    Bench(String),
}

impl NodeError {
    /// An I/O error on a file of ours.
    pub(crate) fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }
}
