//! Large genesis states: grown once, kept in a directory, and copied for every run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use banyan_chain::{adopt_genesis, grow_state};
use banyan_chainspec::ChainSpec;
use banyan_primitives::{
    Account, Address, B256, KeyRule, Sealable, U256, keccak256,
    trie::{HashedDiff, HashedStorageDiff},
};
use banyan_storage::{Database, DatabaseOptions, SCHEMA_VERSION};
use rayon::prelude::*;

use super::{GrownConfig, erc20};
use crate::{NodeError, Progress};

/// Keys that are written in one transaction.
const BATCH: usize = 1 << 19;
/// Holds the state root, once everything is written.
const ROOT: &str = "root";

/// A state on disk: the allocation of a genesis and accounts that are holders of the token.
pub(super) struct GrownState {
    directory: PathBuf,
}

/// The account of a number: nobody has its key.
pub(super) fn holder(number: u32) -> Address {
    let hash = keccak256([b"banyan bench holder".as_slice(), &number.to_be_bytes()].concat());
    Address::from_slice(&hash[12..])
}

impl GrownState {
    /// The state for `spec`, which has `senders` of its own: as it was kept, or grown now. Its root
    /// becomes that of `spec`'s genesis.
    pub(super) fn of(
        config: &GrownConfig,
        senders: u32,
        spec: &mut ChainSpec,
    ) -> Result<Self, NodeError> {
        let rule = spec.commitment.keys();
        let kind = if rule == KeyRule::Wide { "wide" } else { "mpt" };
        let name = format!("{kind}-{}-{senders}-v{SCHEMA_VERSION}", config.accounts);
        let state = Self { directory: config.directory.join(name) };
        let file = state.directory.join(ROOT);
        if !file.exists() {
            state.grow(config.accounts, spec)?;
        }
        let text = fs::read_to_string(&file).map_err(NodeError::file("cannot read", &file))?;
        let damaged = |_| NodeError::Bench(format!("{} holds no root; remove it", file.display()));
        let mut header = spec.genesis_header.clone().unseal();
        header.state_root = text.trim().parse().map_err(damaged)?;
        spec.genesis_header = header.seal_slow();
        Ok(state)
    }

    fn grow(&self, accounts: u32, spec: &ChainSpec) -> Result<(), NodeError> {
        let unfinished = self.directory.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)
                .map_err(NodeError::file("cannot prepare", &unfinished))?;
        }
        let keys = spec.commitment.keys();
        let title = format!("growing a state of {accounts} accounts");
        let progress = Progress::new(title, 2 * u64::from(accounts));
        {
            let options = DatabaseOptions { keys, ..Default::default() };
            let database = Database::open(&unfinished, options)?;
            let batches = batches(accounts, keys).inspect(|(_, size)| progress.add(*size as u64));
            let root = grow_state(spec, &database, batches.map(|(batch, _)| batch))?;
            database.sync()?;
            let file = unfinished.join(ROOT);
            fs::write(&file, format!("{root}\n"))
                .map_err(NodeError::file("cannot prepare", &file))?;
        }
        progress.finish();
        fs::rename(&unfinished, &self.directory)
            .map_err(NodeError::file("cannot prepare", &self.directory))
    }

    /// Puts a copy of the state into `database`, as that of `spec`'s genesis block.
    pub(super) fn copy_to(&self, database: &Path, spec: &ChainSpec) -> Result<(), NodeError> {
        fs::create_dir_all(database).map_err(NodeError::file("cannot copy", database))?;
        for entry in fs::read_dir(&self.directory)
            .map_err(NodeError::file("cannot copy", &self.directory))?
        {
            let path = entry.map_err(NodeError::file("cannot copy", &self.directory))?.path();
            if let Some(name) = path.file_name().filter(|name| *name != ROOT) {
                fs::copy(&path, database.join(name))
                    .map_err(NodeError::file("cannot copy", &path))?;
            }
        }
        let options = DatabaseOptions { keys: spec.commitment.keys(), ..Default::default() };
        Ok(adopt_genesis(spec, &Database::open(database, options)?)?)
    }
}

