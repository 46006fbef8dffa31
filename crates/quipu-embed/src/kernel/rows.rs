//! What happens to rows between the products: preparing them for the next one, layer norm, pooling; and GELU, which a
//! product does to what leaves it.
//!
//! A row is as wide as its panels, and zero where the model has no number for it.

use super::Operation;
use super::lines::Lines;
use super::multiply::{Multiply, ROWS};
use super::pack::Packed;
use super::simd::{LANES, Simd, largest, sixteens, sixteens_mut};

/// The largest value of a quantised row.
const ROW_MAX: f32 = 255.0;

/// Rows as a product takes them: words, and what quantised ones have to be multiplied by.
///
/// `x = scale·value + shift` for quantised rows. Each row is quantised by itself, so a text's vector does not depend on
/// what it is embedded beside.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(super) words: Lines,
    /// Words of a row.
    pub(super) row_words: usize,
    pub(super) scales: Vec<f32>,
    pub(super) shifts: Vec<f32>,
}

impl Rows {
    /// Makes room for `count` rows of what `weights` multiply.
    pub(crate) fn fit(&mut self, count: usize, weights: &Packed) {
        let count = count.next_multiple_of(ROWS);
        self.row_words = weights.groups;
        self.words.fit(count * self.row_words);
        self.scales.resize(count, 0.0);
        self.shifts.resize(count, 0.0);
    }
}

/// Makes words of rows.
pub(crate) struct Prepare<'a> {
    /// Rows of f32, `width` apart.
    pub(crate) rows: &'a [f32],
    pub(crate) width: usize,
    pub(crate) target: Target<'a>,
}

/// Where prepared rows go: to rows from `first` on, for a product with `weights`.
pub(crate) struct Target<'a> {
    pub(crate) weights: &'a Packed,
    pub(crate) rows: &'a mut Rows,
    pub(crate) first: usize,
}

/// `x ← gamma·(x − mean) / √(variance + epsilon) + beta` for each row, and then its words.
pub(crate) struct Normalise<'a> {
    pub(crate) rows: &'a mut [f32],
    pub(crate) norm: &'a Norm,
    pub(crate) target: Option<Target<'a>>,
}

/// A layer norm's numbers, zero where a row has none.
#[derive(Debug)]
pub(crate) struct Norm {
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
    /// How many numbers a row has.
    pub(crate) count: usize,
    pub(crate) epsilon: f32,
}

/// Rows of x·Φ(x) between two products, which the first leaves here and the second takes from here.
///
/// For a product in eight bits they are smoothed already, and come with their ranges: to find these out afterwards would be
/// to read all of the rows once more.
#[derive(Debug, Default)]
pub(crate) struct Activated {
    rows: Lines,
    width: usize,
    /// Of each row sixteen numbers that none is below, and sixteen that none is above: each for every sixteenth column.
    /// Nought lies between them.
    ranges: Lines,
}

/// What a row's ranges take.
const RANGES: usize = 2 * LANES;

impl Activated {
    /// Makes room for `count` rows.
    pub(crate) fn fit(&mut self, count: usize, width: usize) {
        self.width = width;
        self.rows.fit(count * width);
        self.ranges.fit(count * RANGES);
    }

    /// The first `count` rows; smoothed only for products in eight bits.
    pub(crate) fn rows(&self, count: usize) -> &[f32] {
        &self.rows.floats()[..count * self.width]
    }

    /// Forgets what rows there were.
    pub(super) fn clear(&mut self) {
        self.ranges.floats_mut().fill(0.0);
    }

