//! From a choice of chain to its rules.

use std::{fs, path::Path, sync::Arc};

use banyan_chainspec::ChainSpec;

use crate::{ChainChoice, NodeError};

/// Genesis of the built-in development chain, as [`ChainSpec::dev`] reads it.
pub(crate) const DEV_GENESIS: &str = include_str!("../../../genesis/dev.json");

/// Reads and checks the chain's genesis.
pub(crate) fn load_chain(choice: &ChainChoice) -> Result<Arc<ChainSpec>, NodeError> {
    let spec = match choice {
        ChainChoice::Dev => ChainSpec::dev(),
        ChainChoice::File(path) => parse(path, &read(path)?)?,
    };
    Ok(Arc::new(spec))
}

/// The genesis of the chain as JSON (`dump-genesis`): a file is checked and given as it stands.
pub fn genesis_json(choice: &ChainChoice) -> Result<String, NodeError> {
    match choice {
        ChainChoice::Dev => Ok(DEV_GENESIS.to_owned()),
        ChainChoice::File(path) => {
            let text = read(path)?;
            parse(path, &text)?;
            Ok(text)
        }
    }
}

fn read(path: &Path) -> Result<String, NodeError> {
    fs::read_to_string(path).map_err(NodeError::file("cannot read genesis file", path))
}

fn parse(path: &Path, text: &str) -> Result<ChainSpec, NodeError> {
    ChainSpec::from_genesis_json(text)
        .map_err(|source| NodeError::Genesis { path: path.to_path_buf(), source })
}
