//! On AVX-512: VNNI for four 8-bit numbers in a word, BF16 for two bf16, and without VNNI 16-bit sums.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::mem::transmute;

use super::{Multiply, store_bytes};
use crate::kernel::pack::PAIR_GROUPS;
use crate::kernel::simd::{Avx512, LANES};

/// Unsigned by signed 8-bit numbers, exactly, into 32 bits.
#[derive(Clone, Copy)]
pub(crate) struct Vnni(Avx512);

/// bf16 by bf16 into f32.
#[derive(Clone, Copy)]
pub(crate) struct Bf16(Avx512);

/// Unsigned by signed 8-bit numbers: the products of [`PAIR_GROUPS`] groups are added up in 16 bits, which the weights leave
/// room for whatever the row (`pack`), and then widened. The sums are exact.
#[derive(Clone, Copy)]
pub(crate) struct PairsAvx512(pub(crate) Avx512);

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

// SAFETY of each block here: a value of these types proves that the machine has the instructions, and what is read is the
// caller's promise.
impl Multiply for Vnni {
    type Simd = Avx512;
    type Sums = __m512i;
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
    fn nothing(self) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    unsafe fn add(self, sums: __m512i, row: *const u32, columns: *const u32, _: usize) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let row = _mm512_set1_epi32(*row.cast::<i32>());
            _mm512_dpbusd_epi32(sums, row, _mm512_loadu_si512(columns.cast()))
        }
    }
    #[inline(always)]
    fn floats(self, sums: __m512i) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }
}

impl Multiply for Bf16 {
    type Simd = Avx512;
    type Sums = __m512;
    const NUMBERS: usize = 2;
    const SIXTEENS: usize = 4;

    #[inline(always)]
    fn simd(self) -> Avx512 {
        self.0
    }
    #[inline(always)]
    fn store(self, x: __m512, to: &mut [u32]) {
        let to = &mut to[..LANES / 2];
        // SAFETY: see above; eight words take sixteen bf16.
        unsafe {
            let halves = transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x));
            _mm256_storeu_si256(to.as_mut_ptr().cast(), halves);
        }
    }
    #[inline(always)]
    fn nothing(self) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn add(self, sums: __m512, row: *const u32, columns: *const u32, _: usize) -> __m512 {
        // SAFETY: see above; a __m512bh is 32 bf16 of whatever bits.
        unsafe {
            let row = transmute::<__m512i, __m512bh>(_mm512_set1_epi32(*row.cast::<i32>()));
            let columns = transmute::<__m512i, __m512bh>(_mm512_loadu_si512(columns.cast()));
            _mm512_dpbf16_ps(sums, row, columns)
        }
    }
    #[inline(always)]
    fn floats(self, sums: __m512) -> __m512 {
        sums
    }
}

impl Multiply for PairsAvx512 {
    type Simd = Avx512;
    type Sums = __m512i;
    const NUMBERS: usize = 4;
    const STEP: usize = PAIR_GROUPS;
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
    fn nothing(self) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    unsafe fn add(self, sums: __m512i, row: *const u32, columns: *const u32, panel_words: usize) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let mut pairs = _mm512_setzero_si512();
            for group in 0..PAIR_GROUPS {
                let row = _mm512_set1_epi32(*row.add(group).cast::<i32>());
                let columns = _mm512_loadu_si512(columns.add(group * panel_words).cast());
                let products = _mm512_maddubs_epi16(row, columns);
                pairs = if group == 0 { products } else { _mm512_add_epi16(pairs, products) };
            }
            _mm512_add_epi32(sums, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))
        }
    }
    #[inline(always)]
    fn floats(self, sums: __m512i) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }
}
