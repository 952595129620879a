//! A partial Merkle-Patricia state: only the nodes that one block needs, by their hashes.
//!
//! Written from the Yellow Paper's appendix D and independent of the node's own trie, so that the
//! two check each other.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use alloy_rlp::{Decodable, Header as RlpHeader};
use alloy_trie::TrieAccount;
use anyhow::{Context, bail, ensure};
use banyan_executor::execute_block;
use banyan_primitives::{
    Account, Address, B256, B256Map, Bytes, EMPTY_ROOT_HASH, HashMap, KECCAK_EMPTY, SourceError,
    StateDiff, StateSource, U256, keccak256,
};

use crate::node;

/// The state after one block, as far as the witness reaches.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    /// Trie nodes and codes by hash.
    preimages: B256Map<Bytes>,
    /// State root.
    root: B256,
    /// What BLOCKHASH answers.
    pub(crate) block_hashes: HashMap<u64, B256>,
    /// Accounts with their storage roots, as read.
    accounts: Mutex<HashMap<Address, Option<TrieAccount>>>,
}

/// Executes a block of the node's once more, from its execution witness alone.
pub(crate) fn check_witness(node: &node::Node<'_>, hash: &B256) -> anyhow::Result<()> {
    let (view, spec) = (node.chain().view(), node.chain().spec());
    let block = view.block_by_hash(hash)?.context("no such block")?;
    let found = view.execution_witness(spec, &block)?.context("no state before it")?;
    let parent = found.headers.last().context("no parent")?;
    ensure!(parent.hash() == block.header.parent_hash, "the last header is not the parent");
    let preimages = found.state.into_iter().chain(found.codes);
    let mut witness = Witness::new(parent.state_root, preimages);
    for headers in found.headers.windows(2) {
        ensure!(headers[1].parent_hash == headers[0].hash(), "the headers are no chain");
    }
    witness.block_hashes = found.headers.iter().map(|it| (it.number, it.hash())).collect();
    let output = execute_block(spec, &block, &witness)?;
    let root = witness.root_after(&output.diff)?;
    ensure!(root == block.header.state_root, "root {root}, expected {}", block.header.state_root);
    let known = |key: &[u8]| found.keys.iter().any(|own| **own == *key);
    for (address, change) in &output.diff.accounts {
        ensure!(known(address.as_slice()), "{address} is not among the keys");
        let mut slots = change.storage.keys();
        ensure!(slots.all(|slot| known(&slot.to_be_bytes::<32>())), "a slot of {address} is not");
    }
    Ok(())
}

/// New leaves of a trie: hashed key → RLP, `None` if deleted.
type Changes = BTreeMap<B256, Option<Vec<u8>>>;

impl Witness {
    /// The state of `root`, known by the preimages of its hashes.
    pub(crate) fn new(root: B256, preimages: impl IntoIterator<Item = Bytes>) -> Self {
        let preimages = preimages.into_iter().map(|value| (keccak256(&value), value)).collect();
        Self { preimages, root, ..Default::default() }
    }

    /// The state root after `diff`.
    pub(crate) fn root_after(&self, diff: &StateDiff) -> anyhow::Result<B256> {
        let mut changes = Changes::new();
        for (address, change) in &diff.accounts {
            let leaf = match change.after {
                None => None,
                Some(account) => {
                    let storage_root = self.storage_root_after(address, change)?;
                    let Account { nonce, balance, code_hash } = account;
                    Some(alloy_rlp::encode(TrieAccount { nonce, balance, storage_root, code_hash }))
                }
            };
            changes.insert(keccak256(address), leaf);
        }
        self.updated(self.root, &changes).context("account trie")
    }

    fn storage_root_after(
        &self,
        address: &Address,
        change: &banyan_primitives::AccountDiff,
    ) -> anyhow::Result<B256> {
        let before = self.trie_account(address)?.filter(|_| !change.wiped);
        let root = before.map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
        let slots = change.storage.iter().map(|(slot, (_, after))| {
            let value = (!after.is_zero()).then(|| alloy_rlp::encode(after));
            (keccak256(slot.to_be_bytes::<32>()), value)
        });
        self.updated(root, &slots.collect()).with_context(|| format!("storage of {address}"))
    }

    fn trie_account(&self, address: &Address) -> anyhow::Result<Option<TrieAccount>> {
        let accounts = || self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = accounts().get(address) {
            return Ok(*known);
        }
        let leaf = self.get(self.root, keccak256(address))?;
        let account = leaf.map(|leaf| TrieAccount::decode(&mut leaf.as_slice())).transpose()?;
        accounts().insert(*address, account);
        Ok(account)
    }

