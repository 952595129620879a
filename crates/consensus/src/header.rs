use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use banyan_chainspec::{ChainSpec, Fork, OpFork, Rules};
use banyan_primitives::{B64, EMPTY_OMMER_ROOT_HASH, Header, SealedHeader, U256};

use crate::{
    InvalidBlock,
    difficulty::next_difficulty,
    extra_data,
    fees::{is_london, next_base_fee, next_excess_blob_gas},
};

/// Largest gas limit of a header (2^63 − 1).
pub const MAX_GAS_LIMIT: u64 = i64::MAX as u64;
/// Smallest gas limit of an Ethereum header.
const MIN_GAS_LIMIT: u64 = 5_000;
/// The gas limit changes by less than 1/1024 of the parent's.
const GAS_LIMIT_DIVISOR: u64 = 1_024;
/// The London block's gas limit is measured against twice the parent's: the elasticity.
const LONDON_ELASTICITY: u64 = 2;
const MAX_EXTRA_DATA: usize = 32;
/// `extraData` of the DAO fork's first ten blocks (EIP-779).
const DAO_EXTRA_DATA: &[u8] = b"dao-hard-fork";
const DAO_EXTRA_BLOCKS: u64 = 10;

/// Checks a header by itself and against its parent.
///
/// Whether the parent is the right place for the change to proof of stake is
/// [`validate_transition`]'s business, since it needs the total difficulty.
pub fn validate_header(
    spec: &ChainSpec,
    header: &SealedHeader,
    parent: &SealedHeader,
) -> Result<(), InvalidBlock> {
    if header.parent_hash != parent.hash() {
        return rule(format!(
            "unknown ancestor: parent hash is {}, not {}",
            header.parent_hash,
            parent.hash()
        ));
    }
    let rules = spec.rules_of(header);
    check_extra_data(spec, &rules, header)?;
    check_number_and_time(header, parent)?;
    if is_merged(spec, header, parent) {
        check_proof_of_stake(header)?;
    } else {
        check_proof_of_work(spec, header, parent)?;
    }
    check_gas(spec, header, parent)?;
    check_base_fee(spec, header, parent)?;
    check_presence(&rules, header)?;
    if rules.is(Fork::Cancun) {
        check_blob_gas(spec, &rules, header, parent)?;
    }
    Ok(())
}

/// Checks that proof of stake begins exactly where the total difficulty reaches the terminal one
/// (EIP-3675). `parent_total_difficulty` includes the parent's own.
pub fn validate_transition(
    spec: &ChainSpec,
    header: &Header,
    parent_total_difficulty: U256,
) -> Result<(), InvalidBlock> {
    let reached =
        spec.terminal_total_difficulty.is_some_and(|terminal| parent_total_difficulty >= terminal);
    match (reached, header.difficulty.is_zero()) {
        (true, false) => rule(format!("invalid difficulty: have {}, want 0", header.difficulty)),
        (false, true) => rule("invalid terminal block: total difficulty not reached"),
        _ => Ok(()),
    }
}

fn rule<T>(what: impl Into<String>) -> Result<T, InvalidBlock> {
    Err(InvalidBlock::rule(what))
}

/// True if proof-of-stake rules are to be applied: the header claims so, or it has no choice.
fn is_merged(spec: &ChainSpec, header: &Header, parent: &Header) -> bool {
    match spec.terminal_total_difficulty {
        None => false,
        Some(terminal) => {
            let parent_merged = parent.difficulty.is_zero() && parent.number > 0;
            header.difficulty.is_zero() || terminal.is_zero() || parent_merged
        }
    }
}

fn check_extra_data(spec: &ChainSpec, rules: &Rules, header: &Header) -> Result<(), InvalidBlock> {
    let extra = &header.extra_data;
    if extra.len() > MAX_EXTRA_DATA {
        return rule(format!("extra-data longer than {MAX_EXTRA_DATA} bytes ({})", extra.len()));
    }
    if spec.is_op() {
        return extra_data::check(rules, extra).map_err(InvalidBlock::Rule);
    }
    let Some(dao) = spec.dao else { return Ok(()) };
    let offset = header.number.checked_sub(dao.block);
    if offset.is_none_or(|offset| offset >= DAO_EXTRA_BLOCKS) {
        return Ok(());
    }
    match (dao.support, &extra[..] == DAO_EXTRA_DATA) {
        (true, false) => rule("bad DAO pro-fork extra-data"),
        (false, true) => rule("bad DAO no-fork extra-data"),
        _ => Ok(()),
    }
}

fn check_number_and_time(header: &Header, parent: &Header) -> Result<(), InvalidBlock> {
    if parent.number.checked_add(1) != Some(header.number) {
        return rule(format!(
            "invalid block number: have {}, parent {}",
            header.number, parent.number
        ));
    }
    if header.timestamp <= parent.timestamp {
        return rule(format!(
            "invalid timestamp: have {}, parent {}",
            header.timestamp, parent.timestamp
        ));
    }
    Ok(())
}

fn check_proof_of_stake(header: &Header) -> Result<(), InvalidBlock> {
    if !header.difficulty.is_zero() {
        return rule(format!("invalid difficulty: have {}, want 0", header.difficulty));
    }
    if header.nonce != B64::ZERO {
        return rule(format!("invalid nonce: have {}, want 0", header.nonce));
    }
    if header.ommers_hash != EMPTY_OMMER_ROOT_HASH {
        return rule("invalid uncle hash: no ommers since the merge");
    }
    Ok(())
}