    /// Activates numbers of a row, from `column` on, for a product with the weights `next`.
    #[inline(always)]
    pub(super) fn take<W: Multiply, const SIXTEENS: usize>(
        &mut self,
        weights: W,
        row: usize,
        column: usize,
        next: &Packed,
        numbers: [<W::Simd as Simd>::Floats; SIXTEENS],
    ) {
        let simd = weights.simd();
        let out = sixteens_mut::<SIXTEENS>(self.rows.floats_mut(), row * self.width + column);
        if W::NUMBERS != 4 {
            for (lanes, x) in out.iter_mut().zip(numbers) {
                simd.store(activation(weights, x), lanes);
            }
            return;
        }
        let smoothing = sixteens::<SIXTEENS>(&next.smoothing, column);
        let [least, most] = sixteens_mut(self.ranges.floats_mut(), row * RANGES);
        let (mut low, mut high) = (simd.load(least), simd.load(most));
        for ((lanes, smoothing), x) in out.iter_mut().zip(smoothing).zip(numbers) {
            let y = simd.mul(activation(weights, x), simd.load(smoothing));
            (low, high) = (simd.min(y, low), simd.max(y, high));
            simd.store(y, lanes);
        }
        simd.store(low, least);
        simd.store(high, most);
    }

    #[inline(always)]
    fn range<S: Simd>(&self, simd: S, row: usize) -> (S::Floats, S::Floats) {
        let [least, most] = sixteens(self.ranges.floats(), row * RANGES);
        (simd.load(least), simd.load(most))
    }
}

/// Makes words of the first `count` activated rows.
pub(crate) struct PrepareActivated<'a> {
    pub(crate) activated: &'a Activated,
    pub(crate) count: usize,
    pub(crate) target: Target<'a>,
}

/// The mean of the rows, which are as wide as `mean`.
pub(crate) struct Mean<'a> {
    pub(crate) rows: &'a [f32],
    pub(crate) mean: &'a mut [f32],
}

impl Operation for Prepare<'_> {
    #[inline(always)]
    fn run<W: Multiply, A: Multiply<Simd = W::Simd>>(mut self, weights: W, _: A) {
        for (at, row) in self.rows.chunks_exact(self.width).enumerate() {
            self.target.prepare(weights, at, row.as_chunks().0);
        }
    }
}

impl Operation for Normalise<'_> {
    #[inline(always)]
    fn run<W: Multiply, A: Multiply<Simd = W::Simd>>(mut self, weights: W, _: A) {
        for (at, row) in self.rows.chunks_exact_mut(self.norm.gamma.len()).enumerate() {
            let row = row.as_chunks_mut().0;
            normalise(weights.simd(), row, self.norm);
            if let Some(target) = &mut self.target {
                target.prepare(weights, at, row);
            }
        }
    }
}

impl Operation for PrepareActivated<'_> {
    #[inline(always)]
    fn run<W: Multiply, A: Multiply<Simd = W::Simd>>(self, weights: W, _: A) {
        let Self { activated, count, mut target } = self;
        for (at, row) in activated.rows(count).chunks_exact(activated.width).enumerate() {
            let row = row.as_chunks().0;
            if W::NUMBERS == 4 {
                let range = activated.range(weights.simd(), at);
                target.quantise::<W, false>(weights, at, range, row);
            } else {
                target.prepare(weights, at, row);
            }
        }
    }
}

impl Operation for Mean<'_> {
    #[inline(always)]
    fn run<W: Multiply, A: Multiply<Simd = W::Simd>>(self, weights: W, _: A) {
        let simd = weights.simd();
        self.mean.fill(0.0);
        let sums = self.mean.as_chunks_mut::<LANES>().0;
        for row in self.rows.chunks_exact(sums.len() * LANES) {
            for (sum, row) in sums.iter_mut().zip(row.as_chunks().0) {
                simd.store(simd.add(simd.load(sum), simd.load(row)), sum);
            }
        }
        let inverse = simd.splat((sums.len() * LANES) as f32 / self.rows.len() as f32);
        for sum in sums {
            simd.store(simd.mul(simd.load(sum), inverse), sum);
        }
    }
}

