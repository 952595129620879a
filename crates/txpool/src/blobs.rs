//! Blob sidecars: their rules, and which pooled transaction holds which blob.

use std::sync::Arc;

use alloy_eips::{
    eip4844::{BLOB_TX_MIN_BLOB_GASPRICE, c_kzg, kzg_to_versioned_hash},
    eip7594::{CELLS_PER_EXT_BLOB, MAX_BLOBS_PER_TX_FUSAKA},
};
use banyan_chainspec::{Fork, Rules};
use banyan_primitives::{Account, B256, B256Map, PooledSidecar, Transaction, TransactionTrait};

use crate::{PoolError, PooledTransaction, entry::Entry, validate::refuse};

/// Tables of the trusted setup that speed up making proofs; verifying them needs none.
const PRECOMPUTE: u64 = 0;

/// Loads the KZG trusted setup, which takes a second or more. Otherwise the first blob transaction
/// waits for it; a node of an Ethereum chain calls this in a thread of its own at start.
pub fn load_trusted_setup() {
    c_kzg::ethereum_kzg_settings(PRECOMPUTE);
}

/// Checks a blob transaction's blobs against their commitments; other types pass, without blobs.
///
/// Sidecars have one proof per blob up to Prague (version 0) and one per cell since Osaka
/// (version 1, EIP-7594), as it is the block builder who hands them on. Old ones pass since Osaka
/// too, to be upgraded.
pub(crate) fn validate(
    rules: &Rules,
    tx: &Transaction,
    sidecar: Option<&PooledSidecar>,
) -> Result<(), PoolError> {
    let Some(hashes) = tx.blob_versioned_hashes() else {
        return match sidecar {
            Some(_) => refuse("unexpected sidecar in a transaction without blobs"),
            None => Ok(()),
        };
    };
    let Some(sidecar) = sidecar else { return refuse("missing sidecar in blob transaction") };
    check_version(rules, sidecar)?;
    let cap = tx.max_fee_per_blob_gas().unwrap_or_default();
    if cap < BLOB_TX_MIN_BLOB_GASPRICE {
        return refuse(format!(
            "transaction gas price below minimum: blob fee cap {cap}, minimum needed \
             {BLOB_TX_MIN_BLOB_GASPRICE}"
        ));
    }
    check_counts(rules, hashes, sidecar)?;
    for (index, (hash, commitment)) in hashes.iter().zip(sidecar.commitments()).enumerate() {
        let computed = kzg_to_versioned_hash(commitment.as_slice());
        if *hash != computed {
            return refuse(format!(
                "blob {index}: computed hash {computed} mismatches transaction one {hash}"
            ));
        }
    }
    sidecar
        .validate(hashes, c_kzg::ethereum_kzg_settings(PRECOMPUTE))
        .or_else(|error| refuse(format!("KZG verification error: {error}")))
}

fn check_version(rules: &Rules, sidecar: &PooledSidecar) -> Result<(), PoolError> {
    let (want, got) = (wanted(rules), version(sidecar));
    // Old proofs are exchanged for new ones later: see `upgrade`.
    if want < got {
        return refuse(format!("unexpected sidecar version, want: {want}, got: {got}"));
    }
    Ok(())
}

/// Gives a sidecar with blob proofs the cell proofs that a block needs since Osaka, as geth does for
/// senders that still make the old ones. That takes about a fifth of a second per blob, so it is
/// done for those alone whom `account` lets pay.
pub(crate) fn upgrade(
    rules: &Rules,
    entry: &mut Entry,
    account: &Account,
) -> Result<(), PoolError> {
    let due = entry.tx.sidecar.as_ref().is_some_and(|it| version(it) < wanted(rules));
    if !due || entry.nonce() < account.nonce || entry.cost > account.balance {
        return Ok(());
    }
    let tx = Arc::make_mut(&mut entry.tx);
    tx.sidecar = match tx.sidecar.take() {
        Some(PooledSidecar::Eip4844(old)) => {
            let new = old.try_into_7594(c_kzg::ethereum_kzg_settings(PRECOMPUTE));
            let new =
                new.or_else(|error| refuse(format!("blob sidecar conversion failed: {error}")))?;
            Some(PooledSidecar::Eip7594(new))
        }
        new => new,
    };
    Ok(())
}

