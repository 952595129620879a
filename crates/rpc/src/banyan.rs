//! `banyan_`: what a chain with `wide` commitment has in place of `eth_getProof`, and how far its
//! headers vouch for its state.

use banyan_chain::{ChainView, Roots};
use banyan_commitment::wide::wide_proof;
use banyan_primitives::{Account, Address, B256, Bytes, SealedHeader, U256, trie::Leaf};
use banyan_wide_proof::Key;
use jsonrpsee::RpcModule;
use serde::Serialize;

use crate::{
    args::Args,
    block_id::BlockId,
    error::{RpcError, RpcResult},
    eth::{StorageKey, check_distance},
    quantity::{Big, Quantity},
    shared::{Shared, Weight, no_state, register_quick, register_read},
};

/// Adds the family to a port.
pub(crate) fn register(module: &mut RpcModule<Shared>) {
    register_quick(module, "banyan_syncStatus", sync_status);
    register_read(module, "banyan_getProof", Weight::Heavy, proof);
}

/// A block, by both its names.
#[derive(Debug, Serialize)]
struct BlockName {
    number: Quantity,
    hash: B256,
}

impl From<&SealedHeader> for BlockName {
    fn from(header: &SealedHeader) -> Self {
        Self { number: Quantity(header.number), hash: header.hash() }
    }
}

/// What `banyan_syncStatus` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SyncStatus {
    commitment: String,
    head: BlockName,
    /// Height of the newest block whose state a header of this chain commits to.
    verified: Quantity,
    /// Blocks whose state root is not computed yet.
    root_queue: Quantity,
    /// Height of the newest block in the database.
    persisted: Quantity,
}

fn sync_status(shared: &Shared, args: Args<'_>) -> RpcResult<SyncStatus> {
    args.end()?;
    let view = shared.view();
    let head = view.head();
    let verified = |roots: &Roots| roots.committed_by(head.number);
    let queue = view.roots().map_or(0, Roots::queue_depth);
    Ok(SyncStatus {
        commitment: shared.spec().commitment.to_string(),
        head: head.into(),
        verified: Quantity(view.roots().map_or(head.number, verified)),
        root_queue: Quantity(queue as u64),
        persisted: Quantity(view.persisted_number()),
    })
}

/// What `banyan_getProof` answers. The proofs are against `state_root`, which stands in the header
/// `committed_in`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WideProof {
    address: Address,
    block: BlockName,
    state_root: B256,
    /// The first header of the chain that carries `state_root`; `None` as long as there is none.
    committed_in: Option<BlockName>,
    account: Option<AccountRecord>,
    account_proof: Bytes,
    storage: Vec<SlotProof>,
}

/// What an account's leaf commits to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountRecord {
    nonce: Quantity,
    balance: Big,
    code_hash: B256,
}

impl From<Account> for AccountRecord {
    fn from(account: Account) -> Self {
        let Account { nonce, balance, code_hash } = account;
        Self { nonce: Quantity(nonce), balance: Big(balance), code_hash }
    }
}

#[derive(Debug, Serialize)]
struct SlotProof {
    key: String,
    value: Big,
    proof: Bytes,
}

/// `(address, slots, block?)`
fn proof(shared: &Shared, mut args: Args<'_>) -> RpcResult<WideProof> {
    let address = args.address()?;
    let keys: Vec<String> = args.required()?;
    let block: BlockId = args.optional()?.unwrap_or_default();
    let abandoned = args.abandoned();
    args.end()?;
    let view = shared.view();
    let Some(roots) = view.roots() else {
        return Err(RpcError::server(
            "not supported on a chain with mpt state commitment; use eth_getProof",
        ));
    };
    let keys = StorageKey::parse_all(&keys)?;
    let header = block.known_header(&view)?;
    check_distance(shared, &view, header.number)?;
    abandoned.check()?;
    let (state, state_root) =
        view.wide_state_at(&header.hash())?.ok_or_else(|| no_state(&header))?;
    abandoned.check()?;
    let account = wide_proof(&state, &Key::account(&address.0))?;
    let storage = keys.iter().map(|key| {
        let proved = wide_proof(&state, &Key::slot(&address.0, &key.slot.to_be_bytes()))?;
        let value = match proved.leaf {
            Some(Leaf::Slot(value)) => value,
            Some(Leaf::Account(_)) | None => U256::ZERO,
        };
        Ok(SlotProof { key: key.text(), value: Big(value), proof: proved.proof })
    });
    Ok(WideProof {
        address,
        block: (&header).into(),
        state_root,
        committed_in: committed_in(&view, roots, &header)?,
        account: match account.leaf {
            Some(Leaf::Account(account)) => Some(account.into()),
            Some(Leaf::Slot(_)) | None => None,
        },
        account_proof: account.proof,
        storage: storage.collect::<RpcResult<_>>()?,
    })
}

fn committed_in(
    view: &ChainView,
    roots: &Roots,
    block: &SealedHeader,
) -> RpcResult<Option<BlockName>> {
    let Some(number) = roots.committed_in(block.number) else { return Ok(None) };
    if number > view.head().number || !view.is_canonical(&block.hash())? {
        return Ok(None);
    }
    Ok(view.header_by_number(number)?.as_ref().map(Into::into))
}
