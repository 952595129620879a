use alloy_eips::{
    eip1559::INITIAL_BASE_FEE,
    eip4844::{BLOB_TX_MIN_BLOB_GASPRICE, DATA_GAS_PER_BLOB, fake_exponential},
    eip7840::BLOB_BASE_COST,
};
use banyan_chainspec::{BaseFeeParams, BlobParams, ChainSpec, Fork, OpFork, Rules};
use banyan_primitives::{Header, U256};

use crate::{InvalidBlock, extra_data::FeeParams};

/// Base fee of the child of `parent` at `timestamp`; `None` before London.
///
/// On OP chains since Holocene the parameters stand in the parent's `extraData`, and since Jovian
/// there is a minimum and the DA footprint counts like gas. Fails if the parent cannot have a child
/// (malformed `extraData`, no base fee).
pub fn next_base_fee(
    spec: &ChainSpec,
    parent: &Header,
    timestamp: u64,
) -> Result<Option<u64>, InvalidBlock> {
    if !is_london(spec, parent.number.saturating_add(1)) {
        return Ok(None);
    }
    if !is_london(spec, parent.number) {
        return Ok(Some(INITIAL_BASE_FEE));
    }
    let base_fee = parent
        .base_fee_per_gas
        .ok_or_else(|| InvalidBlock::rule("parent header is missing baseFee"))?;
    let rules = spec.rules_of(parent);
    let from_parent = FeeParams::decode(&rules, &parent.extra_data).map_err(InvalidBlock::Rule)?;
    let params = match from_parent {
        Some(FeeParams { denominator, elasticity, .. }) if denominator != 0 && elasticity != 0 => {
            BaseFeeParams { denominator: denominator.into(), elasticity: elasticity.into() }
        }
        // Zeros can only stand in a genesis header.
        _ => spec.base_fee_params(timestamp),
    };
    let footprint = if rules.is_op(OpFork::Jovian) { parent.blob_gas_used } else { None };
    let used = parent.gas_used.max(footprint.unwrap_or_default());
    let next = step_base_fee(base_fee, used, parent.gas_limit, params);
    Ok(Some(next.max(from_parent.map_or(0, |params| params.min_base_fee))))
}

/// London is a fork by number; OP chains have it from the start.
pub(crate) fn is_london(spec: &ChainSpec, number: u64) -> bool {
    spec.is_op() || spec.rules(number, 0, false).is(Fork::London)
}

/// One step of EIP-1559. A gas target of zero leaves the fee as it is.
fn step_base_fee(base_fee: u64, used: u64, limit: u64, params: BaseFeeParams) -> u64 {
    let target = limit / params.elasticity.max(1);
    if target == 0 || used == target {
        return base_fee;
    }
    // At most 64 + 64 bits: the quotient is taken before the sum.
    let change = u128::from(base_fee) * u128::from(used.abs_diff(target))
        / u128::from(target)
        / u128::from(params.denominator.max(1));
    let change = u64::try_from(change).unwrap_or(u64::MAX);
    if used > target {
        base_fee.saturating_add(change.max(1))
    } else {
        base_fee.saturating_sub(change)
    }
}

/// `excessBlobGas` of the child of `parent` at `timestamp`; `None` before Cancun. Zero on OP chains.
///
/// EIP-4844; since Osaka with the reserve price of EIP-7918. The limits are the child's.
pub fn next_excess_blob_gas(spec: &ChainSpec, parent: &Header, timestamp: u64) -> Option<u64> {
    let rules = spec.rules_at(parent.number.saturating_add(1), timestamp);
    let blobs = rules.blobs.filter(|_| rules.is(Fork::Cancun))?;
    if spec.is_op() {
        return Some(0);
    }
    let excess = parent.excess_blob_gas.unwrap_or_default();
    let used = parent.blob_gas_used.unwrap_or_default();
    let sum = excess.saturating_add(used);
    let target = blobs.target.saturating_mul(DATA_GAS_PER_BLOB);
    if sum < target {
        return Some(0);
    }
    if rules.is(Fork::Osaka) && below_reserve(&blobs, excess, parent.base_fee_per_gas) {
        let scaled = u128::from(used) * u128::from(blobs.max.saturating_sub(blobs.target))
            / u128::from(blobs.max.max(1));
        return Some(excess.saturating_add(u64::try_from(scaled).unwrap_or(u64::MAX)));
    }
    Some(sum - target)
}