    /// The leaf under a hashed key.
    fn get(&self, root: B256, key: B256) -> anyhow::Result<Option<Vec<u8>>> {
        let (mut node, mut path) = (Node::Hash(root), nibbles(key.as_slice()));
        loop {
            node = match self.resolved(node)? {
                Node::Empty => return Ok(None),
                Node::Leaf(rest, value) => return Ok((rest == path).then_some(value)),
                Node::Extension(rest, child) => match path.strip_prefix(rest.as_slice()) {
                    Some(left) => {
                        path = left.to_vec();
                        *child
                    }
                    None => return Ok(None),
                },
                Node::Branch(mut children) => {
                    ensure!(!path.is_empty(), "a key ends in a branch");
                    children.swap_remove(usize::from(path.remove(0)))
                }
                Node::Hash(hash) => bail!("node {hash} resolves to itself"),
            }
        }
    }

    /// Root after `changes`. Deletions come last: they join nodes, and what they join with must be
    /// in the witness, which is made in this order.
    fn updated(&self, root: B256, changes: &Changes) -> anyhow::Result<B256> {
        let mut node = Node::Hash(root);
        for (key, value) in changes {
            if let Some(value) = value {
                node = self.inserted(node, &nibbles(key.as_slice()), value.clone())?;
            }
        }
        for (key, value) in changes {
            if value.is_none() {
                node = self.removed(node, &nibbles(key.as_slice()))?;
            }
        }
        Ok(node.root())
    }

    fn resolved(&self, node: Node) -> anyhow::Result<Node> {
        let Node::Hash(hash) = node else { return Ok(node) };
        if hash == EMPTY_ROOT_HASH {
            return Ok(Node::Empty);
        }
        let preimage = self.preimages.get(&hash).with_context(|| format!("no node {hash}"))?;
        Node::decode(&mut preimage.as_ref())
    }

    fn inserted(&self, node: Node, path: &[u8], value: Vec<u8>) -> anyhow::Result<Node> {
        Ok(match self.resolved(node)? {
            Node::Empty => Node::Leaf(path.to_vec(), value),
            Node::Leaf(rest, _) if rest == path => Node::Leaf(rest, value),
            Node::Leaf(rest, old) => {
                let (common, mut children) = split(&rest, path);
                children[usize::from(rest[common])] = Node::Leaf(rest[common + 1..].to_vec(), old);
                children[usize::from(path[common])] =
                    Node::Leaf(path[common + 1..].to_vec(), value);
                Node::extended(&path[..common], Node::Branch(children))
            }
            Node::Extension(rest, child) => match path.strip_prefix(rest.as_slice()) {
                Some(left) => {
                    let child = self.inserted(*child, left, value)?;
                    Node::Extension(rest, Box::new(child))
                }
                None => {
                    let (common, mut children) = split(&rest, path);
                    children[usize::from(rest[common])] =
                        Node::extended(&rest[common + 1..], *child);
                    children[usize::from(path[common])] =
                        Node::Leaf(path[common + 1..].to_vec(), value);
                    Node::extended(&path[..common], Node::Branch(children))
                }
            },
            Node::Branch(mut children) => {
                let (first, left) = path.split_first().context("a key ends in a branch")?;
                let child = std::mem::replace(&mut children[usize::from(*first)], Node::Empty);
                children[usize::from(*first)] = self.inserted(child, left, value)?;
                Node::Branch(children)
            }
            Node::Hash(hash) => bail!("node {hash} resolves to itself"),
        })
    }

    fn removed(&self, node: Node, path: &[u8]) -> anyhow::Result<Node> {
        Ok(match self.resolved(node)? {
            Node::Leaf(rest, _) if rest == path => Node::Empty,
            Node::Extension(rest, child) => match path.strip_prefix(rest.as_slice()) {
                Some(left) => self.joined(&rest, self.removed(*child, left)?)?,
                None => Node::Extension(rest, child),
            },
            Node::Branch(mut children) => {
                let (first, left) = path.split_first().context("a key ends in a branch")?;
                let child = std::mem::replace(&mut children[usize::from(*first)], Node::Empty);
                children[usize::from(*first)] = self.removed(child, left)?;
                self.collapsed(children)?
            }
            other => other,
        })
    }

    /// A branch, or what becomes of it when it has a single child.
    fn collapsed(&self, mut children: Vec<Node>) -> anyhow::Result<Node> {
        let mut used = children.iter().enumerate().filter(|(_, child)| !child.is_empty());
        let Some((index, _)) = used.next() else { return Ok(Node::Empty) };
        if used.next().is_some() {
            return Ok(Node::Branch(children));
        }
        let nibble = u8::try_from(index)?;
        self.joined(&[nibble], children.swap_remove(index))
    }

