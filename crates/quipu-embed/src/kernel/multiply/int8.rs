//! Words of four 8-bit numbers, in the target's baseline instructions: exact sums, as VNNI has them.
#![allow(unsafe_code)]

use super::{Multiply, Operands, ROWS, Tile, store_bytes};
use crate::kernel::simd::{LANES, Portable};

/// Unsigned rows by signed columns.
#[derive(Clone, Copy)]
pub(crate) struct Int8;

impl Multiply for Int8 {
    type Simd = Portable;
    const NUMBERS: usize = 4;
    const SIXTEENS: usize = 1;

    #[inline(always)]
    fn simd(self) -> Portable {
        Portable
    }

    #[inline(always)]
    fn store(self, x: [f32; LANES], to: &mut [u32]) {
        store_bytes(Portable, x, to);
    }

    #[inline(always)]
    unsafe fn tile<const SIXTEENS: usize>(self, operands: Operands) -> Tile<Portable, SIXTEENS> {
        let Operands { rows, row_words, panel, panel_words, groups } = operands;
        let mut sums = [[[0_i32; LANES]; SIXTEENS]; ROWS];
        for group in 0..groups {
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                let x = unsafe { *rows.add(row * row_words + group) }.to_ne_bytes();
                // Sixteen bits hold each factor, and compilers know what adds two products of those up.
                let x = [i16::from(x[0]), i16::from(x[1]), i16::from(x[2]), i16::from(x[3])];
                for (sixteen, sums) in sums.iter_mut().enumerate() {
                    for (column, sum) in sums.iter_mut().enumerate() {
                        // SAFETY: the caller's promise.
                        let w = unsafe { *panel.add(group * panel_words + sixteen * LANES + column) };
                        let w = w.to_ne_bytes();
                        for (x, w) in x.iter().zip(w) {
                            *sum += i32::from(*x) * i32::from(i16::from(w as i8));
                        }
                    }
                }
            }
        }
        let mut floats = [[[0.0; LANES]; SIXTEENS]; ROWS];
        for (floats, sums) in floats.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
            for (float, sum) in floats.iter_mut().zip(sums) {
                *float = *sum as f32;
            }
        }
        floats
    }
}
