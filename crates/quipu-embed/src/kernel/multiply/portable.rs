//! On whatever there is: words of one f32 on any instruction set, and of four 8-bit numbers in baseline instructions.
#![allow(unsafe_code)]

use super::{Multiply, store_bytes};
use crate::kernel::simd::{LANES, Portable, Simd};

/// f32 by f32; `SIXTEENS` of columns in a tile.
#[derive(Clone, Copy)]
pub(crate) struct F32<S, const SIXTEENS: usize>(pub(crate) S);

/// Unsigned by signed 8-bit numbers: exact sums, as VNNI has them.
#[derive(Clone, Copy)]
pub(crate) struct Int8(pub(crate) Portable);

impl<S: Simd, const WIDEST: usize> Multiply for F32<S, WIDEST> {
    type Simd = S;
    type Sums = S::Floats;
    const NUMBERS: usize = 1;
    const SIXTEENS: usize = WIDEST;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }
    #[inline(always)]
    fn store(self, x: S::Floats, to: &mut [u32]) {
        let mut numbers = [0.0; LANES];
        self.0.store(x, &mut numbers);
        to[..LANES].copy_from_slice(&numbers.map(f32::to_bits));
    }
    #[inline(always)]
    fn nothing(self) -> S::Floats {
        self.0.splat(0.0)
    }
    #[inline(always)]
    unsafe fn add(self, sums: S::Floats, row: *const u32, columns: *const u32, _: usize) -> S::Floats {
        // SAFETY: the caller's promise; words hold f32 here.
        let (row, columns) = unsafe { (*row.cast::<f32>(), &*columns.cast::<[f32; LANES]>()) };
        self.0.mul_add(self.0.splat(row), self.0.load(columns), sums)
    }
    #[inline(always)]
    fn floats(self, sums: S::Floats) -> S::Floats {
        sums
    }
}

impl Multiply for Int8 {
    type Simd = Portable;
    type Sums = [i32; LANES];
    const NUMBERS: usize = 4;
    const SIXTEENS: usize = 1;

    #[inline(always)]
    fn simd(self) -> Portable {
        self.0
    }
    #[inline(always)]
    fn store(self, x: [f32; LANES], to: &mut [u32]) {
        store_bytes(self.0, x, to);
    }
    #[inline(always)]
    fn nothing(self) -> [i32; LANES] {
        [0; LANES]
    }
    #[inline(always)]
    unsafe fn add(
        self,
        mut sums: [i32; LANES],
        row: *const u32,
        columns: *const u32,
        _: usize,
    ) -> [i32; LANES] {
        // SAFETY: the caller's promise.
        let row = unsafe { row.read() }.to_ne_bytes();
        // Sixteen bits hold each factor, and compilers know what adds two products of those up.
        let row = [i16::from(row[0]), i16::from(row[1]), i16::from(row[2]), i16::from(row[3])];
        for (column, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let column = unsafe { columns.add(column).read() }.to_ne_bytes();
            for (x, w) in row.iter().zip(column) {
                *sum += i32::from(*x) * i32::from(i16::from(w as i8));
            }
        }
        sums
    }
    #[inline(always)]
    fn floats(self, sums: [i32; LANES]) -> [f32; LANES] {
        let mut floats = [0.0; LANES];
        for (float, sum) in floats.iter_mut().zip(sums) {
            *float = sum as f32;
        }
        floats
    }
}
