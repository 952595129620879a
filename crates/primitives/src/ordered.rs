//! The root of a list: of the trie that has its items under the RLP of their indices (Yellow Paper,
//! 4.3.2). Nodes of one depth are hashed together.

use std::cmp::Reverse;

use alloy_rlp::{Encodable, Header};
use arrayvec::ArrayVec;

use crate::{B256, EMPTY_ROOT_HASH, Messages, keccak256};

/// Nibbles of the longest key, the RLP of 2^64 − 1.
const LONGEST: usize = 18;

/// How a node is named by the one above: its hash, or itself if that is shorter.
#[derive(Clone, Copy, Debug, Default)]
struct Reference {
    bytes: [u8; 32],
    len: usize,
}

/// The key of an item, nibble by nibble, and its index.
#[derive(Clone, Copy, Debug)]
struct Key {
    nibbles: [u8; LONGEST],
    len: usize,
    index: usize,
}

#[derive(Clone, Copy, Debug)]
enum Node {
    /// The rest of the key is its own.
    Leaf(Key),
    /// Nibbles that all below share, from its depth to that of the branch with this number.
    Extension(Key, usize, u32),
    /// By nibble, the numbers of what is below. Keys are of different lengths, but none begins with
    /// another.
    Branch([Option<u32>; 16]),
}

/// The nodes with their depths.
#[derive(Debug, Default)]
struct Nodes(Vec<(usize, Node)>);

/// The root of the list of `items`, each as it is encoded.
pub(crate) fn ordered_root(items: &Messages) -> B256 {
    let mut keys: Vec<_> = (0..items.len()).map(Key::new).collect();
    keys.sort_unstable_by(|a, b| a.nibbles[..a.len].cmp(&b.nibbles[..b.len]));
    let mut nodes = Nodes::default();
    let Some(top) = nodes.add(&keys, 0) else { return EMPTY_ROOT_HASH };
    let items: Vec<&[u8]> = items.iter().collect();
    let mut references = vec![Reference::default(); nodes.0.len()];
    let mut order: Vec<u32> = (0..nodes.0.len() as u32).collect();
    order.sort_by_key(|number| Reverse(nodes.depth(*number)));
    let mut encoded = Messages::default();
    for level in order.chunk_by(|a, b| nodes.depth(*a) == nodes.depth(*b)) {
        encoded.clear();
        for number in level {
            let (depth, node) = &nodes.0[*number as usize];
            encoded.add(|out| encode(node, *depth, &items, &references, out));
        }
        for (number, rlp) in level.iter().zip(encoded.iter()).filter(|(_, rlp)| rlp.len() < 32) {
            let reference = &mut references[*number as usize];
            reference.bytes[..rlp.len()].copy_from_slice(rlp);
            reference.len = rlp.len();
        }
        encoded.hash_from(32, |at, hash| {
            references[level[at] as usize] = Reference { bytes: hash.0, len: 32 };
        });
    }
    match references[top as usize] {
        Reference { bytes, len: 32 } => B256::new(bytes),
        Reference { bytes, len } => keccak256(&bytes[..len]),
    }
}

impl Key {
    fn new(index: usize) -> Self {
        let rlp = alloy_rlp::encode_fixed_size(&index);
        let mut nibbles = [0; LONGEST];
        for (pair, byte) in nibbles.chunks_mut(2).zip(&rlp) {
            pair.copy_from_slice(&[byte >> 4, byte & 15]);
        }
        Self { nibbles, len: 2 * rlp.len(), index }
    }
}

impl Nodes {
    fn depth(&self, number: u32) -> usize {
        self.0[number as usize].0
    }

    fn push(&mut self, depth: usize, node: Node) -> Option<u32> {
        self.0.push((depth, node));
        Some(self.0.len() as u32 - 1)
    }

