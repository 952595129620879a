//! Fees to offer: `eth_gasPrice`, `eth_maxPriorityFeePerGas`, `eth_baseFee`, `eth_blobBaseFee`.

use banyan_chain::ChainView;
use banyan_consensus::{blob_base_fee, next_base_fee, next_excess_blob_gas};
use banyan_primitives::{Receipt, RecoveredBlock, SealedHeader, TransactionTrait};

use super::block::receipts_of;
use crate::{
    RpcConfig,
    args::Args,
    error::{RpcError, RpcResult},
    quantity::{Quantity, Wide},
    shared::Shared,
};

/// Cheapest transactions looked at per block.
const SAMPLES_PER_BLOCK: usize = 3;

/// Base fee of the head plus a tip.
pub(super) fn gas_price(shared: &Shared, args: Args<'_>) -> RpcResult<Wide> {
    args.end()?;
    let view = shared.view();
    let base_fee = view.head().base_fee_per_gas.unwrap_or_default();
    Ok(Wide(suggested_tip(shared, &view)?.saturating_add(base_fee.into())))
}

/// A tip that should get a transaction into one of the next blocks.
pub(super) fn max_priority_fee(shared: &Shared, args: Args<'_>) -> RpcResult<Wide> {
    args.end()?;
    Ok(Wide(suggested_tip(shared, &shared.view())?))
}

/// Base fee of the next block; null before London.
pub(super) fn base_fee(shared: &Shared, args: Args<'_>) -> RpcResult<Option<Quantity>> {
    args.end()?;
    Ok(base_fee_after(shared, shared.view().head())?.map(Quantity))
}

/// Blob base fee of the next block; null before Cancun.
pub(super) fn blob_fee(shared: &Shared, args: Args<'_>) -> RpcResult<Option<Wide>> {
    args.end()?;
    Ok(blob_fee_after(shared, shared.view().head()).map(Wide))
}

/// Base fee of the child of `header`, wei.
pub(super) fn base_fee_after(shared: &Shared, header: &SealedHeader) -> RpcResult<Option<u64>> {
    next_base_fee(shared.spec(), header, header.timestamp.saturating_add(1))
        .map_err(RpcError::internal)
}

/// Blob base fee of the child of `header`, wei.
pub(super) fn blob_fee_after(shared: &Shared, header: &SealedHeader) -> Option<u128> {
    let timestamp = header.timestamp.saturating_add(1);
    let excess = next_excess_blob_gas(shared.spec(), header, timestamp)?;
    let rules = shared.spec().rules_at(header.number.saturating_add(1), timestamp);
    Some(blob_base_fee(&rules, excess))
}

fn suggested_tip(shared: &Shared, view: &ChainView) -> RpcResult<u128> {
    let head = view.head().hash();
    if let Some(tip) = shared.suggested_tip.get(head) {
        return Ok(tip);
    }
    let config = &shared.context.config;
    let least = config.min_suggested_priority_fee;
    let tip =
        if shared.spec().is_op() { op_tip(view, least)? } else { ethereum_tip(view, config)? };
    let tip = tip.min(config.max_suggested_priority_fee);
    shared.suggested_tip.set(head, tip);
    Ok(tip)
}

/// OP chains, as op-geth: the least tip, unless the head was full.
fn op_tip(view: &ChainView, least: u128) -> RpcResult<u128> {
    let Some(block) = view.block_by_hash(&view.head().hash())? else { return Ok(least) };
    let receipts = receipts_of(view, &block)?;
    if !was_full(view.head(), &receipts) {
        return Ok(least);
    }
    let mut tips = tips(&block);
    tips.sort_unstable();
    let median = tips.get(tips.len() / 2).copied().unwrap_or_default();
    Ok(median.saturating_add(median / 10).max(least))
}

/// Full: the block's largest transaction would not have fitted once more.
fn was_full(header: &SealedHeader, receipts: &[Receipt]) -> bool {
    let mut before = 0;
    let mut largest = 0;
    for receipt in receipts {
        largest = largest.max(receipt.cumulative_gas_used.saturating_sub(before));
        before = receipt.cumulative_gas_used;
    }
    header.gas_used.saturating_add(largest) > header.gas_limit
}

/// Ethereum, as geth: a percentile of the cheapest transactions of the last blocks.
fn ethereum_tip(view: &ChainView, config: &RpcConfig) -> RpcResult<u128> {
    let (blocks, least) = (config.fee_blocks, config.min_suggested_priority_fee);
    let head = view.head().number;
    let mut samples = Vec::new();
    for number in head.saturating_sub(blocks.saturating_sub(1))..=head {
        let Some(block) = view.block_by_number(number)? else { continue };
        samples.extend(cheapest_tips(&block, config.ignored_priority_fee));
    }
    if samples.is_empty() {
        return Ok(least);
    }
    samples.sort_unstable();
    let index = (samples.len() - 1) * usize::from(config.fee_percentile.min(100)) / 100;
    Ok(samples.get(index).copied().unwrap_or(least).max(least))
}

fn cheapest_tips(block: &RecoveredBlock, ignored: u128) -> Vec<u128> {
    let mut tips = tips(block);
    tips.retain(|tip| *tip >= ignored);
    tips.sort_unstable();
    tips.truncate(SAMPLES_PER_BLOCK);
    tips
}

/// Tips of a block's transactions, except those that its beneficiary sent; zero for deposits.
fn tips(block: &RecoveredBlock) -> Vec<u128> {
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    block
        .transactions()
        .filter(|(_, sender)| *sender != block.header.beneficiary)
        .map(|(tx, _)| effective_tip(tx, base_fee))
        .collect()
}

/// What the beneficiary gets per gas, wei; zero for deposits.
pub(super) fn effective_tip(tx: &banyan_primitives::Transaction, base_fee: u64) -> u128 {
    if tx.is_deposit() { 0 } else { tx.effective_tip_per_gas(base_fee).unwrap_or_default() }
}
