//! Executes a block on its parent's state and judges what came out. Nobody is told INVALID before
//! plain sequential execution says so, too, and the plain root.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use banyan_chainspec::ChainSpec;
use banyan_commitment::{state_root, storage_root};
use banyan_consensus::{ExecutionResult, InvalidBlock, validate_output};
use banyan_executor::{
    Along, BlockOutput, Committed, Execution, ExecutionError, execute_block_with_roots,
};
use banyan_primitives::{
    B256, MESSAGE_PASSER_TRIE, RecoveredBlock, SourceError, StateDiff,
    trie::{HashedDiff, TrieSource},
};
use banyan_state::{Layer, SharedView, StateView};

use crate::{
    BlockTimings, ChainError, Commitments, ExecutedBlock, commit::Rooted,
    executed::record_execution, machine::Chain, reveal::Revealer, seal::stated,
};

/// What executing a block came to: the block, or what is wrong with it.
pub(crate) type Verdict = Result<ExecutedBlock, InvalidBlock>;

/// What running its transactions came to, before anything is compared with the header.
type Outcome = Result<BlockOutput, InvalidBlock>;

impl Chain {
    pub(crate) fn execute(
        &self,
        block: &RecoveredBlock,
        parent: &StateView,
    ) -> Result<Verdict, ChainError> {
        let started = Instant::now();
        let parent = &SharedView::new(parent, self.executor.config().workers);
        let mut root = |diff: &StateDiff| intermediate_root(parent, diff);
        // A block that was reverted and comes back.
        let list = self.accesses.peek(&block.hash()).map(|accesses| accesses.list());
        let tries = self.commitments.tries().filter(|_| self.executor.config().workers > 1);
        let execution = match Revealer::new(tries, parent, block) {
            None => {
                let along = Along { state_root: Some(&mut root), list, observer: None };
                self.executor.execute_block_with(&self.spec, block, parent, along)
            }
            Some(revealer) => rayon::in_place_scope(|scope| {
                revealer.parties(scope, block);
                let mut observer = |committed: Committed<'_>| revealer.changed(scope, &committed);
                let (state_root, observer) = (Some(&mut root as _), Some(&mut observer as _));
                let along = Along { state_root, list, observer };
                self.executor.execute_block_with(&self.spec, block, parent, along)
            }),
        };
        let mut accesses = None;
        if let Ok(execution) = &execution {
            record_execution(block.number(), &execution.stats);
            accesses.clone_from(&execution.accesses);
        }
        let outcome = outcome(execution.map(|Execution { output, .. }| output))?;
        let verdict = self.settle(block, parent, outcome, started.elapsed())?;
        // An executor that was wrong about a block may have noted what is wrong.
        let accesses = accesses.filter(|_| !self.executor.is_distrusted());
        Ok(verdict.map(|executed| executed.with_accesses(accesses)))
    }

