//! Reading the parent state of one trie: stored branches where there are any, else leaves.

use alloy_trie::TrieAccount;
use banyan_primitives::{
    Account, B256, EMPTY_ROOT_HASH,
    trie::{Leaf, Nibbles, TrieId, TrieSource},
};

use crate::{
    CommitmentError,
    error::damaged,
    node::{BranchNode, ChildKind, MAX_BRANCH_DEPTH, RootEntry, Top},
    subtree::{Subtree, TrieLeaf, build},
};

/// Most leaves below a prefix under which no branch is stored.
pub(crate) const MAX_UNSTORED_LEAVES: usize = 16;

/// One trie of the parent state.
#[derive(Debug)]
pub(crate) struct Reader<'a, S> {
    pub(crate) source: &'a S,
    pub(crate) trie: TrieId,
}

/// What the parent state holds below some prefix.
#[derive(Debug)]
pub(crate) enum Opened {
    /// At most 16 leaves; nothing stored.
    Leaves(Vec<TrieLeaf>),
    /// The topmost branch, stored, and its path.
    Branch(Nibbles, BranchNode),
}

impl Opened {
    /// The same, hashed.
    pub(crate) fn into_subtree(self) -> Subtree {
        match self {
            // A branch of leaves is not stored, so there are no nodes to collect.
            Self::Leaves(mut leaves) => build(&mut leaves, &mut Vec::new()),
            Self::Branch(path, node) => Subtree::branch(path, &node),
        }
    }
}

impl<S: TrieSource> Reader<'_, S> {
    /// Root hash of the trie, one read.
    pub(crate) fn root_hash(&self) -> Result<B256, CommitmentError> {
        let Some(bytes) = self.root_bytes()? else { return Ok(EMPTY_ROOT_HASH) };
        RootEntry::decode_hash(&bytes).ok_or_else(|| self.bad_root())
    }

    /// The root entry; `None` if the trie is empty.
    pub(crate) fn root_entry(&self) -> Result<Option<RootEntry>, CommitmentError> {
        let Some(bytes) = self.root_bytes()? else { return Ok(None) };
        RootEntry::decode(&bytes).map(Some).ok_or_else(|| self.bad_root())
    }

    fn root_bytes(&self) -> Result<Option<banyan_primitives::Bytes>, CommitmentError> {
        match self.source.first_node(self.trie, &Nibbles::new())? {
            None => Ok(None),
            Some((path, bytes)) if path.is_empty() => Ok(Some(bytes)),
            Some((path, _)) => Err(damaged(self.trie, &path, "node in a trie without root entry")),
        }
    }

    fn bad_root(&self) -> CommitmentError {
        damaged(self.trie, &Nibbles::new(), "malformed root entry")
    }

    /// The whole trie.
    pub(crate) fn open_root(&self, entry: Option<RootEntry>) -> Result<Opened, CommitmentError> {
        let Some(entry) = entry else { return Ok(Opened::Leaves(Vec::new())) };
        match entry.top {
            Top::Leaves => self.open_leaves(&Nibbles::new()),
            Top::Here(bytes) => self.decode(Nibbles::new(), &bytes),
            Top::Below(path) => self.open_branch(&path),
        }
    }

    /// What is below `prefix`, the place of a child of the given kind.
    pub(crate) fn open_child(
        &self,
        prefix: &Nibbles,
        kind: ChildKind,
    ) -> Result<Opened, CommitmentError> {
        match kind {
            ChildKind::StoredBranch => self.open_branch(prefix),
            ChildKind::Leaf | ChildKind::LeafBranch => self.open_leaves(prefix),
        }
    }

    fn open_branch(&self, prefix: &Nibbles) -> Result<Opened, CommitmentError> {
        match self.source.first_node(self.trie, prefix)? {
            Some((path, bytes)) if path.starts_with(prefix) => self.decode(path, &bytes),
            _ => Err(damaged(self.trie, prefix, "a stored branch is missing")),
        }
    }

    fn decode(&self, path: Nibbles, bytes: &[u8]) -> Result<Opened, CommitmentError> {
        match BranchNode::decode(bytes) {
            Some(node) if path.len() <= MAX_BRANCH_DEPTH => Ok(Opened::Branch(path, node)),
            _ => Err(damaged(self.trie, &path, "malformed branch")),
        }
    }

    fn open_leaves(&self, prefix: &Nibbles) -> Result<Opened, CommitmentError> {
        let flat = read_leaves(self.source, self.trie, prefix, MAX_UNSTORED_LEAVES + 1)?;
        if flat.is_empty() {
            return Err(damaged(self.trie, prefix, "leaves are missing"));
        }
        if flat.len() > MAX_UNSTORED_LEAVES {
            return Err(damaged(self.trie, prefix, "a branch should be stored and is not"));
        }
        let leaves = flat.into_iter().map(|(key, leaf)| {
            let value = match leaf {
                Leaf::Slot(value) => alloy_rlp::encode(value),
                Leaf::Account(account) => account_rlp(&account, storage_hash(self.source, key)?),
            };
            Ok(TrieLeaf { key: Nibbles::unpack(key), value })
        });
        leaves.collect::<Result<_, _>>().map(Opened::Leaves)
    }
}

/// Reads at most `limit` leaves below `prefix` and checks that they are in order and there.
pub(crate) fn read_leaves<S: TrieSource>(
    source: &S,
    trie: TrieId,
    prefix: &Nibbles,
    limit: usize,
) -> Result<Vec<(B256, Leaf)>, CommitmentError> {
    let mut from = B256::ZERO;
    prefix.pack_to(&mut from[..prefix.byte_len()]);
    let leaves = source.leaves(trie, prefix, from, limit)?;
    let ordered = leaves.is_sorted_by(|(a, _), (b, _)| a < b);
    let inside = |leaf: Option<&(B256, Leaf)>| {
        leaf.is_none_or(|(key, _)| Nibbles::unpack(key).starts_with(prefix))
    };
    let kind = |leaf: &Leaf| matches!(leaf, Leaf::Account(_)) == (trie == TrieId::Accounts);
    if !ordered || !inside(leaves.first()) || !inside(leaves.last()) {
        return Err(damaged(trie, prefix, "leaves are out of order or elsewhere"));
    }
    if !leaves.iter().all(|(_, leaf)| kind(leaf)) {
        return Err(damaged(trie, prefix, "leaves of the wrong kind"));
    }
    Ok(leaves)
}

/// Root hash of the storage trie of an account, one read.
pub(crate) fn storage_hash<S: TrieSource>(
    source: &S,
    hashed_address: B256,
) -> Result<B256, CommitmentError> {
    Reader { source, trie: TrieId::Storage(hashed_address) }.root_hash()
}

/// Value of an account's leaf.
pub(crate) fn account_rlp(account: &Account, storage_root: B256) -> Vec<u8> {
    let Account { nonce, balance, code_hash } = *account;
    alloy_rlp::encode(TrieAccount::new(nonce, balance, storage_root, code_hash))
}