/// True if a blob costs less than its share of execution gas (EIP-7918).
fn below_reserve(blobs: &BlobParams, excess: u64, base_fee: Option<u64>) -> bool {
    let reserve = U256::from(BLOB_BASE_COST) * U256::from(base_fee.unwrap_or_default());
    reserve > U256::from(DATA_GAS_PER_BLOB) * U256::from(blob_fee(blobs, excess))
}

/// Blob base fee, wei, of a block with this `excessBlobGas`; the minimum of 1 before Cancun.
pub fn blob_base_fee(rules: &Rules, excess_blob_gas: u64) -> u128 {
    rules.blobs.map_or(BLOB_TX_MIN_BLOB_GASPRICE, |blobs| blob_fee(&blobs, excess_blob_gas))
}

fn blob_fee(blobs: &BlobParams, excess: u64) -> u128 {
    let fraction = u128::from(blobs.update_fraction.max(1));
    fake_exponential(BLOB_TX_MIN_BLOB_GASPRICE, excess.into(), fraction)
}

#[cfg(test)]
mod tests {
    use banyan_primitives::{Bytes, alloy_primitives::hex};

    use super::*;
    use crate::testing::{ethereum, merged, optimism};

    fn parent(base_fee: u64, gas_limit: u64, gas_used: u64) -> Header {
        Header {
            number: 10,
            timestamp: 100,
            gas_limit,
            gas_used,
            base_fee_per_gas: Some(base_fee),
            ..Default::default()
        }
    }

    /// The cases of EIP-1559's own text and of mainnet blocks 12,965,000 and 12,965,001.
    #[test]
    fn ethereum_base_fee_moves_by_an_eighth_at_most() {
        let spec = merged(&[]);
        let cases = [
            (1_000_000_000, 20_000_000, 10_000_000, 1_000_000_000),
            (1_000_000_000, 20_000_000, 9_000_000, 987_500_000),
            (1_000_000_000, 20_000_000, 11_000_000, 1_012_500_000),
            (1_000_000_000, 30_029_122, 30_025_257, 1_124_967_822),
            (7, 20_000_000, 20_000_000, 8),
            (0, 20_000_000, 10_000_001, 1),
            (1, 20_000_000, 0, 1),
            (u64::MAX, u64::MAX, u64::MAX, u64::MAX),
            (5, 1, 1, 5),
        ];
        for (base_fee, limit, used, expected) in cases {
            let next = next_base_fee(&spec, &parent(base_fee, limit, used), 112);
            assert_eq!(next, Ok(Some(expected)), "{base_fee} {limit} {used}");
        }
    }

    #[test]
    fn london_begins_with_one_gwei() {
        let spec = ethereum(&[("londonBlock", 11)]);
        let before = Header { number: 9, ..Default::default() };
        assert_eq!(next_base_fee(&spec, &before, 1), Ok(None));
        let last = Header { number: 10, gas_limit: 10_000_000, ..Default::default() };
        assert_eq!(next_base_fee(&spec, &last, 1), Ok(Some(1_000_000_000)));
        let first = Header { number: 11, gas_limit: 10_000_000, ..Default::default() };
        assert!(next_base_fee(&spec, &first, 1).is_err());
    }

