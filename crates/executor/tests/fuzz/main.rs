//! Generated blocks of adversarial content: the executor with all its shortcuts against the plain
//! sequential EVM, for whole blocks and for building, over chains that one executor lives through.
//!
//! `make test` runs some hundred blocks of fixed seeds; `make fuzz-executor BLOCKS=1000000 SEED=1`
//! as many as asked for. A failure names its seed and prints what is left of the block after all
//! that is not needed was dropped; `SEED=n BLOCKS=1` runs the chain of that seed again.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic, its helpers too")]

mod asm;
mod authority;
mod cases;
mod chain;
mod check;
mod code;
#[path = "../common/mod.rs"]
mod common;
mod draft;
mod faulty;
mod loud;
mod tokens;
mod txs;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use banyan_executor::ExecutionStats;
use banyan_primitives::{Account, TransactionTrait};
use chain::Chain;

/// Blocks of a chain; of every eighth four times as many, so that more is learnt on the way.
const CHAIN: u64 = 25;

fn length(seed: u64) -> u64 {
    if seed.is_multiple_of(8) { 4 * CHAIN } else { CHAIN }
}

/// A chain takes about a second. After this time without one that ended, somebody hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs chains from `seed` on until there were so many blocks, or so many failures; panics if there
/// was one, and aborts if a chain does not end.
fn run(seed: u64, blocks: u64, failures: usize) -> ExecutionStats {
    loud::listen();
    faulty::silence();
    let (next, done, failed) = (AtomicU64::new(seed), AtomicU64::new(0), Mutex::new(Vec::new()));
    let totals = Mutex::new(ExecutionStats::default());
    let at_work = Mutex::new(BTreeSet::new());
    let started = Instant::now();
    let report = |done: u64| {
        let (time, next) = (started.elapsed().as_secs(), next.load(Relaxed));
        println!("{done} blocks, {time} s, next seed {next}: {:?}", totals.lock().unwrap());
    };
    let work = || {
        while done.load(Relaxed) < blocks && failed.lock().unwrap().len() < failures {
            let seed = next.fetch_add(1, Relaxed);
            at_work.lock().unwrap().insert(seed);
            match check::run_chain(seed, length(seed) as usize) {
                Ok(stats) => check::add(&mut totals.lock().unwrap(), &stats),
                Err(failure) => {
                    println!("FAILED: {}", check::minimised(&failure));
                    failed.lock().unwrap().push(failure);
                }
            }
            at_work.lock().unwrap().remove(&seed);
            let before = done.fetch_add(length(seed), Relaxed);
            let after = before + length(seed);
            if after / 10_000 > before / 10_000 {
                report(after);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let (mut seen, mut since) = (0, Instant::now());
        while !workers.iter().all(|worker| worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
            if done.load(Relaxed) != seen {
                (seen, since) = (done.load(Relaxed), Instant::now());
            } else if since.elapsed() > PATIENCE {
                eprintln!("hangs: one of the seeds {:?}", at_work.lock().unwrap());
                std::process::abort();
            }
        }
    });
    report(done.load(Relaxed));
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} failures", failed.len());
    totals.into_inner().unwrap()
}

#[test]
fn generated_blocks_come_out_as_the_oracle_says() {
    let totals = run(1, 1500, 1);
    // Whatever the schedule was, those without other threads have their shortcuts.
    assert!(totals.transfers > 1000 && totals.programs > 50, "{totals:?}");
}

/// `BANYAN_FUZZ_BLOCKS` and `BANYAN_FUZZ_SEED` say how many, from where; it stops after
/// `BANYAN_FUZZ_FAILURES`, one unless given.
#[test]
#[ignore = "slow: 20,000 blocks; make fuzz-executor BLOCKS=1000000 SEED=1 for more"]
fn very_many_generated_blocks_come_out_as_the_oracle_says() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let failures = number("BANYAN_FUZZ_FAILURES").unwrap_or(1) as usize;
    let (seed, blocks) = (number("BANYAN_FUZZ_SEED"), number("BANYAN_FUZZ_BLOCKS"));
    let _ = run(seed.unwrap_or(1), blocks.unwrap_or(20_000), failures);
}

