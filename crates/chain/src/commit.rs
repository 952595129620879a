//! What a header says about state, on either kind of chain.

use banyan_chainspec::{Commitment, OpFork, Rules};
use banyan_commitment::{RootOutput, StorageRoot, state_root, storage_root, storage_root_after};
use banyan_primitives::{
    B256, KeyRule, MESSAGE_PASSER_TRIE, SealedHeader, U256,
    trie::{HashedDiff, Leaf, Nibbles, NodeDiff, TrieId, TrieSource},
    wide,
};
use banyan_state::Layer;

use crate::ChainError;

/// Leaves read at a time.
const CHUNK: usize = 4096;

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
                let (root, nodes) = message_passer(parent, &layer.state)?;
                let withdrawals_root = in_header.then_some(root);
                Ok(Self { layer: layer.with_nodes(nodes), state_root: None, withdrawals_root })
            }
        }
    }
}

/// The trie nodes that a layer back to the state of `header` needs, made of its change on `tip`;
/// `None` if that change does not lead there.
pub(crate) fn nodes_back_to<P: TrieSource + Sync>(
    keys: KeyRule,
    tip: &P,
    change: &HashedDiff,
    header: &SealedHeader,
) -> Result<Option<NodeDiff>, ChainError> {
    let (found, nodes, wanted) = match keys {
        KeyRule::Keccak => {
            let output = state_root(tip, change)?;
            (output.root, output.nodes, Some(header.state_root))
        }
        // The header's state root is that of an earlier block, and its own costs more than this.
        KeyRule::Wide => {
            let (root, nodes) = message_passer(tip, change)?;
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
    change: &HashedDiff,
) -> Result<(B256, NodeDiff), ChainError> {
    let mut nodes = NodeDiff::default();
    let Some(change) = change.storage.get(&MESSAGE_PASSER_TRIE) else {
        return Ok((storage_root(parent, MESSAGE_PASSER_TRIE)?, nodes));
    };
    let StorageRoot { root, nodes: changed } =
        storage_root_after(parent, MESSAGE_PASSER_TRIE, change)?;
    nodes.storage.insert(MESSAGE_PASSER_TRIE, changed);
    Ok((root, nodes))
}

/// The `wide` root of a state, from all its leaves.
pub(crate) fn wide_root<S: TrieSource>(state: &S) -> Result<B256, ChainError> {
    let mut leaves = Vec::new();
    each_leaf(state, TrieId::Accounts, &mut |key, leaf| {
        let Leaf::Account(account) = leaf else { return Ok(()) };
        leaves.push(wide::account_leaf(&key, &account));
        each_leaf(state, TrieId::Storage(key), &mut |slot, leaf| {
            if let Leaf::Slot(value) = leaf {
                leaves.push(wide::slot_leaf(&key, &slot, value));
            }
            Ok(())
        })
    })?;
    Ok(wide::root(leaves))
}

fn each_leaf<S: TrieSource>(
    state: &S,
    trie: TrieId,
    visit: &mut dyn FnMut(B256, Leaf) -> Result<(), ChainError>,
) -> Result<(), ChainError> {
    let mut from = B256::ZERO;
    loop {
        let leaves = state.leaves(trie, &Nibbles::new(), from, CHUNK)?;
        let full = leaves.len() == CHUNK;
        let last = leaves.last().map(|(key, _)| U256::from_be_bytes(key.0));
        for (key, leaf) in leaves {
            visit(key, leaf)?;
        }
        match last.and_then(|last| last.checked_add(U256::from(1))).filter(|_| full) {
            Some(next) => from = B256::from(next),
            None => return Ok(()),
        }
    }
}
