//! Sixteen numbers at a time, on whatever registers a machine has.
//!
//! Everything between the products is written once, against [`Simd`], and compiled once for each instruction set. A
//! value of such a type is proof that the machine has it: only `Kernel` makes one, after it has looked. So all of this
//! is safe to call, and fast only from inside a function that was compiled for the set: keep callers
//! `#[inline(always)]`, and free of closures, which are not always inlined there.

mod portable;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86;

pub(crate) use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

/// Numbers that one operation takes.
pub(crate) const LANES: usize = 16;

/// An instruction set, as arithmetic on [`LANES`] f32 at once.
pub(crate) trait Simd: Copy {
    /// Sixteen f32.
    type Floats: Copy;

    fn splat(self, x: f32) -> Self::Floats;
    fn load(self, from: &[f32; LANES]) -> Self::Floats;
    fn store(self, x: Self::Floats, to: &mut [f32; LANES]);
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn sub(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn div(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a·b + c`; rounded once where the machine can.
    fn mul_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// The larger; of a NaN in `a` and a number in `b`, the number.
    fn max(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// The smaller; of a NaN in `a` and a number in `b`, the number.
    fn min(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn round(self, x: Self::Floats) -> Self::Floats;
    /// `x · 2^power` for integral powers in −126…127.
    fn scale(self, x: Self::Floats, power: Self::Floats) -> Self::Floats;
    /// All lanes added up, in an order that never changes.
    fn sum(self, x: Self::Floats) -> f32;
    /// The nearest integers, which the caller has seen to lie in 0…255.
    fn store_bytes(self, x: Self::Floats, to: &mut [u8; LANES]);

    /// Writes `from`, sixteen rows that start `from_stride` apart, to `to` with rows and columns exchanged. The rows of
    /// `to` start `to_stride` apart.
    fn transpose(self, from: &[u32], from_stride: usize, to: &mut [u32], to_stride: usize) {
        for row in 0..LANES {
            for (column, &word) in from[row * from_stride..][..LANES].iter().enumerate() {
                to[column * to_stride + row] = word;
            }
        }
    }
}

/// So many times sixteen numbers, from one on.
///
/// # Panics
/// If there are not so many.
#[inline(always)]
pub(crate) fn sixteens<const COUNT: usize>(of: &[f32], from: usize) -> &[[f32; LANES]; COUNT] {
    of[from..].as_chunks().0.first_chunk().expect("whole registers")
}

/// [`sixteens`], to be written.
///
/// # Panics
/// If there are not so many.
#[inline(always)]
pub(crate) fn sixteens_mut<const COUNT: usize>(of: &mut [f32], from: usize) -> &mut [[f32; LANES]; COUNT] {
    of[from..].as_chunks_mut().0.first_chunk_mut().expect("room for whole registers")
}

/// The largest lane.
#[inline(always)]
pub(crate) fn largest<S: Simd>(simd: S, x: S::Floats) -> f32 {
    let mut lanes = [0.0; LANES];
    simd.store(x, &mut lanes);
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = if lanes[lane] > lanes[lane + width] { lanes[lane] } else { lanes[lane + width] };
        }
        width /= 2;
    }
    lanes[0]
}

/// Adds the lanes in the order that every set keeps: halves onto halves.
#[inline(always)]
fn add_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}
