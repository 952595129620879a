//! Generated blocks of adversarial content: the executor with all its shortcuts against the plain
//! sequential EVM, for whole blocks and for building, over chains that one executor lives through.
//!
//! `make test` runs some hundred blocks of fixed seeds; `make fuzz-executor BLOCKS=1000000 SEED=1`
//! as many as asked for. A failure names its seed and prints what is left of the block after all
//! that is not needed was dropped; `SEED=n BLOCKS=1` runs the chain of that seed again.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic, its helpers too")]

mod asm;
mod authority;
mod chain;
mod check;
mod code;
#[path = "../common/mod.rs"]
mod common;
mod tokens;
mod txs;
mod world;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use banyan_primitives::{Account, TransactionTrait};
use chain::Chain;

/// Blocks of a chain; of every eighth four times as many, so that more is learnt on the way.
const CHAIN: u64 = 25;

fn length(seed: u64) -> u64 {
    if seed.is_multiple_of(8) { 4 * CHAIN } else { CHAIN }
}

/// Runs chains from `seed` on until there were so many blocks; panics at the first failure.
fn run(seed: u64, blocks: u64) {
    let (next, done, failed) = (AtomicU64::new(seed), AtomicU64::new(0), Mutex::new(None));
    let totals = Mutex::new(banyan_executor::ExecutionStats::default());
    let started = Instant::now();
    let work = || {
        while done.load(Relaxed) < blocks && failed.lock().unwrap().is_none() {
            let seed = next.fetch_add(1, Relaxed);
            match check::run_chain(seed, length(seed) as usize) {
                Ok(stats) => check::add(&mut totals.lock().unwrap(), &stats),
                Err(failure) => drop(failed.lock().unwrap().insert(failure)),
            }
            let before = done.fetch_add(length(seed), Relaxed);
            if (before + length(seed)) / 10_000 > before / 10_000 {
                let (seconds, totals) = (started.elapsed().as_secs(), totals.lock().unwrap());
                println!(
                    "{} blocks, {seconds} s, next seed {}: {totals:?}",
                    before + length(seed),
                    next.load(Relaxed)
                );
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    println!(
        "{} blocks, {:?}: {:?}",
        done.load(Relaxed),
        started.elapsed(),
        totals.lock().unwrap()
    );
    if let Some(failure) = failed.into_inner().unwrap() {
        println!("FAILED {failure:?}");
        panic!("{}", check::minimised(&failure));
    }
}

#[test]
fn generated_blocks_come_out_as_the_oracle_says() {
    run(1, 1500);
}

/// `BANYAN_FUZZ_BLOCKS` and `BANYAN_FUZZ_SEED` say how many, from where.
#[test]
#[ignore = "slow: 20,000 blocks; make fuzz-executor BLOCKS=1000000 SEED=1 for more"]
fn very_many_generated_blocks_come_out_as_the_oracle_says() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    run(number("BANYAN_FUZZ_SEED").unwrap_or(1), number("BANYAN_FUZZ_BLOCKS").unwrap_or(20_000));
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
    let seen = coverage(200);
    for (what, count) in &seen {
        println!("{count:8} {what}");
    }
}
