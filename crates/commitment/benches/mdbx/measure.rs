//! A rule with its database, and what its commits cost.

use std::{
    fmt, fs,
    path::Path,
    time::{Duration, Instant},
};

use banyan_commitment::{RootOutput, rebuild, state_root, wide};
use banyan_primitives::trie::{HashedDiff, NodeDiff};
use banyan_state::{FlatState, write_nodes};
use banyan_storage::{Database, DatabaseOptions, Table, WriteTxn};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rustix::time::{ClockId, clock_gettime};

use crate::{Case, state::Keys};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Whose root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    Mpt,
    Wide,
}

/// What one commit cost.
#[derive(Clone, Copy, Debug)]
struct Run {
    compute: Cost,
    write: Cost,
    /// Of the flat state, apart.
    flat: Cost,
    bytes: u64,
    flat_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Cost {
    cpu: Duration,
    wall: Duration,
}

/// A rule and its database.
pub(crate) struct Contender {
    pub(crate) rule: Rule,
    db: Database,
    runs: Vec<Run>,
    _folder: tempfile::TempDir,
}

impl Contender {
    /// A database with the whole state.
    pub(crate) fn new(rule: Rule, folder: &Path, keys: &Keys) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let folder = tempfile::tempdir_in(folder)?;
        // Nothing is flushed while times are taken: that is the same for both, and the disk's.
        let forever = Duration::from_secs(86_400);
        let options = DatabaseOptions {
            sync_bytes: u64::MAX,
            sync_period: forever,
            read_deadline: forever,
            ..Default::default()
        };
        let db = Database::open(folder.path(), options)?;
        let contender = Self { rule, db, runs: Vec::new(), _folder: folder };
        for part in keys.parts(&mut ChaCha8Rng::seed_from_u64(7)) {
            let nodes = match rule {
                Rule::Mpt => NodeDiff::default(),
                Rule::Wide => contender.root(&part)?.nodes,
            };
            contender.write(|txn| {
                append(txn, &part)?;
                Ok(write_nodes(txn, &nodes)?)
            })?;
        }
        if rule == Rule::Mpt {
            let nodes = rebuild(&FlatState::new(&contender.db.read()?))?.nodes;
            contender.write(|txn| Ok(write_nodes(txn, &nodes)?))?;
        }
        contender.db.sync()?;
        Ok(contender)
    }

    fn write(&self, work: impl FnOnce(&WriteTxn<'_>) -> Result<()>) -> Result<()> {
        let txn = self.db.write()?;
        work(&txn)?;
        Ok(txn.commit()?)
    }

    fn root(&self, diff: &HashedDiff) -> Result<RootOutput> {
        let txn = self.db.read()?;
        let state = FlatState::new(&txn);
        Ok(match self.rule {
            Rule::Mpt => state_root(&state, diff)?,
            Rule::Wide => wide::wide_root(&state, diff)?,
        })
    }

    /// Computes the root after `diff`, writes nodes, then the flat state.
    pub(crate) fn run(&mut self, diff: &HashedDiff) -> Result<()> {
        let (compute, output) = cost(|| self.root(diff));
        let nodes = output?.nodes;
        let before = written()?;
        let (write, result) = cost(|| self.write(|txn| Ok(write_nodes(txn, &nodes)?)));
        result?;
        let bytes = written()? - before;
        let (flat, result) = cost(|| self.write(|txn| write_flat(txn, diff)));
        result?;
        let flat_bytes = written()? - before - bytes;
        self.runs.push(Run { compute, write, flat, bytes, flat_bytes });
        Ok(())
    }

    /// Medians of the runs since the last row.
    pub(crate) fn row(&mut self, case: &Case, batch: usize) -> Result<Row> {
        let runs = std::mem::take(&mut self.runs);
        let of = |cost: fn(&Run) -> Duration| {
            median(runs.iter().map(|run| cost(run).as_secs_f64() * 1e3).collect())
        };
        let stats = self.db.stats()?;
        let size = |table| stats.tables.iter().find(|t| t.table == table).map_or(0, |t| t.bytes);
        let mut bucket = None;
        if self.rule == Rule::Wide && batch == 5000 {
            let stats = wide::wide_check(&FlatState::new(&self.db.read()?))?;
            bucket = Some(stats.leaves as f64 / stats.buckets as f64);
        }
        Ok(Row {
            rule: self.rule,
            shape: format!("{:?}", case.shape).to_lowercase(),
            keys: case.keys,
            batch,
            threads: case.threads,
            compute_ms: of(|run| run.compute.cpu),
            write_ms: of(|run| run.write.cpu),
            wall_ms: of(|run| run.compute.wall + run.write.wall),
            flat_ms: of(|run| run.flat.cpu),
            bytes: median(runs.iter().map(|run| run.bytes as f64).collect()),
            flat_bytes: median(runs.iter().map(|run| run.flat_bytes as f64).collect()),
            node_bytes: size(Table::AccountTrie) + size(Table::StorageTrie),
            bucket,
        })
    }
}

/// Medians.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    rule: Rule,
    shape: String,
    keys: usize,
    batch: usize,
    threads: usize,
    compute_ms: f64,
    write_ms: f64,
    wall_ms: f64,
    flat_ms: f64,
    bytes: f64,
    flat_bytes: f64,
    node_bytes: u64,
    bucket: Option<f64>,
}

