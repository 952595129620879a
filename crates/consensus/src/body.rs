use alloy_eips::{
    Typed2718,
    eip4844::{DATA_GAS_PER_BLOB, VERSIONED_HASH_VERSION_KZG},
    eip7594::MAX_BLOBS_PER_TX_FUSAKA,
};
use alloy_rlp::{Encodable, list_length};
use banyan_chainspec::{ChainSpec, Fork, OpFork, Rules};
use banyan_primitives::{
    B256, SealedBlock, Transaction, TransactionTrait, roots, signer::has_high_s,
};

use crate::{InvalidBlock, error::check_hash};

/// Largest block in RLP since Osaka: 10 MiB less 2 MiB for the beacon block (EIP-7934).
const MAX_BLOCK_BYTES: usize = 8 * 1024 * 1024;

/// Checks a block's body against its header and the rules of its fork: roots of transactions,
/// withdrawals and ommers, allowed transaction types, blob gas, sizes, EIP-2 signatures.
///
/// Whether ommers are related to the block is [`crate::validate_ommers`]'s business.
pub fn validate_body(spec: &ChainSpec, block: &SealedBlock) -> Result<(), InvalidBlock> {
    let rules = spec.rules_of(&block.header);
    check_size(&rules, block)?;
    check_ommers(&rules, block)?;
    let transactions = roots::transactions_root(&block.body.transactions);
    check_hash("transaction root hash", block.header.transactions_root, transactions)?;
    check_withdrawals(&rules, block)?;
    for (index, tx) in block.body.transactions.iter().enumerate() {
        validate_transaction(spec, &rules, tx).map_err(|error| {
            InvalidBlock::Rule(format!("transaction {index} [{}]: {error}", tx.hash()))
        })?;
    }
    check_blob_gas(&rules, block)
}

/// Checks what can be said about a transaction of a block without state: its type, chain id,
/// signature range (EIP-2) and blob hashes.
pub fn validate_transaction(
    spec: &ChainSpec,
    rules: &Rules,
    tx: &Transaction,
) -> Result<(), InvalidBlock> {
    let allowed = match tx {
        Transaction::Legacy(_) => true,
        Transaction::Eip2930(_) => rules.is(Fork::Berlin),
        Transaction::Eip1559(_) => rules.is(Fork::London),
        Transaction::Eip4844(_) => rules.is(Fork::Cancun) && !spec.is_op(),
        Transaction::Eip7702(_) => rules.is(Fork::Prague),
        Transaction::Deposit(_) => spec.is_op(),
    };
    if !allowed {
        return Err(InvalidBlock::rule(format!("transaction type not supported: {}", tx.ty())));
    }
    check_signature(spec, rules, tx)?;
    if let Transaction::Eip4844(blob) = tx {
        check_blob_hashes(rules, &blob.tx().blob_versioned_hashes)?;
    }
    if tx.authorization_list().is_some_and(<[_]>::is_empty) {
        return Err(InvalidBlock::rule("EIP-7702 transaction with empty auth list"));
    }
    Ok(())
}

fn check_signature(spec: &ChainSpec, rules: &Rules, tx: &Transaction) -> Result<(), InvalidBlock> {
    let Some(signature) = tx.signature() else { return Ok(()) };
    if rules.is(Fork::Homestead) && has_high_s(signature) {
        return Err(InvalidBlock::rule("invalid transaction v, r, s values: high s"));
    }
    match tx.chain_id() {
        // A chain id in `v` means nothing yet (EIP-155).
        Some(_) if !rules.is(Fork::SpuriousDragon) => {
            Err(InvalidBlock::rule("invalid transaction v, r, s values: chain id before EIP-155"))
        }
        Some(have) if have != spec.chain_id => Err(InvalidBlock::rule(format!(
            "invalid chain id for signer: have {have} want {}",
            spec.chain_id
        ))),
        _ => Ok(()),
    }
}

