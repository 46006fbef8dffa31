//! Attention over one sequence: for each head softmax(Q·Kᵀ)·V, six queries at a time.
//!
//! Both products are tiles like those with weights. For the first, keys are laid out as a panel's columns; for the second,
//! values are. The scores of six queries stay in the first-level cache from the one to the other. Queries come scaled by
//! log2 e / √width, so that softmax is a power of two.
#![allow(unsafe_code)]

use super::Operation;
use super::lines::Lines;
use super::multiply::{Finish, Multiply, Operands, PANEL, ROWS, Tile, tiles};
use super::rows::exp2;
use super::simd::{LANES, Simd, largest, sixteens, sixteens_mut};

/// What a head's width is rounded up to: whole registers of words in every precision.
pub(crate) const HEAD: usize = 32;

/// Rows beyond the last that [`Attend`] may read; whatever they hold, it comes to nothing.
pub(crate) const ROWS_BEYOND: usize = LANES;

/// One sequence of a batch.
pub(crate) struct Attend<'a> {
    /// Rows of queries, then keys, then values of each head, from the sequence's first token on. [`ROWS_BEYOND`] rows more
    /// than the sequence has can be read.
    pub(crate) projected: &'a [u32],
    /// Words from one row of them to the next.
    pub(crate) row_words: usize,
    pub(crate) length: usize,
    pub(crate) heads: usize,
    /// Numbers of a head, a multiple of [`HEAD`].
    pub(crate) head: usize,
    pub(crate) buffers: &'a mut Buffers,
    /// Rows of what the heads gathered, `context_width` apart.
    pub(crate) context: &'a mut [f32],
    pub(crate) context_width: usize,
}

/// Working memory of one sequence's attention.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// Panels of keys.
    keys: Lines,
    /// Pairs of values, where a word has two numbers.
    values: Lines,
    /// Six rows of scores, and then of weights where a word has one number.
    scores: Lines,
    /// Six rows of weights, where a word has two.
    weights: Lines,
}

impl Buffers {
    /// Makes room for sequences of up to `longest` tokens.
    pub(crate) fn fit(&mut self, longest: usize, head: usize) {
        let longest = longest.next_multiple_of(PANEL);
        self.keys.fit(longest * head);
        self.values.fit(longest * head / 2);
        self.scores.fit(ROWS * longest);
        self.weights.fit(ROWS * longest / 2);
    }
}

impl Operation for Attend<'_> {
    #[inline(always)]
    fn run<W: Multiply, A: Multiply<Simd = W::Simd>>(mut self, _: W, multiply: A) {
        let (words, heads) = (self.head / A::NUMBERS, self.heads);
        assert!(self.length > 0 && self.head.is_multiple_of(HEAD), "a sequence and whole heads");
        assert!(self.row_words >= 3 * heads * words, "queries, keys and values");
        assert!(self.projected.len() >= (self.length + ROWS_BEYOND) * self.row_words, "projected rows");
        for head in 0..heads {
            self.lay_out_keys(multiply, (heads + head) * words);
            let values = (2 * heads + head) * words;
            if A::NUMBERS == 2 {
                self.lay_out_values(values, words);
            }
            for query in (0..self.length).step_by(ROWS) {
                let rows = ROWS.min(self.length - query);
                self.score(multiply, query, head * words);
                let inverses = if rows == ROWS {
                    self.weigh::<_, ROWS>(multiply, 0)
                } else {
                    let mut inverses = [0.0; ROWS];
                    for (row, inverse) in inverses[..rows].iter_mut().enumerate() {
                        [*inverse] = self.weigh::<_, 1>(multiply, row);
                    }
                    inverses
                };
                self.gather(multiply, query, head, values, &inverses[..rows]);
            }
        }
    }
}

