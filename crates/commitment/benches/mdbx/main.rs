//! Commitments in the database: the `wide` rule against the keccak trie's walker, on the same blocks
//! in one run, turn and turn about.
//!
//! For every size of state and batch: processor time and wall time of computing the root and of
//! writing what is stored for the next one, and the bytes written. The flat state is written too,
//! but apart, and not counted: it is the same for both. Rows go to `mdbx.json`.
//!
//! `BANYAN_BENCH_KEYS` (millions, `1,2,4`), `BANYAN_BENCH_BATCHES` (`5000,20000`),
//! `BANYAN_BENCH_ROUNDS` (9), `BANYAN_BENCH_SHAPES` (`flat,nested,uniform`), `BANYAN_BENCH_THREADS` (1),
//! `BANYAN_BENCH_OUT` (folder for the rows), `BANYAN_BENCH_DIR` (folder for databases).
#![allow(clippy::print_stdout, reason = "a report")]

mod measure;
mod state;

use std::{env, path::PathBuf};

use measure::{Contender, Row, Rule};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use state::{Keys, Shape};

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // `cargo test --benches` runs this too: then there is nothing to measure.
    if !env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let rounds = list("BANYAN_BENCH_ROUNDS", "9")?[0];
    let batches = list("BANYAN_BENCH_BATCHES", "5000,20000")?;
    let mut rows = Vec::new();
    for threads in list("BANYAN_BENCH_THREADS", "1")? {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        for shape in text("BANYAN_BENCH_SHAPES", "flat,nested").split(',') {
            for millions in list("BANYAN_BENCH_KEYS", "1,2,4")? {
                let case = Case { shape: shape.parse()?, keys: millions * 1_000_000, threads };
                rows.extend(pool.install(|| case.measure(&batches, rounds))?);
            }
        }
    }
    if let Some(folder) = env::var_os("BANYAN_BENCH_OUT") {
        std::fs::create_dir_all(&folder)?;
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        let text = format!("[\n  {}\n]\n", rows.join(",\n  "));
        std::fs::write(PathBuf::from(folder).join("mdbx.json"), text)?;
    }
    Ok(())
}

/// One state, of which both rules have a database.
struct Case {
    shape: Shape,
    keys: usize,
    threads: usize,
}

impl Case {
    fn measure(
        &self,
        batches: &[usize],
        rounds: usize,
    ) -> Result<Vec<Row>, Box<dyn std::error::Error + Send + Sync>> {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let mut keys = Keys::new(&mut rng, self.shape, self.keys);
        let folder = env::var_os("BANYAN_BENCH_DIR").map(PathBuf::from);
        let folder = folder.unwrap_or_else(env::temp_dir);
        let mut contenders = Vec::new();
        for rule in [Rule::Mpt, Rule::Wide] {
            // The keccak trie has no form in which all keys are spread evenly.
            if self.shape == Shape::Uniform && rule == Rule::Mpt {
                continue;
            }
            contenders.push(Contender::new(rule, &folder, &keys)?);
        }
        let mut rows = Vec::new();
        for &batch in batches {
            for round in 0..rounds {
                let diff = keys.block(&mut rng, batch);
                let turn = round % contenders.len();
                contenders.rotate_left(turn);
                for contender in &mut contenders {
                    contender.run(&diff)?;
                }
            }
            contenders.sort_by_key(|contender| contender.rule);
            for contender in &mut contenders {
                let row = contender.row(self, batch)?;
                println!("{row}");
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

fn text(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn list(name: &str, default: &str) -> Result<Vec<usize>, std::num::ParseIntError> {
    text(name, default).split(',').map(str::parse).collect()
}
