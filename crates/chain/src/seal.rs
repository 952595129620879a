//! From an executed body to a sealed block: the builder's end of the road that `insert` walks.

use std::time::{Duration, Instant};

use banyan_chainspec::{ChainSpec, Rules};
use banyan_executor::{BlockContext, BlockOutput};
use banyan_primitives::{
    Address, B64, B256, BlockBody, BlockRef, Bloom, Bytes, EMPTY_OMMER_ROOT_HASH, Header, Receipt,
    RecoveredBlock, Sealable, SealedBlock, StateSource, Transaction, Withdrawals, roots,
    trie::TrieSource,
};
use banyan_state::Layer;

use crate::{BlockTimings, ChainError, Commitments, ExecutedBlock, commit::Rooted};

/// Everything that goes into a block besides what execution found.
#[derive(Clone, Debug)]
pub struct SealRequest {
    /// The environment it was executed in.
    pub context: BlockContext,
    /// Extra data.
    pub extra_data: Bytes,
    /// Transactions in order.
    pub transactions: Vec<Transaction>,
    /// Their senders.
    pub senders: Vec<Address>,
    /// Withdrawals; `None` before Shanghai.
    pub withdrawals: Option<Withdrawals>,
    /// Time spent executing, for the record.
    pub execute: Duration,
}

/// Why a block could not be sealed.
pub type SealError = ChainError;

/// Computes roots, writes the header and hashes it. `lagged` are the chain's roots where headers
/// carry that of an earlier block; waits for it if it is not ready.
pub fn seal<P: StateSource + TrieSource + Sync>(
    spec: &ChainSpec,
    commitments: &Commitments,
    parent: &P,
    request: SealRequest,
    output: BlockOutput,
) -> Result<ExecutedBlock, SealError> {
    let started = Instant::now();
    let context = &request.context;
    let rules = context.rules(spec);
    let parent_ref = BlockRef::new(context.number.saturating_sub(1), context.parent_hash);
    let (found, lists) = rayon::join(
        || {
            let keys = spec.commitment.keys();
            let layer = Layer::with_before(keys, BlockRef::default(), parent_ref, &output.diff);
            Rooted::compute(commitments, &rules, parent, layer)
        },
        || Lists::of(&request.transactions, &output.receipts),
    );
    let Rooted { layer, state_root, withdrawals_root } = found?;
    let (state_root, wait) = stated(state_root, commitments, context.number, parent)?;
    let of_list = || request.withdrawals.as_ref().map(|list| roots::withdrawals_root(list));
    let header = Header {
        state_root,
        withdrawals_root: withdrawals_root.or_else(of_list),
        extra_data: request.extra_data,
        transactions_root: lists.transactions_root,
        receipts_root: lists.receipts_root,
        logs_bloom: lists.logs_bloom,
        ..header_from(&request.context, &rules, &output)
    };
    let body = BlockBody {
        transactions: request.transactions,
        ommers: Vec::new(),
        withdrawals: request.withdrawals,
    };
    let block = SealedBlock { header: header.seal_slow(), body };
    let layer = Layer { block: block.block_ref(), ..layer };
    let timings = BlockTimings { execute: request.execute, root: started.elapsed(), wait };
    let block = RecoveredBlock::new(block, request.senders);
    Ok(ExecutedBlock::new(block, output, layer, timings))
}

/// What header `number` on `parent` carries as its state root: its own, or the lagged one; and how long
/// that had to be waited for.
pub(crate) fn stated<P: StateSource>(
    own: Option<B256>,
    commitments: &Commitments,
    number: u64,
    parent: &P,
) -> Result<(B256, Duration), ChainError> {
    match (own, commitments.lagging()) {
        (Some(own), _) => Ok((own, Duration::ZERO)),
        (None, Some(roots)) => roots.of_header(number, parent),
        (None, None) => Err(ChainError::Fault("nobody computes the roots of this chain".into())),
    }
}

/// What a header says about the lists in its block.
struct Lists {
    transactions_root: B256,
    receipts_root: B256,
    logs_bloom: Bloom,
}

impl Lists {
    fn of(transactions: &[Transaction], receipts: &[Receipt]) -> Self {
        let (receipts_root, logs_bloom) = roots::receipts_root_and_bloom(receipts);
        let transactions_root = roots::transactions_root(transactions);
        Self { transactions_root, receipts_root, logs_bloom }
    }
}

fn header_from(context: &BlockContext, rules: &Rules, output: &BlockOutput) -> Header {
    Header {
        parent_hash: context.parent_hash,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: context.beneficiary,
        difficulty: context.difficulty,
        number: context.number,
        gas_limit: context.gas_limit,
        gas_used: output.gas_used,
        timestamp: context.timestamp,
        mix_hash: context.prev_randao,
        nonce: B64::ZERO,
        base_fee_per_gas: context.base_fee,
        blob_gas_used: rules.blobs.map(|_| output.blob_gas_used),
        excess_blob_gas: context.excess_blob_gas,
        parent_beacon_block_root: context.parent_beacon_root,
        requests_hash: output.requests.as_ref().map(|requests| requests.requests_hash()),
        slot_number: context.slot_number,
        ..Default::default()
    }
}
