//! RLP of trie nodes, written into a buffer that many of them share.

use arrayvec::ArrayVec;
use banyan_primitives::B256;

use super::{
    node::{Masks, Reference, inline_rlp},
    path::{KEY_NIBBLES, Path, nibble},
};

/// The children of a branch that is to be encoded.
#[derive(Debug, Default)]
pub(super) struct Children<'a> {
    pub(super) masks: Masks,
    /// By nibble.
    pub(super) references: ArrayVec<&'a [u8; 32], 16>,
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
    if reference.inline { reference.as_slice().len() } else { 33 }
}

fn reference(out: &mut Vec<u8>, reference: &Reference) {
    if !reference.inline {
        out.push(0xa0);
    }
    out.extend_from_slice(reference.as_slice());
}

/// A branch.
pub(super) fn branch(out: &mut Vec<u8>, children: &Children<'_>) {
    let Children { masks: Masks { present, inline, .. }, references } = children;
    let mut payload = 33 * references.len() + (16 - references.len()) + 1;
    let mut rest = references.iter();
    if *inline != 0 {
        for nibble in (0..16).filter(|nibble| present & (1 << nibble) != 0) {
            let bytes = rest.next().map_or(0, |bytes| inline_rlp(bytes).len());
            payload -= if inline & (1 << nibble) != 0 { 33 - bytes } else { 0 };
        }
    }
    list_header(out, payload);
    let mut references = references.iter();
    for nibble in 0..16 {
        let bit = 1 << nibble;
        let bytes = if present & bit == 0 { None } else { references.next() };
        match bytes {
            Some(bytes) if inline & bit == 0 => {
                out.push(0xa0);
                out.extend_from_slice(*bytes);
            }
            Some(bytes) => out.extend_from_slice(inline_rlp(bytes)),
            None => out.push(0x80),
        }
    }
    out.push(0x80);
}

/// The stored form of a branch: see [`crate::node::BranchNode`].
pub(super) fn stored(out: &mut Vec<u8>, children: &Children<'_>) {
    let Masks { present, branches, stored, inline } = children.masks;
    for mask in [present, branches, stored, inline] {
        out.extend_from_slice(&mask.to_be_bytes());
    }
    let nibbles = (0..16).filter(|nibble| present & (1 << nibble) != 0);
    for (bytes, nibble) in children.references.iter().zip(nibbles) {
        let bytes = if inline & (1 << nibble) == 0 { &bytes[..] } else { inline_rlp(bytes) };
        out.extend_from_slice(bytes);
    }
}
