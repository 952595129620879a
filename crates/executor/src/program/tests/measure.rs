//! How long a program takes, beside the EVM.

use std::{hint::black_box, time::Instant};

use super::{
    A, B, C, Tx, n, token_world,
    tokens::{self, Kind},
};
use crate::{program::Scratch, state::BlockState};

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
        let mut time = |prepared: Option<&_>| {
            let rounds = 200_000;
            let start = Instant::now();
            for _ in 0..rounds {
                let answer = world.library.run(black_box(&env), prepared, &mut db, &mut scratch);
                black_box(answer.unwrap());
            }
            start.elapsed().as_nanos() / rounds
        };
        let (plain, ahead) = (time(None), time(prepared.as_ref()));
        let start = Instant::now();
        for _ in 0..20_000 {
            black_box(world.library.prepare(black_box(&env), &mut scratch));
        }
        let prepare = start.elapsed().as_nanos() / 20_000;
        let start = Instant::now();
        for _ in 0..20_000 {
            black_box(world.evm(black_box(&tx)));
        }
        let evm = start.elapsed().as_nanos() / 20_000;
        let shape = world.library.shape(&env);
        println!(
            "{name}: {plain} ns, hashes ahead {ahead} ns (preparing {prepare} ns), EVM {evm} ns; \
             instructions, guards, loads, hashes: {shape:?}"
        );
    }
}