    /// `child` with `path` before its own.
    fn joined(&self, path: &[u8], child: Node) -> anyhow::Result<Node> {
        Ok(match self.resolved(child)? {
            Node::Empty => Node::Empty,
            Node::Leaf(rest, value) => Node::Leaf([path, rest.as_slice()].concat(), value),
            Node::Extension(rest, child) => {
                Node::Extension([path, rest.as_slice()].concat(), child)
            }
            branch => Node::extended(path, branch),
        })
    }
}

impl StateSource for Witness {
    fn account(&self, address: &Address) -> Result<Option<Account>, SourceError> {
        let account = self.trie_account(address).map_err(fault)?;
        Ok(account.map(|TrieAccount { nonce, balance, code_hash, .. }| Account {
            nonce,
            balance,
            code_hash,
        }))
    }

    fn storage(&self, address: &Address, slot: U256) -> Result<U256, SourceError> {
        let Some(account) = self.trie_account(address).map_err(fault)? else {
            return Ok(U256::ZERO);
        };
        let key = keccak256(slot.to_be_bytes::<32>());
        match self.get(account.storage_root, key).map_err(fault)? {
            Some(leaf) => U256::decode(&mut leaf.as_slice()).map_err(|error| fault(error.into())),
            None => Ok(U256::ZERO),
        }
    }

    fn code(&self, hash: &B256) -> Result<Bytes, SourceError> {
        if *hash == KECCAK_EMPTY {
            return Ok(Bytes::new());
        }
        self.preimages.get(hash).cloned().ok_or(SourceError::MissingCode(*hash))
    }

    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        Ok(self.block_hashes.get(&number).copied().unwrap_or_default())
    }
}

fn fault(error: anyhow::Error) -> SourceError {
    SourceError::Fault(format!("witness: {error:#}"))
}

/// A node of the trie. Keys have one length, so a branch never holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Empty,
    /// Known by its hash only.
    Hash(B256),
    Leaf(Vec<u8>, Vec<u8>),
    Extension(Vec<u8>, Box<Node>),
    /// Always 16 children.
    Branch(Vec<Node>),
}

impl Node {
    fn is_empty(&self) -> bool {
        *self == Self::Empty
    }

    /// `child` under an extension, unless the path is empty.
    fn extended(path: &[u8], child: Self) -> Self {
        if path.is_empty() { child } else { Self::Extension(path.to_vec(), Box::new(child)) }
    }

    fn decode(bytes: &mut &[u8]) -> anyhow::Result<Self> {
        let mut items = list_items(bytes)?;
        if items.len() == 17 {
            items.truncate(16);
            return Ok(Self::Branch(
                items.into_iter().map(Self::decode_child).collect::<Result<_, _>>()?,
            ));
        }
        let [path, value] = items.as_slice() else { bail!("a node of {} items", items.len()) };
        let path = Bytes::decode(&mut &**path)?;
        let (is_leaf, path) = decode_path(&path)?;
        if is_leaf {
            return Ok(Self::Leaf(path, Bytes::decode(&mut &**value)?.to_vec()));
        }
        Ok(Self::Extension(path, Box::new(Self::decode_child(value)?)))
    }

    /// A reference to a child: its hash, or the node itself if that is shorter.
    fn decode_child(item: &[u8]) -> anyhow::Result<Self> {
        if item.first().is_some_and(|byte| *byte >= 0xc0) {
            return Self::decode(&mut &*item);
        }
        let bytes = Bytes::decode(&mut &*item)?;
        if bytes.is_empty() {
            return Ok(Self::Empty);
        }
        Ok(Self::Hash(B256::try_from(bytes.as_ref())?))
    }

    fn encode(&self) -> Vec<u8> {
        let items = match self {
            Self::Empty | Self::Hash(_) => return vec![alloy_rlp::EMPTY_STRING_CODE],
            Self::Leaf(path, value) => vec![
                alloy_rlp::encode(encode_path(path, true).as_slice()),
                alloy_rlp::encode(value.as_slice()),
            ],
            Self::Extension(path, child) => {
                vec![alloy_rlp::encode(encode_path(path, false).as_slice()), child.reference()]
            }
            Self::Branch(children) => {
                let mut items: Vec<_> = children.iter().map(Self::reference).collect();
                items.push(vec![alloy_rlp::EMPTY_STRING_CODE]);
                items
            }
        };
        let payload = items.concat();
        let mut out = Vec::with_capacity(payload.len() + 3);
        RlpHeader { list: true, payload_length: payload.len() }.encode(&mut out);
        out.extend(payload);
        out
    }

    /// How a parent names it.
    fn reference(&self) -> Vec<u8> {
        match self {
            Self::Empty => vec![alloy_rlp::EMPTY_STRING_CODE],
            Self::Hash(hash) => alloy_rlp::encode(hash),
            node => {
                let encoded = node.encode();
                if encoded.len() < 32 { encoded } else { alloy_rlp::encode(keccak256(&encoded)) }
            }
        }
    }