impl Attend<'_> {
    /// Numbers of a row of scores.
    #[inline(always)]
    fn keys(&self) -> usize {
        self.length.next_multiple_of(PANEL)
    }

    /// Makes panels of keys: for each group of a head's numbers, the words of 64 tokens.
    #[inline(always)]
    fn lay_out_keys<A: Multiply>(&mut self, multiply: A, from: usize) {
        let (words, row_words) = (self.head / A::NUMBERS, self.row_words);
        for token in (0..self.length).step_by(LANES) {
            for word in (0..words).step_by(LANES) {
                let from = &self.projected[token * row_words + from + word..];
                let to = token / PANEL * PANEL * words + word * PANEL + token % PANEL;
                multiply.simd().transpose(from, row_words, &mut self.buffers.keys.words_mut()[to..], PANEL);
            }
        }
    }

    /// Makes words of two tokens' values each. A last token without a second gets one of zeros.
    #[inline(always)]
    fn lay_out_values(&mut self, from: usize, words: usize) {
        let row_words = self.row_words;
        let pairs = self.buffers.values.words_mut().chunks_exact_mut(self.head);
        for (token, pairs) in (0..self.length).step_by(2).zip(pairs) {
            let first = &self.projected[token * row_words + from..][..words];
            let second = &self.projected[(token + 1) * row_words + from..][..words];
            let keep = if token + 1 < self.length { u32::MAX } else { 0 };
            for ((&first, &second), pairs) in first.iter().zip(second).zip(pairs.as_chunks_mut::<2>().0) {
                let second = second & keep;
                *pairs = [first & 0xffff | second << 16, first >> 16 | second & 0xffff_0000];
            }
        }
    }

    /// Six queries' scores.
    #[inline(always)]
    fn score<A: Multiply>(&mut self, multiply: A, query: usize, from: usize) {
        let words = self.head / A::NUMBERS;
        let row_words = self.row_words;
        let width = self.keys();
        let mut finish = Scores { scores: self.buffers.scores.floats_mut(), width };
        for key in (0..self.length).step_by(PANEL) {
            let sixteens = (self.length - key).div_ceil(LANES).min(PANEL / LANES);
            let operands = Operands {
                rows: self.projected[query * row_words + from..].as_ptr(),
                row_words,
                panel: self.buffers.keys.words()[key * words..].as_ptr(),
                panel_words: PANEL,
                groups: words,
            };
            // SAFETY: rows beyond the sequence's can be read, as `run` asserts; the keys have whole panels (`fit`, and
            // the slice above).
            unsafe { tiles(multiply, operands, sixteens, key, &mut finish) };
        }
    }

    /// Makes weights of `COUNT` rows of scores from `first` on; what each row's weights have to be multiplied by.
    ///
    /// Rows go side by side: within one, everything waits for its largest score, and at the end for the sum.
    #[inline(always)]
    fn weigh<A: Multiply, const COUNT: usize>(&mut self, multiply: A, first: usize) -> [f32; COUNT] {
        let simd = multiply.simd();
        let (width, length) = (self.keys(), self.length);
        let used = length.next_multiple_of(LANES);
        let Buffers { scores, weights, .. } = &mut *self.buffers;
        let scores = &mut scores.floats_mut()[first * width..][..COUNT * width];
        let weights = &mut weights.words_mut()[first * width / 2..][..COUNT * width / 2];
        for row in scores.chunks_exact_mut(width) {
            row[length..used].fill(f32::MIN);
        }
        let mut most = [simd.splat(f32::MIN); COUNT];
        for at in (0..used).step_by(LANES) {
            for (row, most) in most.iter_mut().enumerate() {
                let [lanes] = sixteens(scores, row * width + at);
                *most = simd.max(simd.load(lanes), *most);
            }
        }
        for most in &mut most {
            *most = simd.splat(largest(simd, *most));
        }
        let mut sums = [simd.splat(0.0); COUNT];
        for at in (0..used).step_by(LANES) {
            for row in 0..COUNT {
                let from = row * width + at;
                let [lanes] = sixteens_mut(scores, from);
                let x = simd.sub(simd.load(lanes), most[row]);
                let weight = if A::NUMBERS == 1 { exp2::<_, 5>(simd, x) } else { exp2::<_, 3>(simd, x) };
                sums[row] = simd.add(sums[row], weight);
                if A::NUMBERS == 1 {
                    simd.store(weight, lanes);
                } else {
                    multiply.store(weight, &mut weights[from / A::NUMBERS..][..LANES / A::NUMBERS]);
                }
            }
        }
        let mut inverses = [0.0; COUNT];
        for (inverse, sum) in inverses.iter_mut().zip(sums) {
            *inverse = 1.0 / simd.sum(sum);
        }
        inverses
    }

    /// Adds up the values by their weights, for as many queries as there are inverses of sums.
    #[inline(always)]
    fn gather<A: Multiply>(
        &mut self,
        multiply: A,
        query: usize,
        head: usize,
        values: usize,
        inverses: &[f32],
    ) {
        let width = self.keys();
        let (weights, panel, panel_words) = if A::NUMBERS == 1 {
            (self.buffers.scores.words(), &self.projected[values..], self.row_words)
        } else {
            (self.buffers.weights.words(), self.buffers.values.words(), self.head)
        };
        let (row_words, groups) = (width / A::NUMBERS, self.length.div_ceil(A::NUMBERS));
        assert!(weights.len() >= ROWS * row_words && groups <= row_words, "six rows of weights");
        assert!(panel.len() >= (groups - 1) * panel_words + self.head, "values");
        let mut finish = Gathered { context: self.context, width: self.context_width, query, inverses };
        for column in (0..self.head).step_by(PANEL) {
            let operands = Operands {
                rows: weights.as_ptr(),
                row_words,
                panel: panel[column..].as_ptr(),
                panel_words,
                groups,
            };
            let sixteens = ((self.head - column) / LANES).min(PANEL / LANES);
            // SAFETY: the assertions.
            unsafe { tiles(multiply, operands, sixteens, head * self.head + column, &mut finish) };
        }
    }
}

/// Keeps scores.
struct Scores<'a> {
    scores: &'a mut [f32],
    width: usize,
}

impl<S: Simd> Finish<S> for Scores<'_> {
    #[inline(always)]
    fn finish<const SIXTEENS: usize>(&mut self, simd: S, column: usize, tile: &Tile<S, SIXTEENS>) {
        for (row, tile) in tile.iter().enumerate() {
            let scores = &mut self.scores[row * self.width + column..][..SIXTEENS * LANES];
            for (lanes, &sums) in scores.as_chunks_mut().0.iter_mut().zip(tile) {
                simd.store(sums, lanes);
            }
        }
    }
}

/// Divides by the weights' sums.
struct Gathered<'a> {
    context: &'a mut [f32],
    width: usize,
    query: usize,
    inverses: &'a [f32],
}

impl<S: Simd> Finish<S> for Gathered<'_> {
    #[inline(always)]
    fn finish<const SIXTEENS: usize>(&mut self, simd: S, column: usize, tile: &Tile<S, SIXTEENS>) {
        for (at, tile) in tile.iter().enumerate() {
            if at >= self.inverses.len() {
                break;
            }
            let context = &mut self.context[(self.query + at) * self.width + column..][..SIXTEENS * LANES];
            let inverse = simd.splat(self.inverses[at]);
            for (lanes, &sums) in context.as_chunks_mut().0.iter_mut().zip(tile) {
                simd.store(simd.mul(sums, inverse), lanes);
            }
        }
    }
}