/// Holders and their tokens in order of key, and the number of keys of each batch.
fn batches(accounts: u32, keys: KeyRule) -> impl Iterator<Item = (HashedDiff, usize)> {
    let token = keys.account(&erc20::TOKEN);
    let holders = move || sorted(accounts, move |address| keys.account(&address));
    let slots = move || {
        sorted(accounts, move |address| {
            keys.slot(&erc20::TOKEN, U256::from_be_bytes(erc20::balance_slot(address).0))
        })
    };
    let of_accounts = |batch: &[B256]| HashedDiff {
        accounts: batch.iter().map(|key| (*key, Some(account(key)))).collect(),
        ..Default::default()
    };
    let of_slots = move |batch: &[B256]| {
        let slots = batch.iter().map(|key| (*key, U256::from(1) + value(key))).collect();
        let storage = HashedStorageDiff { wiped: false, slots };
        HashedDiff { storage: [(token, storage)].into(), ..Default::default() }
    };
    // One list of keys at a time.
    let first = std::iter::once_with(holders).flat_map(chunks).map(move |batch| {
        let size = batch.len();
        (of_accounts(&batch), size)
    });
    let second = std::iter::once_with(slots).flat_map(chunks).map(move |batch| {
        let size = batch.len();
        (of_slots(&batch), size)
    });
    first.chain(second)
}

fn chunks(keys: Vec<B256>) -> impl Iterator<Item = Vec<B256>> {
    let count = keys.len().div_ceil(BATCH);
    (0..count).map(move |index| keys[index * BATCH..keys.len().min((index + 1) * BATCH)].to_vec())
}

fn sorted(accounts: u32, key: impl Fn(Address) -> B256 + Sync) -> Vec<B256> {
    let mut keys: Vec<B256> =
        (0..accounts).into_par_iter().map(|number| key(holder(number))).collect();
    keys.par_sort_unstable();
    keys
}

fn account(key: &B256) -> Account {
    Account {
        nonce: 1,
        balance: U256::from(10).pow(U256::from(18)) + value(key),
        ..Default::default()
    }
}

/// Some amount, so that leaves differ as real ones do.
fn value(key: &B256) -> U256 {
    U256::from_be_slice(&key[..8])
}

#[cfg(test)]
mod tests {
    use banyan_chainspec::ChainSpec;
    use banyan_commitment::{rebuild, wide::wide_rebuild};
    use banyan_state::FlatState;

    use super::*;
    use crate::bench::{Generator, Workload};

    fn grown(lag: Option<u64>) -> (tempfile::TempDir, GrownConfig, ChainSpec, GrownState) {
        let directory = tempfile::tempdir().unwrap();
        let generator = Generator::new(Workload::Mixed, 1, 3, 901);
        let genesis = generator.genesis(30_000_000, lag).unwrap();
        let mut spec = ChainSpec::from_genesis_json(&genesis).unwrap();
        let config = GrownConfig { accounts: 700, directory: directory.path().to_owned() };
        let state = GrownState::of(&config, 3, &mut spec).unwrap();
        (directory, config, spec, state)
    }

    #[test]
    fn the_root_is_that_of_the_state_and_all_holders_are_in_it() {
        for lag in [None, Some(4)] {
            let (_directory, _, spec, state) = grown(lag);
            let copy = tempfile::tempdir().unwrap();
            state.copy_to(copy.path(), &spec).unwrap();
            let options = DatabaseOptions { keys: spec.commitment.keys(), ..Default::default() };
            let txn = Database::open(copy.path(), options).unwrap().read().unwrap();
            let flat = FlatState::new(&txn);
            let root = match lag {
                None => rebuild(&flat).unwrap().root,
                Some(_) => wide_rebuild(&flat).unwrap(),
            };
            assert_eq!(root, spec.genesis_header.state_root);
            for number in 0..700 {
                let account = banyan_storage::StateRead::account(
                    &txn,
                    &spec.commitment.keys().account(&holder(number)),
                );
                assert_eq!(account.unwrap().unwrap().nonce, 1);
            }
        }
    }

    #[test]
    fn a_state_that_is_there_is_not_grown_again() {
        let (_directory, config, mut spec, state) = grown(None);
        let file = state.directory.join(ROOT);
        fs::write(&file, format!("{}\n", B256::repeat_byte(7))).unwrap();
        GrownState::of(&config, 3, &mut spec).unwrap();
        assert_eq!(spec.genesis_header.state_root, B256::repeat_byte(7));
    }

    #[test]
    fn a_root_file_that_is_damaged_is_named() {
        let (_directory, config, mut spec, state) = grown(None);
        fs::write(state.directory.join(ROOT), "no root").unwrap();
        let error = GrownState::of(&config, 3, &mut spec).err().unwrap().to_string();
        assert!(error.contains("root; remove it"), "{error}");
    }
}
