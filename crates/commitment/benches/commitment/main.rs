//! `make bench-commitment`: state roots, all rules on the same blocks in one run, turn and turn about.
//!
//! In memory (`ram`): the `mpt` tree that is kept, the walker over stored nodes, the `wide` tree. In
//! the database (`mdbx`): the walker and `wide`, computing the root and writing what is stored for
//! the next one; the flat state is written, too, but apart and not counted, as it is the same for
//! both. With it, and all of it flushed to the disk (`flushed`): the same two and NOMT, which keeps
//! values itself and flushes always; for that, feature `peers`. Figures are medians; CPU is that of
//! the process, all threads together.
//!
//! Settings are variables of the environment: `BANYAN_BENCH_KEYS` (`1000000,10000000`),
//! `BANYAN_BENCH_BATCHES` (`1000,5000,20000`), `BANYAN_BENCH_THREADS` (`1,2`), `BANYAN_BENCH_ROUNDS` (9),
//! `BANYAN_BENCH_SHAPES` (`uniform,nested`; `flat`), `BANYAN_BENCH_CASES` (`ram,mdbx,flushed`),
//! `BANYAN_BENCH_RULES` (`mpt,walker,wide,nomt`), `BANYAN_BENCH_DIR` (folder for databases),
//! `BANYAN_BENCH_OUT` (folder of `commitment.json`, `commitment-size.svg`, `commitment-batch.svg`;
//! what `banyan bench replay --rows` has left there as `commitment-node*.json` joins the rows).

#![allow(clippy::print_stdout, reason = "a report")]

mod mdbx;
mod measure;
#[cfg_attr(not(feature = "peers"), path = "no_peers.rs")]
mod peers;
mod plot;
mod ram;
mod report;
mod verdict;
mod workload;

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
    time::Instant,
};

use serde_json::Value;

use self::{
    mdbx::Mdbx,
    ram::Ram,
    report::{Place, Row, Rule},
    workload::{Keys, Shape},
};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// Keys of the first state of which proofs are taken.
const PROOFS: usize = 1000;

/// What the environment asks for.
struct Settings {
    keys: Vec<usize>,
    batches: Vec<usize>,
    threads: Vec<usize>,
    rounds: usize,
    shapes: Vec<Shape>,
    cases: Vec<String>,
    rules: Vec<Rule>,
    /// For databases.
    folder: PathBuf,
    out: Option<PathBuf>,
}

