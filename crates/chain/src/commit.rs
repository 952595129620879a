//! What a header says about state, on either kind of chain.

use banyan_chainspec::{Commitment, OpFork, Rules};
use banyan_commitment::{RootOutput, StorageRoot, state_root, storage_root, storage_root_after};
use banyan_primitives::{
    B256, KeyRule, MESSAGE_PASSER_TRIE, SealedHeader,
    trie::{HashedStorageDiff, NodeDiff, TrieSource},
};
use banyan_state::Layer;

use crate::ChainError;

/// What a block's own state gives to its header.
#[derive(Debug)]
pub(crate) struct Committed {
    /// The changes with their trie nodes.
    pub(crate) layer: Layer,
    /// The root of its own state; `None` where headers carry that of an earlier block.
    pub(crate) state_root: Option<B256>,
    /// Storage root of the message passer, where it stands in the header.
    pub(crate) withdrawals_root: Option<B256>,
}

impl Committed {
    /// Computes the roots over `layer`, whose parent's state is `parent`.
    pub(crate) fn compute<P: TrieSource + Sync>(
        commitment: Commitment,
        rules: &Rules,
        parent: &P,
        layer: Layer,
    ) -> Result<Self, ChainError> {
        let in_header = withdrawals_root_is_state(rules);
        match commitment {
            Commitment::Mpt => {
                let root = state_root(parent, &layer.state)?;
                let withdrawals_root =
                    if in_header { Some(message_passer_root(parent, &root)?) } else { None };
                let state_root = Some(root.root);
                Ok(Self { layer: layer.with_nodes(root.nodes), state_root, withdrawals_root })
            }
            Commitment::Wide(_) => {
                let (root, nodes) = message_passer(parent, layer.withdrawals.as_ref())?;
                let withdrawals_root = in_header.then_some(root);
                Ok(Self { layer: layer.with_nodes(nodes), state_root: None, withdrawals_root })
            }
        }
    }
}

/// The trie nodes of a layer that leads from `tip` back to the state of `header`; `None` if it does
/// not lead there.
pub(crate) fn nodes_back_to<P: TrieSource + Sync>(
    keys: KeyRule,
    tip: &P,
    layer: &Layer,
    header: &SealedHeader,
) -> Result<Option<NodeDiff>, ChainError> {
    let (found, nodes, wanted) = match keys {
        KeyRule::Keccak => {
            let output = state_root(tip, &layer.state)?;
            (output.root, output.nodes, Some(header.state_root))
        }
        // The header's state root is that of an earlier block, and its own costs more than this.
        KeyRule::Wide => {
            let (root, nodes) = message_passer(tip, layer.withdrawals.as_ref())?;
            (root, nodes, header.withdrawals_root)
        }
    };
    Ok((Some(found) == wanted).then_some(nodes))
}

/// True where the header's `withdrawalsRoot` is the message passer's storage root (Isthmus).
fn withdrawals_root_is_state(rules: &Rules) -> bool {
    rules.is_op(OpFork::Isthmus)
}

/// Storage root of the message passer after a block of an `mpt` chain.
fn message_passer_root<P: TrieSource + Sync>(
    parent: &P,
    root: &RootOutput,
) -> Result<B256, ChainError> {
    match root.storage_roots.get(&MESSAGE_PASSER_TRIE) {
        Some(changed) => Ok(*changed),
        None => Ok(storage_root(parent, MESSAGE_PASSER_TRIE)?),
    }
}

/// The message passer's storage trie after a change, on a chain that has no other trie.
fn message_passer<P: TrieSource + Sync>(
    parent: &P,
    change: Option<&HashedStorageDiff>,
) -> Result<(B256, NodeDiff), ChainError> {
    let mut nodes = NodeDiff::default();
    let Some(change) = change else {
        return Ok((storage_root(parent, MESSAGE_PASSER_TRIE)?, nodes));
    };
    let StorageRoot { root, nodes: changed } =
        storage_root_after(parent, MESSAGE_PASSER_TRIE, change)?;
    nodes.storage.insert(MESSAGE_PASSER_TRIE, changed);
    Ok((root, nodes))
}
