//! VNNI on registers of AVX2: what processors without AVX-512 have.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Multiply, Operands, ROWS, Tile, store_bytes};
use crate::kernel::simd::{Avx2, LANES};

/// Unsigned by signed 8-bit numbers, exactly, into 32 bits.
#[derive(Clone, Copy)]
pub(crate) struct AvxVnni(Avx2);

impl AvxVnni {
    /// # Safety
    /// The machine has AVX-VNNI.
    pub(crate) unsafe fn detected(simd: Avx2) -> Self {
        Self(simd)
    }
}

impl Multiply for AvxVnni {
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
        // SAFETY: the caller's promise, and the value's: the machine has AVX-VNNI.
        unsafe {
            let mut sums = [[[_mm256_setzero_si256(); 2]; SIXTEENS]; ROWS];
            for _ in 0..groups {
                let mut weights = [[_mm256_setzero_si256(); 2]; SIXTEENS];
                for (at, weights) in weights.as_flattened_mut().iter_mut().enumerate() {
                    *weights = _mm256_loadu_si256(panel.add(at * LANES / 2).cast());
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = _mm256_set1_epi32(*rows.add(row * row_words).cast::<i32>());
                    for (sum, weights) in sums.as_flattened_mut().iter_mut().zip(weights.as_flattened()) {
                        *sum = _mm256_dpbusd_avx_epi32(*sum, x, *weights);
                    }
                }
                rows = rows.add(1);
                panel = panel.wrapping_add(panel_words);
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