impl Target<'_> {
    #[inline(always)]
    fn prepare<W: Multiply>(&mut self, weights: W, at: usize, row: &[[f32; LANES]]) {
        let simd = weights.simd();
        if W::NUMBERS == 4 {
            // Nought is always in range, so that it has a value of its own.
            let (mut low, mut high, mut nought) = (simd.splat(0.0), simd.splat(0.0), simd.splat(0.0));
            for (lanes, smoothing) in row.iter().zip(self.weights.smoothing.as_chunks().0) {
                let x = simd.mul(simd.load(lanes), simd.load(smoothing));
                (low, high) = (simd.min(x, low), simd.max(x, high));
                nought = simd.add(nought, simd.sub(x, x));
            }
            self.quantise::<W, true>(weights, at, (low, high), row);
            // Eight bits have no value for what is no number or not finite: then the scale is none.
            self.rows.scales[self.first + at] += simd.sum(nought);
        } else {
            for (lanes, words) in row.iter().zip(self.words(at).chunks_exact_mut(LANES / W::NUMBERS)) {
                weights.store(simd.load(lanes), words);
            }
        }
    }

    /// Writes a row's values, its scale and its shift. `SMOOTH` the row first; `range` holds all numbers of it then, and nought.
    #[inline(always)]
    fn quantise<W: Multiply, const SMOOTH: bool>(
        &mut self,
        weights: W,
        at: usize,
        range: (<W::Simd as Simd>::Floats, <W::Simd as Simd>::Floats),
        row: &[[f32; LANES]],
    ) {
        let simd = weights.simd();
        let low = -largest(simd, simd.sub(simd.splat(0.0), range.0));
        let scale = ((largest(simd, range.1) - low) / ROW_MAX).max(f32::MIN_POSITIVE);
        let inverse = 1.0 / scale;
        let zero = (-low * inverse).round_ties_even();
        (self.rows.scales[self.first + at], self.rows.shifts[self.first + at]) = (scale, -scale * zero);
        let (inverse, zeros) = (simd.splat(inverse), simd.splat(zero));
        let (nought, most) = (simd.splat(0.0), simd.splat(ROW_MAX));
        let factors = self.weights.smoothing.as_chunks().0;
        for ((lanes, factors), words) in
            row.iter().zip(factors).zip(self.words(at).chunks_exact_mut(LANES / 4))
        {
            let x = simd.load(lanes);
            let x = if SMOOTH { simd.mul(x, simd.load(factors)) } else { x };
            let value = simd.mul_add(x, inverse, zeros);
            weights.store(simd.min(simd.max(value, nought), most), words);
        }
    }

    #[inline(always)]
    fn words(&mut self, at: usize) -> &mut [u32] {
        let row_words = self.rows.row_words;
        &mut self.rows.words.words_mut()[(self.first + at) * row_words..][..row_words]
    }
}

#[inline(always)]
fn normalise<S: Simd>(simd: S, row: &mut [[f32; LANES]], norm: &Norm) {
    let count = norm.count as f32;
    let mut sum = simd.splat(0.0);
    for lanes in &*row {
        sum = simd.add(sum, simd.load(lanes));
    }
    let mean = simd.sum(sum) / count;
    let means = simd.splat(mean);
    let mut squares = simd.splat(0.0);
    let (whole, rest) = row.split_at(norm.count / LANES);
    for lanes in whole {
        let apart = simd.sub(simd.load(lanes), means);
        squares = simd.mul_add(apart, apart, squares);
    }
    // What stands behind the row's numbers is no part of it, and no mean is taken from it.
    let mut last = [0.0; LANES];
    for (last, x) in last.iter_mut().zip(rest.as_flattened()).take(norm.count % LANES) {
        *last = x - mean;
    }
    let apart = simd.load(&last);
    let variance = simd.sum(simd.mul_add(apart, apart, squares)) / count;
    let factor = simd.splat(1.0 / (variance + norm.epsilon).sqrt());
    let numbers = norm.gamma.as_chunks().0.iter().zip(norm.beta.as_chunks().0);
    for (lanes, (gamma, beta)) in row.iter_mut().zip(numbers) {
        let x = simd.mul(simd.sub(simd.load(lanes), means), factor);
        simd.store(simd.mul_add(x, simd.load(gamma), simd.load(beta)), lanes);
    }
}

