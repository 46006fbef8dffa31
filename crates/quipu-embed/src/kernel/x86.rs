//! Which kernels an x86-64 has, and the one place where a piece of work is compiled for their instructions.
#![allow(unsafe_code)]

use super::multiply::{AvxVnni, Bf16, F32, PairsAvx2, PairsAvx512, Vnni};
use super::simd::{Avx2, Avx512};
use super::{Arithmetic, Operation};

/// What this machine has beyond the portable kernels, slowest first.
pub(super) fn detect() -> Vec<Arithmetic> {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl");
    let vnni = avx512 && is_x86_feature_detected!("avx512vnni");
    let bf16 = avx512 && is_x86_feature_detected!("avx512bf16");
    [
        (avx2, Arithmetic::F32Avx2),
        (avx512, Arithmetic::F32Avx512),
        (avx2, Arithmetic::Int8Avx2),
        (avx2 && is_x86_feature_detected!("avxvnni"), Arithmetic::Int8AvxVnni),
        (bf16, Arithmetic::Bf16Avx512),
        (avx512, Arithmetic::Int8Avx512),
        (vnni, Arithmetic::Int8Vnni),
        (vnni && bf16, Arithmetic::Int8VnniBf16),
    ]
    .into_iter()
    .filter_map(|(has, arithmetic)| has.then_some(arithmetic))
    .collect()
}

/// # Safety
/// [`detect`] has named `arithmetic` on this machine.
pub(super) unsafe fn run(arithmetic: Arithmetic, operation: impl Operation) {
    // SAFETY: the caller's promise: these are the instructions that `detect` has looked for.
    unsafe {
        match arithmetic {
            Arithmetic::Int8Portable | Arithmetic::F32Portable => {}
            Arithmetic::F32Avx2 => f32_avx2(operation),
            Arithmetic::F32Avx512 => f32_avx512(operation),
            Arithmetic::Int8Avx2 => int8_avx2(operation),
            Arithmetic::Bf16Avx512 => bf16_avx512(operation),
            Arithmetic::Int8AvxVnni => int8_avxvnni(operation),
            Arithmetic::Int8Avx512 => int8_avx512(operation),
            Arithmetic::Int8Vnni => int8_vnni(operation),
            Arithmetic::Int8VnniBf16 => int8_vnni_bf16(operation),
        }
    }
}

/// A function compiled for `features`, in which the proofs of them can be made.
macro_rules! compiled {
    ($name:ident, $features:literal, $simd:ident, $weights:expr, $attention:expr) => {
        #[target_feature(enable = $features)]
        fn $name(operation: impl Operation) {
            // SAFETY: whoever calls this has the features.
            let $simd = unsafe { compiled!(@proof $name) };
            // SAFETY: as above.
            #[allow(unused_unsafe, reason = "some proofs need no promise")]
            let (weights, attention) = unsafe { ($weights, $attention) };
            operation.run(weights, attention);
        }
    };
    (@proof f32_avx2) => { Avx2::detected() };
    (@proof int8_avx2) => { Avx2::detected() };
    (@proof int8_avxvnni) => { Avx2::detected() };
    (@proof $other:ident) => { Avx512::detected() };
}

compiled!(f32_avx2, "avx2,fma", simd, F32::<_, 1>(simd), F32::<_, 1>(simd));
compiled!(int8_avx2, "avx2,fma", simd, PairsAvx2(simd), F32::<_, 1>(simd));
compiled!(int8_avxvnni, "avx2,fma,avxvnni", simd, AvxVnni::detected(simd), F32::<_, 1>(simd));
compiled!(f32_avx512, "avx2,fma,avx512f,avx512bw,avx512vl", simd, F32::<_, 4>(simd), F32::<_, 4>(simd));
compiled!(int8_avx512, "avx2,fma,avx512f,avx512bw,avx512vl", simd, PairsAvx512(simd), F32::<_, 4>(simd));
compiled!(
    bf16_avx512,
    "avx2,fma,avx512f,avx512bw,avx512vl,avx512bf16",
    simd,
    Bf16::detected(simd),
    Bf16::detected(simd)
);
compiled!(
    int8_vnni,
    "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni",
    simd,
    Vnni::detected(simd),
    F32::<_, 4>(simd)
);
compiled!(
    int8_vnni_bf16,
    "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16",
    simd,
    Vnni::detected(simd),
    Bf16::detected(simd)
);
