//! Words of one f32, on any instruction set.
#![allow(unsafe_code)]

use super::{Multiply, Operands, ROWS, Tile};
use crate::kernel::simd::{LANES, Simd};

/// f32 by f32; `SIXTEENS` of columns in a tile.
#[derive(Clone, Copy)]
pub(crate) struct F32<S, const SIXTEENS: usize>(pub(crate) S);

impl<S: Simd, const WIDEST: usize> Multiply for F32<S, WIDEST> {
    type Simd = S;
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
    unsafe fn tile<const SIXTEENS: usize>(self, operands: Operands) -> Tile<S, SIXTEENS> {
        let Operands { rows, row_words, panel, panel_words, groups } = operands;
        let simd = self.0;
        let mut sums = [[simd.splat(0.0); SIXTEENS]; ROWS];
        // SAFETY: the caller's promise; words hold f32 here.
        unsafe {
            let (mut rows, mut panel) = (rows.cast::<f32>(), panel.cast::<[f32; LANES]>());
            for _ in 0..groups {
                let mut weights = [simd.splat(0.0); SIXTEENS];
                for (at, weights) in weights.iter_mut().enumerate() {
                    *weights = simd.load(&*panel.add(at));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = simd.splat(*rows.add(row * row_words));
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        *sum = simd.mul_add(x, weights, *sum);
                    }
                }
                rows = rows.add(1);
                panel = panel.cast::<f32>().wrapping_add(panel_words).cast();
            }
        }
        sums
    }
}
