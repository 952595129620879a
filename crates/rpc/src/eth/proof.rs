//! `eth_getProof` (EIP-1186).

use banyan_chain::ChainView;
use banyan_chainspec::Commitment;
use banyan_commitment::{StorageProof, account_proof};
use banyan_primitives::{Address, B256, Bytes};
use serde::Serialize;

use super::state::StorageKey;
use crate::{
    args::Args,
    block_id::BlockId,
    error::{RpcError, RpcResult},
    quantity::{Big, Quantity},
    shared::Shared,
};

/// Most accounts and slots taken back for the proof of an older block: some seconds of work.
const MAX_CHANGES: usize = 100_000;

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RpcProof {
    address: Address,
    account_proof: Vec<Bytes>,
    balance: Big,
    code_hash: B256,
    nonce: Quantity,
    storage_hash: B256,
    storage_proof: Vec<RpcStorageProof>,
}

#[derive(Debug, Serialize)]
struct RpcStorageProof {
    key: String,
    value: Big,
    proof: Vec<Bytes>,
}

/// `(address, slots, block?)`
pub(super) fn proof(shared: &Shared, mut args: Args<'_>) -> RpcResult<RpcProof> {
    let address = args.address()?;
    let keys: Vec<String> = args.required()?;
    let block: BlockId = args.optional()?.unwrap_or_default();
    let abandoned = args.abandoned();
    args.end()?;
    if shared.spec().commitment != Commitment::Mpt {
        return Err(RpcError::server(
            "not supported on a chain with wide state commitment; use banyan_getProof",
        ));
    }
    let keys = StorageKey::parse_all(&keys)?;
    let slots: Vec<_> = keys.iter().map(|key| key.slot).collect();
    let view = shared.view();
    let header = block.known_header(&view)?;
    check_distance(shared, &view, header.number)?;
    abandoned.check()?;
    let state = shared.trie_state(&view, BlockId::hash(header.hash()))?;
    abandoned.check()?;
    let proof = account_proof(&state, address, &slots)?;
    let account = proof.account.unwrap_or_default();
    let storage = |(key, slot): (&StorageKey, StorageProof)| RpcStorageProof {
        key: key.text(),
        value: Big(slot.value),
        proof: slot.proof,
    };
    Ok(RpcProof {
        address,
        account_proof: proof.proof,
        balance: Big(account.balance),
        code_hash: account.code_hash,
        nonce: Quantity(account.nonce),
        storage_hash: proof.storage_root,
        storage_proof: keys.iter().zip(proof.storage).map(storage).collect(),
    })
}

/// Tries are kept at the tip; those of an older block cost work for all that changed since.
pub(crate) fn check_distance(shared: &Shared, view: &ChainView, number: u64) -> RpcResult<()> {
    let window = shared.context.config.max_proof_blocks;
    if view.head().number.saturating_sub(number) > window {
        return Err(RpcError::params(format!(
            "distance to target block exceeds maximum proof window ({window} blocks)"
        )));
    }
    if !view.changed_at_most(number, MAX_CHANGES)? {
        return Err(RpcError::params(format!(
            "too much state changed since block {number} for a proof (more than {MAX_CHANGES} \
             accounts and slots)"
        )));
    }
    Ok(())
}
