use alloy_trie::nodes::RlpNode;
use banyan_primitives::{
    Account, Address, B256, Bytes, EMPTY_ROOT_HASH, U256, keccak256,
    trie::{Leaf, Nibbles, TrieId, TrieSource},
};

use crate::{
    CommitmentError,
    node::{BranchNode, extension_rlp, leaf_rlp},
    reader::{Opened, Reader, read_leaves, storage_hash},
    subtree::{Subtree, TrieLeaf},
};

/// Merkle proof of an account and some of its slots (EIP-1186).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// The address.
    pub address: Address,
    /// The account; `None` if absent (the proof then shows absence).
    pub account: Option<Account>,
    /// Its storage root.
    pub storage_root: B256,
    /// Nodes from the root down, RLP. A node shorter than 32 bytes is inside its parent and not
    /// listed by itself; the proof in an empty trie is empty.
    pub proof: Vec<Bytes>,
    /// Proofs of the slots asked for, in order.
    pub storage: Vec<StorageProof>,
}

/// Merkle proof of one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageProof {
    /// The slot.
    pub slot: U256,
    /// Its value, zero if absent.
    pub value: U256,
    /// Nodes from the storage root down, RLP, as in [`AccountProof::proof`].
    pub proof: Vec<Bytes>,
}

/// Proves `address` and `slots` in the state of `source`. Cost follows the depth of the tries, for
/// each slot; the number of slots is the caller's to bound.
pub fn account_proof<S: TrieSource>(
    source: &S,
    address: Address,
    slots: &[U256],
) -> Result<AccountProof, CommitmentError> {
    let hashed_address = keccak256(address);
    let account = match leaf(source, TrieId::Accounts, hashed_address)? {
        Some(Leaf::Account(account)) => Some(account),
        _ => None,
    };
    let storage_root = match account {
        Some(_) => storage_hash(source, hashed_address)?,
        None => EMPTY_ROOT_HASH,
    };
    let storage = slots.iter().map(|slot| storage_proof(source, hashed_address, *slot));
    Ok(AccountProof {
        address,
        account,
        storage_root,
        proof: Reader { source, trie: TrieId::Accounts }.prove(hashed_address)?,
        storage: storage.collect::<Result<_, _>>()?,
    })
}

fn storage_proof<S: TrieSource>(
    source: &S,
    hashed_address: B256,
    slot: U256,
) -> Result<StorageProof, CommitmentError> {
    let trie = TrieId::Storage(hashed_address);
    let hashed_slot = keccak256(slot.to_be_bytes::<32>());
    let value = match leaf(source, trie, hashed_slot)? {
        Some(Leaf::Slot(value)) => value,
        _ => U256::ZERO,
    };
    Ok(StorageProof { slot, value, proof: Reader { source, trie }.prove(hashed_slot)? })
}

/// The leaf with exactly this key.
fn leaf<S: TrieSource>(
    source: &S,
    trie: TrieId,
    key: B256,
) -> Result<Option<Leaf>, CommitmentError> {
    let leaves = read_leaves(source, trie, &Nibbles::unpack(key), 1)?;
    Ok(leaves.first().map(|(_, leaf)| *leaf))
}

impl<S: TrieSource> Reader<'_, S> {
    /// The nodes from the root towards `key`, up to its leaf or to the node that shows its absence.
    fn prove(&self, key: B256) -> Result<Vec<Bytes>, CommitmentError> {
        let key = Nibbles::unpack(key);
        let mut proof = Proof::default();
        let mut opened = self.open_root(self.root_entry()?)?;
        let mut depth = 0;
        loop {
            let (path, node) = match opened {
                Opened::Leaves(leaves) => {
                    proof.add_leaves(leaves, depth, &key);
                    break;
                }
                Opened::Branch(path, node) => (path, node),
            };
            let next = proof.add_branch(&path, &node, depth, &key);
            let Some((nibble, (_, kind))) = next.and_then(|n| Some((n, node.child(n)?))) else {
                break;
            };
            depth = path.len() + 1;
            let mut prefix = path;
            prefix.push(nibble);
            opened = self.open_child(&prefix, kind)?;
        }
        Ok(proof.nodes)
    }
}

/// A proof in the making.
#[derive(Default)]
struct Proof {
    nodes: Vec<Bytes>,
}

impl Proof {
    /// Adds a node, unless it is inside its parent. The root is listed however short.
    fn add(&mut self, rlp: Vec<u8>) {
        if rlp.len() >= 32 || self.nodes.is_empty() {
            self.nodes.push(rlp.into());
        }
    }

    /// Adds a branch and the extension above it. Returns the nibble at which `key` goes on, if it
    /// passes through the branch.
    fn add_branch(
        &mut self,
        path: &Nibbles,
        node: &BranchNode,
        depth: usize,
        key: &Nibbles,
    ) -> Option<u8> {
        let rlp = node.rlp();
        if path.len() > depth {
            self.add(extension_rlp(&path.slice(depth..), &RlpNode::from_rlp(&rlp)));
        }
        if !key.starts_with(path) {
            return None;
        }
        self.add(rlp);
        key.get(path.len())
    }

