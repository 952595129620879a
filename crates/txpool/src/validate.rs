//! The rules that a transaction must keep whatever the state is; order and words are geth's.

use alloy_eips::{Typed2718, eip7825::MAX_TX_GAS_LIMIT_OSAKA};
use banyan_chainspec::{ChainSpec, Fork, Rules};
use banyan_primitives::{
    Address, PooledSidecar, SealedHeader, Transaction, TransactionTrait, signer,
};

use crate::{PoolConfig, PoolError, blobs, gas::intrinsic_and_floor};

/// Largest initcode since Shanghai (EIP-3860) and since Amsterdam (EIP-7954), bytes.
const MAX_INITCODE: usize = 49_152;
const MAX_INITCODE_AMSTERDAM: usize = 131_072;
const WEI_PER_ETHER: f64 = 1e18;

/// What the pool needs to know of the head: the rules and prices that new transactions meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Rules at the head's timestamp, as of a proof-of-stake block.
    pub(crate) rules: Rules,
    /// Timestamp of the head, seconds.
    pub(crate) timestamp: u64,
    /// Gas limit of the head.
    pub(crate) gas_limit: u64,
    /// Base fee of the next block, wei; zero before London.
    pub(crate) base_fee: u64,
}

impl Head {
    pub(crate) fn new(spec: &ChainSpec, header: &SealedHeader) -> Self {
        let next = banyan_consensus::next_base_fee(spec, header, header.timestamp);
        let base_fee = next.unwrap_or_else(|error| {
            tracing::warn!(%error, number = header.number, "pool keeps the base fee of the head");
            header.base_fee_per_gas
        });
        Self {
            rules: spec.rules_at(header.number, header.timestamp),
            timestamp: header.timestamp,
            gas_limit: header.gas_limit,
            base_fee: base_fee.unwrap_or_default(),
        }
    }
}

/// Shorthand for a refusal in words.
pub(crate) fn refuse<T>(words: impl Into<String>) -> Result<T, PoolError> {
    Err(PoolError::Invalid(words.into()))
}

/// Checks all that needs no state and returns the sender. `minimum_tip` is in wei, `size` the
/// length of the encoded transaction.
pub(crate) fn validate(
    spec: &ChainSpec,
    config: &PoolConfig,
    minimum_tip: u128,
    head: &Head,
    tx: &Transaction,
    size: usize,
    sidecar: Option<&PooledSidecar>,
) -> Result<Address, PoolError> {
    check_fee_cap(config, tx)?;
    check_type(spec, &head.rules, tx)?;
    check_size(config, size)?;
    check_limits(config, head, tx)?;
    if tx.max_fee_per_gas() < tx.priority_fee_or_price() {
        return refuse("max priority fee per gas higher than max fee per gas");
    }
    let sender = recover(spec, tx)?;
    if tx.nonce() == u64::MAX {
        return refuse("nonce has max value");
    }
    check_gas(&head.rules, tx)?;
    let tip = tx.priority_fee_or_price();
    if tip < minimum_tip {
        return refuse(format!(
            "transaction gas price below minimum: gas tip cap {tip}, minimum needed {minimum_tip}"
        ));
    }
    blobs::validate(&head.rules, tx, sidecar)?;
    if tx.authorization_list().is_some_and(<[_]>::is_empty) {
        return refuse("set code tx must have at least one authorization tuple");
    }
    Ok(sender)
}

/// The total fee that RPC lets pass, a guard against slips of the keyboard.
pub(crate) fn check_fee_cap(config: &PoolConfig, tx: &Transaction) -> Result<(), PoolError> {
    let Some(cap) = config.tx_fee_cap.filter(|cap| *cap > 0) else { return Ok(()) };
    let fee = tx.max_fee_per_gas().saturating_mul(u128::from(tx.gas_limit()));
    if fee <= cap {
        return Ok(());
    }
    refuse(format!(
        "tx fee ({:.2} ether) exceeds the configured cap ({:.2} ether)",
        fee as f64 / WEI_PER_ETHER,
        cap as f64 / WEI_PER_ETHER
    ))
}