    /// The verdict on what the executor made of a block in the time `execute`. Is it against the
    /// block, then the plain EVM has the last word.
    fn settle(
        &self,
        block: &RecoveredBlock,
        parent: &SharedView<'_>,
        outcome: Outcome,
        execute: Duration,
    ) -> Result<Verdict, ChainError> {
        let against = match outcome {
            Ok(output) => match self.judge(block, parent, output, execute)? {
                Ok(executed) => return Ok(Ok(executed)),
                Err((error, output)) => (error, Ok(output)),
            },
            Err(error) => (error.clone(), Err(error)),
        };
        let (error, outcome) = against;
        if self.executor.config().workers == 0 {
            return Ok(Err(error));
        }
        let started = Instant::now();
        let plain = self.run_plainly(block, parent.alone())?;
        match difference(&outcome, &plain) {
            None => return Ok(Err(error)),
            Some(what) => self.distrust(block, &what, &error),
        }
        match plain {
            Ok(output) => {
                let verdict = self.judge(block, parent, output, started.elapsed())?;
                Ok(verdict.map_err(|(error, _)| error))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Sequentially, by the EVM alone.
    fn run_plainly(
        &self,
        block: &RecoveredBlock,
        parent: &StateView,
    ) -> Result<Outcome, ChainError> {
        let mut root = |diff: &StateDiff| intermediate_root(parent, diff);
        outcome(execute_block_with_roots(&self.spec, block, parent, &mut root))
    }

    /// The executor and the plain EVM differ on a block: a fault of ours.
    fn distrust(&self, block: &RecoveredBlock, what: &str, error: &InvalidBlock) {
        let (number, hash) = (block.number(), block.hash());
        tracing::error!(
            number, %hash, what, %error,
            "the executor was wrong about a block, which the plain EVM has decided; learnt programs \
             are off from now on; please report this"
        );
        metrics::counter!("banyan_executor_mismatches_total").increment(1);
        self.executor.distrust();
    }

    /// Compares output and roots with the header. What is wrong comes with the output. The root of
    /// the receipts takes about as long as that of the state: each has a thread.
    fn judge(
        &self,
        block: &RecoveredBlock,
        parent: &SharedView<'_>,
        output: BlockOutput,
        execute: Duration,
    ) -> Result<Result<ExecutedBlock, (InvalidBlock, BlockOutput)>, ChainError> {
        let started = Instant::now();
        let (checked, found) = rayon::join(
            || check_output(&self.spec, block, &output),
            || commit((&self.spec, &self.commitments), block, parent, &output.diff),
        );
        if let Err(error) = checked {
            return Ok(Err((error, output)));
        }
        let mut found = found?;
        let mut checked = self.check_roots(block, parent, &found)?;
        if checked.is_err()
            && let Some(plain) = self.root_plainly(block, parent, &found)?
        {
            found = plain;
            checked = self.check_roots(block, parent, &found)?;
        }
        let wait = match checked {
            Ok(wait) => wait,
            Err(error) => return Ok(Err((error, output))),
        };
        let timings = BlockTimings { execute, root: started.elapsed(), wait };
        Ok(Ok(ExecutedBlock::new(block.clone(), output, found.layer, timings)))
    }

    /// The roots by the walker over what is stored, if the tries in memory led to others: a fault of
    /// ours. They are forgotten then, as nothing of them leads to the right state.
    fn root_plainly(
        &self,
        block: &RecoveredBlock,
        parent: &SharedView<'_>,
        found: &Rooted,
    ) -> Result<Option<Rooted>, ChainError> {
        let Some(wrong) = found.state_root else { return Ok(None) };
        let plain = state_root(parent, &found.layer.state)?;
        if plain.root == wrong {
            return Ok(None);
        }
        let (number, hash, root) = (block.number(), block.hash(), plain.root);
        tracing::error!(
            number, %hash, %root, %wrong,
            "the tries in memory were wrong about a block; please report this"
        );
        metrics::counter!("banyan_trie_mismatches_total").increment(1);
        let withdrawals_root = match plain.storage_roots.get(&MESSAGE_PASSER_TRIE) {
            _ if found.withdrawals_root.is_none() => None,
            Some(changed) => Some(*changed),
            None => Some(storage_root(parent, MESSAGE_PASSER_TRIE)?),
        };
        let layer = found.layer.clone().with_nodes(plain.nodes);
        Ok(Some(Rooted { layer, state_root: Some(root), withdrawals_root }))
    }

    /// How long a root was waited for, if they are right.
    fn check_roots(
        &self,
        block: &RecoveredBlock,
        parent: &SharedView<'_>,
        found: &Rooted,
    ) -> Result<Result<Duration, InvalidBlock>, ChainError> {
        let header = &block.header;
        let mismatch = |what, header, computed| InvalidBlock::Mismatch { what, header, computed };
        // What is ready first: a lagged root may have to be waited for.
        let withdrawals = found.withdrawals_root.and_then(|computed| {
            let claimed = header.withdrawals_root.unwrap_or_default();
            (claimed != computed).then(|| mismatch("withdrawals root", claimed, computed))
        });
        let lags = found.state_root.is_none();
        if let Some(error) = withdrawals.clone().filter(|_| lags) {
            return Ok(Err(error));
        }
        let (root, wait) = stated(found.state_root, &self.commitments, header.number, parent)?;
        if root != header.state_root {
            return Ok(Err(mismatch("state root", header.state_root, root)));
        }
        Ok(withdrawals.map_or(Ok(wait), Err))
    }
}

/// Gas, receipts root, bloom, requests.
fn check_output(
    spec: &ChainSpec,
    block: &RecoveredBlock,
    output: &BlockOutput,
) -> Result<(), InvalidBlock> {
    let result = ExecutionResult {
        gas_used: output.gas_used,
        receipts: &output.receipts,
        requests: output.requests.as_ref(),
        blob_gas_used: output.blob_gas_used,
    };
    validate_output(spec, &block.header, &result)
}

/// The changes under hashed keys, and the roots that they lead to.
fn commit(
    (spec, commitments): (&ChainSpec, &Commitments),
    block: &RecoveredBlock,
    parent: &SharedView<'_>,
    diff: &StateDiff,
) -> Result<Rooted, ChainError> {
    let keys = spec.commitment.keys();
    let layer = Layer::with_before(keys, block.block_ref(), block.parent_ref(), diff);
    Rooted::compute(commitments, &spec.rules_of(&block.header), parent, layer)
}

/// Tells the block's fault from ours.
fn outcome(result: Result<BlockOutput, ExecutionError>) -> Result<Outcome, ChainError> {
    match result {
        Ok(output) => Ok(Ok(output)),
        Err(ExecutionError::Source(error)) => Err(error.into()),
        Err(error) => Ok(Err(InvalidBlock::Rule(error.to_string()))),
    }
}

/// For receipts before Byzantium.
fn intermediate_root<P: TrieSource + Sync>(
    parent: &P,
    diff: &StateDiff,
) -> Result<B256, SourceError> {
    let root = state_root(parent, &HashedDiff::from_diff(diff));
    root.map(|output| output.root).map_err(|error| SourceError::Fault(error.to_string()))
}

/// In what two runs of the same block differ, if they do.
fn difference(one: &Outcome, other: &Outcome) -> Option<String> {
    let (one, other) = match (one, other) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(one), Err(other)) => return (one != other).then(|| format!("{one} / {other}")),
        (Ok(_), Err(error)) => return Some(format!("valid / {error}")),
        (Err(error), Ok(_)) => return Some(format!("{error} / valid")),
    };
    let receipts = one.receipts.iter().zip(&other.receipts);
    if let Some(index) = receipts.into_iter().position(|(one, other)| one != other) {
        let (one, other) = (&one.receipts[index], &other.receipts[index]);
        return Some(format!("receipt {index}: {one:?} / {other:?}"));
    }
    let accounts: BTreeSet<_> =
        one.diff.accounts.keys().chain(other.diff.accounts.keys()).collect();
    for address in accounts {
        let (one, other) = (one.diff.accounts.get(address), other.diff.accounts.get(address));
        if one != other {
            return Some(format!("{address}: {one:?} / {other:?}"));
        }
    }
    (one != other).then(|| "gas, requests, number of receipts, or code".to_owned())
}

#[cfg(test)]
mod tests;
