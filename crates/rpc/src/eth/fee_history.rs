//! `eth_feeHistory`.

use banyan_chain::ChainView;
use banyan_consensus::blob_base_fee;
use banyan_primitives::{Receipt, RecoveredBlock, SealedHeader};
use serde::Serialize;

use super::{
    block::receipts_of,
    fee::{base_fee_after, blob_fee_after, effective_tip},
};
use crate::{
    args::Args,
    block_id::BlockNumber,
    error::{RpcError, RpcResult},
    quantity::{Lenient, Quantity, Wide},
    shared::Shared,
};

/// Most blocks in one answer.
const MAX_BLOCKS: u64 = 1024;
/// Most percentiles in one request.
const MAX_PERCENTILES: usize = 100;
/// Gas of one blob (EIP-4844).
const GAS_PER_BLOB: u64 = 131_072;

/// The answer; base fees reach one block further than the rest.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FeeHistory {
    oldest_block: Quantity,
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<Vec<Vec<Wide>>>,
    base_fee_per_gas: Vec<Quantity>,
    gas_used_ratio: Vec<f64>,
    base_fee_per_blob_gas: Vec<Wide>,
    blob_gas_used_ratio: Vec<f64>,
}

/// `(number of blocks, newest block, percentiles?)`
pub(super) fn fee_history(shared: &Shared, mut args: Args<'_>) -> RpcResult<FeeHistory> {
    let count: Lenient = args.required()?;
    let newest: BlockNumber = args.required()?;
    let percentiles: Vec<f64> = args.optional()?.unwrap_or_default();
    let abandoned = args.abandoned();
    args.end()?;
    check_percentiles(&percentiles)?;
    if count.0 == 0 {
        return Ok(FeeHistory::default());
    }
    let view = shared.view();
    let newest = newest_header(&view, newest)?;
    let count = count.0.min(MAX_BLOCKS).min(newest.number.saturating_add(1));
    let oldest = newest.number + 1 - count;
    let mut history = FeeHistory {
        oldest_block: Quantity(oldest),
        reward: (!percentiles.is_empty()).then(Vec::new),
        ..FeeHistory::default()
    };
    for number in oldest..=newest.number {
        abandoned.check()?;
        let header =
            view.header_by_number(number)?.ok_or_else(|| RpcError::server("header not found"))?;
        history.add(shared, &view, &header, &percentiles)?;
    }
    let next_base_fee = base_fee_after(shared, &newest)?.unwrap_or_default();
    history.base_fee_per_gas.push(Quantity(next_base_fee));
    history.base_fee_per_blob_gas.push(Wide(blob_fee_after(shared, &newest).unwrap_or_default()));
    Ok(history)
}

fn newest_header(view: &ChainView, newest: BlockNumber) -> RpcResult<SealedHeader> {
    newest.header(view)?.ok_or_else(|| {
        let head = view.head().number;
        RpcError::server(match newest {
            BlockNumber::Number(number) => {
                format!("request beyond head block: requested {number}, head {head}")
            }
            _ => "header not found".to_owned(),
        })
    })
}

fn check_percentiles(percentiles: &[f64]) -> RpcResult<()> {
    if percentiles.len() > MAX_PERCENTILES {
        return Err(RpcError::server(format!("over the query limit {MAX_PERCENTILES}")));
    }
    let invalid = |what: String| RpcError::server(format!("invalid reward percentile: {what}"));
    for (index, percentile) in percentiles.iter().enumerate() {
        if !(0.0..=100.0).contains(percentile) {
            return Err(invalid(format!("{percentile:.6}")));
        }
        if let Some(last) = percentiles[..index].last().filter(|last| percentile <= last) {
            let before = index - 1;
            return Err(invalid(format!("#{before}:{last:.6} >= #{index}:{percentile:.6}")));
        }
    }
    Ok(())
}

impl FeeHistory {
    fn add(
        &mut self,
        shared: &Shared,
        view: &ChainView,
        header: &SealedHeader,
        percentiles: &[f64],
    ) -> RpcResult<()> {
        let rules = shared.spec().rules_of(header);
        let blob_fee = header.excess_blob_gas.map(|excess| blob_base_fee(&rules, excess));
        let max_blob_gas = rules.blobs.map_or(0, |blobs| blobs.max.saturating_mul(GAS_PER_BLOB));
        let blob_gas = header.blob_gas_used.unwrap_or_default();
        self.base_fee_per_gas.push(Quantity(header.base_fee_per_gas.unwrap_or_default()));
        self.gas_used_ratio.push(ratio(header.gas_used, header.gas_limit));
        self.base_fee_per_blob_gas.push(Wide(blob_fee.unwrap_or_default()));
        self.blob_gas_used_ratio.push(ratio(blob_gas, max_blob_gas));
        if let Some(rewards) = &mut self.reward {
            let block = view
                .block_by_hash(&header.hash())?
                .ok_or_else(|| RpcError::server("block not found"))?;
            let receipts = receipts_of(view, &block)?;
            rewards.push(block_rewards(&block, &receipts, percentiles));
        }
        Ok(())
    }
}

fn ratio(used: u64, limit: u64) -> f64 {
    if limit == 0 { 0.0 } else { used as f64 / limit as f64 }
}

/// For each percentile of the block's gas: the tip paid there, transactions ordered by tip.
fn block_rewards(block: &RecoveredBlock, receipts: &[Receipt], percentiles: &[f64]) -> Vec<Wide> {
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let mut before = 0;
    let mut tips: Vec<(u128, u64)> = Vec::with_capacity(receipts.len());
    for (tx, receipt) in block.body.transactions.iter().zip(receipts) {
        let gas = receipt.cumulative_gas_used.saturating_sub(before);
        before = receipt.cumulative_gas_used;
        tips.push((effective_tip(tx, base_fee), gas));
    }
    rewards(tips, block.header.gas_used, percentiles)
}

fn rewards(mut tips: Vec<(u128, u64)>, gas_used: u64, percentiles: &[f64]) -> Vec<Wide> {
    tips.sort_by_key(|(tip, _)| *tip);
    let mut rest = tips.iter().copied();
    let (mut tip, mut gas) = rest.next().unwrap_or_default();
    percentiles
        .iter()
        .map(|percentile| {
            let threshold = (gas_used as f64 * percentile / 100.0) as u64;
            while gas < threshold
                && let Some((next_tip, next_gas)) = rest.next()
            {
                tip = next_tip;
                gas = gas.saturating_add(next_gas);
            }
            Wide(tip)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_follow_the_gas_not_the_number_of_transactions() {
        let tips = vec![(5, 10_000), (1, 90_000)];
        let found = rewards(tips, 100_000, &[0.0, 50.0, 90.0, 91.0, 100.0]);
        assert_eq!(found, [1, 1, 1, 5, 5].map(Wide));
        assert_eq!(rewards(Vec::new(), 0, &[50.0]), [Wide(0)]);
    }

    #[test]
    fn percentiles_must_rise_within_bounds() {
        assert!(check_percentiles(&[0.0, 50.0, 100.0]).is_ok());
        assert!(check_percentiles(&[50.0, 50.0]).is_err());
        for bad in [&[-1.0][..], &[100.1], &[60.0, 50.0], &[f64::NAN], &[1.0; 101]] {
            assert!(check_percentiles(bad).is_err(), "{bad:?}");
        }
    }
}
