//! What a header says about state, on either kind of chain.

use std::{borrow::Cow, sync::Arc};

use banyan_chainspec::{ChainSpec, OpFork, Rules};
use banyan_commitment::{
    CommitmentError, RootOutput, StorageRoot, Trees, state_root, storage_root, storage_root_after,
    wide::wide_root,
};
use banyan_primitives::{
    B256, KeyRule, MESSAGE_PASSER_TRIE, SealedHeader,
    trie::{HashedDiff, HashedStorageDiff, NodeDiff, TrieSource},
};
use banyan_state::Layer;
use banyan_storage::{BlockRead, Database, Read, ReadTxn, StorageError};

use crate::{ChainError, Roots, persist::Persistable};

/// How a chain comes by the state roots in its headers. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Commitments {
    /// Each header carries the root of its own state (`mpt`): the tries, as far as they are in memory.
    Own(Arc<Trees>),
    /// Headers lag (`wide`).
    Lagging(Roots),
}

impl Commitments {
    /// Those of `spec`'s chain in `db`, with so many bytes of tries in memory.
    pub(crate) fn of(spec: &ChainSpec, db: &Database, memory: u64) -> Self {
        match Roots::of(spec, db) {
            Some(roots) => Self::Lagging(roots),
            None => Self::Own(Arc::new(Trees::new(usize::try_from(memory).unwrap_or(usize::MAX)))),
        }
    }

    /// The tries in memory, where headers carry the roots of their own states.
    pub(crate) fn tries(&self) -> Option<&Trees> {
        match self {
            Self::Own(tries) => Some(tries),
            Self::Lagging(_) => None,
        }
    }

    /// The next block will build on the state with this root: tells the tries, on another thread.
    pub(crate) fn settle(&self, root: B256) {
        if let Self::Own(tries) = self {
            let tries = Arc::clone(tries);
            rayon::spawn(move || tries.settle(root));
        }
    }

    /// The roots that lag, if they do.
    pub const fn lagging(&self) -> Option<&Roots> {
        match self {
            Self::Own(_) => None,
            Self::Lagging(roots) => Some(roots),
        }
    }
}

/// What a block's own state gives to its header.
#[derive(Debug)]
pub(crate) struct Rooted {
    /// The changes with their trie nodes.
    pub(crate) layer: Layer,
    /// The root of its own state; `None` where headers carry that of an earlier block.
    pub(crate) state_root: Option<B256>,
    /// Storage root of the message passer, where it stands in the header.
    pub(crate) withdrawals_root: Option<B256>,
}

impl Rooted {
    /// Computes the roots over `layer`, whose parent's state is `parent`; `before` are values of the
    /// same keys there.
    pub(crate) fn compute<P: TrieSource + Sync>(
        commitments: &Commitments,
        rules: &Rules,
        parent: &P,
        (layer, before): (Layer, HashedDiff),
    ) -> Result<Self, ChainError> {
        let in_header = withdrawals_root_is_state(rules);
        match commitments {
            Commitments::Own(tries) => {
                let root = match tries.state_root_knowing(parent, &layer.state, before) {
                    Err(CommitmentError::Damaged(what)) => {
                        tracing::error!(what, "the tries in memory are not used for this block");
                        state_root(parent, &layer.state)?
                    }
                    root => root?,
                };
                let withdrawals_root =
                    if in_header { Some(message_passer_root(parent, &root)?) } else { None };
                let state_root = Some(root.root);
                Ok(Self { layer: layer.with_nodes(root.nodes), state_root, withdrawals_root })
            }
            Commitments::Lagging(_) => {
                let (root, nodes) = message_passer(parent, layer.withdrawals.as_ref())?;
                let withdrawals_root = in_header.then_some(root);
                Ok(Self { layer: layer.with_nodes(nodes), state_root: None, withdrawals_root })
            }
        }
    }
}

/// A layer that leads from `tip` back to `base`, with the nodes to store; `None` if it does not lead
/// there.
pub(crate) fn lead_back<P: TrieSource + Sync>(
    tip: &P,
    layer: Layer,
    txn: &ReadTxn,
    base: &SealedHeader,
) -> Result<Option<Layer>, ChainError> {
    let (found, nodes) = match txn.keys() {
        KeyRule::Keccak => {
            let output = state_root(tip, &layer.state)?;
            (output.root == base.state_root, output.nodes)
        }
        KeyRule::Wide => {
            let (withdrawals, mut nodes) = message_passer(tip, layer.withdrawals.as_ref())?;
            let output = wide_root(tip, &layer.state)?;
            nodes.accounts = output.nodes.accounts;
            // Its own state root stands in a later header, if in any, and is stored if it was made.
            let right = txn.state_root(base.into())?.is_none_or(|known| known == output.root);
            let found = right && base.withdrawals_root == Some(withdrawals);
            (found, nodes)
        }
    };
    Ok(found.then(|| layer.with_nodes(nodes)))
}

/// The rows to store with canonical blocks of a `wide` chain, whose state in the database is `tip`.
/// Where rows end depends on their past, so they are made when they are written, for the rows that
/// are there, and not block by block.
pub(crate) fn rows<P: TrieSource + Sync>(
    tip: &P,
    blocks: &[Persistable],
) -> Result<NodeDiff, StorageError> {
    let Some((newest, Some(root))) = blocks.last() else { return Ok(NodeDiff::default()) };
    let change = merged(blocks.iter().map(|(block, _)| &block.layer.state));
    let damaged = |what: String| StorageError::Damaged(what);
    let output = wide_root(tip, &change).map_err(|error| damaged(error.to_string()))?;
    if output.root != *root {
        let block = newest.block_ref();
        return Err(damaged(format!("the rows lead to another root than {root} of {block}")));
    }
    Ok(output.nodes)
}

/// The changes of blocks as one, oldest first; that of a single block is not copied.
pub(crate) fn merged<'a>(mut changes: impl Iterator<Item = &'a HashedDiff>) -> Cow<'a, HashedDiff> {
    let mut merged = changes.next().map_or_else(Cow::default, Cow::Borrowed);
    changes.for_each(|change| merged.to_mut().extend(change));
    merged
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
