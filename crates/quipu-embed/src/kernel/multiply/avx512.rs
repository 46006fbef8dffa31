//! Words that AVX-512 multiplies and adds up by one instruction: VNNI for four 8-bit numbers, BF16 for two bf16.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::mem::transmute;

use super::{Multiply, Operands, ROWS, Tile, store_bytes};
use crate::kernel::simd::{Avx512, LANES};

/// Unsigned by signed 8-bit numbers, exactly, into 32 bits.
#[derive(Clone, Copy)]
pub(crate) struct Vnni(Avx512);

/// bf16 by bf16 into f32.
#[derive(Clone, Copy)]
pub(crate) struct Bf16(Avx512);

impl Vnni {
    /// # Safety
    /// The machine has AVX-512 VNNI.
    pub(crate) unsafe fn detected(simd: Avx512) -> Self {
        Self(simd)
    }
}

impl Bf16 {
    /// # Safety
    /// The machine has AVX-512 BF16.
    pub(crate) unsafe fn detected(simd: Avx512) -> Self {
        Self(simd)
    }
}

/// Both tiles, which differ in three instructions. Whoever calls `tile` has these.
macro_rules! tile {
    ($zero:expr, $step:expr, $floats:expr) => {
        #[inline(always)]
        unsafe fn tile<const SIXTEENS: usize>(self, operands: Operands) -> Tile<Avx512, SIXTEENS> {
            let Operands { mut rows, row_words, mut panel, panel_words, groups } = operands;
            // SAFETY: the caller's promise.
            unsafe {
                let mut sums = [[$zero; SIXTEENS]; ROWS];
                for _ in 0..groups {
                    let mut weights = [_mm512_setzero_si512(); SIXTEENS];
                    for (at, weights) in weights.iter_mut().enumerate() {
                        *weights = _mm512_loadu_si512(panel.add(at * LANES).cast());
                    }
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let x = _mm512_set1_epi32(*rows.add(row * row_words).cast::<i32>());
                        for (sum, weights) in sums.iter_mut().zip(weights) {
                            *sum = $step(*sum, x, weights);
                        }
                    }
                    rows = rows.add(1);
                    panel = panel.wrapping_add(panel_words);
                }
                let mut floats = [[_mm512_setzero_ps(); SIXTEENS]; ROWS];
                for (floats, sums) in floats.iter_mut().zip(sums) {
                    for (floats, sum) in floats.iter_mut().zip(sums) {
                        *floats = $floats(sum);
                    }
                }
                floats
            }
        }
    };
}

impl Multiply for Vnni {
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

    tile!(_mm512_setzero_si512(), _mm512_dpbusd_epi32, _mm512_cvtepi32_ps);
}

impl Multiply for Bf16 {
    type Simd = Avx512;
    const NUMBERS: usize = 2;
    const SIXTEENS: usize = 4;

    #[inline(always)]
    fn simd(self) -> Avx512 {
        self.0
    }

    #[inline(always)]
    fn store(self, x: __m512, to: &mut [u32]) {
        let to = &mut to[..LANES / 2];
        // SAFETY: the machine has AVX-512 BF16, and eight words take sixteen bf16.
        unsafe {
            let halves = transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x));
            _mm256_storeu_si256(to.as_mut_ptr().cast(), halves);
        }
    }

    tile!(_mm512_setzero_ps(), add_bf16_products, std::convert::identity);
}

/// Needs AVX-512 BF16.
#[inline(always)]
unsafe fn add_bf16_products(sum: __m512, x: __m512i, weights: __m512i) -> __m512 {
    // SAFETY: the caller has the instruction; a __m512bh is 32 bf16 of whatever bits.
    unsafe {
        let (x, weights) = (transmute::<__m512i, __m512bh>(x), transmute::<__m512i, __m512bh>(weights));
        _mm512_dpbf16_ps(sum, x, weights)
    }
}