#[test]
fn a_seed_is_a_chain() {
    let print = |seed| {
        let mut chain = Chain::new(seed);
        (0..10).map(|_| format!("{:?}", chain.step().blocks)).collect::<String>()
    };
    assert_eq!(print(5), print(5));
    assert_ne!(print(5), print(6));
}

/// How often each thing happened in the first chains.
fn coverage(chains: u64) -> BTreeMap<String, u64> {
    let mut seen = BTreeMap::new();
    let mut note = |what: String| *seen.entry(what).or_default() += 1;
    for seed in 1..=chains {
        let mut chain = Chain::new(seed);
        note(format!("chain {}", chain.world.name));
        for _ in 0..CHAIN {
            let step = chain.step();
            for ((tx, _), said) in &step.tried {
                let kind = if tx.is_create() { "create" } else { "call" };
                note(format!("type {:?} {kind}", tx.tx_type()));
                // What follows a colon are addresses and numbers.
                let said = said.split_once(": ").map_or(said.as_str(), |(said, _)| said);
                note(if said.starts_with("Ok") { "accepted".into() } else { said.to_owned() });
            }
            let Ok(output) = &step.verdict else {
                note(format!("block {}", step.verdict.unwrap_err()));
                continue;
            };
            for receipt in &output.receipts {
                note(format!("success {}", receipt.success));
                note(format!("logs {}", receipt.logs.len().min(1)));
            }
            for change in output.diff.accounts.values() {
                let code = |account: &Option<Account>| account.filter(Account::has_code);
                note(format!("wiped {}", change.wiped));
                match (change.before, change.after) {
                    (None, Some(_)) => note("account made".into()),
                    (Some(_), None) => note("account gone".into()),
                    (_, Some(after)) if after.balance.is_zero() => note("balance zero".into()),
                    _ => {}
                }
                match (code(&change.before), code(&change.after)) {
                    (None, Some(_)) => note("code made".into()),
                    (Some(a), Some(b)) if a.code_hash != b.code_hash => note("code changed".into()),
                    (Some(_), None) => note("code gone".into()),
                    _ => {}
                }
            }
        }
    }
    seen
}

#[test]
fn the_generator_reaches_what_it_is_for() {
    let seen = coverage(120);
    for (what, count) in &seen {
        println!("{count:8} {what}");
    }
    let all = |part: &str| {
        seen.iter().filter(|(what, _)| what.contains(part)).map(|(_, n)| n).sum::<u64>()
    };
    let refusals = all("Err(");
    assert!(all("accepted") > 2 * refusals, "{refusals} refusals");
    for (what, least) in [
        ("nonce too high", 50),
        ("NonceTooLow", 50),
        ("insufficient funds", 50),
        ("intrinsic gas too low", 50),
        ("gas limit reached", 50),
        ("sender not an eoa", 20),
        ("success true", 8000),
        ("success false", 3000),
        ("logs 1", 1500),
        ("type Deposit call", 500),
        ("type Eip1559 create", 200),
        ("type Eip2930 call", 1000),
        ("type Eip4844 call", 100),
        ("type Eip7702 call", 200),
        ("type Legacy call", 3000),
        ("account made", 500),
        ("account gone", 20),
        ("balance zero", 1000),
        ("code made", 300),
        ("code changed", 20),
        ("code gone", 20),
        ("wiped true", 30),
        ("chain OP", 30),
    ] {
        assert!(all(what) >= least, "{what}: {}", all(what));
    }
}

#[test]
#[ignore = "slow: a tool, prints what the oracle says, to compare two versions of it"]
fn what_the_oracle_says() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let from = number("BANYAN_FUZZ_SEED").unwrap_or(1);
    for seed in from..from + number("BANYAN_FUZZ_BLOCKS").unwrap_or(2000) / CHAIN {
        let mut chain = Chain::new(seed);
        let mut said = String::new();
        for _ in 0..CHAIN {
            let step = chain.step();
            for block in &step.blocks {
                let verdict = chain::oracle(&chain.world.spec, block, &step.parent);
                said += &chain::print(&verdict.map_err(|error| format!("{error:?}")));
            }
            said += &chain::print(&step.verdict);
            step.diffs.iter().for_each(|diff| said += &chain::digest(diff).to_string());
            step.tried.iter().for_each(|(_, told)| said += told);
        }
        println!("seed {seed}: {}", banyan_primitives::keccak256(said));
    }
}
