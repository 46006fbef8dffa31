//! On AVX2, two registers for sixteen columns: VNNI where a processor has it without AVX-512, else 16-bit sums.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Multiply, store_bytes};
use crate::kernel::pack::PAIR_GROUPS;
use crate::kernel::simd::{Avx2, LANES};

/// Unsigned by signed 8-bit numbers, exactly, into 32 bits.
#[derive(Clone, Copy)]
pub(crate) struct AvxVnni(Avx2);

/// The same by sums in 16 bits; see `PairsAvx512`.
#[derive(Clone, Copy)]
pub(crate) struct PairsAvx2(pub(crate) Avx2);

impl AvxVnni {
    /// # Safety
    /// The machine has AVX-VNNI.
    pub(crate) unsafe fn detected(simd: Avx2) -> Self {
        Self(simd)
    }
}

// SAFETY of each block here: a value of these types proves that the machine has the instructions, and what is read is the
// caller's promise.
impl Multiply for AvxVnni {
    type Simd = Avx2;
    type Sums = [__m256i; 2];
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
    fn nothing(self) -> [__m256i; 2] {
        // SAFETY: see above.
        unsafe { [_mm256_setzero_si256(); 2] }
    }
    #[inline(always)]
    unsafe fn add(self, sums: [__m256i; 2], row: *const u32, columns: *const u32, _: usize) -> [__m256i; 2] {
        // SAFETY: see above.
        unsafe {
            let row = _mm256_set1_epi32(*row.cast::<i32>());
            let [low, high] = sixteen(columns);
            [_mm256_dpbusd_avx_epi32(sums[0], row, low), _mm256_dpbusd_avx_epi32(sums[1], row, high)]
        }
    }
    #[inline(always)]
    fn floats(self, sums: [__m256i; 2]) -> [__m256; 2] {
        // SAFETY: see above.
        unsafe { [_mm256_cvtepi32_ps(sums[0]), _mm256_cvtepi32_ps(sums[1])] }
    }
}

impl Multiply for PairsAvx2 {
    type Simd = Avx2;
    type Sums = [__m256i; 2];
    const NUMBERS: usize = 4;
    const STEP: usize = PAIR_GROUPS;
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
    fn nothing(self) -> [__m256i; 2] {
        // SAFETY: see above.
        unsafe { [_mm256_setzero_si256(); 2] }
    }
    #[inline(always)]
    unsafe fn add(
        self,
        sums: [__m256i; 2],
        row: *const u32,
        columns: *const u32,
        panel_words: usize,
    ) -> [__m256i; 2] {
        // SAFETY: see above.
        unsafe {
            let mut pairs = [_mm256_setzero_si256(); 2];
            for group in 0..PAIR_GROUPS {
                let row = _mm256_set1_epi32(*row.add(group).cast::<i32>());
                let columns = sixteen(columns.add(group * panel_words));
                for (pairs, columns) in pairs.iter_mut().zip(columns) {
                    let products = _mm256_maddubs_epi16(row, columns);
                    *pairs = if group == 0 { products } else { _mm256_add_epi16(*pairs, products) };
                }
            }
            let ones = _mm256_set1_epi16(1);
            let (low, high) = (_mm256_madd_epi16(pairs[0], ones), _mm256_madd_epi16(pairs[1], ones));
            [_mm256_add_epi32(sums[0], low), _mm256_add_epi32(sums[1], high)]
        }
    }
    #[inline(always)]
    fn floats(self, sums: [__m256i; 2]) -> [__m256; 2] {
        // SAFETY: see above.
        unsafe { [_mm256_cvtepi32_ps(sums[0]), _mm256_cvtepi32_ps(sums[1])] }
    }
}

/// Needs AVX2, and sixteen words to read.
#[inline(always)]
unsafe fn sixteen(columns: *const u32) -> [__m256i; 2] {
    // SAFETY: the caller's promise.
    unsafe { [_mm256_loadu_si256(columns.cast()), _mm256_loadu_si256(columns.add(LANES / 2).cast())] }
}