/// 2^x for x ≤ 127, next to nothing below −126, and no number where x is none. `DEGREE` 5 is right to 1e-7, 3 to 8e-5 of the result.
///
/// Range reduction to |r| ≤ ½, then the minimax polynomial of that degree.
#[inline(always)]
pub(super) fn exp2<S: Simd, const DEGREE: usize>(simd: S, x: S::Floats) -> S::Floats {
    const FIVE: [f32; 6] =
        [1.327_646_7e-3, 9.675_541e-3, 5.550_713_5e-2, 0.240_221_2, 0.693_146_94, 1.000_000_1];
    const THREE: [f32; 4] = [5.517_162_4e-2, 0.242_611_13, 0.693_260_97, 0.999_928_06];
    let coefficients: &[f32] = if DEGREE == 5 { &FIVE } else { &THREE };
    let x = simd.max(simd.splat(-126.0), x);
    let power = simd.round(x);
    let rest = simd.sub(x, power);
    let mut sum = simd.splat(coefficients[0]);
    for &coefficient in &coefficients[1..] {
        sum = simd.mul_add(sum, rest, simd.splat(coefficient));
    }
    simd.scale(sum, power)
}

/// x·Φ(x), as exactly as the words of the next product can tell.
#[inline(always)]
fn activation<W: Multiply>(weights: W, x: <W::Simd as Simd>::Floats) -> <W::Simd as Simd>::Floats {
    let simd = weights.simd();
    if W::NUMBERS == 1 { gelu(simd, x) } else { gelu_to_four_digits(simd, x) }
}

/// x·Φ(x), absolute error below 1e-6.
///
/// Φ through erf by Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7).
#[inline(always)]
fn gelu<S: Simd>(simd: S, x: S::Floats) -> S::Floats {
    const P: f32 = 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2;
    const A: [f32; 5] = [1.061_405_4, -1.453_152, 1.421_413_8, -0.284_496_74, 0.254_829_6];
    let (zero, one) = (simd.splat(0.0), simd.splat(1.0));
    let size = simd.max(x, simd.sub(zero, x));
    let t = simd.div(one, simd.mul_add(simd.splat(P), size, one));
    let mut polynomial = simd.splat(A[0]);
    for &coefficient in &A[1..] {
        polynomial = simd.mul_add(polynomial, t, simd.splat(coefficient));
    }
    let exponent = simd.mul(simd.mul(x, x), simd.splat(-0.5 * std::f32::consts::LOG2_E));
    // Φ(−|x|), and x·Φ(x) is max(x, 0) − |x|·Φ(−|x|).
    let tail = simd.mul(simd.mul(polynomial, t), exp2::<S, 5>(simd, exponent));
    let half = simd.mul(simd.splat(-0.5), simd.mul(size, tail));
    simd.add(simd.max(x, zero), half)
}

/// x·Φ(x), absolute error below 2e-4 for |x| ≤ 10: a twentieth of an 8-bit step.
///
/// Φ(x) − ½ as an odd polynomial on −4…4, fitted for the error of the product, and its value at the end beyond that.
#[inline(always)]
fn gelu_to_four_digits<S: Simd>(simd: S, x: S::Floats) -> S::Floats {
    const EDGE: f32 = 4.0;
    const ODD: [f32; 7] = [
        2.278_122_4e-8,
        -1.598_590_5e-6,
        4.795_527e-5,
        -8.140_129e-4,
        8.772_375e-3,
        -6.457_308e-2,
        0.397_883_33,
    ];
    let near = simd.min(simd.max(x, simd.splat(-EDGE)), simd.splat(EDGE));
    let square = simd.mul(near, near);
    let mut sum = simd.splat(ODD[0]);
    for &coefficient in &ODD[1..] {
        sum = simd.mul_add(sum, square, simd.splat(coefficient));
    }
    simd.mul(x, simd.mul_add(sum, near, simd.splat(0.5)))
}
