//! Blake3 of many short inputs at once.
//!
//! One compression alone takes seven times as long as one of sixteen side by side, so everything
//! that the tree hashes goes through [`hash_many`]. The lanes are in a module of `blake3` that is
//! hidden and may change: its version is pinned, and [`BatchHasher`] is the only thing here that
//! knows it.

use banyan_wide_proof::{Context, Hash};
use blake3::{
    IncrementCounter,
    platform::{Platform, words_from_le_bytes_32},
};

/// Which of Blake3's hashes.
#[derive(Clone, Copy, Debug)]
pub enum Mode<'a> {
    /// `derive_key` in a context.
    Derive(&'a Context),
    /// `keyed_hash` under a key.
    Keyed(&'a Hash),
}

/// Blake3 of inputs of the same length, which is `N` bytes, 64 or 128.
pub trait BatchHasher: Sync {
    /// Writes the hash of each input to `out`, as many as there are of both.
    fn hash<const N: usize>(&self, mode: Mode<'_>, inputs: &[[u8; N]], out: &mut [Hash]);
}

/// One after the other, through the public interface: the oracle, and the way without SIMD.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scalar;

impl BatchHasher for Scalar {
    fn hash<const N: usize>(&self, mode: Mode<'_>, inputs: &[[u8; N]], out: &mut [Hash]) {
        for (input, out) in inputs.iter().zip(out) {
            *out = match mode {
                Mode::Derive(context) => context.hash(input),
                Mode::Keyed(key) => *blake3::keyed_hash(key, input).as_bytes(),
            };
        }
    }
}

/// As many side by side as the processor has lanes.
#[derive(Clone, Copy, Debug)]
pub struct Lanes(Platform);

impl Default for Lanes {
    fn default() -> Self {
        Self(Platform::detect())
    }
}

/// Flags of the Blake3 specification.
const CHUNK_START: u8 = 1 << 0;
const CHUNK_END: u8 = 1 << 1;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;
const DERIVE_KEY_MATERIAL: u8 = 1 << 6;

/// Inputs handed over at a time: a multiple of every number of lanes.
const GROUP: usize = 64;

impl BatchHasher for Lanes {
    fn hash<const N: usize>(&self, mode: Mode<'_>, inputs: &[[u8; N]], out: &mut [Hash]) {
        const { assert!(N == 64 || N == 128) };
        let (key, flag) = match mode {
            Mode::Derive(context) => (&context.key, DERIVE_KEY_MATERIAL),
            Mode::Keyed(key) => (key, KEYED_HASH),
        };
        let key = words_from_le_bytes_32(key);
        let mut group: [&[u8; N]; GROUP] = [&[0; N]; GROUP];
        for (inputs, out) in inputs.chunks(GROUP).zip(out.chunks_mut(GROUP)) {
            for (place, input) in group.iter_mut().zip(inputs) {
                *place = input;
            }
            // An input is a chunk, and the whole message: start, end and root all at once.
            self.0.hash_many(
                &group[..inputs.len()],
                &key,
                0,
                IncrementCounter::No,
                flag,
                CHUNK_START,
                CHUNK_END | ROOT,
                out.as_flattened_mut(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const N: usize>(count: usize) {
        let input = |i: usize| std::array::from_fn(|j| (i * 31 + j * 7 + i / 9) as u8);
        let inputs: Vec<[u8; N]> = (0..count).map(input).collect();
        for mode in [Mode::Derive(&Context::LEAF), Mode::Keyed(&[9; 32])] {
            let (mut scalar, mut lanes) = (vec![[0; 32]; count], vec![[1; 32]; count]);
            Scalar.hash(mode, &inputs, &mut scalar);
            Lanes::default().hash(mode, &inputs, &mut lanes);
            assert_eq!(scalar, lanes, "{count} inputs of {N} bytes");
            Lanes(Platform::Portable).hash(mode, &inputs, &mut lanes);
            assert_eq!(scalar, lanes, "{count} inputs of {N} bytes, portable");
        }
    }

    #[test]
    fn lanes_hash_as_the_public_interface_does() {
        for count in (0..=70).chain([127, 128, 129, 1000]) {
            check::<64>(count);
            check::<128>(count);
        }
    }

    #[test]
    fn a_batch_is_what_the_verifier_computes() {
        let (left, right) = ([3; 32], [5; 32]);
        let mut out = [[0; 32]; 2];
        let block: [u8; 64] = [left, right].as_flattened().try_into().unwrap();
        let key = banyan_wide_proof::inner_key(7);
        Lanes::default().hash(Mode::Keyed(&key), &[block, block], &mut out);
        assert_eq!(out, [banyan_wide_proof::inner(7, &left, &right); 2]);
        Lanes::default().hash(Mode::Derive(&Context::LEAF), &[block, block], &mut out);
        assert_eq!(out, [banyan_wide_proof::leaf(&left, &right); 2]);
    }
}
