//! Commits in a database: what our own rules read and write.

use std::{fs, path::Path, time::Duration};

use banyan_commitment::{RootOutput, account_proof, rebuild, state_root, wide};
use banyan_primitives::trie::{HashedDiff, NodeDiff};
use banyan_state::{FlatState, write_leaves, write_nodes};
use banyan_storage::{Database, DatabaseOptions, Table, WriteTxn};
use banyan_wide_proof::Key;

use crate::{
    Result, Settings,
    measure::{Cost, cost, handed},
    peers::Peer,
    report::{Row, Rule},
    workload::{Asked, Keys},
};

/// What one commit cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub(crate) compute: Cost,
    pub(crate) write: Cost,
    /// Of the flat state, where it is apart.
    pub(crate) flat: Cost,
    pub(crate) bytes: u64,
    pub(crate) flat_bytes: u64,
    /// CPU ms, within the others, of threads that spin while they wait for the disk.
    pub(crate) polled: f64,
}

/// All databases with one state.
pub(crate) struct Mdbx {
    contenders: Vec<Contender>,
}

/// A rule, its database, and its runs since the last row.
struct Contender {
    rule: Rule,
    store: Store,
    runs: Vec<Run>,
    folder: tempfile::TempDir,
}

enum Store {
    Ours(Database),
    Nomt(Peer),
}

impl Mdbx {
    pub(crate) fn new(settings: &Settings, parts: &[HashedDiff]) -> Result<Self> {
        fs::create_dir_all(&settings.folder)?;
        let mut contenders = Vec::new();
        for rule in settings.rules.iter().copied() {
            let folder = tempfile::tempdir_in(&settings.folder)?;
            let store = match rule {
                Rule::Mpt => continue,
                Rule::Walker | Rule::Wide => Store::Ours(database(rule, folder.path(), parts)?),
                Rule::Nomt => Store::Nomt(Peer::new(folder.path(), parts)?),
            };
            contenders.push(Contender { rule, store, runs: Vec::new(), folder });
        }
        Ok(Self { contenders })
    }

    /// All contenders in turns on the same blocks, each round another one first; a first round is
    /// not counted. `row.flushed`: the flat state is part of the commit, and all of it is on the
    /// disk when it is done. Else the tree alone, and the peers only follow.
    pub(crate) fn measure(
        &mut self,
        keys: &mut Keys,
        rounds: usize,
        row: &Row,
    ) -> Result<Vec<Row>> {
        for contender in &mut self.contenders {
            contender.reopen(row.threads)?;
        }
        for round in 0..rounds + 1 {
            let diff = keys.block(row.batch);
            let turn = round % self.contenders.len();
            for index in 0..self.contenders.len() {
                let index = (index + turn) % self.contenders.len();
                self.contenders[index].run(&diff, row.flushed, round > 0)?;
            }
        }
        let rows = self.contenders.iter_mut().map(|contender| contender.row(row));
        let mut rows = rows.collect::<Result<Vec<_>>>()?;
        rows.retain(|found| row.flushed || found.rule != Rule::Nomt);
        Ok(rows)
    }

    /// Mean bytes of the proofs that are asked for, by rule.
    pub(crate) fn proofs(&self, asked: &[Asked]) -> Result<Vec<(Rule, f64)>> {
        let mut all = Vec::new();
        for contender in &self.contenders {
            let Store::Ours(db) = &contender.store else { continue };
            let txn = db.read()?;
            let state = FlatState::new(&txn);
            let sizes = asked.iter().map(|asked| proof(contender.rule, &state, asked));
            let sum: usize = sizes.collect::<Result<Vec<_>>>()?.iter().sum();
            all.push((contender.rule, sum as f64 / asked.len() as f64));
        }
        Ok(all)
    }

    /// Reads everything and compares it with the rows; mean leaves of a bucket.
    pub(crate) fn check(&self) -> Result<()> {
        for contender in &self.contenders {
            if let (Rule::Wide, Store::Ours(db)) = (contender.rule, &contender.store) {
                let stats = wide::wide_check(&FlatState::new(&db.read()?))?;
                let mean = stats.leaves as f64 / stats.buckets as f64;
                println!("wide rows are right: {} leaves, {mean:.1} a bucket", stats.leaves);
            }
        }
        Ok(())
    }
}

/// Bytes of what shows one key's value under the state's root.
fn proof(rule: Rule, state: &FlatState<'_>, asked: &Asked) -> Result<usize> {
    if rule == Rule::Wide {
        let (account, slot) = (asked.account.0, asked.slot.map(|(_, hashed)| hashed.0));
        let key = match slot {
            Some(slot) => Key::of_slot_id(&account, slot),
            None => Key::of_account_id(account),
        };
        let found = wide::wide_proof(state, &key)?;
        let proven = banyan_wide_proof::verify(&found.root.0, &key, &found.proof)?;
        return proven.map(|_| found.proof.len()).ok_or_else(|| "a key is not there".into());
    }
    let slots: Vec<_> = asked.slot.iter().map(|(slot, _)| *slot).collect();
    let found = account_proof(state, asked.address, &slots)?;
    let missing = found.account.is_none() || found.storage.iter().any(|slot| slot.value.is_zero());
    if missing {
        return Err("a key is not there".into());
    }
    let storage = found.storage.iter().flat_map(|slot| &slot.proof);
    Ok(found.proof.iter().chain(storage).map(|node| node.len()).sum())
}

