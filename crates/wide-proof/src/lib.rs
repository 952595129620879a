//! What a light client of a `wide` chain needs, and nothing else: the hashes of the tree and the
//! verifier of its proofs. No `std`, no allocation, no dependency but Blake3; made to be ported.
//!
//! The state is one binary tree. Its leaves are accounts and non-zero storage slots, each at the
//! end of a path of bits ([`Key`]):
//! 320 of them: for an account its id `a` and 64 zeros, for a slot the first 64 bits of its account's
//! id and its own id `s`, so that the slots of a contract lie together.
//!
//! The tree branches only where paths part: an empty state is 32 zero bytes, a single leaf is its
//! [`leaf`] hash, anything else is [`inner`] of two halves at the depth of the first bit in which its
//! paths differ. The depth is part of the hash, so nobody can pretend that paths part elsewhere, and
//! the root is a function of the state alone.
//!
//! Every hash is Blake3 of one or two whole blocks of 64 bytes, each use under a context or key of its
//! own: a leaf cannot pass for an inner node, nor an account's id for a slot's. `docs/wide.md` tells
//! what the root of a block proves.

#![no_std]

mod hash;
mod key;
mod proof;
mod root;

pub use hash::{
    Context, EMPTY, Hash, account_id, account_record, account_value, inner, inner_key, leaf,
    slot_id,
};
pub use key::Key;
pub use proof::{End, MAX_ENCODED, Proof, ProofError, verify};
pub use root::root_of;
