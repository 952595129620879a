//! What the generator found once, as single blocks.

use banyan_executor::{BlockExecutor, Executor, ExecutorConfig, MemoryState, ProgramMode};
use banyan_primitives::{Address, U256};

use crate::{
    authority,
    chain::Sent,
    common::{
        self,
        block::{COUNTER, context, fields, sender, sign, state},
    },
    draft::Draft,
};

/// Gas of each transaction, alone on the state that those before it left.
fn one_by_one(
    spec: &banyan_chainspec::ChainSpec,
    mut state: MemoryState,
    all: &[Sent],
) -> Vec<u64> {
    let mut execute = |(tx, sender): &Sent| {
        let mut executor = BlockExecutor::new(spec, context(), &state);
        let gas = executor.execute(tx, *sender).unwrap().gas_used;
        let diff = executor.diff_so_far().unwrap();
        drop(executor);
        state.apply(&diff);
        gas
    };
    all.iter().map(&mut execute).collect()
}

/// Gas of each transaction of one block, built by the oracle and by the executor.
fn together(
    spec: &banyan_chainspec::ChainSpec,
    state: &MemoryState,
    all: &[Sent],
) -> [Vec<u64>; 2] {
    let execute = |mut executor: BlockExecutor<'_, _>| {
        let gas = |(tx, sender): &Sent| executor.execute(tx, *sender).unwrap().gas_used;
        all.iter().map(gas).collect::<Vec<_>>()
    };
    let config = ExecutorConfig { workers: 1, programs: ProgramMode::Off, perturb: None };
    let fast = Executor::new(config).build(spec, context(), state, |mut executor| {
        let gas = |(tx, sender): &Sent| executor.execute(tx, *sender).unwrap().gas_used;
        all.iter().map(gas).collect::<Vec<_>>()
    });
    [execute(BlockExecutor::new(spec, context(), state)), fast]
}

#[test]
fn an_authority_that_was_touched_and_does_not_exist_costs_as_a_new_one() {
    let spec = common::merged("Prague");
    let authority = authority::addresses()[0];
    // By the EVM, since there is calldata.
    let mut touch = fields(&spec, 0, authority);
    touch.input = vec![1].into();
    let delegate = Draft {
        kind: 4,
        chain_id: Some(spec.chain_id),
        gas_limit: 200_000,
        max_fee: 2_000_000_000,
        to: sender(2).into(),
        authorizations: vec![authority::sign(0, spec.chain_id, Address::repeat_byte(7), 0)],
        value: U256::ZERO,
        ..Default::default()
    };
    let all = [(sign(touch), sender(0)), (delegate.seal(sender(1)), sender(1))];
    let expected = one_by_one(&spec, state(), &all);
    assert_eq!(together(&spec, &state(), &all), [expected.clone(), expected]);
}

#[test]
fn what_a_refused_transaction_loaded_is_not_believed_later() {
    let spec = common::merged("Prague");
    let state = state();
    let transaction = |nonce, to, value: U256| {
        let mut tx = fields(&spec, nonce, to);
        tx.value = value;
        sign(tx)
    };
    let config = ExecutorConfig { workers: 1, programs: ProgramMode::Off, perturb: None };
    Executor::new(config).build(&spec, context(), &state, |mut executor| {
        // The EVM refuses the first; the second goes without it, the third through it.
        executor.execute(&transaction(0, sender(9), U256::MAX >> 1), sender(0)).unwrap_err();
        executor.execute(&transaction(0, Address::repeat_byte(9), U256::ONE), sender(0)).unwrap();
        executor.execute(&transaction(1, COUNTER, U256::ZERO), sender(0)).unwrap();
    });
}