fn check_blob_hashes(rules: &Rules, hashes: &[B256]) -> Result<(), InvalidBlock> {
    if hashes.is_empty() {
        return Err(InvalidBlock::rule("blob transaction missing blob hashes"));
    }
    let count = hashes.len() as u64;
    if rules.is(Fork::Osaka) && count > MAX_BLOBS_PER_TX_FUSAKA {
        return Err(InvalidBlock::rule(format!(
            "blob transaction has too many blobs (have {count}, max {MAX_BLOBS_PER_TX_FUSAKA})"
        )));
    }
    let wrong = hashes.iter().position(|hash| hash[0] != VERSIONED_HASH_VERSION_KZG);
    match wrong {
        Some(index) => Err(InvalidBlock::rule(format!(
            "blob {index} hash version mismatch (have {}, supported {VERSIONED_HASH_VERSION_KZG})",
            hashes[index][0]
        ))),
        None => Ok(()),
    }
}

/// OP blocks are not bounded: they need not fit a beacon block.
fn check_size(rules: &Rules, block: &SealedBlock) -> Result<(), InvalidBlock> {
    if !rules.is(Fork::Osaka) || rules.op.is_some() {
        return Ok(());
    }
    let bytes = rlp_length(block);
    if bytes > MAX_BLOCK_BYTES {
        return Err(InvalidBlock::rule(format!(
            "block RLP-encoded size exceeds maximum: {bytes} bytes, max {MAX_BLOCK_BYTES}"
        )));
    }
    Ok(())
}

/// Length of the block in RLP, without copying it.
fn rlp_length(block: &SealedBlock) -> usize {
    let body = &block.body;
    let payload_length = block.header.inner().length()
        + list_length(&body.transactions)
        + list_length(&body.ommers)
        + body.withdrawals.as_ref().map_or(0, |withdrawals| withdrawals.length());
    alloy_rlp::Header { list: true, payload_length }.length_with_payload()
}

fn check_ommers(rules: &Rules, block: &SealedBlock) -> Result<(), InvalidBlock> {
    if rules.is(Fork::Paris) && !block.body.ommers.is_empty() {
        return Err(InvalidBlock::rule("too many uncles: none are allowed since the merge"));
    }
    let ommers = roots::ommers_hash(&block.body.ommers);
    check_hash("uncle root hash", block.header.ommers_hash, ommers)
}

fn check_withdrawals(rules: &Rules, block: &SealedBlock) -> Result<(), InvalidBlock> {
    match (rules.is(Fork::Shanghai), &block.body.withdrawals) {
        (false, None) => Ok(()),
        (false, Some(_)) => Err(InvalidBlock::rule("withdrawals present in block body")),
        (true, None) => Err(InvalidBlock::rule("missing withdrawals in block body")),
        (true, Some(withdrawals)) if rules.op.is_some() && !withdrawals.is_empty() => {
            Err(InvalidBlock::rule("withdrawals in the body of an OP block"))
        }
        // Since Isthmus the field holds a root of state, which the caller checks.
        (true, Some(_)) if rules.is_op(OpFork::Isthmus) => Ok(()),
        (true, Some(withdrawals)) => {
            let root = block.header.withdrawals_root.unwrap_or_default();
            check_hash("withdrawals root hash", root, roots::withdrawals_root(withdrawals))
        }
    }
}

/// The blobs of all transactions make up `blobGasUsed`. On OP chains, where there are none, the
/// field is something else.
fn check_blob_gas(rules: &Rules, block: &SealedBlock) -> Result<(), InvalidBlock> {
    if !rules.is(Fork::Cancun) || rules.op.is_some() {
        return Ok(());
    }
    let transactions = block.body.transactions.iter();
    let blobs: usize =
        transactions.filter_map(|tx| tx.blob_versioned_hashes()).map(<[_]>::len).sum();
    let calculated = (blobs as u64).saturating_mul(DATA_GAS_PER_BLOB);
    let header = block.header.blob_gas_used.unwrap_or_default();
    if header != calculated {
        return Err(InvalidBlock::rule(format!(
            "blob gas used mismatch (header {header}, calculated {calculated})"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
