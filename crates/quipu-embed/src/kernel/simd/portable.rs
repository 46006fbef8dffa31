//! Plain loops over arrays, in the target's baseline instructions.

use super::{LANES, Simd, add_lanes};

/// Whether the baseline multiplies and adds in one instruction: where it has none, `mul_add` would be a function call.
const FUSES: bool = cfg!(target_arch = "aarch64");

/// Adding it rounds to the nearest integer and leaves that in the low bits; taking it away again leaves the integer.
const ROUND: f32 = 12_582_912.0;

/// What every machine has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

macro_rules! lane_by_lane {
    ($name:ident, $a:ident, $b:ident, $result:expr) => {
        #[inline(always)]
        fn $name(self, mut left: [f32; LANES], right: [f32; LANES]) -> [f32; LANES] {
            for (left, &$b) in left.iter_mut().zip(&right) {
                let $a = *left;
                *left = $result;
            }
            left
        }
    };
}

impl Simd for Portable {
    type Floats = [f32; LANES];

    #[inline(always)]
    fn splat(self, x: f32) -> [f32; LANES] {
        [x; LANES]
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> [f32; LANES] {
        *from
    }
    #[inline(always)]
    fn store(self, x: [f32; LANES], to: &mut [f32; LANES]) {
        *to = x;
    }

    lane_by_lane!(add, a, b, a + b);
    lane_by_lane!(sub, a, b, a - b);
    lane_by_lane!(mul, a, b, a * b);
    lane_by_lane!(div, a, b, a / b);
    lane_by_lane!(max, a, b, if a > b { a } else { b });
    lane_by_lane!(min, a, b, if a < b { a } else { b });
    lane_by_lane!(
        scale,
        x,
        power,
        x * f32::from_bits(((power + ROUND).to_bits() << 23).wrapping_add(0x3f80_0000))
    );

    #[inline(always)]
    fn mul_add(self, mut a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
        for ((a, &b), &c) in a.iter_mut().zip(&b).zip(&c) {
            *a = if FUSES { a.mul_add(b, c) } else { *a * b + c };
        }
        a
    }
    #[inline(always)]
    fn round(self, mut x: [f32; LANES]) -> [f32; LANES] {
        for x in &mut x {
            *x = (*x + ROUND) - ROUND;
        }
        x
    }
    #[inline(always)]
    fn sum(self, x: [f32; LANES]) -> f32 {
        add_lanes(x)
    }
    #[inline(always)]
    fn store_bytes(self, x: [f32; LANES], to: &mut [u8; LANES]) {
        for (to, x) in to.iter_mut().zip(x) {
            *to = (x + ROUND).to_bits() as u8;
        }
    }
}