impl Row {
    pub(crate) fn json(&self) -> String {
        let Self { rule, shape, keys, batch, threads, wall_ms, bytes, .. } = self;
        let rule = format!("{rule:?}").to_lowercase();
        let cpu_ms = self.compute_ms + self.write_ms;
        format!(
            "{{\"case\": \"mdbx\", \"rule\": \"{rule}\", \"shape\": \"{shape}\", \
             \"keys_in_state\": {keys}, \"batch\": {batch}, \"threads\": {threads}, \
             \"cpu_ms\": {cpu_ms:.2}, \"wall_ms\": {wall_ms:.2}, \"bytes_written\": {bytes:.0}, \
             \"compute_ms\": {:.2}, \"write_ms\": {:.2}}}",
            self.compute_ms, self.write_ms
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:8}{:>4}M b={:<6}t={} {:?}: compute {:7.2} + write {:6.2} = {:7.2} ms cpu, wall \
             {:7.2}, {:6.2} MB; flat {:6.2} ms, {:6.2} MB; {:5.2} B/key",
            self.shape,
            self.keys / 1_000_000,
            self.batch,
            self.threads,
            self.rule,
            self.compute_ms,
            self.write_ms,
            self.compute_ms + self.write_ms,
            self.wall_ms,
            self.bytes / 1e6,
            self.flat_ms,
            self.flat_bytes / 1e6,
            self.node_bytes as f64 / self.keys as f64,
        )?;
        self.bucket.map_or(Ok(()), |bucket| write!(f, "; {bucket:.1} leaves a bucket"))
    }
}

/// Adds a part of the first state, above those before.
fn append(txn: &WriteTxn<'_>, part: &HashedDiff) -> Result<()> {
    for (key, account) in &part.accounts {
        txn.append_account(key, account.as_ref().ok_or("a deletion")?)?;
    }
    for (account, storage) in &part.storage {
        for (slot, value) in &storage.slots {
            txn.append_slot(account, slot, *value)?;
        }
    }
    Ok(())
}

fn write_flat(txn: &WriteTxn<'_>, diff: &HashedDiff) -> Result<()> {
    for (key, account) in &diff.accounts {
        txn.put_account(key, account.as_ref())?;
    }
    for (account, storage) in &diff.storage {
        for (slot, value) in &storage.slots {
            txn.put_slot(account, slot, *value)?;
        }
    }
    Ok(())
}

fn cost<T>(work: impl FnOnce() -> T) -> (Cost, T) {
    let (cpu, wall) = (process_cpu(), Instant::now());
    let result = work();
    let wall = wall.elapsed();
    (Cost { cpu: process_cpu().saturating_sub(cpu), wall }, result)
}

/// Processor time of the process, all threads.
fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().unwrap_or_default())
}

/// Bytes that the process has handed to `write` and its like so far.
fn written() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("wchar: "));
    Ok(line.ok_or("no count of written bytes")?.parse()?)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
