//! Weights as the products read them: packed once when a model is loaded, shared by all workers.

use super::lines::Lines;
use super::multiply::PANEL;

/// Inputs that a row has room for: whole lines of words, in every precision.
pub(crate) const INPUTS: usize = 64;

/// Words of a column that are added up in 16 bits, where there is no instruction that adds in 32.
///
/// Eight words with rows of 0…127 instead are some 6 % faster on AVX2, but rows in seven bits cost more than levels of
/// weights gain: of an empty text's vector 0.993 is left instead of 0.996.
pub(super) const PAIR_GROUPS: usize = 4;

/// The largest sum of such weights of one sign: a row may hold 255 for each.
const SUM_MAX: i32 = i16::MAX as i32 / 255;

/// Adding it leaves the nearest integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// What a word of weights holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// One f32.
    F32,
    /// Two bf16.
    Bf16,
    /// Four numbers in −127…127.
    Int8,
    /// Four 8-bit numbers, small enough that [`PAIR_GROUPS`] words of them, times rows of 0…255, add up in 16 bits.
    Int8Pairs,
}

/// A matrix as a model's file has it: outputs × inputs, row-major.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    pub(crate) numbers: Vec<f32>,
    pub(crate) inputs: usize,
}

/// A weight matrix with its bias, in panels of [`PANEL`] outputs.
#[derive(Debug)]
pub(crate) struct Packed {
    /// For each panel, for each group of inputs, a word of every output; zero where there is none.
    pub(super) words: Lines,
    /// Groups of inputs, those of whole lines of rows.
    pub(super) groups: usize,
    /// Outputs, rounded up to whole panels.
    pub(super) columns: usize,
    pub(super) bias: Vec<f32>,
    /// What a column's sums are to be multiplied by. Empty where nothing is quantised, as the next two.
    pub(super) scales: Vec<f32>,
    /// Each column's weights added up: what a row's zero point puts onto its sums, once for each.
    pub(super) sums: Vec<f32>,
    /// What a row's numbers are multiplied by before they are quantised; the weights are divided by it.
    pub(super) smoothing: Vec<f32>,
}

impl Matrix {
    pub(crate) fn outputs(&self) -> usize {
        self.numbers.len() / self.inputs
    }

    fn row(&self, output: usize) -> &[f32] {
        &self.numbers[output * self.inputs..][..self.inputs]
    }

    /// The largest absolute value of each input's weights.
    pub(crate) fn largest_by_input(&self) -> Vec<f32> {
        let mut largest = vec![0.0_f32; self.inputs];
        for row in self.numbers.chunks_exact(self.inputs) {
            for (largest, weight) in largest.iter_mut().zip(row) {
                *largest = largest.max(weight.abs());
            }
        }
        largest
    }
}

impl Packed {
    /// Packs `matrix`, of which row after row belongs to output after output. `smoothing` has a factor for each input;
    /// none stands for ones, and it is left out where nothing is quantised.
    pub(crate) fn new(words: Words, matrix: &Matrix, bias: &[f32], smoothing: Option<&[f32]>) -> Self {
        let columns = matrix.outputs().next_multiple_of(PANEL);
        let inputs = matrix.inputs.next_multiple_of(INPUTS);
        let groups = inputs / words.numbers();
        let mut packed = Self {
            words: Lines::zeros(groups * columns),
            groups,
            columns,
            bias: padded(bias, columns),
            scales: Vec::new(),
            sums: Vec::new(),
            smoothing: Vec::new(),
        };
        match words {
            Words::F32 | Words::Bf16 => packed.round(words, matrix),
            Words::Int8 | Words::Int8Pairs => {
                packed.scales = vec![0.0; columns];
                packed.sums = vec![0.0; columns];
                packed.smoothing = vec![1.0; inputs];
                if let Some(smoothing) = smoothing {
                    packed.smoothing[..smoothing.len()].copy_from_slice(smoothing);
                }
                packed.quantise(words, matrix);
            }
        }
        packed
    }

