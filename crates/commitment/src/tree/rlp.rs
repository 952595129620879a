//! RLP of trie nodes, written into a buffer that many of them share.

use banyan_primitives::B256;

use super::{
    node::Reference,
    path::{KEY_NIBBLES, Path, nibble},
};
use crate::node::ChildKind;

/// One child of a branch that is to be encoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child<'a> {
    pub(super) nibble: u8,
    pub(super) reference: &'a Reference,
    pub(super) kind: ChildKind,
}

fn list_header(out: &mut Vec<u8>, payload: usize) {
    match payload {
        0..56 => out.push(0xc0 + payload as u8),
        56..256 => out.extend_from_slice(&[0xf8, payload as u8]),
        _ => {
            out.push(0xf9); // a branch has 532 bytes at most
            out.extend_from_slice(&(payload as u16).to_be_bytes());
        }
    }
}

/// Length of a string with its header; `first` is its first byte.
fn string_len(len: usize, first: u8) -> usize {
    match len {
        1 if first < 0x80 => 1,
        0..56 => 1 + len,
        _ => 2 + len, // values have 110 bytes at most
    }
}

fn string_header(out: &mut Vec<u8>, len: usize, first: u8) {
    match len {
        1 if first < 0x80 => {}
        0..56 => out.push(0x80 + len as u8),
        _ => out.extend_from_slice(&[0xb8, len as u8]),
    }
}

/// A leaf whose key goes on after `depth` nibbles.
pub(super) fn leaf(out: &mut Vec<u8>, key: &B256, depth: usize, value: &[u8]) {
    let odd = !depth.is_multiple_of(2);
    let first = if odd { 0x30 | nibble(key, depth) } else { 0x20 };
    let rest = &key[depth.div_ceil(2)..];
    let lead = value.first().copied().unwrap_or(0x80);
    let payload = string_len(1 + rest.len(), first) + string_len(value.len(), lead);
    list_header(out, payload);
    string_header(out, 1 + rest.len(), first);
    out.push(first);
    out.extend_from_slice(rest);
    string_header(out, value.len(), lead);
    out.extend_from_slice(value);
}

/// An extension from `depth` nibbles to the end of `path`.
pub(super) fn extension(out: &mut Vec<u8>, path: &Path, depth: usize, child: &Reference) {
    let count = path.len() - depth;
    let odd = count % 2;
    let mut partial = Vec::with_capacity(KEY_NIBBLES / 2 + 1);
    partial.push(if odd == 1 { 0x10 | nibble(&path.key, depth) } else { 0 });
    for index in (depth + odd..path.len()).step_by(2) {
        partial.push(nibble(&path.key, index) << 4 | nibble(&path.key, index + 1));
    }
    let payload = string_len(partial.len(), partial[0]) + reference_len(child);
    list_header(out, payload);
    string_header(out, partial.len(), partial[0]);
    out.extend_from_slice(&partial);
    reference(out, child);
}

fn reference_len(reference: &Reference) -> usize {
    reference.as_slice().len() + usize::from(reference.is_hash())
}

fn reference(out: &mut Vec<u8>, reference: &Reference) {
    if reference.is_hash() {
        out.push(0xa0);
    }
    out.extend_from_slice(reference.as_slice());
}

/// A branch with these children, by nibble.
pub(super) fn branch(out: &mut Vec<u8>, children: &[Child<'_>]) {
    let present: usize = children.iter().map(|child| reference_len(child.reference)).sum();
    list_header(out, present + (16 - children.len()) + 1);
    let mut next = 0;
    for child in children {
        out.extend_from_slice(&[0x80; 16][..usize::from(child.nibble) - next]);
        reference(out, child.reference);
        next = usize::from(child.nibble) + 1;
    }
    out.extend_from_slice(&[0x80; 17][..17 - next]);
}

/// The stored form of a branch: see [`crate::node::BranchNode`].
pub(super) fn stored(children: &[Child<'_>]) -> Vec<u8> {
    let (mut present, mut branches, mut kept, mut inline) = (0u16, 0u16, 0u16, 0u16);
    for child in children {
        let bit = 1 << child.nibble;
        present |= bit;
        branches |= if child.kind == ChildKind::Leaf { 0 } else { bit };
        kept |= if child.kind == ChildKind::StoredBranch { bit } else { 0 };
        inline |= if child.reference.is_hash() { 0 } else { bit };
    }
    let mut out = Vec::with_capacity(8 + 32 * children.len());
    for mask in [present, branches, kept, inline] {
        out.extend_from_slice(&mask.to_be_bytes());
    }
    for child in children {
        out.extend_from_slice(child.reference.as_slice());
    }
    out.shrink_to_fit();
    out
}
