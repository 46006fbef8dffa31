//! The arithmetic under the encoder, and the only room with `unsafe` in it besides the weights' mapping.
//!
//! [`linear`] multiplies by weights, [`int8`] does so in eight bits, [`gemm`] multiplies other matrices, through
//! `matrixmultiply`; [`rows`] holds what happens between the products, written once as plain loops and compiled once per
//! instruction set. Which of all that is used is a [`Kernel`], chosen at run time.

pub(crate) mod gemm;
pub(crate) mod int8;
pub(crate) mod linear;
pub(crate) mod rows;
#[cfg(test)]
mod sample;

/// What a model is computed with: the precision of the products, and the instruction set.
///
/// Vectors are bit-identical for one kernel; f32 kernels agree with each other to a cosine above 0.999999, kernels in eight
/// bits with f32 to above 0.99.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Private, so that no one can name a set that this machine lacks: that is what makes running one sound.
    level: Level,
    in_eight_bits: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

impl Kernel {
    /// The fastest in f32 that this machine has. In eight bits it is not chosen by itself yet.
    pub fn best() -> Self {
        let in_f32 = |kernel: &Self| !kernel.in_eight_bits;
        Self::available().into_iter().rfind(in_f32).unwrap_or(Self::portable())
    }

    /// f32 products and plain loops in the target's baseline instructions.
    pub fn portable() -> Self {
        Self { level: Level::Portable, in_eight_bits: false }
    }

    /// All that this machine has: those in f32, and then those in eight bits, slowest first.
    pub fn available() -> Vec<Self> {
        let in_f32 = |level| Self { level, in_eight_bits: false };
        let in_eight_bits = |level| Self { level, in_eight_bits: true };
        let mut kernels = vec![Self::portable()];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
            let vnni =
                avx512 && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni");
            kernels.extend(avx2.then(|| in_f32(Level::Avx2)));
            kernels.extend(avx512.then(|| in_f32(Level::Avx512)));
            kernels.push(in_eight_bits(Level::Portable));
            kernels.extend(vnni.then(|| in_eight_bits(Level::Vnni)));
        }
        #[cfg(not(target_arch = "x86_64"))]
        kernels.push(in_eight_bits(Level::Portable));
        kernels
    }

    /// `"f32-portable"`, `"f32-avx2"`, `"f32-avx512"`, `"int8-portable"` or `"int8-vnni"`.
    pub fn name(self) -> &'static str {
        match (self.in_eight_bits, self.level) {
            (false, Level::Portable) => "f32-portable",
            (true, Level::Portable) => "int8-portable",
            #[cfg(target_arch = "x86_64")]
            (_, Level::Avx2) => "f32-avx2",
            #[cfg(target_arch = "x86_64")]
            (_, Level::Avx512) => "f32-avx512",
            #[cfg(target_arch = "x86_64")]
            (_, Level::Vnni) => "int8-vnni",
        }
    }

    /// Whether products are of eight-bit numbers.
    pub fn is_in_eight_bits(self) -> bool {
        self.in_eight_bits
    }

    /// Rows as this kernel's products take them; `quantised` is where they are made.
    pub(crate) fn prepare<'a>(
        self,
        rows: &'a [f32],
        inputs: usize,
        quantised: &'a mut int8::Rows,
    ) -> Input<'a> {
        if !self.in_eight_bits {
            return Input::F32(rows);
        }
        quantised.quantise(self, rows, inputs);
        Input::Int8(quantised)
    }
}

/// What a product takes.
#[derive(Clone, Copy)]
pub(crate) enum Input<'a> {
    F32(&'a [f32]),
    Int8(&'a int8::Rows),
}
