//! `engine_getBlobsV1` to `V3`: blobs out of the pool, for the consensus client.

use std::sync::Arc;

use alloy_eips::{
    eip4844::{Blob, Bytes48},
    eip7594::CELLS_PER_EXT_BLOB,
};
use alloy_rpc_types_engine::{BlobAndProofV1, BlobAndProofV2};
use banyan_chainspec::Fork;
use banyan_primitives::{B256, PooledSidecar};
use banyan_txpool::PooledTransaction;

use super::MAX_BLOBS;
use crate::{
    args::Args,
    error::{RpcError, RpcResult},
    shared::Shared,
};

/// Null for blobs we do not have. Ends with Osaka.
pub(super) fn v1(shared: &Shared, args: Args<'_>) -> RpcResult<Vec<Option<BlobAndProofV1>>> {
    if shared.spec().rules_of(shared.view().head()).is(Fork::Osaka) {
        let message = "Unsupported fork: getBlobsV1 ends with Osaka";
        return Err(RpcError::unsupported_fork(message));
    }
    let found = find(shared, args)?;
    Ok(found.iter().map(|entry| with_proof(entry.as_ref())).collect())
}

/// Null altogether unless all are there.
pub(super) fn v2(shared: &Shared, args: Args<'_>) -> RpcResult<Option<Vec<BlobAndProofV2>>> {
    let found = find(shared, args)?;
    Ok(found.iter().map(|entry| with_cell_proofs(entry.as_ref())).collect())
}

/// Null for blobs we do not have.
pub(super) fn v3(shared: &Shared, args: Args<'_>) -> RpcResult<Vec<Option<BlobAndProofV2>>> {
    let found = find(shared, args)?;
    Ok(found.iter().map(|entry| with_cell_proofs(entry.as_ref())).collect())
}

type Found = (Arc<PooledTransaction>, usize);

fn find(shared: &Shared, mut args: Args<'_>) -> RpcResult<Vec<Option<Found>>> {
    let hashes: Vec<B256> = args.required()?;
    args.end()?;
    if hashes.len() > MAX_BLOBS {
        return Err(RpcError::too_large(MAX_BLOBS));
    }
    Ok(shared.context.pool.blobs(&hashes))
}

fn blob(sidecar: &PooledSidecar, index: usize) -> Option<Box<Blob>> {
    sidecar.blobs().get(index).copied().map(Box::new)
}

fn with_proof(found: Option<&Found>) -> Option<BlobAndProofV1> {
    let (tx, index) = found?;
    let sidecar = tx.sidecar.as_ref()?;
    let proof = *sidecar.as_eip4844()?.proofs.get(*index)?;
    Some(BlobAndProofV1 { blob: blob(sidecar, *index)?, proof })
}

fn with_cell_proofs(found: Option<&Found>) -> Option<BlobAndProofV2> {
    let (tx, index) = found?;
    let sidecar = tx.sidecar.as_ref()?;
    let proofs = cell_proofs(sidecar, *index)?.to_vec();
    Some(BlobAndProofV2 { blob: blob(sidecar, *index)?, proofs })
}

/// Cell proofs of blob `index` (EIP-7594); `None` if the sidecar has none.
fn cell_proofs(sidecar: &PooledSidecar, index: usize) -> Option<&[Bytes48]> {
    let start = index.checked_mul(CELLS_PER_EXT_BLOB)?;
    sidecar.as_eip7594()?.cell_proofs.get(start..start.checked_add(CELLS_PER_EXT_BLOB)?)
}

#[cfg(test)]
mod tests {
    use alloy_eips::{
        eip4844::BYTES_PER_BLOB,
        eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant},
    };
    use serde_json::json;

    use super::*;

    #[test]
    fn a_blob_comes_with_its_own_cell_proofs() {
        let proofs = [1, 2].map(|blob| [Bytes48::repeat_byte(blob); CELLS_PER_EXT_BLOB]);
        let sidecar = BlobTransactionSidecarVariant::Eip7594(BlobTransactionSidecarEip7594 {
            blobs: vec![Blob::repeat_byte(1), Blob::repeat_byte(2)],
            commitments: vec![Bytes48::ZERO; 2],
            cell_proofs: proofs.concat(),
        });
        assert_eq!(cell_proofs(&sidecar, 0).unwrap(), proofs[0]);
        let second = BlobAndProofV2 {
            blob: blob(&sidecar, 1).unwrap(),
            proofs: cell_proofs(&sidecar, 1).unwrap().to_vec(),
        };
        let text = |bytes| format!("0x{}", "02".repeat(bytes));
        let expected = json!({
            "blob": text(BYTES_PER_BLOB), "proofs": vec![text(48); CELLS_PER_EXT_BLOB],
        });
        assert_eq!(serde_json::to_value(second).unwrap(), expected);
        assert!(cell_proofs(&sidecar, 2).is_none() && cell_proofs(&sidecar, usize::MAX).is_none());
        assert!(blob(&sidecar, 2).is_none());
    }
}
