//! What one core does at most with the instructions that a kernel's products are made of: the same instructions on
//! registers alone, with nothing to load and nothing to wait for. A speed divided by that is a share of peak.
//!
//! Measured, not looked up: clocks under wide instructions, and how many of them start together, differ from machine to
//! machine. It takes ten milliseconds on the calling thread; a neighbour on the same core makes it smaller.
#![allow(unsafe_code)]

use super::Kernel;

#[cfg(target_arch = "x86_64")]
use std::time::{Duration, Instant};

impl Kernel {
    /// Multiplications and additions per second of one core, in billions, if it did nothing else. `None` for kernels whose
    /// instructions are the compiler's choice.
    pub fn ceiling(self) -> Option<f64> {
        ceiling(self.name())
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn ceiling(_kernel: &str) -> Option<f64> {
    None
}

#[cfg(target_arch = "x86_64")]
fn ceiling(kernel: &str) -> Option<f64> {
    let (run, operations): (unsafe fn(u32), u64) = match kernel {
        "int8-vnni" | "int8-vnni-bf16"
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") =>
        {
            (x86::vnni, x86::CHAINS * 128)
        }
        "int8-avx512" if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") => {
            (x86::pairs_512, x86::GROUPS * 4 * 128)
        }
        "int8-avx2" if is_x86_feature_detected!("avx2") => (x86::pairs_256, x86::GROUPS * 4 * 64),
        "int8-avxvnni" if is_x86_feature_detected!("avxvnni") => (x86::avx_vnni, x86::CHAINS * 64),
        "bf16-avx512" if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16") => {
            (x86::bf16, x86::CHAINS * 64)
        }
        "f32-avx512" if is_x86_feature_detected!("avx512f") => (x86::fused_512, x86::CHAINS * 32),
        "f32-avx2" if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") => {
            (x86::fused_256, x86::CHAINS * 16)
        }
        _ => return None,
    };
    // SAFETY: what each of these needs was just detected.
    Some(measure(|rounds| unsafe { run(rounds) }, operations))
}

/// How long is measured, and how many rounds are timed together: short enough that one goes undisturbed.
#[cfg(target_arch = "x86_64")]
const TIME: Duration = Duration::from_millis(10);
#[cfg(target_arch = "x86_64")]
const ROUNDS: u32 = 20_000;

/// The best of many short runs: what disturbs only makes them slower.
#[cfg(target_arch = "x86_64")]
fn measure(run: impl Fn(u32), operations_per_round: u64) -> f64 {
    let began = Instant::now();
    let mut best = f64::INFINITY;
    while began.elapsed() < TIME {
        let began = Instant::now();
        run(ROUNDS);
        best = best.min(began.elapsed().as_secs_f64());
    }
    operations_per_round as f64 * f64::from(ROUNDS) / best / 1e9
}

