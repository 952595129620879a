//! How long a program takes, beside the EVM.

use std::hint::black_box;

use banyan_primitives::{Address, U256};
use revm::Database;

use super::{
    A, B, C, Tx, n, token_world,
    tokens::{self, Kind},
};
use crate::{
    program::{CallEnv, Scratch},
    state::BlockState,
};

/// Processor time of one call in nanoseconds; the least of some rounds.
fn time(mut work: impl FnMut()) -> f64 {
    let rounds = 100_000;
    let mut round = || {
        let before = cpu();
        (0..rounds).for_each(|_| work());
        (cpu() - before) as f64 / f64::from(rounds)
    };
    (0..7).map(|_| round()).fold(f64::MAX, f64::min)
}

/// Processor time of this thread in nanoseconds, where Linux tells.
fn cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn selector(tx: &Tx) -> u32 {
    tx.input[..4].iter().fold(0, |selector, byte| selector << 8 | u32::from(*byte))
}

#[test]
#[ignore = "slow: prints times; run with --ignored --nocapture on an idle machine"]
fn times_of_programs() {
    let mut world = token_world(Kind::Plain);
    let cases = [
        ("transfer", Tx::new(A, tokens::transfer(B, n(5)))),
        ("transferFrom", Tx::new(C, tokens::transfer_from(A, B, n(5)))),
        ("approve", Tx::new(A, tokens::approve(B, n(5)))),
        ("mint", Tx::new(A, tokens::mint(B, n(5)))),
    ];
    for (name, tx) in cases {
        world.teach(&tx);
        let env = world.env(&tx);
        let mut scratch = Scratch::default();
        let mut db = BlockState::new(&world.state);
        let prepared = world.library.prepare(&env, &mut scratch);
        let plain = time(|| {
            let answer = world.library.run(black_box(&env), None, &mut db, &mut scratch);
            drop(black_box(answer.unwrap()));
        });
        let ahead = time(|| {
            let answer =
                world.library.run(black_box(&env), prepared.as_ref(), &mut db, &mut scratch);
            drop(black_box(answer.unwrap()));
        });
        let prepare = time(|| {
            black_box(world.library.prepare(black_box(&env), &mut scratch));
        });
        // As many others as make every hash a new one.
        let unlike = |number: u64| Address::from_word(U256::from(number).into());
        let arguments = |number: u64| [tokens::word(unlike(number)), n(0)];
        let inputs: Vec<_> = (1 << 20..(1 << 20) + 30_000)
            .map(|number| tokens::input(selector(&tx), &arguments(number)))
            .collect();
        let mut next = inputs.iter().cycle();
        let others = time(|| {
            let input = next.next().unwrap_or(&tx.input);
            let env = CallEnv { input, caller: unlike(input[23].into()), ..env };
            drop(black_box(world.library.run(&env, None, &mut db, &mut scratch).unwrap()));
        });
        let reads = time(|| {
            for slot in [n(1), n(2)] {
                black_box(db.storage(tx.target, black_box(slot)).unwrap());
            }
        });
        let evm = time(|| {
            black_box(world.evm(black_box(&tx)));
        });
        let shape = world.library.shape(&env);
        // The others may neither mint nor spend.
        let others = if env.input.len() == 68 && name != "mint" { others } else { f64::NAN };
        println!(
            "{name}: {plain:.0} ns with hashes remembered, others {others:.0} ns, hashes ahead {ahead:.0} ns (preparing {prepare:.0} ns), two reads \
             {reads:.0} ns, EVM with set-up {evm:.0} ns; instructions, guards, loads, hashes: {shape:?}"
        );
    }
}
