//! What it costs to read accounts from several threads: one view, or one for each thread.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for developers")]

use std::time::{Duration, Instant};

use banyan_primitives::{Address, BlockRef, StateSource, U256};
use banyan_state::{GenesisAccount, SharedView, StateView, write_genesis};
use banyan_storage::{Database, DatabaseOptions};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::time::{ClockId, clock_gettime};

const ACCOUNTS: u64 = 100_000;
/// Of each thread and round.
const READS: usize = 20_000;
const ROUNDS: u64 = 40;

fn address(number: u64) -> Address {
    Address::left_padding_from(&number.to_be_bytes())
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Random accounts, read by `threads` at a time; the best wall and processor time of a read, ns.
fn measure(threads: usize, mut round: impl FnMut(&rayon::ThreadPool, u64)) -> (f64, f64) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let (mut wall, mut cpu) = (Duration::MAX, Duration::MAX);
    for seed in 0..ROUNDS {
        let (cpu_before, started) = (cpu_time(), Instant::now());
        round(&pool, seed);
        wall = wall.min(started.elapsed());
        cpu = cpu.min(cpu_time() - cpu_before);
    }
    let each = |time: Duration| time.as_nanos() as f64 / (threads * READS) as f64;
    (each(wall), each(cpu))
}

fn read(source: &(impl StateSource + Sync), pool: &rayon::ThreadPool, seed: u64) {
    pool.broadcast(|thread| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed << 8 | thread.index() as u64);
        for _ in 0..READS {
            let account = source.account(&address(rng.random_range(0..ACCOUNTS)));
            assert!(account.unwrap().is_some());
        }
    });
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path(), DatabaseOptions::default()).unwrap();
    let block = BlockRef::default();
    let accounts = (0..ACCOUNTS).map(|number| GenesisAccount {
        address: address(number),
        nonce: 0,
        balance: U256::from(number + 1),
        code: Default::default(),
        storage: Vec::new(),
    });
    let txn = db.write().unwrap();
    write_genesis(&txn, block, accounts).unwrap();
    txn.commit().unwrap();
    let view = StateView::new(&db, Vec::new(), block).unwrap();

    println!("{:<36} {:>7} {:>10} {:>10}", "", "threads", "wall ns", "CPU ns");
    let row = |name: &str, threads: usize, (wall, cpu): (f64, f64)| {
        println!("{name:<36} {threads:>7} {wall:>10.0} {cpu:>10.0}");
    };
    for threads in [1, 2] {
        row("one view", threads, measure(threads, |pool, seed| read(&view, pool, seed)));
        let own = SharedView::new(&view, 1);
        row("a view each", threads, measure(threads, |pool, seed| read(&own, pool, seed)));
        let fresh = |pool: &rayon::ThreadPool, seed| read(&SharedView::new(&view, 2), pool, seed);
        row("a view each, into memory", threads, measure(threads, fresh));
        let known = SharedView::new(&view, 2);
        let again = |pool: &rayon::ThreadPool, _| read(&known, pool, 1);
        row("found in memory", threads, measure(threads, again));
    }
}