/// A database with the whole state and its nodes.
fn database(rule: Rule, folder: &Path, parts: &[HashedDiff]) -> Result<Database> {
    // Nothing is flushed but when it is asked for.
    let forever = Duration::from_secs(86_400);
    let options = DatabaseOptions {
        sync_bytes: u64::MAX,
        sync_period: forever,
        read_deadline: forever,
        ..Default::default()
    };
    let db = Database::open(folder, options)?;
    for part in parts {
        let nodes = match rule {
            Rule::Wide => root(rule, &db, part)?.nodes,
            _ => NodeDiff::default(),
        };
        write(&db, |txn| {
            append(txn, part)?;
            Ok(write_nodes(txn, &nodes)?)
        })?;
    }
    if rule == Rule::Walker {
        let nodes = rebuild(&FlatState::new(&db.read()?))?.nodes;
        write(&db, |txn| Ok(write_nodes(txn, &nodes)?))?;
    }
    db.sync()?;
    Ok(db)
}

fn root(rule: Rule, db: &Database, diff: &HashedDiff) -> Result<RootOutput> {
    let txn = db.read()?;
    let state = FlatState::new(&txn);
    Ok(match rule {
        Rule::Wide => wide::wide_root(&state, diff)?,
        _ => state_root(&state, diff)?,
    })
}

fn write(db: &Database, work: impl FnOnce(&WriteTxn<'_>) -> Result<()>) -> Result<()> {
    let txn = db.write()?;
    work(&txn)?;
    Ok(txn.commit()?)
}

impl Contender {
    /// Sets the number of threads: ours are those of the pool that calls.
    fn reopen(&mut self, threads: usize) -> Result<()> {
        match &mut self.store {
            Store::Ours(_) => Ok(()),
            Store::Nomt(peer) => peer.reopen(self.folder.path(), threads),
        }
    }

    fn run(&mut self, diff: &HashedDiff, flushed: bool, counted: bool) -> Result<()> {
        let run = match &mut self.store {
            Store::Ours(db) if flushed => commit(self.rule, db, diff)?,
            Store::Ours(db) => commit_apart(self.rule, db, diff)?,
            Store::Nomt(peer) => peer.commit(diff)?,
        };
        if counted {
            self.runs.push(run);
        }
        Ok(())
    }

    fn row(&mut self, like: &Row) -> Result<Row> {
        let mut row = like.with_runs(self.rule, &self.runs);
        self.runs.clear();
        if let Store::Ours(db) = &self.store {
            let tables = db.stats()?.tables;
            let nodes = [Table::AccountTrie, Table::StorageTrie];
            let nodes = tables.iter().filter(|stats| nodes.contains(&stats.table));
            row.node_bytes = Some(nodes.map(|stats| stats.bytes).sum());
        }
        Ok(row)
    }
}

/// The root, then its nodes in one transaction and the flat state in another. All is flushed after
/// that, while no clock runs, so that the next block finds pages to use again, as it does in a node.
fn commit_apart(rule: Rule, db: &Database, diff: &HashedDiff) -> Result<Run> {
    let (compute, output) = cost(|| root(rule, db, diff));
    let nodes = output?.nodes;
    let before = handed()?;
    let (write_cost, result) = cost(|| write(db, |txn| Ok(write_nodes(txn, &nodes)?)));
    result?;
    let between = handed()?;
    let (flat, result) = cost(|| write(db, |txn| Ok(write_leaves(txn, diff)?)));
    result?;
    let flat_bytes = handed()? - between;
    db.sync()?;
    Ok(Run { compute, write: write_cost, flat, bytes: between - before, flat_bytes, polled: 0.0 })
}

/// The root, then nodes and flat state in one transaction, which is flushed.
fn commit(rule: Rule, db: &Database, diff: &HashedDiff) -> Result<Run> {
    let before = handed()?;
    let (compute, output) = cost(|| root(rule, db, diff));
    let nodes = output?.nodes;
    let (write, result) = cost(|| {
        write(db, |txn| {
            write_leaves(txn, diff)?;
            Ok(write_nodes(txn, &nodes)?)
        })?;
        Ok::<_, crate::Error>(db.sync()?)
    });
    result?;
    let bytes = handed()? - before;
    Ok(Run { compute, write, bytes, ..Default::default() })
}

/// Adds a part of the first state, above those before.
fn append(txn: &WriteTxn<'_>, part: &HashedDiff) -> Result<()> {
    for (key, account) in &part.accounts {
        txn.put_account(key, account.as_ref())?;
    }
    for (account, storage) in &part.storage {
        for (slot, value) in &storage.slots {
            txn.append_slot(account, slot, *value)?;
        }
    }
    Ok(())
}