impl Settings {
    fn from_env() -> Result<Self> {
        Ok(Self {
            keys: list("BANYAN_BENCH_KEYS", "1000000,10000000")?,
            batches: list("BANYAN_BENCH_BATCHES", "1000,5000,20000")?,
            threads: list("BANYAN_BENCH_THREADS", "1,2")?,
            rounds: list("BANYAN_BENCH_ROUNDS", "9")?[0],
            shapes: list("BANYAN_BENCH_SHAPES", "uniform,nested")?,
            cases: list("BANYAN_BENCH_CASES", "ram,mdbx,flushed")?,
            rules: list("BANYAN_BENCH_RULES", "mpt,walker,wide,nomt")?,
            folder: env::var_os("BANYAN_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from),
            out: env::var_os("BANYAN_BENCH_OUT").map(PathBuf::from),
        })
    }

    fn has(&self, case: &str) -> bool {
        self.cases.iter().any(|other| other == case)
    }
}

fn list<T: FromStr<Err: fmt::Display>>(name: &str, default: &str) -> Result<Vec<T>> {
    let text = env::var(name).ok().filter(|text| !text.is_empty());
    let text = text.unwrap_or_else(|| default.to_owned());
    let items = text.split(',').map(|item| item.trim().parse());
    items.collect::<std::result::Result<_, _>>().map_err(|error| format!("{name}: {error}").into())
}

fn main() -> Result<()> {
    // `cargo test --benches` runs this too: then there is nothing to measure.
    if !env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut settings = Settings::from_env()?;
    let keccak_ns = measure::keccak_ns();
    println!("keccak256 of 532 bytes: {keccak_ns:.0} ns (918 in the design note)");
    if cfg!(not(feature = "peers")) && settings.rules.contains(&Rule::Nomt) {
        println!("left out: nomt (built without the feature `peers`)");
        settings.rules.retain(|rule| *rule != Rule::Nomt);
    }
    let mut rows = Vec::new();
    for &shape in &settings.shapes {
        for &count in &settings.keys {
            state(&settings, shape, count, &mut rows)?;
        }
    }
    println!("{}", report::tables(&rows));
    let keccak_ns = keccak_ns.max(measure::keccak_ns());
    println!("{}", verdict::table(&rows, keccak_ns));
    let Some(folder) = settings.out else { return Ok(()) };
    fs::create_dir_all(&folder)?;
    let mut json: Vec<_> = rows.iter().map(Row::json).collect();
    json.extend(rows_of_node(&folder)?);
    fs::write(folder.join("commitment.json"), serde_json::to_vec_pretty(&json)?)?;
    let plots = [("size", plot::by_size(&rows)), ("batch", plot::by_batch(&rows))];
    for (name, svg) in plots {
        if let Some(svg) = svg {
            fs::write(folder.join(format!("commitment-{name}.svg")), svg)?;
        }
    }
    Ok(())
}

/// Rows that `banyan bench replay --rows` left in `commitment-node*.json`.
fn rows_of_node(folder: &Path) -> Result<Vec<Value>> {
    let mut rows = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if name.starts_with("commitment-node") && name.ends_with(".json") {
            rows.extend(serde_json::from_slice::<Vec<Value>>(&fs::read(&path)?)?);
        }
    }
    Ok(rows)
}

/// All that is measured on one state. Memory and databases hold it one after the other, each with
/// blocks of its own.
fn state(settings: &Settings, shape: Shape, count: usize, rows: &mut Vec<Row>) -> Result<()> {
    let started = Instant::now();
    let built =
        |what: &str| println!("{shape}, {count} keys: {what} after {:.0?}", started.elapsed());
    if settings.has("ram") {
        let mut keys = Keys::new(shape, count);
        let mut ram = Ram::new(settings, &keys.parts())?;
        built("in memory");
        each(settings, |batch, threads| {
            let row = Row::new((Place::Ram, false), (shape, count), (batch, threads));
            add(rows, ram.measure(&mut keys, settings.rounds, &row)?, &[]);
            Ok(())
        })?;
        ram.check()?;
    }
    if settings.has("mdbx") || settings.has("flushed") {
        let mut keys = Keys::new(shape, count);
        let mut mdbx = Mdbx::new(settings, &keys.parts())?;
        built("in databases");
        let proofs = mdbx.proofs(&keys.sample(PROOFS))?;
        for flushed in [false, true] {
            if !settings.has(if flushed { "flushed" } else { "mdbx" }) {
                continue;
            }
            each(settings, |batch, threads| {
                let row = Row::new((Place::Disk, flushed), (shape, count), (batch, threads));
                add(rows, mdbx.measure(&mut keys, settings.rounds, &row)?, &proofs);
                Ok(())
            })?;
        }
        mdbx.check()?;
    }
    built("measured");
    Ok(())
}

/// Once for each number of threads and size of blocks, in a pool of so many threads.
fn each(
    settings: &Settings,
    mut work: impl FnMut(usize, usize) -> Result<()> + Send,
) -> Result<()> {
    for &threads in &settings.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        for &batch in &settings.batches {
            pool.install(|| work(batch, threads))?;
        }
    }
    Ok(())
}

/// Prints and keeps rows, with the sizes of proofs.
fn add(rows: &mut Vec<Row>, new: Vec<Row>, proofs: &[(Rule, f64)]) {
    for mut row in new {
        row.proof = proofs.iter().find(|(rule, _)| *rule == row.rule).map(|(_, bytes)| *bytes);
        println!("{row}");
        rows.push(row);
    }
}