/// One function for each multiply. An empty `asm` makes a value unknown to the compiler, which could otherwise take a
/// multiplication of constants out of the loop.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Sums that do not depend on each other: more than the longest latency times the instructions that start together.
    pub(super) const CHAINS: u64 = 12;

    /// The same where a group of products is summed in 16 bits before it is widened.
    pub(super) const GROUPS: u64 = 6;

    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) fn vnni(rounds: u32) {
        let (inputs, weights) = (black_box(_mm512_set1_epi8(3)), black_box(_mm512_set1_epi8(5)));
        let mut sums = [_mm512_setzero_si512(); CHAINS as usize];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, inputs, weights);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avxvnni")]
    pub(super) fn avx_vnni(rounds: u32) {
        let (inputs, weights) = (black_box(_mm256_set1_epi8(3)), black_box(_mm256_set1_epi8(5)));
        let mut sums = [_mm256_setzero_si256(); CHAINS as usize];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_dpbusd_avx_epi32(*sum, inputs, weights);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn bf16(rounds: u32) {
        let ones = _mm512_set1_ps(1.0);
        let (inputs, weights) =
            (black_box(_mm512_cvtne2ps_pbh(ones, ones)), black_box(_mm512_cvtne2ps_pbh(ones, ones)));
        let mut sums = [_mm512_setzero_ps(); CHAINS as usize];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, inputs, weights);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn fused_512(rounds: u32) {
        let (inputs, weights) = (black_box(_mm512_set1_ps(0.5)), black_box(_mm512_set1_ps(0.25)));
        let mut sums = [_mm512_setzero_ps(); CHAINS as usize];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(inputs, weights, *sum);
                // SAFETY: it does nothing.
                unsafe { asm!("/* {0} */", inout(zmm_reg) * sum, options(nomem, nostack, preserves_flags)) };
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn fused_256(rounds: u32) {
        let (inputs, weights) = (black_box(_mm256_set1_ps(0.5)), black_box(_mm256_set1_ps(0.25)));
        let mut sums = [_mm256_setzero_ps(); CHAINS as usize];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(inputs, weights, *sum);
                // SAFETY: it does nothing.
                unsafe { asm!("/* {0} */", inout(ymm_reg) * sum, options(nomem, nostack, preserves_flags)) };
            }
        }
        black_box(sums);
    }

    /// Four products of pairs are added in 16 bits, then widened and added in 32.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn pairs_512(rounds: u32) {
        let (mut inputs, weights, ones) =
            (black_box(_mm512_set1_epi8(3)), black_box(_mm512_set1_epi8(5)), black_box(_mm512_set1_epi16(1)));
        let mut sums = [_mm512_setzero_si512(); GROUPS as usize];
        for _ in 0..rounds {
            for sum in &mut sums {
                let mut narrow = _mm512_setzero_si512();
                for _ in 0..4 {
                    // SAFETY: it does nothing.
                    unsafe {
                        asm!("/* {0} */", inout(zmm_reg) inputs, options(nomem, nostack, preserves_flags))
                    };
                    narrow = _mm512_add_epi16(narrow, _mm512_maddubs_epi16(inputs, weights));
                }
                *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(narrow, ones));
            }
        }
        black_box(sums);
    }

    /// Four products of pairs are added in 16 bits, then widened and added in 32.
    #[target_feature(enable = "avx2")]
    pub(super) fn pairs_256(rounds: u32) {
        let (mut inputs, weights, ones) =
            (black_box(_mm256_set1_epi8(3)), black_box(_mm256_set1_epi8(5)), black_box(_mm256_set1_epi16(1)));
        let mut sums = [_mm256_setzero_si256(); GROUPS as usize];
        for _ in 0..rounds {
            for sum in &mut sums {
                let mut narrow = _mm256_setzero_si256();
                for _ in 0..4 {
                    // SAFETY: it does nothing.
                    unsafe {
                        asm!("/* {0} */", inout(ymm_reg) inputs, options(nomem, nostack, preserves_flags))
                    };
                    narrow = _mm256_add_epi16(narrow, _mm256_maddubs_epi16(inputs, weights));
                }
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(narrow, ones));
            }
        }
        black_box(sums);
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_that_is_not_the_compilers_has_a_ceiling_and_no_other() {
        for kernel in Kernel::available() {
            let ceiling = kernel.ceiling();
            assert_eq!(ceiling.is_none(), kernel.name().ends_with("portable"), "{}", kernel.name());
            assert!(ceiling.is_none_or(|gops| gops.is_finite() && gops > 1.0), "{ceiling:?}");
        }
    }

    #[test]
    fn only_what_this_machine_has_is_run() {
        assert_eq!(ceiling("int9-avx1024"), None);
        for name in [
            "int8-vnni-bf16",
            "int8-vnni",
            "int8-avx512",
            "int8-avxvnni",
            "bf16-avx512",
            "int8-avx2",
            "f32-avx2",
        ] {
            assert_eq!(ceiling(name).is_some(), Kernel::named(name).is_some(), "{name}");
        }
    }
}
