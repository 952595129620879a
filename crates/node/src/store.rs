//! Subcommands that work on a database without serving it.

use std::{
    fs::File,
    io::BufReader,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_rlp::Decodable;
use banyan_chain::{ChainConfig, ChainHandle, PayloadStatus};
use banyan_chainspec::ChainSpec;
use banyan_executor::ExecutorConfig;
use banyan_primitives::{Block, RecoveredBlock, SealedBlock, signer};
use banyan_storage::{Database, DatabaseOptions, OpenError, SCHEMA_VERSION};

use crate::{NodeError, Progress, StoreConfig, datadir::DataPaths, genesis::load_chain};

/// Largest encoded block taken from a file, bytes: far above what gas allows.
const MAX_BLOCK_BYTES: u64 = 256 << 20;
/// The file ends within a block.
const CUT_OFF: &str = "the file ends within the block";

/// Opens the chain of a store, writing genesis into an empty database.
fn open(store: &StoreConfig, config: ChainConfig) -> Result<ChainHandle, NodeError> {
    let spec = load_chain(&store.chain)?;
    let paths = DataPaths::of(store, &spec)?.create()?;
    let database = open_database(&spec, &paths)?;
    start_chain(spec, database, config)
}

/// Starts the chain. The first time genesis is written, which takes long if it is large; after a
/// crash blocks of the journal are executed.
pub(crate) fn start_chain(
    spec: Arc<ChainSpec>,
    database: Database,
    config: ChainConfig,
) -> Result<ChainHandle, NodeError> {
    let genesis = match database.bound_chain()? {
        Some(_) => None,
        None => Some(Progress::new(format!("writing genesis: {} accounts", spec.alloc.len()), 0)),
    };
    let mut replay: Option<Progress> = None;
    let chain = ChainHandle::start_with_progress(spec, database, config, &mut |done, total| {
        replay.get_or_insert_with(|| Progress::new("executing the journal", total)).set(done);
    })?;
    drop((genesis, replay));
    Ok(chain)
}

/// Opens the database of a chain; one of another chain is refused as it is.
pub(crate) fn open_database(spec: &ChainSpec, paths: &DataPaths) -> Result<Database, NodeError> {
    let chain = Some((spec.chain_id, spec.genesis_header.hash()));
    let keys = spec.commitment.keys();
    let options = DatabaseOptions { chain, keys, ..DatabaseOptions::default() };
    Ok(Database::open(&paths.database(), options)?)
}

/// Creates the database and writes genesis; nothing happens if that was done before (`init`).
pub fn init(store: &StoreConfig) -> Result<(), NodeError> {
    let chain = open(store, ChainConfig::default())?;
    let genesis = &chain.spec().genesis_header;
    tracing::info!(chain_id = chain.spec().chain_id, genesis = %genesis.hash(), "initialised");
    Ok(chain.shutdown()?)
}

/// Path of the database (`db path`).
pub fn database_path(store: &StoreConfig) -> Result<PathBuf, NodeError> {
    let spec = load_chain(&store.chain)?;
    Ok(DataPaths::of(store, &spec)?.database())
}

/// Version of the schema, ours and the database's, as text (`db version`).
pub fn database_version(store: &StoreConfig) -> Result<String, NodeError> {
    let path = database_path(store)?;
    let found = match path.exists().then(|| Database::open(&path, DatabaseOptions::default())) {
        None => "none: there is no database yet".to_owned(),
        Some(Ok(_)) => SCHEMA_VERSION.to_string(),
        Some(Err(OpenError::NewerSchema { found, .. } | OpenError::OlderSchema { found, .. })) => {
            found.to_string()
        }
        Some(Err(error)) => return Err(error.into()),
    };
    Ok(format!("Current database version: {SCHEMA_VERSION}\nLocal database version: {found}\n"))
}

/// Sizes of the database and of its tables, as a table (`db stats`).
pub fn database_stats(store: &StoreConfig) -> Result<String, NodeError> {
    let path = database_path(store)?;
    if !path.exists() {
        return Err(NodeError::NoDatabase(path));
    }
    let stats = Database::open(&path, DatabaseOptions::default())?.stats()?;
    let mut text = format!("{:<24} {:>14} {:>14}\n", "table", "entries", "bytes");
    for table in &stats.tables {
        let name = format!("{:?}", table.table);
        text.push_str(&format!("{name:<24} {:>14} {:>14}\n", table.entries, table.bytes));
    }
    text.push_str(&format!("{:<24} {:>14} {:>14}\n", "file", "", stats.file_bytes));
    text.push_str(&format!("{:<24} {:>14} {:>14}\n", "free in the file", "", stats.free_bytes));
    Ok(text)
}

/// Imports RLP files in order and returns the head (`import`). Stops at the first block that
/// breaks a rule; what came before it stays.
pub fn import(
    store: &StoreConfig,
    files: &[PathBuf],
    executor: ExecutorConfig,
) -> Result<u64, NodeError> {
    let sizes = files.iter().map(|path| {
        path.metadata().map(|file| file.len()).map_err(NodeError::file("cannot open", path))
    });
    let bytes = sizes.sum::<Result<u64, _>>()?;
    let chain = open(store, ChainConfig { executor, ..ChainConfig::default() })?;
    let progress = Progress::bytes("importing blocks", bytes);
    let outcome = files.iter().try_for_each(|path| import_file(&chain, path, &progress));
    progress.finish();
    let head = chain.view().head().number;
    // The valid blocks are kept even if a later one was refused.
    chain.shutdown()?;
    outcome.map(|()| head)
}

fn import_file(chain: &ChainHandle, path: &Path, progress: &Progress) -> Result<(), NodeError> {
    let file = File::open(path).map_err(NodeError::file("cannot open", path))?;
    let mut reader = BufReader::new(file);
    for index in 0.. {
        let refuse = |reason: String| NodeError::Import { path: path.to_path_buf(), index, reason };
        let Some(bytes) = next_item(&mut reader).map_err(refuse)? else { break };
        progress.add(bytes.len() as u64);
        let block = decode(&bytes).map_err(refuse)?;
        let number = block.number();
        if number == 0 {
            continue; // some tools put genesis first
        }
        match chain.import(block)? {
            PayloadStatus::Valid(_) => {}
            PayloadStatus::Invalid { error, .. } => {
                return Err(refuse(format!("number {number}: {error}")));
            }
            PayloadStatus::Syncing | PayloadStatus::Accepted => {
                return Err(refuse(format!("number {number}: its parent is not known")));
            }
        }
    }
    Ok(())
}

fn decode(bytes: &[u8]) -> Result<RecoveredBlock, String> {
    let block = Block::decode(&mut &*bytes).map_err(|error| format!("not a block: {error}"))?;
    let senders = signer::senders(&block.body.transactions, |_| None)
        .map_err(|(index, error)| format!("transaction {index}: {error}"))?;
    Ok(RecoveredBlock::new(SealedBlock::seal(block), senders))
}

/// Reads the next RLP list whole; `None` at the end of the file.
fn next_item(reader: &mut impl Read) -> Result<Option<Vec<u8>>, String> {
    let mut first = [0];
    if reader.read(&mut first).map_err(|error| error.to_string())? == 0 {
        return Ok(None);
    }
    let mut item = first.to_vec();
    let length = match first[0] {
        byte @ 0xf8.. => {
            let mut length = [0; 8];
            let digits = &mut length[8 - usize::from(byte - 0xf7)..];
            reader.read_exact(digits).map_err(|_| CUT_OFF.to_owned())?;
            item.extend_from_slice(digits);
            u64::from_be_bytes(length)
        }
        byte @ 0xc0.. => u64::from(byte - 0xc0),
        _ => return Err("not an RLP list".to_owned()),
    };
    if length > MAX_BLOCK_BYTES {
        return Err(format!("{length} bytes are no block"));
    }
    let read = reader.take(length).read_to_end(&mut item).map_err(|error| error.to_string())?;
    if (read as u64) < length { Err(CUT_OFF.to_owned()) } else { Ok(Some(item)) }
}

#[cfg(test)]
mod tests {
    use alloy_rlp::Encodable;
    use banyan_primitives::Header;

    use super::*;

    fn items(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let mut reader = bytes;
        std::iter::from_fn(|| next_item(&mut reader).transpose()).collect()
    }

    fn block(extra: usize) -> Vec<u8> {
        let header = Header { extra_data: vec![7; extra].into(), ..Default::default() };
        let mut bytes = Vec::new();
        Block { header, body: Default::default() }.encode(&mut bytes);
        bytes
    }

    #[test]
    fn a_file_is_split_into_its_blocks() {
        let blocks = vec![block(0), block(70_000), block(32)];
        assert_eq!(items(&blocks.concat()), Ok(blocks.clone()));
        assert_eq!(items(&[]), Ok(vec![]));
        assert_eq!(items(&[0xc0, 0xc1, 0x80]), Ok(vec![vec![0xc0], vec![0xc1, 0x80]]));
        assert_eq!(decode(&blocks[1]).unwrap().block.header.extra_data.len(), 70_000);
    }

    #[test]
    fn a_file_that_is_cut_off_or_foreign_is_refused() {
        let whole = block(70_000);
        assert_eq!(items(&whole[..whole.len() - 1]), Err(CUT_OFF.to_owned()));
        assert_eq!(items(&whole[..2]), Err(CUT_OFF.to_owned()));
        assert!(items(b"{}").unwrap_err().contains("not an RLP list"));
        let huge = [&[0xff][..], &u64::MAX.to_be_bytes()].concat();
        assert!(items(&huge).unwrap_err().contains("are no block"));
        assert!(decode(&[0xc0]).unwrap_err().contains("not a block"));
    }
}
