//! Keccak-f\[1600\] on several states at once, one in each lane of a vector register.

use std::arch::x86_64::{__m256i, __m512i};

use pulp::{
    NullaryFnOnce,
    bytemuck::{Pod, cast},
    x86::{V3, V4},
};

/// A state in each of `N` lanes, word by word.
pub(super) type States<const N: usize> = [[u64; N]; 25];

/// Permutes eight states with AVX-512.
pub(super) fn permute8(vectors: V4, states: &mut States<8>) {
    vectors.vectorize(Permute(vectors, states));
}

/// Permutes four states with AVX2.
pub(super) fn permute4(vectors: V3, states: &mut States<4>) {
    vectors.vectorize(Permute(vectors, states));
}

/// Vector instructions on 64-bit words.
trait Words: Copy {
    type Vector: Copy + Pod;

    fn splat(self, word: u64) -> Self::Vector;
    fn xor(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a ^ b ^ c`.
    fn xor3(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `a ^ (!b & c)`.
    fn chi(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// To the left by `LEFT`; `RIGHT` is what is left of 64.
    fn rotate<const LEFT: i32, const RIGHT: i32>(self, a: Self::Vector) -> Self::Vector;
}

impl Words for V4 {
    type Vector = __m512i;

    #[inline(always)]
    fn splat(self, word: u64) -> __m512i {
        self.avx512f._mm512_set1_epi64(word.cast_signed())
    }

    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        self.avx512f._mm512_xor_si512(a, b)
    }

    #[inline(always)]
    fn xor3(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        self.avx512f._mm512_ternarylogic_epi64::<0x96>(a, b, c)
    }

    #[inline(always)]
    fn chi(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        self.avx512f._mm512_ternarylogic_epi64::<0xd2>(a, b, c)
    }

    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self, a: __m512i) -> __m512i {
        self.avx512f._mm512_rol_epi64::<LEFT>(a)
    }
}

impl Words for V3 {
    type Vector = __m256i;

    #[inline(always)]
    fn splat(self, word: u64) -> __m256i {
        self.avx._mm256_set1_epi64x(word.cast_signed())
    }

    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_xor_si256(a, b)
    }

    #[inline(always)]
    fn xor3(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        self.xor(self.xor(a, b), c)
    }

    #[inline(always)]
    fn chi(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        self.xor(a, self.avx2._mm256_andnot_si256(b, c))
    }

    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self, a: __m256i) -> __m256i {
        let (left, right) =
            (self.avx2._mm256_slli_epi64::<LEFT>(a), self.avx2._mm256_srli_epi64::<RIGHT>(a));
        self.avx2._mm256_or_si256(left, right)
    }
}

const ROUND_CONSTANTS: [u64; 24] = [
    0x0000000000000001,
    0x0000000000008082,
    0x800000000000808a,
    0x8000000080008000,
    0x000000000000808b,
    0x0000000080000001,
    0x8000000080008081,
    0x8000000000008009,
    0x000000000000008a,
    0x0000000000000088,
    0x0000000080008009,
    0x000000008000000a,
    0x000000008000808b,
    0x800000000000008b,
    0x8000000000008089,
    0x8000000000008003,
    0x8000000000008002,
    0x8000000000000080,
    0x000000000000800a,
    0x800000008000000a,
    0x8000000080008081,
    0x8000000000008080,
    0x0000000080000001,
    0x8000000080008008,
];

/// The permutation, compiled for the instructions of `W`.
struct Permute<'a, W, const N: usize>(W, &'a mut States<N>);

impl<W: Words, const N: usize> NullaryFnOnce for Permute<'_, W, N>
where
    [u64; N]: Pod,
{
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self(words, states) = self;
        let mut a: [W::Vector; 25] = states.map(cast);
        for constant in ROUND_CONSTANTS {
            a = round(words, &a);
            a[0] = words.xor(a[0], words.splat(constant));
        }
        *states = a.map(cast);
    }
}

/// Theta, rho, pi and chi.
#[inline(always)]
fn round<W: Words>(w: W, a: &[W::Vector; 25]) -> [W::Vector; 25] {
    let column = |x: usize| w.xor3(w.xor3(a[x], a[x + 5], a[x + 10]), a[x + 15], a[x + 20]);
    let c = [column(0), column(1), column(2), column(3), column(4)];
    let turned = [
        w.rotate::<1, 63>(c[0]),
        w.rotate::<1, 63>(c[1]),
        w.rotate::<1, 63>(c[2]),
        w.rotate::<1, 63>(c[3]),
        w.rotate::<1, 63>(c[4]),
    ];
    // Theta of a word, as rho takes it.
    let t = |i: usize| w.xor3(a[i], c[(i + 4) % 5], turned[(i + 1) % 5]);
    // By their places after pi, row by row.
    let rows = [
        [
            t(0),
            w.rotate::<44, 20>(t(6)),
            w.rotate::<43, 21>(t(12)),
            w.rotate::<21, 43>(t(18)),
            w.rotate::<14, 50>(t(24)),
        ],
        [
            w.rotate::<28, 36>(t(3)),
            w.rotate::<20, 44>(t(9)),
            w.rotate::<3, 61>(t(10)),
            w.rotate::<45, 19>(t(16)),
            w.rotate::<61, 3>(t(22)),
        ],
        [
            w.rotate::<1, 63>(t(1)),
            w.rotate::<6, 58>(t(7)),
            w.rotate::<25, 39>(t(13)),
            w.rotate::<8, 56>(t(19)),
            w.rotate::<18, 46>(t(20)),
        ],
        [
            w.rotate::<27, 37>(t(4)),
            w.rotate::<36, 28>(t(5)),
            w.rotate::<10, 54>(t(11)),
            w.rotate::<15, 49>(t(17)),
            w.rotate::<56, 8>(t(23)),
        ],
        [
            w.rotate::<62, 2>(t(2)),
            w.rotate::<55, 9>(t(8)),
            w.rotate::<39, 25>(t(14)),
            w.rotate::<41, 23>(t(15)),
            w.rotate::<2, 62>(t(21)),
        ],
    ];
    let mut out = *a;
    for y in 0..5 {
        let row = &rows[y];
        for x in 0..5 {
            out[5 * y + x] = w.chi(row[x], row[(x + 1) % 5], row[(x + 2) % 5]);
        }
    }
    out
}
