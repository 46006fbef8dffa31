//! One register of AVX-512, or two of AVX2.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{LANES, Simd};

/// AVX-512 F, BW, VL and what comes before them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

/// AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx512 {
    /// # Safety
    /// The machine has AVX-512 F, BW and VL, AVX2 and FMA.
    pub(crate) unsafe fn detected() -> Self {
        Self(())
    }
}

impl Avx2 {
    /// # Safety
    /// The machine has AVX2 and FMA.
    pub(crate) unsafe fn detected() -> Self {
        Self(())
    }
}

// SAFETY of each block here: a value of this type proves that the machine has the instructions, and each load and store
// stays in its array.
impl Simd for Avx512 {
    type Floats = __m512;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: __m512, to: &mut [f32; LANES]) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn round(self, x: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x) }
    }
    #[inline(always)]
    fn scale(self, x: __m512, power: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_scalef_ps(x, power) }
    }
    #[inline(always)]
    fn sum(self, x: __m512) -> f32 {
        // SAFETY: see above.
        unsafe { sum_of_eight(_mm256_add_ps(_mm512_castps512_ps256(x), upper(x))) }
    }
    #[inline(always)]
    fn store_bytes(self, x: __m512, to: &mut [u8; LANES]) {
        // SAFETY: see above.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x))) }
    }
    #[inline(always)]
    fn transpose(self, from: &[u32], from_stride: usize, to: &mut [u32], to_stride: usize) {
        assert!(from.len() >= (LANES - 1) * from_stride + LANES, "rows to transpose");
        assert!(to.len() >= (LANES - 1) * to_stride + LANES, "room for the transposed");
        // SAFETY: sixteen words at sixteen places on both sides, which the assertions hold inside the slices.
        unsafe { transpose(from.as_ptr(), from_stride, to.as_mut_ptr(), to_stride) }
    }
}

/// Needs sixteen rows of sixteen words at both places.
#[inline(always)]
unsafe fn transpose(from: *const u32, from_stride: usize, to: *mut u32, to_stride: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut rows = [_mm512_setzero_si512(); LANES];
        for (at, row) in rows.iter_mut().enumerate() {
            *row = _mm512_loadu_si512(from.add(at * from_stride).cast());
        }
        let mut pairs = rows;
        for at in (0..LANES).step_by(2) {
            pairs[at] = _mm512_unpacklo_epi32(rows[at], rows[at + 1]);
            pairs[at + 1] = _mm512_unpackhi_epi32(rows[at], rows[at + 1]);
        }
        // Of each four rows: their columns 0, 1, 2, 3 of every quarter.
        let mut fours = pairs;
        for at in (0..LANES).step_by(4) {
            fours[at] = _mm512_unpacklo_epi64(pairs[at], pairs[at + 2]);
            fours[at + 1] = _mm512_unpackhi_epi64(pairs[at], pairs[at + 2]);
            fours[at + 2] = _mm512_unpacklo_epi64(pairs[at + 1], pairs[at + 3]);
            fours[at + 3] = _mm512_unpackhi_epi64(pairs[at + 1], pairs[at + 3]);
        }
        for column in 0..4 {
            let (a, b, c, d) = (fours[column], fours[column + 4], fours[column + 8], fours[column + 12]);
            let (low, high) = (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0xee>(a, b));
            let (low_after, high_after) =
                (_mm512_shuffle_i32x4::<0x44>(c, d), _mm512_shuffle_i32x4::<0xee>(c, d));
            let columns = [
                _mm512_shuffle_i32x4::<0x88>(low, low_after),
                _mm512_shuffle_i32x4::<0xdd>(low, low_after),
                _mm512_shuffle_i32x4::<0x88>(high, high_after),
                _mm512_shuffle_i32x4::<0xdd>(high, high_after),
            ];
            for (quarter, words) in columns.into_iter().enumerate() {
                _mm512_storeu_si512(to.add((quarter * 4 + column) * to_stride).cast(), words);
            }
        }
    }
}

/// The upper half of a register.
#[inline(always)]
unsafe fn upper(x: __m512) -> __m256 {
    // SAFETY: the caller has AVX-512 F.
    unsafe { _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(x))) }
}

/// Halves onto halves, as `add_lanes` does.
#[inline(always)]
unsafe fn sum_of_eight(x: __m256) -> f32 {
    // SAFETY: the caller has AVX2.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}

macro_rules! halves {
    ($name:ident, $($argument:ident),* => $intrinsic:ident) => {
        #[inline(always)]
        fn $name(self, $($argument: [__m256; 2]),*) -> [__m256; 2] {
            // SAFETY: a value of this type proves that the machine has AVX2 and FMA.
            unsafe { [$intrinsic($($argument[0]),*), $intrinsic($($argument[1]),*)] }
        }
    };
}

impl Simd for Avx2 {
    type Floats = [__m256; 2];

    #[inline(always)]
    fn splat(self, x: f32) -> [__m256; 2] {
        // SAFETY: a value of this type proves that the machine has AVX2.
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> [__m256; 2] {
        // SAFETY: as above; both loads stay in the array.
        unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] }
    }
    #[inline(always)]
    fn store(self, x: [__m256; 2], to: &mut [f32; LANES]) {
        // SAFETY: as above; both stores stay in the array.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), x[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), x[1]);
        }
    }

    halves!(add, a, b => _mm256_add_ps);
    halves!(sub, a, b => _mm256_sub_ps);
    halves!(mul, a, b => _mm256_mul_ps);
    halves!(div, a, b => _mm256_div_ps);
    halves!(mul_add, a, b, c => _mm256_fmadd_ps);
    halves!(max, a, b => _mm256_max_ps);
    halves!(min, a, b => _mm256_min_ps);
    halves!(round, x => nearest);
    halves!(scale, x, power => scale_eight);

    #[inline(always)]
    fn sum(self, x: [__m256; 2]) -> f32 {
        // SAFETY: as above.
        unsafe { sum_of_eight(_mm256_add_ps(x[0], x[1])) }
    }
    #[inline(always)]
    fn store_bytes(self, x: [__m256; 2], to: &mut [u8; LANES]) {
        // SAFETY: as above; the store writes the array's sixteen bytes.
        unsafe {
            let words = sixteen_bits(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
            let (low, high) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.as_mut_ptr().cast(), _mm_packus_epi16(low, high));
        }
    }
}

#[inline(always)]
unsafe fn nearest(x: __m256) -> __m256 {
    // SAFETY: the caller has AVX2.
    unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x) }
}

#[inline(always)]
unsafe fn scale_eight(x: __m256, power: __m256) -> __m256 {
    // SAFETY: the caller has AVX2.
    unsafe {
        let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(power), _mm256_set1_epi32(127));
        _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
    }
}

/// Sixteen numbers of 32 bits, all in 0…65,535, as 16 bits each.
#[inline(always)]
unsafe fn sixteen_bits(low: __m256i, high: __m256i) -> __m256i {
    // SAFETY: the caller has AVX2. Packing goes by halves, so the quarters are put in order again.
    unsafe { _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(low, high)) }
}
