//! A block from its first system call to its last request.

use banyan_chainspec::{ChainSpec, Fork};
use banyan_primitives::{RecoveredBlock, StateSource};

use super::{BATCH, BlockExecutor, BlockOutput, StateRootFn};
use crate::{Along, BlockContext, Execution, ExecutionError, access_log::Mark};

/// Executes a whole block on its parent's state, sequentially: the oracle.
///
/// Before Byzantium the receipts then lack their `post_state`: see [`execute_block_with_roots`].
pub fn execute_block<S: StateSource>(
    spec: &ChainSpec,
    block: &RecoveredBlock,
    parent: S,
) -> Result<BlockOutput, ExecutionError> {
    execute(spec, block, parent, Along::default())
}

/// As [`execute_block`], with the state roots that receipts carry before Byzantium: `state_root`
/// is asked after each transaction of such a block for the root of the parent state plus the diff.
pub fn execute_block_with_roots<S: StateSource>(
    spec: &ChainSpec,
    block: &RecoveredBlock,
    parent: S,
    state_root: &mut StateRootFn<'_>,
) -> Result<BlockOutput, ExecutionError> {
    execute(spec, block, parent, Along { state_root: Some(state_root), ..Along::default() })
}

fn execute<S: StateSource>(
    spec: &ChainSpec,
    block: &RecoveredBlock,
    parent: S,
    along: Along<'_>,
) -> Result<BlockOutput, ExecutionError> {
    let executor = BlockExecutor::new(spec, BlockContext::from_header(&block.header), parent);
    Ok(execute_with(executor, block, along)?.output)
}

/// Executes a block with an executor that has just been made for it.
pub(crate) fn execute_with<S: StateSource>(
    mut executor: BlockExecutor<'_, S>,
    block: &RecoveredBlock,
    along: Along<'_>,
) -> Result<Execution, ExecutionError> {
    let transactions = block.transactions();
    executor.reserve(transactions.len());
    let Along { state_root, mut observer, .. } = along;
    let mut state_root = state_root.filter(|_| !executor.rules.is(Fork::Byzantium));
    let mut shown = <(usize, Mark)>::default();

    executor.begin()?;
    for (index, (tx, sender)) in transactions.enumerate() {
        let outcome = executor.execute_offered(tx, sender, u32::try_from(index).ok());
        outcome.map_err(|error| error.at(index))?;
        if let Some(state_root) = &mut state_root {
            let root = state_root(&executor.diff_so_far()?)?;
            executor.set_last_post_state(root);
        }
        if let Some(observer) = observer.as_mut().filter(|_| (index + 1).is_multiple_of(BATCH)) {
            executor.show_to(observer, &mut shown);
        }
    }
    let withdrawals = block.body.withdrawals.as_ref().map(|withdrawals| withdrawals.as_slice());
    let stats = executor.stats();
    let requests = executor.end(&block.body.ommers, withdrawals)?;
    if let Some(observer) = &mut observer {
        executor.show_to(observer, &mut shown);
    }
    let (output, accesses) = executor.into_output(requests)?;
    Ok(Execution { output, stats, accesses })
}
