//! Units into chunks: where to cut, decided from token counts and the quality of each place alone.
//!
//! Sections (from heading to heading) are cut into parts of nearly equal length, at the best place near the
//! wanted one, so that no chunk is a left-over of three words. Small sections that follow one another share a
//! chunk as long as it stays below half of the model's length.

use std::ops::Range;

use super::CHUNK_BYTES_MAX;
use super::units::{Break, Unit};

/// Groups `units` into chunks of at most `budget` tokens and [`CHUNK_BYTES_MAX`] bytes; ranges of indices.
pub(super) fn pack(units: &[Unit], budget: usize) -> Vec<Range<usize>> {
    let packer = Packer::new(units, budget);
    let mut chunks = Vec::new();
    for section in packer.sections() {
        packer.cut_section(section, &mut chunks);
    }
    chunks
}

struct Packer<'a> {
    units: &'a [Unit],
    /// `sums[i]`: tokens in the units before `i`.
    sums: Vec<usize>,
    budget: usize,
}

impl<'a> Packer<'a> {
    fn new(units: &'a [Unit], budget: usize) -> Self {
        let sums = std::iter::once(0)
            .chain(units.iter().scan(0, |sum, unit| {
                *sum += unit.tokens.len();
                Some(*sum)
            }))
            .collect();
        Self { units, sums, budget }
    }

    fn tokens(&self, part: &Range<usize>) -> usize {
        self.sums[part.end] - self.sums[part.start]
    }

    fn bytes(&self, part: &Range<usize>) -> usize {
        self.units[part.end - 1].range.end - self.units[part.start].range.start
    }

    fn fits(&self, part: &Range<usize>) -> bool {
        self.tokens(part) <= self.budget && self.bytes(part) <= CHUNK_BYTES_MAX
    }

    /// From heading to heading (in code: from item to item), small neighbours joined.
    fn sections(&self) -> Vec<Range<usize>> {
        let mut sections: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        for end in 1..=self.units.len() {
            if end < self.units.len() && self.units[end].starts < Break::Item {
                continue;
            }
            let joined = sections.last().map(|last| last.start..end);
            match joined.filter(|joined| self.tokens(joined) <= self.budget / 2 && self.fits(joined)) {
                Some(joined) => *sections.last_mut().expect("a section to join") = joined,
                None => sections.push(start..end),
            }
            start = end;
        }
        sections
    }

    /// Cuts one section into as few chunks as hold it, of nearly equal length.
    fn cut_section(&self, mut rest: Range<usize>, chunks: &mut Vec<Range<usize>>) {
        while !self.fits(&rest) {
            let parts =
                self.tokens(&rest).div_ceil(self.budget).max(self.bytes(&rest).div_ceil(CHUNK_BYTES_MAX));
            let cut = self.best_cut(&rest, self.tokens(&rest).div_ceil(parts.max(1)));
            chunks.push(rest.start..cut);
            rest.start = cut;
        }
        if !rest.is_empty() {
            chunks.push(rest);
        }
    }

    /// The best place to end a chunk that begins at `rest.start` and should have about `target` tokens: the
    /// strongest break between two thirds of the target and the budget, of equals the one nearest to it.
    fn best_cut(&self, rest: &Range<usize>, target: usize) -> usize {
        let first = rest.start;
        (first + 1..rest.end)
            .take_while(|&cut| cut == first + 1 || self.fits(&(first..cut)))
            .max_by_key(|&cut| {
                let tokens = self.tokens(&(first..cut));
                let wide_enough = tokens * 3 >= target * 2;
                (wide_enough, self.units[cut].starts, std::cmp::Reverse(tokens.abs_diff(target)))
            })
            .unwrap_or(rest.end)
    }
}