/// Version of the sidecars that a builder needs under these rules.
pub(crate) fn wanted(rules: &Rules) -> u8 {
    u8::from(rules.is(Fork::Osaka))
}

/// Version of a sidecar: 0 with blob proofs, 1 with cell proofs.
pub(crate) fn version(sidecar: &PooledSidecar) -> u8 {
    match sidecar {
        PooledSidecar::Eip4844(_) => 0,
        PooledSidecar::Eip7594(_) => 1,
    }
}

/// Numbers of hashes, blobs, commitments and proofs.
fn check_counts(rules: &Rules, hashes: &[B256], sidecar: &PooledSidecar) -> Result<(), PoolError> {
    let (count, blobs) = (hashes.len(), sidecar.blobs().len());
    if count == 0 {
        return refuse("blobless blob transaction");
    }
    let per_block = rules.blobs.map_or(0, |params| params.max);
    let limit = match rules.is(Fork::Osaka) {
        true => per_block.min(MAX_BLOBS_PER_TX_FUSAKA),
        false => per_block,
    };
    if count as u64 > limit {
        return refuse(format!(
            "transaction blob limit exceeded: blob count {count}, limit {limit}"
        ));
    }
    if blobs != count {
        return refuse(format!("invalid number of {blobs} blobs compared to {count} blob hashes"));
    }
    let commitments = sidecar.commitments().len();
    if commitments != count {
        return refuse(format!(
            "invalid number of {commitments} blob commitments compared to {count} blob hashes"
        ));
    }
    let (proofs, expected) = match sidecar {
        PooledSidecar::Eip4844(sidecar) => (sidecar.proofs.len(), count),
        PooledSidecar::Eip7594(sidecar) => (sidecar.cell_proofs.len(), count * CELLS_PER_EXT_BLOB),
    };
    if proofs != expected {
        return refuse(format!("invalid number of {proofs} blob proofs expected {expected}"));
    }
    Ok(())
}

/// Finds pooled blobs by versioned hash. The same blob may lie in several transactions.
#[derive(Debug, Default)]
pub(crate) struct BlobIndex {
    holders: B256Map<Vec<(B256, usize)>>,
    /// Bytes of all sidecars.
    bytes: usize,
}

impl BlobIndex {
    pub(crate) fn insert(&mut self, tx: &PooledTransaction) {
        self.bytes += tx.sidecar_bytes();
        let hashes = tx.tx.blob_versioned_hashes().unwrap_or_default();
        for (index, hash) in hashes.iter().enumerate() {
            self.holders.entry(*hash).or_default().push((tx.hash(), index));
        }
    }

    pub(crate) fn remove(&mut self, tx: &PooledTransaction) {
        self.bytes = self.bytes.saturating_sub(tx.sidecar_bytes());
        let gone = tx.hash();
        for hash in tx.tx.blob_versioned_hashes().unwrap_or_default() {
            let Some(holders) = self.holders.get_mut(hash) else { continue };
            holders.retain(|(holder, _)| *holder != gone);
            if holders.is_empty() {
                self.holders.remove(hash);
            }
        }
    }

    /// A transaction that holds the blob, and the index in its sidecar.
    pub(crate) fn holder(&self, versioned_hash: &B256) -> Option<(B256, usize)> {
        self.holders.get(versioned_hash)?.first().copied()
    }

    /// Hashes of all transactions with blobs, some more than once.
    pub(crate) fn transactions(&self) -> impl Iterator<Item = &B256> {
        self.holders.values().flatten().map(|(hash, _)| hash)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
