use banyan_chainspec::{ChainSpec, Fork, OpFork, Rules};
use banyan_primitives::{Address, B64, B256, Bytes, Header, Transaction, Withdrawals};

use crate::{
    MAX_GAS_LIMIT,
    activation::validate_activation,
    body::validate_transaction,
    extra_data::{FeeParams, split_params},
};

/// What the CL asks to be built: Engine API payload attributes, OP fields included, with the
/// forced transactions decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PayloadAttributes {
    /// Timestamp of the block, seconds.
    pub timestamp: u64,
    /// `prevRandao`.
    pub prev_randao: B256,
    /// Beneficiary.
    pub suggested_fee_recipient: Address,
    /// Withdrawals (Shanghai; empty on OP chains since Canyon).
    pub withdrawals: Option<Withdrawals>,
    /// Parent beacon block root (Cancun, Ecotone).
    pub parent_beacon_block_root: Option<B256>,
    /// Slot number (Amsterdam).
    pub slot_number: Option<u64>,
    /// OP: transactions forced in at the beginning of the block.
    pub transactions: Vec<Transaction>,
    /// OP: take nothing from the pool.
    pub no_tx_pool: bool,
    /// OP: gas limit of the block. Required on OP chains.
    pub gas_limit: Option<u64>,
    /// OP, Holocene: denominator (4 bytes) and elasticity (4 bytes); zero means the chain's values.
    pub eip1559_params: Option<B64>,
    /// OP, Jovian: minimum base fee, wei.
    pub min_base_fee: Option<u64>,
}

/// Attributes that do not fit the fork or the parent (−38003).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid payload attributes: {0}")]
pub struct AttributesError(pub String);

fn refuse<T>(what: impl Into<String>) -> Result<T, AttributesError> {
    Err(AttributesError(what.into()))
}

/// Checks attributes against the rules at their timestamp and against the parent.
pub fn validate_attributes(
    spec: &ChainSpec,
    parent: &Header,
    attributes: &PayloadAttributes,
) -> Result<(), AttributesError> {
    if attributes.timestamp <= parent.timestamp {
        return refuse(format!(
            "timestamp {} is not after the parent's {}",
            attributes.timestamp, parent.timestamp
        ));
    }
    let rules = spec.rules_at(parent.number.saturating_add(1), attributes.timestamp);
    check_presence(&rules, attributes)?;
    if spec.is_op() { check_op(&rules, attributes) } else { check_ethereum(attributes) }?;
    for (index, tx) in attributes.transactions.iter().enumerate() {
        validate_transaction(spec, &rules, tx)
            .map_err(|error| AttributesError(format!("transaction {index}: {error}")))?;
    }
    validate_activation(spec, parent, attributes.timestamp, &attributes.transactions)
        .map_err(|error| AttributesError(error.to_string()))
}

fn check_presence(rules: &Rules, attributes: &PayloadAttributes) -> Result<(), AttributesError> {
    let fields = [
        ("withdrawals", Fork::Shanghai, attributes.withdrawals.is_some()),
        ("parentBeaconBlockRoot", Fork::Cancun, attributes.parent_beacon_block_root.is_some()),
        ("slotNumber", Fork::Amsterdam, attributes.slot_number.is_some()),
    ];
    for (field, fork, present) in fields {
        match (rules.is(fork), present) {
            (true, false) => return refuse(format!("missing {field}")),
            (false, true) => return refuse(format!("unexpected {field} before {fork:?}")),
            _ => {}
        }
    }
    Ok(())
}

fn check_ethereum(attributes: &PayloadAttributes) -> Result<(), AttributesError> {
    let op_only = [
        ("transactions", !attributes.transactions.is_empty()),
        ("eip1559Params", attributes.eip1559_params.is_some()),
        ("minBaseFee", attributes.min_base_fee.is_some()),
    ];
    match op_only.iter().find(|(_, present)| *present) {
        Some((field, _)) => refuse(format!("{field} on an Ethereum chain")),
        None => Ok(()),
    }
}

fn check_op(rules: &Rules, attributes: &PayloadAttributes) -> Result<(), AttributesError> {
    match attributes.gas_limit {
        None => return refuse("gasLimit parameter is required"),
        Some(limit) if limit > MAX_GAS_LIMIT => {
            return refuse(format!("gasLimit {limit} exceeds {MAX_GAS_LIMIT}"));
        }
        Some(_) => {}
    }
    if attributes.withdrawals.as_ref().is_some_and(|withdrawals| !withdrawals.is_empty()) {
        return refuse("non-empty withdrawals on an OP chain");
    }
    match (rules.is_op(OpFork::Holocene), &attributes.eip1559_params) {
        (true, None) => return refuse("missing eip1559Params since Holocene"),
        (false, Some(_)) => return refuse("eip1559Params before Holocene"),
        (true, Some(params)) => match split_params(params) {
            (0, elasticity) if elasticity != 0 => {
                return refuse("eip1559Params: zero denominator without zero elasticity");
            }
            (denominator, 0) if denominator != 0 => {
                return refuse("eip1559Params: zero elasticity without zero denominator");
            }
            _ => {}
        },
        (false, None) => {}
    }
    match (rules.is_op(OpFork::Jovian), attributes.min_base_fee) {
        (true, None) => refuse("missing minBaseFee since Jovian"),
        (false, Some(_)) => refuse("minBaseFee before Jovian"),
        _ => Ok(()),
    }
}

/// `extraData` of a block built from `attributes`: on OP chains the EIP-1559 parameters (Holocene:
/// version 0, 9 bytes; Jovian: version 1 and the minimum base fee, 17 bytes; before: empty), else
/// `default`.
///
/// Zero parameters stand for the chain's own, which are then written out: a header since Holocene
/// never has zeros.
pub fn attributes_extra_data(
    spec: &ChainSpec,
    attributes: &PayloadAttributes,
    default: &Bytes,
) -> Result<Bytes, AttributesError> {
    if !spec.is_op() {
        return Ok(default.clone());
    }
    // OP forks go by time alone.
    let rules = spec.rules_at(0, attributes.timestamp);
    if !rules.is_op(OpFork::Holocene) {
        return Ok(Bytes::new());
    }
    let Some(params) = attributes.eip1559_params else {
        return refuse("missing eip1559Params since Holocene");
    };
    let min_base_fee = match attributes.min_base_fee {
        Some(fee) => fee,
        None if rules.is_op(OpFork::Jovian) => return refuse("missing minBaseFee since Jovian"),
        None => 0,
    };
    let (denominator, elasticity) = match split_params(&params) {
        (0, 0) => {
            let chain = spec.base_fee_params(attributes.timestamp);
            (to_u32(chain.denominator)?, to_u32(chain.elasticity)?)
        }
        given => given,
    };
    Ok(FeeParams { denominator, elasticity, min_base_fee }.encode(&rules))
}

fn to_u32(value: u64) -> Result<u32, AttributesError> {
    u32::try_from(value)
        .map_err(|_| AttributesError(format!("the chain's fee parameter {value} exceeds 32 bits")))
}

#[cfg(test)]
mod tests;
