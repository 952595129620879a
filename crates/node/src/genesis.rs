//! From a choice of chain to its rules.

use std::{fs, path::Path, sync::Arc};

use banyan_chainspec::ChainSpec;
use banyan_primitives::{B256, alloy_primitives::hex};

use crate::{
    ChainChoice, NodeError,
    dev::{DEV_KEYS, address_of},
    mnemonic,
};

/// Genesis of the built-in development chain, as [`ChainSpec::dev`] reads it.
pub(crate) const DEV_GENESIS: &str = include_str!("../../../genesis/dev.json");

/// Reads and checks the chain's genesis.
pub(crate) fn load_chain(choice: &ChainChoice) -> Result<Arc<ChainSpec>, NodeError> {
    let spec = match choice {
        ChainChoice::Dev => ChainSpec::dev(),
        ChainChoice::DevFunded(phrase) => parse(Path::new("--dev.mnemonic"), &funded(phrase)?)?,
        ChainChoice::File(path) => parse(path, &read(path)?)?,
    };
    Ok(Arc::new(spec))
}

/// The genesis of the chain as JSON (`dump-genesis`): a file is checked and given as it stands.
pub fn genesis_json(choice: &ChainChoice) -> Result<String, NodeError> {
    match choice {
        ChainChoice::Dev => Ok(DEV_GENESIS.to_owned()),
        ChainChoice::DevFunded(phrase) => funded(phrase),
        ChainChoice::File(path) => {
            let text = read(path)?;
            parse(path, &text)?;
            Ok(text)
        }
    }
}

/// Keys of the accounts that the development chain funds; none for a chain from a file.
pub(crate) fn dev_keys(choice: &ChainChoice) -> Result<Vec<B256>, NodeError> {
    match choice {
        ChainChoice::Dev => Ok(DEV_KEYS.to_vec()),
        ChainChoice::DevFunded(phrase) => mnemonic::keys(phrase, DEV_KEYS.len() as u32),
        ChainChoice::File(_) => Ok(Vec::new()),
    }
}

/// The development chain's genesis with other accounts in place of the known ones.
fn funded(phrase: &str) -> Result<String, NodeError> {
    let keys = mnemonic::keys(phrase, DEV_KEYS.len() as u32)?;
    let name = |key: &B256| address_of(key).map(hex::encode);
    let mut text = DEV_GENESIS.to_owned();
    for (known, wanted) in DEV_KEYS.iter().zip(&keys) {
        if let (Some(known), Some(wanted)) = (name(known), name(wanted)) {
            text = text.replace(&known, &wanted);
        }
    }
    Ok(text)
}

fn read(path: &Path) -> Result<String, NodeError> {
    fs::read_to_string(path).map_err(NodeError::file("cannot read genesis file", path))
}

fn parse(path: &Path, text: &str) -> Result<ChainSpec, NodeError> {
    ChainSpec::from_genesis_json(text)
        .map_err(|source| NodeError::Genesis { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_phrase_funds_its_accounts_instead_of_the_known_ones() {
        let phrase = "abandon ".repeat(11) + "about";
        let choice = ChainChoice::DevFunded(phrase);
        let (spec, known) = (load_chain(&choice).unwrap(), ChainSpec::dev());
        assert_eq!(spec.alloc.len(), known.alloc.len());
        assert_ne!(spec.genesis_header.hash(), known.genesis_header.hash());
        for key in dev_keys(&choice).unwrap() {
            let account = &spec.alloc[&address_of(&key).unwrap()];
            assert!(!account.balance.is_zero());
        }
        for key in DEV_KEYS {
            assert!(!spec.alloc.contains_key(&address_of(&key).unwrap()));
        }
        let reread = ChainSpec::from_genesis_json(&genesis_json(&choice).unwrap()).unwrap();
        assert_eq!(reread.genesis_header.hash(), spec.genesis_header.hash());
    }
}
