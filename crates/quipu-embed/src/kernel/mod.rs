//! The arithmetic under the encoder, and the only room with `unsafe` in it.
//!
//! Three ideas carry it. [`simd`] is sixteen numbers at a time on any machine, so that everything between the products
//! ([`rows`]) is written once. [`multiply`] is the inner loop of every product, whether of f32, bf16 or 8-bit numbers: rows
//! of words by panels of words. And an [`Operation`] is a piece of work written against both, compiled once for each
//! [`Kernel`] and entered through it: [`product`] with weights ([`pack`]), and [`attention`].

pub(crate) mod attention;
mod ceiling;
pub(crate) mod lines;
mod multiply;
pub(crate) mod pack;
pub(crate) mod product;
pub(crate) mod rows;
#[cfg(test)]
mod sample;
mod simd;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use multiply::{PANEL, ROWS};

use multiply::{F32, Int8, Multiply};
use pack::Words;
use simd::Portable;

/// What a model is computed with: the precision of its products, and the instruction set.
///
/// Vectors are bit-identical for one kernel. Kernels in f32 agree with each other to a cosine above 0.999999, those in bf16
/// with f32 to above 0.9999, those in eight bits to above 0.994, and on average above 0.998 (0.9975 on odd texts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Private, so that no one can name a set that this machine lacks: that is what makes running one sound.
    arithmetic: Arithmetic,
}

/// Products with weights, and attention where it differs. Slowest first, as a machine that has them all runs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arithmetic {
    Int8Portable,
    F32Portable,
    #[cfg(target_arch = "x86_64")]
    F32Avx2,
    #[cfg(target_arch = "x86_64")]
    F32Avx512,
    #[cfg(target_arch = "x86_64")]
    Int8Avx2,
    /// VNNI on registers of AVX2.
    #[cfg(target_arch = "x86_64")]
    Int8AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Bf16Avx512,
    #[cfg(target_arch = "x86_64")]
    Int8Avx512,
    /// Attention in f32.
    #[cfg(target_arch = "x86_64")]
    Int8Vnni,
    /// Attention in bf16.
    #[cfg(target_arch = "x86_64")]
    Int8VnniBf16,
}

/// A piece of work that each kernel has a compiled copy of.
///
/// `run` and all that it calls must be `#[inline(always)]`, so that they are compiled for the kernel's instructions. A closure
/// cannot be: one that computes, handed to `map` or the like, calls each instruction as a function.
pub(crate) trait Operation {
    /// `weights` is what products with weights are made by, `attention` what attention is.
    fn run<W: Multiply, A: Multiply<Simd = W::Simd>>(self, weights: W, attention: A);
}

impl Kernel {
    /// The fastest that this machine has.
    pub fn best() -> Self {
        Self::available().into_iter().next_back().unwrap_or(Self::portable())
    }

    /// The fastest whose products are exact to f32.
    pub(crate) fn best_in_f32() -> Self {
        let in_f32 = |kernel: &Self| kernel.words() == Words::F32;
        Self::available().into_iter().rfind(in_f32).unwrap_or(Self::portable())
    }

    /// f32 in the target's baseline instructions.
    pub fn portable() -> Self {
        Self { arithmetic: Arithmetic::F32Portable }
    }

    /// All that this machine has, slowest first.
    pub fn available() -> Vec<Self> {
        let mut kernels = vec![Arithmetic::Int8Portable, Arithmetic::F32Portable];
        #[cfg(target_arch = "x86_64")]
        kernels.extend(x86::detect());
        kernels.into_iter().map(|arithmetic| Self { arithmetic }).collect()
    }

    /// The kernel of that name, if this machine has it.
    pub fn named(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|kernel| kernel.name() == name)
    }

    /// The precision of the products with weights, and the instruction set: `"f32-avx2"`, `"int8-vnni-bf16"`.
    pub fn name(self) -> &'static str {
        match self.arithmetic {
            Arithmetic::Int8Portable => "int8-portable",
            Arithmetic::F32Portable => "f32-portable",
            #[cfg(target_arch = "x86_64")]
            Arithmetic::F32Avx2 => "f32-avx2",
            #[cfg(target_arch = "x86_64")]
            Arithmetic::F32Avx512 => "f32-avx512",
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Int8Avx2 => "int8-avx2",
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Bf16Avx512 => "bf16-avx512",
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Int8AvxVnni => "int8-avxvnni",
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Int8Avx512 => "int8-avx512",
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Int8Vnni => "int8-vnni",
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Int8VnniBf16 => "int8-vnni-bf16",
        }
    }

    /// Whether rows and weights are quantised.
    pub fn is_in_eight_bits(self) -> bool {
        matches!(self.words(), Words::Int8 | Words::Int8Pairs)
    }

    /// What a word of its weights holds.
    pub(crate) fn words(self) -> Words {
        match self.arithmetic {
            Arithmetic::F32Portable => Words::F32,
            Arithmetic::Int8Portable => Words::Int8,
            #[cfg(target_arch = "x86_64")]
            Arithmetic::F32Avx2 | Arithmetic::F32Avx512 => Words::F32,
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Bf16Avx512 => Words::Bf16,
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Int8Avx2 | Arithmetic::Int8Avx512 => Words::Int8Pairs,
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Int8AvxVnni | Arithmetic::Int8Vnni | Arithmetic::Int8VnniBf16 => Words::Int8,
        }
    }

    /// Numbers in a word of attention.
    pub(crate) fn numbers_in_attention(self) -> usize {
        match self.arithmetic {
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Bf16Avx512 | Arithmetic::Int8VnniBf16 => 2,
            _ => 1,
        }
    }

    /// Runs a piece of work with this kernel's instructions.
    #[inline]
    #[allow(unsafe_code)]
    pub(crate) fn run(self, operation: impl Operation) {
        match self.arithmetic {
            Arithmetic::F32Portable => operation.run(F32::<_, 1>(Portable), F32::<_, 1>(Portable)),
            Arithmetic::Int8Portable => operation.run(Int8(Portable), F32::<_, 1>(Portable)),
            // SAFETY: a Kernel with any other arithmetic is only made by `available`, after its instructions were
            // detected.
            #[cfg(target_arch = "x86_64")]
            other => unsafe { x86::run(other, operation) },
        }
    }
}
