//! The loops for x86: accumulators enough to hide each instruction's latency, operands that stay in registers.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::hint::black_box;

use super::Loop;

/// Of 32 registers of 512 bits, two hold operands.
const WIDE: usize = 24;
/// Of 16 registers of 256 bits, two hold operands.
const NARROW: usize = 12;
/// 16-bit sums before they are widened, as the kernels have it: with AVX-512, and with AVX2.
const SUMS_WIDE: usize = 4;
const SUMS_NARROW: usize = 8;

/// Those that this machine has.
pub(super) fn loops() -> Vec<Loop> {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
    let bf16 = avx512 && is_x86_feature_detected!("avx512bf16");
    let vnni = avx512 && is_x86_feature_detected!("avx512vnni");
    // SAFETY, of each: the loop is only listed where its instructions were just found.
    let all: [(bool, Loop); 6] = [
        (avx2, one("f32-avx2", "vfmadd231ps ymm", |rounds| unsafe { f32_avx2(rounds) })),
        (avx512, one("f32-avx512", "vfmadd231ps zmm", |rounds| unsafe { f32_avx512(rounds) })),
        (bf16, one("bf16-avx512", "vdpbf16ps zmm", |rounds| unsafe { bf16_avx512(rounds) })),
        (avx2, one("int8-avx2", "vpmaddubsw, sums of 8, ymm", |rounds| unsafe { int8_avx2(rounds) })),
        (avx512, one("int8-avx512", "vpmaddubsw, sums of 4, zmm", |rounds| unsafe { int8_avx512(rounds) })),
        (vnni, one("int8-vnni", "vpdpbusd zmm", |rounds| unsafe { int8_vnni(rounds) })),
    ];
    all.into_iter().filter_map(|(here, found)| here.then_some(found)).collect()
}

fn one(name: &'static str, instructions: &'static str, run: fn(u64) -> u64) -> Loop {
    Loop { name, instructions, run }
}

/// # Safety
/// Needs AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn f32_avx2(rounds: u64) -> u64 {
    let (a, b) = (black_box(_mm256_set1_ps(0.5)), black_box(_mm256_set1_ps(0.25)));
    let mut sums = [_mm256_setzero_ps(); NARROW];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(a, b, *sum);
        }
    }
    black_box(sums);
    rounds * NARROW as u64 * 8 * 2
}

/// # Safety
/// Needs AVX-512F.
#[target_feature(enable = "avx512f")]
unsafe fn f32_avx512(rounds: u64) -> u64 {
    let (a, b) = (black_box(_mm512_set1_ps(0.5)), black_box(_mm512_set1_ps(0.25)));
    let mut sums = [_mm512_setzero_ps(); WIDE];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(a, b, *sum);
        }
    }
    black_box(sums);
    rounds * WIDE as u64 * 16 * 2
}

/// # Safety
/// Needs AVX-512 with BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn bf16_avx512(rounds: u64) -> u64 {
    let half = black_box(_mm512_set1_ps(0.5));
    let a = _mm512_cvtne2ps_pbh(half, half);
    let mut sums = [_mm512_setzero_ps(); WIDE];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, a, a);
        }
    }
    black_box(sums);
    rounds * WIDE as u64 * 32 * 2
}

/// # Safety
/// Needs AVX2.
#[target_feature(enable = "avx2")]
unsafe fn int8_avx2(rounds: u64) -> u64 {
    const TILES: usize = 4;
    let (mut a, b) = (black_box(_mm256_set1_epi8(3)), black_box(_mm256_set1_epi8(-2)));
    let ones = black_box(_mm256_set1_epi16(1));
    let mut sums = [_mm256_setzero_si256(); TILES];
    for _ in 0..rounds {
        for sum in &mut sums {
            let mut sixteen = _mm256_setzero_si256();
            for term in 0..SUMS_NARROW {
                a = opaque_ymm(a);
                let products = _mm256_maddubs_epi16(a, b);
                sixteen = if term == 0 { products } else { _mm256_add_epi16(sixteen, products) };
            }
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(sixteen, ones));
        }
    }
    black_box(sums);
    rounds * (TILES * SUMS_NARROW) as u64 * 32 * 2
}

/// # Safety
/// Needs AVX-512F and BW.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn int8_avx512(rounds: u64) -> u64 {
    const TILES: usize = 8;
    let (mut a, b) = (black_box(_mm512_set1_epi8(3)), black_box(_mm512_set1_epi8(-2)));
    let ones = black_box(_mm512_set1_epi16(1));
    let mut sums = [_mm512_setzero_si512(); TILES];
    for _ in 0..rounds {
        for sum in &mut sums {
            let mut sixteen = _mm512_setzero_si512();
            for term in 0..SUMS_WIDE {
                a = opaque_zmm(a);
                let products = _mm512_maddubs_epi16(a, b);
                sixteen = if term == 0 { products } else { _mm512_add_epi16(sixteen, products) };
            }
            *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(sixteen, ones));
        }
    }
    black_box(sums);
    rounds * (TILES * SUMS_WIDE) as u64 * 64 * 2
}

/// # Safety
/// Needs AVX-512 with VNNI.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn int8_vnni(rounds: u64) -> u64 {
    let (a, b) = (black_box(_mm512_set1_epi8(3)), black_box(_mm512_set1_epi8(2)));
    let mut sums = [_mm512_setzero_si512(); WIDE];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, a, b);
        }
    }
    black_box(sums);
    rounds * WIDE as u64 * 64 * 2
}

/// The same value in the same register, of which the compiler knows nothing: or it would multiply only once.
#[target_feature(enable = "avx2")]
fn opaque_ymm(mut value: __m256i) -> __m256i {
    // SAFETY: no instruction; it only says that the register may have changed.
    unsafe {
        std::arch::asm!("/* {0} */", inout(ymm_reg) value, options(pure, nomem, nostack, preserves_flags))
    };
    value
}

/// [`opaque_ymm`] for 512 bits.
#[target_feature(enable = "avx512f")]
fn opaque_zmm(mut value: __m512i) -> __m512i {
    // SAFETY: no instruction; it only says that the register may have changed.
    unsafe {
        std::arch::asm!("/* {0} */", inout(zmm_reg) value, options(pure, nomem, nostack, preserves_flags))
    };
    value
}
