//! Words of four 8-bit numbers where there is no VNNI: products are added up in 16 bits first, and widened once for several
//! groups of inputs.
//!
//! `vpmaddubsw` saturates, and 16 bits are soon full; so the weights are given just as many levels as keep every sum
//! inside, whatever the row (`pack`). The sums are exact.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Multiply, Operands, ROWS, Tile, store_bytes};
use crate::kernel::pack::PAIR_GROUPS;
use crate::kernel::simd::{Avx2, Avx512, LANES};

/// On AVX-512 BW.
#[derive(Clone, Copy)]
pub(crate) struct PairsAvx512(pub(crate) Avx512);

/// On AVX2.
#[derive(Clone, Copy)]
pub(crate) struct PairsAvx2(pub(crate) Avx2);

impl Multiply for PairsAvx512 {
    type Simd = Avx512;
    const NUMBERS: usize = 4;
    const SIXTEENS: usize = 4;

    #[inline(always)]
    fn simd(self) -> Avx512 {
        self.0
    }

    #[inline(always)]
    fn store(self, x: __m512, to: &mut [u32]) {
        store_bytes(self.0, x, to);
    }

    #[inline(always)]
    unsafe fn tile<const SIXTEENS: usize>(self, operands: Operands) -> Tile<Avx512, SIXTEENS> {
        let Operands { mut rows, row_words, mut panel, panel_words, groups } = operands;
        // SAFETY: the caller's promise, and the value's: the machine has AVX-512 BW.
        unsafe {
            let ones = _mm512_set1_epi16(1);
            let mut sums = [[_mm512_setzero_si512(); SIXTEENS]; ROWS];
            for _ in 0..groups / PAIR_GROUPS {
                for (row, sums) in sums.iter_mut().enumerate() {
                    let mut pairs = [_mm512_setzero_si512(); SIXTEENS];
                    for group in 0..PAIR_GROUPS {
                        let x = _mm512_set1_epi32(*rows.add(row * row_words + group).cast::<i32>());
                        for (at, pairs) in pairs.iter_mut().enumerate() {
                            let weights = panel.wrapping_add(group * panel_words + at * LANES);
                            let products = _mm512_maddubs_epi16(x, _mm512_loadu_si512(weights.cast()));
                            *pairs = if group == 0 { products } else { _mm512_add_epi16(*pairs, products) };
                        }
                    }
                    for (sum, pairs) in sums.iter_mut().zip(pairs) {
                        *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(pairs, ones));
                    }
                }
                rows = rows.add(PAIR_GROUPS);
                panel = panel.wrapping_add(PAIR_GROUPS * panel_words);
            }
            let mut floats = [[_mm512_setzero_ps(); SIXTEENS]; ROWS];
            for (floats, sums) in floats.iter_mut().zip(sums) {
                for (floats, sum) in floats.iter_mut().zip(sums) {
                    *floats = _mm512_cvtepi32_ps(sum);
                }
            }
            floats
        }
    }
}

impl Multiply for PairsAvx2 {
    type Simd = Avx2;
    const NUMBERS: usize = 4;
    const SIXTEENS: usize = 1;

    #[inline(always)]
    fn simd(self) -> Avx2 {
        self.0
    }

    #[inline(always)]
    fn store(self, x: [__m256; 2], to: &mut [u32]) {
        store_bytes(self.0, x, to);
    }

    #[inline(always)]
    unsafe fn tile<const SIXTEENS: usize>(self, operands: Operands) -> Tile<Avx2, SIXTEENS> {
        let Operands { mut rows, row_words, mut panel, panel_words, groups } = operands;
        // SAFETY: the caller's promise, and the value's: the machine has AVX2.
        unsafe {
            let ones = _mm256_set1_epi16(1);
            let mut sums = [[[_mm256_setzero_si256(); 2]; SIXTEENS]; ROWS];
            for _ in 0..groups / PAIR_GROUPS {
                for (row, sums) in sums.iter_mut().enumerate() {
                    let mut pairs = [[_mm256_setzero_si256(); 2]; SIXTEENS];
                    for group in 0..PAIR_GROUPS {
                        let x = _mm256_set1_epi32(*rows.add(row * row_words + group).cast::<i32>());
                        let weights = panel.wrapping_add(group * panel_words).cast::<__m256i>();
                        for (at, pairs) in pairs.as_flattened_mut().iter_mut().enumerate() {
                            let weights = _mm256_loadu_si256(weights.wrapping_add(at));
                            let products = _mm256_maddubs_epi16(x, weights);
                            *pairs = if group == 0 { products } else { _mm256_add_epi16(*pairs, products) };
                        }
                    }
                    for (sum, pairs) in sums.as_flattened_mut().iter_mut().zip(pairs.as_flattened()) {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(*pairs, ones));
                    }
                }
                rows = rows.add(PAIR_GROUPS);
                panel = panel.wrapping_add(PAIR_GROUPS * panel_words);
            }
            let mut floats = [[[_mm256_setzero_ps(); 2]; SIXTEENS]; ROWS];
            for (floats, sums) in floats.iter_mut().zip(sums) {
                for (floats, sums) in floats.iter_mut().zip(sums) {
                    *floats = [_mm256_cvtepi32_ps(sums[0]), _mm256_cvtepi32_ps(sums[1])];
                }
            }
            floats
        }
    }
}
