//! Other people's trees on the same keys: NOMT, the published crate.

use std::{fs, path::Path};

use banyan_primitives::{Account, trie::HashedDiff};
use nomt::{KeyReadWrite, Nomt, Options, SessionParams, hasher::Blake3Hasher, trie::KeyPath};

use crate::{
    Result,
    mdbx::Run,
    measure::{cost, count},
};

/// A NOMT database with values: it flushes at every commit.
pub(crate) struct Peer {
    buckets: u32,
    /// None while it is opened again.
    nomt: Option<Nomt<Blake3Hasher>>,
}

impl Peer {
    pub(crate) fn new(folder: &Path, parts: &[HashedDiff]) -> Result<Self> {
        let keys: usize = parts.iter().map(|part| operations(part).len()).sum();
        // Pages of its hash table: a page covers six levels, and small ones are left out.
        let buckets = u32::try_from(keys / 16)?.max(64_000);
        let mut peer = Self { buckets, nomt: None };
        peer.reopen(folder, 1)?;
        for part in parts.chunks(8) {
            let mut all: Vec<_> = part.iter().flat_map(operations).collect();
            all.sort_unstable_by_key(|(key, _)| *key);
            // An account may be listed with several parts of its storage.
            all.dedup_by_key(|(key, _)| *key);
            peer.write(all)?;
        }
        Ok(peer)
    }

    /// The same database with another number of threads.
    pub(crate) fn reopen(&mut self, folder: &Path, threads: usize) -> Result<()> {
        self.nomt = None;
        let mut options = Options::new();
        options.path(folder.join("nomt"));
        options.commit_concurrency(threads);
        options.hashtable_buckets(self.buckets);
        options.bitbox_seed([6; 16]);
        // It reads past the system's cache, so it gets caches of its own for all that it has.
        options.page_cache_size(1024);
        options.leaf_cache_size(2048);
        self.nomt = Some(Nomt::open(options)?);
        Ok(())
    }

    /// Commits a block; its operations are laid out before the clocks start.
    pub(crate) fn commit(&self, diff: &HashedDiff) -> Result<Run> {
        self.write(operations(diff))
    }

    fn write(&self, operations: Vec<(KeyPath, KeyReadWrite)>) -> Result<Run> {
        let nomt = self.nomt.as_ref().ok_or("the peer is closed")?;
        let (before, polled) = (sent()?, input_output_ms()?);
        let (compute, finished) = cost(|| {
            let session = nomt.begin_session(SessionParams::default());
            operations.iter().for_each(|(key, _)| session.warm_up(*key));
            session.finish(operations)
        });
        let finished = finished?;
        let (write, result) = cost(|| finished.commit(nomt));
        result?;
        let bytes = sent()? - before;
        let polled = input_output_ms()? - polled;
        Ok(Run { compute, write, bytes, polled, ..Default::default() })
    }
}

/// Each key with the value it gets, sorted.
fn operations(diff: &HashedDiff) -> Vec<(KeyPath, KeyReadWrite)> {
    let accounts = diff.accounts.iter();
    let accounts = accounts.map(|(key, account)| (key.0, account.as_ref().map(encode)));
    let slots =
        diff.storage.values().flat_map(|storage| &storage.slots).map(|(key, value)| {
            (key.0, (!value.is_zero()).then(|| value.to_be_bytes_trimmed_vec()))
        });
    let all = accounts.chain(slots).map(|(key, value)| (key, KeyReadWrite::Write(value)));
    let mut all: Vec<_> = all.collect();
    all.sort_unstable_by_key(|(key, _)| *key);
    all
}

/// As short as our flat state has it.
fn encode(account: &Account) -> Vec<u8> {
    let mut bytes = account.nonce.to_be_bytes()[4..].to_vec();
    bytes.extend(account.balance.to_be_bytes_trimmed_vec());
    if account.code_hash != Account::default().code_hash {
        bytes.extend(account.code_hash);
    }
    bytes
}

/// Bytes sent to the disk past the system's cache so far. (Of what goes through the cache, all of each
/// folio that is touched, which may be many pages: no count for MDBX.)
fn sent() -> Result<u64> {
    count("write_bytes:")
}

/// Processor time of its threads for input and output so far, ms. They spin as long as something is
/// under way, so a slow disk costs processor time.
fn input_output_ms() -> Result<f64> {
    let mut sum = 0.0;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim() == "io-worker" {
            let text = fs::read_to_string(task.join("schedstat"))?;
            let time = text.split_whitespace().next().ok_or("no processor time of a thread")?;
            sum += time.parse::<f64>()? / 1e6;
        }
    }
    Ok(sum)
}
