//! What lies where in the data directory.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use banyan_chainspec::ChainSpec;

use crate::{ChainChoice, DataDir, NodeError, StoreConfig};

/// Paths of one data directory.
#[derive(Clone, Debug)]
pub(crate) struct DataPaths {
    root: PathBuf,
}

impl DataPaths {
    /// Paths below `root`.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The directory of `store`, not created yet.
    pub(crate) fn of(store: &StoreConfig, spec: &ChainSpec) -> Result<Self, NodeError> {
        let root = match &store.datadir {
            DataDir::At(path) => path.clone(),
            DataDir::Default => user_data_dir()?.join("banyan").join(chain_name(store, spec)),
        };
        Ok(Self::at(root))
    }

    /// Creates the directory with its parents.
    pub(crate) fn create(self) -> Result<Self, NodeError> {
        fs::create_dir_all(&self.root)
            .map_err(NodeError::file("cannot create data directory", &self.root))?;
        Ok(self)
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("db")
    }

    /// The JWT secret, unless another file is named.
    pub(crate) fn jwt_secret(&self) -> PathBuf {
        self.root.join("jwt.hex")
    }

    /// The node's key, unless another file is named.
    pub(crate) fn node_key(&self) -> PathBuf {
        self.root.join("discovery-secret")
    }
}

fn chain_name(store: &StoreConfig, spec: &ChainSpec) -> String {
    match store.chain {
        ChainChoice::Dev | ChainChoice::DevFunded(_) => "dev".to_owned(),
        ChainChoice::File(_) => spec.chain_id.to_string(),
    }
}

/// `$XDG_DATA_HOME`, or `~/.local/share`.
fn user_data_dir() -> Result<PathBuf, NodeError> {
    let variable = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    variable("XDG_DATA_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
        .ok_or(NodeError::NoDataDir)
}