    #[test]
    fn op_parameters_come_from_the_chain_and_since_holocene_from_the_parent() {
        let fee = |fork: &str, extra: &[u8], used: u64, footprint: u64| {
            let spec = optimism(fork);
            let header = Header {
                extra_data: Bytes::copy_from_slice(extra),
                blob_gas_used: Some(footprint),
                ..parent(1_000_000_000, 60_000_000, used)
            };
            next_base_fee(&spec, &header, 102).map(Option::unwrap_or_default)
        };
        // Regolith 1/50, Canyon 1/250, elasticity 6: an empty block lowers by the full step.
        assert_eq!(fee("regolithTime", b"", 0, 0), Ok(980_000_000));
        assert_eq!(fee("canyonTime", b"", 0, 0), Ok(996_000_000));
        let holocene = hex!("000000000a00000002");
        assert_eq!(fee("holoceneTime", &holocene, 0, 0), Ok(900_000_000));
        // The DA footprint does not count before Jovian.
        assert_eq!(fee("isthmusTime", &holocene, 0, 60_000_000), Ok(900_000_000));
        let jovian = hex!("010000000a000000020000000000000000");
        assert_eq!(fee("jovianTime", &jovian, 0, 0), Ok(900_000_000));
        assert_eq!(fee("jovianTime", &jovian, 0, 60_000_000), Ok(1_100_000_000));
        assert_eq!(fee("jovianTime", &jovian, 30_000_000, 0), Ok(1_000_000_000));
        let minimum = hex!("010000000a000000020000000077359400");
        assert_eq!(fee("jovianTime", &minimum, 0, 0), Ok(2_000_000_000));
        assert!(fee("jovianTime", &holocene, 0, 0).is_err());
        // Zeros, as a genesis header may have: the chain's values.
        assert_eq!(fee("holoceneTime", &[0; 9], 0, 0), Ok(996_000_000));
    }

    #[test]
    fn holocene_takes_effect_one_block_after_its_activation() {
        let spec = optimism("holoceneTime");
        let start = spec.op_activation_time(OpFork::Holocene).unwrap();
        let last = Header { timestamp: start - 1, ..parent(1_000_000_000, 60_000_000, 0) };
        assert_eq!(next_base_fee(&spec, &last, start), Ok(Some(996_000_000)));
    }

    #[test]
    fn excess_blob_gas_follows_target_and_reserve_price() {
        const BLOB: u64 = DATA_GAS_PER_BLOB;
        let next = |fork: &str, base_fee: u64, excess: u64, used: u64| {
            let header = Header {
                excess_blob_gas: Some(excess),
                blob_gas_used: Some(used),
                ..parent(base_fee, 30_000_000, 0)
            };
            next_excess_blob_gas(&merged(&[fork]), &header, 112)
        };
        assert_eq!(next("shanghaiTime", 7, 0, 0), None);
        assert_eq!(next("cancunTime", 7, 0, 3 * BLOB), Some(0));
        assert_eq!(next("cancunTime", 7, 0, 4 * BLOB), Some(BLOB));
        assert_eq!(next("cancunTime", 7, BLOB, BLOB), Some(0));
        assert_eq!(next("pragueTime", 7, 0, 9 * BLOB), Some(3 * BLOB));
        // Osaka, one wei per blob gas: the reserve price holds from a base fee of 17 wei on.
        assert_eq!(next("osakaTime", 16, 0, 9 * BLOB), Some(3 * BLOB));
        assert_eq!(next("osakaTime", 17, 0, 9 * BLOB), Some(3 * BLOB));
        assert_eq!(next("osakaTime", 16, 0, 6 * BLOB), Some(0));
        assert_eq!(next("osakaTime", 17, 0, 6 * BLOB), Some(2 * BLOB));
        assert_eq!(next("osakaTime", 17, 0, 5 * BLOB), Some(0));
        assert_eq!(next("pragueTime", 7, u64::MAX, u64::MAX), Some(u64::MAX - 6 * BLOB));
        let op = optimism("ecotoneTime");
        assert_eq!(next_excess_blob_gas(&op, &parent(7, 1, 0), 112), Some(0));
    }

    #[test]
    fn blob_fee_grows_exponentially() {
        let cancun = merged(&["cancunTime"]).rules_at(1, 112);
        let cases = [
            (0, 1),
            (2_314_057, 1),
            (2_314_058, 2),
            (10_485_760, 23),
            (148_099_578, 18446739238971471609),
        ];
        for (excess, fee) in cases {
            assert_eq!(blob_base_fee(&cancun, excess), fee, "{excess}");
        }
        assert_eq!(blob_base_fee(&optimism("ecotoneTime").rules_at(1, 112), 0), 1);
        assert_eq!(blob_base_fee(&merged(&[]).rules_at(1, 112), 5), 1);
    }
}
