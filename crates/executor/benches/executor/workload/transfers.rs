//! Plain transfers.

use banyan_primitives::{Bytes, U256};

use super::{Call, Plan, Workload, account, funded};

const TRANSFER_GAS: u64 = 21_000;

/// Sender and receiver of transaction number `n`.
type Pair = fn(u64) -> (u64, u64);

/// Blocks of `gas` gas.
pub(super) fn plans(gas: u64) -> Vec<Plan> {
    let pairs: [(&str, Pair); 5] = [
        ("self", |n| (n, n)),
        ("distinct", |n| (2 * n, 2 * n + 1)),
        ("one receiver", |n| (n + 1, 0)),
        ("one sender", |n| (0, n + 1)),
        ("chain", |n| (n, n + 1)),
    ];
    let plan = |(name, pair): (&str, Pair)| {
        let name = format!("transfers, {name}, {} Mgas", gas / 1_000_000);
        Plan::new(name, move |name| {
            let count = gas / TRANSFER_GAS;
            let calls = (0..count).map(pair).map(|(from, to)| Call {
                from,
                to: account(to),
                value: U256::ONE,
                input: Bytes::new(),
            });
            Workload::synthetic(name, TRANSFER_GAS, calls, funded(2 * count))
        })
    };
    pairs.into_iter().map(plan).collect()
}