fn check_size(config: &PoolConfig, size: usize) -> Result<(), PoolError> {
    let limit = config.max_tx_bytes;
    if size > limit {
        return refuse(format!("oversized data: transaction size {size}, limit {limit}"));
    }
    Ok(())
}

fn check_type(spec: &ChainSpec, rules: &Rules, tx: &Transaction) -> Result<(), PoolError> {
    let ty = tx.ty();
    let blob = matches!(tx, Transaction::Eip4844(_));
    if tx.is_deposit() || (blob && spec.is_op()) {
        return refuse(format!(
            "transaction type not supported: tx type {ty} not supported by this pool"
        ));
    }
    let (since, name) = match tx {
        Transaction::Legacy(_) | Transaction::Deposit(_) => return Ok(()),
        _ if !rules.is(Fork::Berlin) => (Fork::Berlin, "Berlin"),
        Transaction::Eip2930(_) => return Ok(()),
        Transaction::Eip1559(_) => (Fork::London, "London"),
        Transaction::Eip4844(_) => (Fork::Cancun, "Cancun"),
        Transaction::Eip7702(_) => (Fork::Prague, "Prague"),
    };
    if rules.is(since) {
        return Ok(());
    }
    refuse(format!("transaction type not supported: type {ty} rejected, pool not yet in {name}"))
}

/// Initcode size and gas limits.
fn check_limits(config: &PoolConfig, head: &Head, tx: &Transaction) -> Result<(), PoolError> {
    let (rules, size, gas) = (&head.rules, tx.input().len(), tx.gas_limit());
    let amsterdam = rules.is(Fork::Amsterdam);
    let limit = if amsterdam { MAX_INITCODE_AMSTERDAM } else { MAX_INITCODE };
    if tx.is_create() && rules.is(Fork::Shanghai) && size > limit {
        return refuse(format!("max initcode size exceeded: code size {size} limit {limit}"));
    }
    for cap in [protocol_gas_cap(rules), config.max_tx_gas].into_iter().flatten() {
        if gas > cap {
            return refuse(format!("transaction gas limit too high (cap: {cap}, tx: {gas})"));
        }
    }
    if gas > head.gas_limit {
        return refuse("exceeds block gas limit");
    }
    Ok(())
}

/// Highest gas limit of a transaction (EIP-7825, until Amsterdam limits regular gas instead).
pub(crate) fn protocol_gas_cap(rules: &Rules) -> Option<u64> {
    (rules.is(Fork::Osaka) && !rules.is(Fork::Amsterdam)).then_some(MAX_TX_GAS_LIMIT_OSAKA)
}

/// Chain id and signature. A legacy transaction without chain id (before EIP-155) passes: such
/// ones deploy well-known contracts at the same address everywhere.
fn recover(spec: &ChainSpec, tx: &Transaction) -> Result<Address, PoolError> {
    if let Some(id) = tx.chain_id().filter(|id| *id != spec.chain_id) {
        return refuse(format!(
            "invalid sender: invalid chain id for signer: have {id} want {}",
            spec.chain_id
        ));
    }
    signer::sender(tx).or_else(|_| refuse("invalid sender: invalid transaction v, r, s values"))
}

fn check_gas(rules: &Rules, tx: &Transaction) -> Result<(), PoolError> {
    let gas = tx.gas_limit();
    let (intrinsic, floor) = intrinsic_and_floor(tx, rules);
    if gas < intrinsic {
        return refuse(format!("intrinsic gas too low: gas {gas}, minimum needed {intrinsic}"));
    }
    if gas < floor {
        return refuse(format!(
            "insufficient gas for floor data gas cost: gas {gas}, minimum needed {floor}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