    /// The node of `keys`, in order, which agree in their first `depth` nibbles.
    fn add(&mut self, keys: &[Key], depth: usize) -> Option<u32> {
        let (first, last) = match keys {
            [] => return None,
            [key] => return self.push(depth, Node::Leaf(*key)),
            [first, .., last] => (first, last),
        };
        let shared = first.nibbles.iter().zip(&last.nibbles).take_while(|(a, b)| a == b).count();
        let mut children = [None; 16];
        for group in keys.chunk_by(|a, b| a.nibbles[shared] == b.nibbles[shared]) {
            children[usize::from(group[0].nibbles[shared])] = self.add(group, shared + 1);
        }
        let branch = self.push(shared, Node::Branch(children))?;
        if shared == depth {
            return Some(branch);
        }
        self.push(depth, Node::Extension(*first, shared, branch))
    }
}

fn encode(node: &Node, depth: usize, items: &[&[u8]], known: &[Reference], out: &mut Vec<u8>) {
    match node {
        Node::Leaf(key) => {
            let path = path(&key.nibbles[depth..key.len], 0x20);
            let item = items[key.index];
            let header = Header { list: true, payload_length: path.length() + item.length() };
            header.encode(out);
            path.encode(out);
            item.encode(out);
        }
        Node::Extension(key, end, child) => {
            let path = path(&key.nibbles[depth..*end], 0);
            let child = &known[*child as usize];
            let header = Header { list: true, payload_length: path.length() + child.length() };
            header.encode(out);
            path.encode(out);
            child.encode(out);
        }
        Node::Branch(children) => {
            let child = |number: &Option<u32>| number.map(|number| &known[number as usize]);
            let length = |number| child(number).map_or(1, Reference::length);
            // No item ends here.
            let payload_length = 1 + children.iter().map(length).sum::<usize>();
            Header { list: true, payload_length }.encode(out);
            for number in children {
                match child(number) {
                    Some(reference) => reference.encode(out),
                    None => out.push(alloy_rlp::EMPTY_STRING_CODE),
                }
            }
            out.push(alloy_rlp::EMPTY_STRING_CODE);
        }
    }
}

/// Hex prefix encoding (Yellow Paper, appendix C).
fn path(nibbles: &[u8], kind: u8) -> ArrayVec<u8, { LONGEST / 2 + 1 }> {
    let mut path = ArrayVec::new();
    let (first, rest) = match nibbles {
        [first, rest @ ..] if nibbles.len() % 2 == 1 => (kind | 0x10 | first, rest),
        _ => (kind, nibbles),
    };
    path.push(first);
    path.extend(rest.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]));
    path
}

impl Reference {
    fn length(&self) -> usize {
        if self.len == 32 { 33 } else { self.len }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        if self.len == 32 {
            out.push(alloy_rlp::EMPTY_STRING_CODE + 32);
        }
        out.extend_from_slice(&self.bytes[..self.len]);
    }
}

#[cfg(test)]
mod tests {
    use alloy_rlp::BufMut;
    use alloy_trie::root::ordered_trie_root_with_encoder;
    use proptest::prelude::*;

    use super::*;

    fn check(items: &[Vec<u8>]) {
        let expected = ordered_trie_root_with_encoder(items, |item, out| out.put_slice(item));
        let mut messages = Messages::default();
        for item in items {
            messages.add(|out| out.extend_from_slice(item));
        }
        assert_eq!(ordered_root(&messages), expected, "{} items", items.len());
    }

    #[test]
    fn lists_of_any_length() {
        for count in (0..300).chain([1_000, 4_095, 4_096, 4_097, 70_000]) {
            check(&(0..count).map(|index| vec![index as u8; 1 + index % 60]).collect::<Vec<_>>());
        }
    }

    proptest! {
        #[test]
        fn items_of_any_length(
            items in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..400), 0..200)
        ) {
            check(&items);
        }

        #[test]
        fn items_so_short_that_nodes_stand_in_their_parents(
            items in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..6), 0..300)
        ) {
            check(&items);
        }
    }
}