fn check_proof_of_work(
    spec: &ChainSpec,
    header: &Header,
    parent: &Header,
) -> Result<(), InvalidBlock> {
    let wanted = next_difficulty(spec, parent, header.timestamp);
    if header.difficulty != wanted {
        return rule(format!("invalid difficulty: have {}, want {wanted}", header.difficulty));
    }
    Ok(())
}

fn check_gas(spec: &ChainSpec, header: &Header, parent: &Header) -> Result<(), InvalidBlock> {
    if header.gas_limit > MAX_GAS_LIMIT {
        return rule(format!("invalid gasLimit: have {}, max {MAX_GAS_LIMIT}", header.gas_limit));
    }
    if header.gas_used > header.gas_limit {
        return rule(format!(
            "invalid gasUsed: have {}, gasLimit {}",
            header.gas_used, header.gas_limit
        ));
    }
    // On OP chains L1 sets the gas limit, at once.
    if spec.is_op() {
        return Ok(());
    }
    let transition = is_london(spec, header.number) && !is_london(spec, parent.number);
    let factor = if transition { LONDON_ELASTICITY } else { 1 };
    let before = parent.gas_limit.saturating_mul(factor);
    let bound = before / GAS_LIMIT_DIVISOR;
    if header.gas_limit.abs_diff(before) >= bound {
        return rule(format!(
            "invalid gas limit: have {}, want {before} +-= {}",
            header.gas_limit,
            bound.saturating_sub(1)
        ));
    }
    if header.gas_limit < MIN_GAS_LIMIT {
        return rule(format!("invalid gas limit below {MIN_GAS_LIMIT}"));
    }
    Ok(())
}

fn check_base_fee(spec: &ChainSpec, header: &Header, parent: &Header) -> Result<(), InvalidBlock> {
    let wanted = next_base_fee(spec, parent, header.timestamp)?;
    match (header.base_fee_per_gas, wanted) {
        (have, want) if have == want => Ok(()),
        (None, _) => rule("header is missing baseFee"),
        (Some(have), None) => {
            rule(format!("invalid baseFee before fork: have {have}, expected nil"))
        }
        (Some(have), Some(want)) => rule(format!(
            "invalid baseFee: have {have}, want {want}, parentBaseFee {}, parentGasUsed {}",
            parent.base_fee_per_gas.unwrap_or_default(),
            parent.gas_used
        )),
    }
}

/// Checks that the fields of each fork are there from that fork on, and not before.
fn check_presence(rules: &Rules, header: &Header) -> Result<(), InvalidBlock> {
    let fields = [
        ("withdrawalsHash", Fork::Shanghai, header.withdrawals_root.is_some()),
        ("excessBlobGas", Fork::Cancun, header.excess_blob_gas.is_some()),
        ("blobGasUsed", Fork::Cancun, header.blob_gas_used.is_some()),
        ("beaconRoot", Fork::Cancun, header.parent_beacon_block_root.is_some()),
        ("requestsHash", Fork::Prague, header.requests_hash.is_some()),
        ("blockAccessListHash", Fork::Amsterdam, header.block_access_list_hash.is_some()),
        ("slotNumber", Fork::Amsterdam, header.slot_number.is_some()),
    ];
    for (field, fork, present) in fields {
        match (rules.is(fork), present) {
            (true, false) => return rule(format!("header is missing {field}")),
            (false, true) => return rule(format!("invalid {field}: expected nil before {fork:?}")),
            _ => {}
        }
    }
    Ok(())
}

fn check_blob_gas(
    spec: &ChainSpec,
    rules: &Rules,
    header: &Header,
    parent: &Header,
) -> Result<(), InvalidBlock> {
    let used = header.blob_gas_used.unwrap_or_default();
    if spec.is_op() {
        check_op_blob_gas(rules, header, used)?;
    } else {
        let most = rules.blobs.map_or(0, |blobs| blobs.max.saturating_mul(DATA_GAS_PER_BLOB));
        if used > most {
            return rule(format!("blob gas used {used} exceeds maximum allowance {most}"));
        }
        if !used.is_multiple_of(DATA_GAS_PER_BLOB) {
            return rule(format!(
                "blob gas used {used} not a multiple of blob gas per blob {DATA_GAS_PER_BLOB}"
            ));
        }
    }
    let have = header.excess_blob_gas.unwrap_or_default();
    let want = next_excess_blob_gas(spec, parent, header.timestamp).unwrap_or_default();
    if have != want {
        return rule(format!(
            "invalid excessBlobGas: have {have}, want {want}, parent excessBlobGas {}, parent \
             blobGasUsed {}",
            parent.excess_blob_gas.unwrap_or_default(),
            parent.blob_gas_used.unwrap_or_default()
        ));
    }
    Ok(())
}

/// On OP chains the field is zero, and since Jovian the DA footprint.
fn check_op_blob_gas(rules: &Rules, header: &Header, used: u64) -> Result<(), InvalidBlock> {
    if !rules.is_op(OpFork::Jovian) && used != 0 {
        return rule(format!("invalid blobGasUsed: have {used}, want 0 before Jovian"));
    }
    if used > header.gas_limit {
        return rule(format!(
            "DA footprint {used} exceeds the block's gas limit {}",
            header.gas_limit
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