    fn root(&self) -> B256 {
        match self {
            Self::Empty => EMPTY_ROOT_HASH,
            Self::Hash(hash) => *hash,
            node => keccak256(node.encode()),
        }
    }
}

/// The encoded items of an RLP list.
fn list_items<'a>(bytes: &mut &'a [u8]) -> anyhow::Result<Vec<&'a [u8]>> {
    let mut payload = RlpHeader::decode_bytes(bytes, true)?;
    let mut items = Vec::with_capacity(17);
    while !payload.is_empty() {
        let item = payload;
        let header = RlpHeader::decode(&mut payload)?;
        let length = item.len() - payload.len() + header.payload_length;
        // A single byte below 0x80 is its own header.
        let length = if item[0] < 0x80 { 1 } else { length };
        ensure!(length <= item.len(), "an item is cut off");
        items.push(&item[..length]);
        payload = &item[length..];
    }
    Ok(items)
}

fn nibbles(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect()
}

/// Length of the common beginning, and the children of an empty branch.
fn split(a: &[u8], b: &[u8]) -> (usize, Vec<Node>) {
    let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    (common, vec![Node::Empty; 16])
}

/// Hex-prefix encoding (appendix C).
fn encode_path(path: &[u8], leaf: bool) -> Vec<u8> {
    let flag = if leaf { 0x20 } else { 0 };
    let (first, rest) = match path.len() % 2 {
        0 => (flag, path),
        _ => (flag | 0x10 | path[0], &path[1..]),
    };
    let pairs = rest.chunks(2).map(|pair| pair[0] << 4 | pair[1]);
    std::iter::once(first).chain(pairs).collect()
}

fn decode_path(encoded: &[u8]) -> anyhow::Result<(bool, Vec<u8>)> {
    let first = *encoded.first().context("an empty path")?;
    let odd = first & 0x10 != 0;
    let mut path = nibbles(encoded);
    path.drain(..if odd { 1 } else { 2 });
    Ok((first & 0x20 != 0, path))
}

#[cfg(test)]
mod tests {
    use alloy_trie::root::state_root_unhashed;
    use banyan_primitives::AccountDiff;

    use super::*;

    fn account(nonce: u64) -> Account {
        Account { nonce, ..Default::default() }
    }

    fn diff(changes: &[(u8, Option<u64>)]) -> StateDiff {
        let accounts = changes.iter().map(|(address, nonce)| {
            let after = nonce.map(account);
            (Address::repeat_byte(*address), AccountDiff { after, ..Default::default() })
        });
        StateDiff { accounts: accounts.collect(), ..Default::default() }
    }

    fn root_of(accounts: &[(u8, u64)]) -> B256 {
        state_root_unhashed(accounts.iter().map(|(address, nonce)| {
            let leaf = TrieAccount { nonce: *nonce, ..Default::default() };
            (Address::repeat_byte(*address), leaf)
        }))
    }

    #[test]
    fn insertions_and_deletions_give_the_roots_of_another_implementation() {
        let witness = Witness { root: EMPTY_ROOT_HASH, ..Default::default() };
        let all: Vec<(u8, u64)> = (0..200).map(|i| (i, u64::from(i) + 1)).collect();
        let inserts: Vec<_> = all.iter().map(|(address, nonce)| (*address, Some(*nonce))).collect();
        assert_eq!(witness.root_after(&diff(&inserts)).unwrap(), root_of(&all));

        let mixed: Vec<_> = inserts
            .iter()
            .map(|(address, nonce)| (*address, nonce.filter(|_| address % 3 == 0)))
            .collect();
        let left: Vec<_> = all.iter().copied().filter(|(address, _)| address % 3 == 0).collect();
        assert_eq!(witness.root_after(&diff(&mixed)).unwrap(), root_of(&left));
    }

    #[test]
    fn nodes_survive_a_round_trip() {
        let leaf = Node::Leaf(vec![1, 2, 3], vec![9; 40]);
        let mut children = vec![Node::Empty; 16];
        children[3] = Node::Hash(B256::repeat_byte(7));
        children[4] = Node::Leaf(vec![5], vec![1]);
        let branch = Node::Branch(children);
        let extension = Node::Extension(vec![4, 5], Box::new(Node::Hash(B256::repeat_byte(1))));
        for node in [leaf, branch, extension] {
            assert_eq!(Node::decode(&mut node.encode().as_slice()).unwrap(), node);
        }
    }

    #[test]
    fn a_node_outside_the_witness_is_an_error_not_an_absence() {
        let witness = Witness::new(B256::repeat_byte(1), []);
        assert!(witness.account(&Address::ZERO).is_err());
    }
}
