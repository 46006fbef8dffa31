//! The arithmetic under the encoder, and the only room with `unsafe` in it besides the weights' mapping.
//!
//! [`linear`] multiplies by weights, [`gemm`] other matrices, through `matrixmultiply`; [`rows`] holds what happens between the products, written
//! once as plain loops and compiled once per instruction set. Which set is a [`Kernel`], chosen at run time.

pub(crate) mod gemm;
pub(crate) mod linear;
pub(crate) mod rows;

/// The instruction set that the loops between the matrix products run on.
///
/// Vectors are bit-identical for one kernel; between kernels they agree to a cosine above 0.999999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(Level);

/// Private, so that no one can name a set that this machine lacks: that is what makes running one sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    /// The fastest that this machine has.
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self::portable())
    }

    /// Plain loops in the target's baseline instructions.
    pub fn portable() -> Self {
        Self(Level::Portable)
    }

    /// All that this machine has, slowest first.
    pub fn available() -> Vec<Self> {
        let mut kernels = vec![Self::portable()];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 {
                kernels.push(Self(Level::Avx2));
            }
            if avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                kernels.push(Self(Level::Avx512));
            }
        }
        kernels
    }

    /// `"portable"`, `"avx2"` or `"avx512"`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
        }
    }
}