    fn round(&mut self, words: Words, matrix: &Matrix) {
        for output in 0..matrix.outputs() {
            let row = matrix.row(output);
            if words == Words::F32 {
                self.write(output, row.iter().map(|weight| weight.to_bits()));
            } else {
                let pair = |pair: &[f32]| {
                    let second = pair.get(1).map_or(0, |&second| to_bf16(second));
                    u32::from(to_bf16(pair[0])) | u32::from(second) << 16
                };
                self.write(output, row.chunks(2).map(pair));
            }
        }
    }

    fn quantise(&mut self, words: Words, matrix: &Matrix) {
        let (mut smooth, mut values) = (vec![0.0; matrix.inputs], vec![0_i8; self.groups * 4]);
        for output in 0..matrix.outputs() {
            for ((smooth, weight), factor) in smooth.iter_mut().zip(matrix.row(output)).zip(&self.smoothing) {
                *smooth = weight / factor;
            }
            let scale = match words {
                Words::Int8Pairs => quantise_pairs(&smooth, &mut values),
                _ => quantise_row(&smooth, &mut values, 127.0),
            };
            let sum: i32 = values.iter().map(|&value| i32::from(value)).sum();
            self.scales[output] = scale;
            self.sums[output] = sum as f32 * scale;
            self.write(
                output,
                values.as_chunks::<4>().0.iter().map(|four| u32::from_ne_bytes(four.map(|x| x as u8))),
            );
        }
    }

    /// Puts an output's words where they belong.
    fn write(&mut self, output: usize, words: impl Iterator<Item = u32>) {
        let first = output / PANEL * PANEL * self.groups + output % PANEL;
        let column = self.words.words_mut()[first..].iter_mut().step_by(PANEL);
        for (to, word) in column.zip(words) {
            *to = word;
        }
    }
}

impl Words {
    /// Numbers in a word.
    pub(crate) fn numbers(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
            Self::Int8 | Self::Int8Pairs => 4,
        }
    }
}

/// `numbers` and zeros after them.
pub(crate) fn padded(numbers: &[f32], length: usize) -> Vec<f32> {
    let mut padded = numbers.to_vec();
    padded.resize(length, 0.0);
    padded
}

/// The nearest values for which the largest weight becomes `levels`, and their scale.
fn quantise_row(weights: &[f32], values: &mut [i8], levels: f32) -> f32 {
    let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
    let scale = (largest / levels).max(f32::MIN_POSITIVE);
    let inverse = 1.0 / scale;
    for (value, weight) in values.iter_mut().zip(weights) {
        // The low bits are the nearest integer; a call of the library's rounding would take a third of loading.
        *value = (weight * inverse + ROUND).to_bits() as i8;
    }
    scale
}

/// As many levels as leave each sum of [`PAIR_GROUPS`] words in its 16 bits, whatever the row: checked on the values themselves.
///
/// Letting the fullest sums give way by their largest values, for finer levels elsewhere, was tried: it takes from the same
/// channels again and again, and a vector's cosine falls to 0.96.
fn quantise_pairs(weights: &[f32], values: &mut [i8]) -> f32 {
    /// What levels are lowered by where rounding has put a sum just above what fits.
    const LOWER: f32 = 0.995;
    let mut levels = 127.0;
    loop {
        let scale = quantise_row(weights, values, levels);
        let fullest = fullest_sum(values);
        if fullest <= SUM_MAX {
            return scale;
        }
        levels *= LOWER.min(SUM_MAX as f32 / fullest as f32);
    }
}

/// The largest sum, of values of one sign, that 16 bits would have to hold for each unit of the row.
fn fullest_sum(values: &[i8]) -> i32 {
    let mut fullest = 0;
    for step in values.chunks(PAIR_GROUPS * 4) {
        for half in 0..2 {
            let (mut above, mut below) = (0, 0);
            for &value in step.chunks_exact(2).skip(half).step_by(2).flatten() {
                if value > 0 { above += i32::from(value) } else { below -= i32::from(value) }
            }
            fullest = fullest.max(above).max(below);
        }
    }
    fullest
}

/// The nearest bfloat16, ties to even.
fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}