    /// Adds the way to `key` in a part of the trie that is a leaf or a branch of leaves.
    fn add_leaves(&mut self, leaves: Vec<TrieLeaf>, depth: usize, key: &Nibbles) {
        let (Some(first), Some(last)) = (leaves.first(), leaves.last()) else { return };
        if leaves.len() == 1 {
            return self.add(leaf_rlp(&first.key.slice(depth..), &first.value));
        }
        let path = first.key.slice(..first.key.common_prefix_length(&last.key));
        let mut node = BranchNode::default();
        for leaf in &leaves {
            let nibble = leaf.key.get_unchecked(path.len());
            if let Some((reference, kind)) = Subtree::Leaf(leaf.clone()).as_child(path.len() + 1) {
                node.push(nibble, reference, kind);
            }
        }
        let Some(nibble) = self.add_branch(&path, &node, depth, key) else { return };
        let next = leaves.iter().find(|leaf| leaf.key.get(path.len()) == Some(nibble));
        if let Some(leaf) = next {
            self.add(leaf_rlp(&leaf.key.slice(path.len() + 1..), &leaf.value));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alloy_trie::proof::verify_proof;
    use banyan_primitives::trie::{HashedDiff, HashedStorageDiff};

    use super::*;
    use crate::MemoryTrie;

    /// A storage trie with these hashed slots, each holding `value`.
    fn storage_trie(slots: &[B256], value: u64) -> (MemoryTrie, TrieId) {
        let account = B256::repeat_byte(0x77);
        let slots: BTreeMap<_, _> = slots.iter().map(|slot| (*slot, U256::from(value))).collect();
        let alloc = HashedDiff {
            accounts: [(account, Some(Account::default()))].into(),
            storage: [(account, HashedStorageDiff { wiped: false, slots })].into(),
        };
        (MemoryTrie::genesis(&alloc).unwrap().0, TrieId::Storage(account))
    }

    /// Proves `key` and verifies it with an implementation that is not ours.
    fn check(state: &MemoryTrie, trie: TrieId, key: B256, value: Option<u64>) -> Vec<Bytes> {
        let reader = Reader { source: state, trie };
        let (root, proof) = (reader.root_hash().unwrap(), reader.prove(key).unwrap());
        let value = value.map(alloy_rlp::encode);
        verify_proof(root, Nibbles::unpack(key), value, &proof).unwrap();
        proof
    }

    /// 32 bytes of `0x55` with the last two replaced.
    fn near(end: u16) -> B256 {
        let mut key = B256::repeat_byte(0x55);
        key[30..].copy_from_slice(&end.to_be_bytes());
        key
    }

    #[test]
    fn inline_leaves_are_not_listed_by_themselves() {
        let slots = [near(0x0011), near(0x5001), near(0x9001), near(0xf001)];
        let (state, trie) = storage_trie(&slots, 7);
        for slot in slots {
            let proof = check(&state, trie, slot, Some(7));
            assert_eq!(proof.len(), 2, "the extension and the branch that holds the leaves");
        }
        assert_eq!(check(&state, trie, near(0x5002), None).len(), 2, "another leaf is there");
        assert_eq!(check(&state, trie, near(0xa000), None).len(), 2, "nothing is there");
        assert_eq!(check(&state, trie, B256::ZERO, None).len(), 1, "leaves the extension");
    }

    #[test]
    fn a_branch_inside_its_extension_is_not_listed() {
        let slots = [near(0x0011), near(0x5001)];
        let (state, trie) = storage_trie(&slots, 7);
        assert_eq!(check(&state, trie, slots[1], Some(7)).len(), 1);
        assert_eq!(check(&state, trie, near(0x6001), None).len(), 1);
    }

    #[test]
    fn stored_branches_behind_extensions_are_proven() {
        let mut slots: Vec<B256> = (0..40u16).map(|i| near(i * 0x0501)).collect();
        slots.push(B256::repeat_byte(0x56));
        let (state, trie) = storage_trie(&slots, u64::MAX);
        for slot in slots {
            check(&state, trie, slot, Some(u64::MAX));
        }
        for absent in [near(0x0002), near(0xffff), B256::ZERO, B256::repeat_byte(0x54)] {
            check(&state, trie, absent, None);
        }
    }

    #[test]
    fn proofs_in_an_empty_and_in_a_one_leaf_trie() {
        let (state, trie) = storage_trie(&[], 1);
        assert!(check(&state, trie, near(1), None).is_empty());
        let (state, trie) = storage_trie(&[near(1)], 1);
        assert_eq!(check(&state, trie, near(1), Some(1)).len(), 1);
        assert_eq!(check(&state, trie, near(2), None).len(), 1);
    }
}
