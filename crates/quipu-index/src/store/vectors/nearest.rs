//! The best few of many candidates, in bounded memory.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::scan::Candidate;

/// Keeps the `limit` best candidates offered, best first in the end; equal scores go to the lower chunk.
#[derive(Debug)]
pub(super) struct Nearest {
    limit: usize,
    /// The worst kept lies on top.
    kept: BinaryHeap<Reverse<Ranked>>,
}

impl Nearest {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, kept: BinaryHeap::new() }
    }

    /// What a candidate has to exceed or equal to be kept: checked by the scan before anything is built.
    pub(super) fn threshold(&self) -> f32 {
        match self.kept.peek() {
            _ if self.kept.len() < self.limit => f32::NEG_INFINITY,
            Some(Reverse(Ranked(worst))) => worst.score,
            None => f32::INFINITY,
        }
    }

    pub(super) fn offer(&mut self, candidate: Candidate) {
        if self.kept.len() < self.limit {
            self.kept.push(Reverse(Ranked(candidate)));
        } else if let Some(mut worst) = self.kept.peek_mut()
            && Ranked(candidate) > worst.0
        {
            *worst = Reverse(Ranked(candidate));
        }
    }

    pub(super) fn into_best_first(self) -> Vec<Candidate> {
        self.kept.into_sorted_vec().into_iter().map(|Reverse(Ranked(candidate))| candidate).collect()
    }
}

/// A candidate in its total order: greater is better.
#[derive(Debug, Clone, Copy)]
struct Ranked(Candidate);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.score.total_cmp(&other.0.score).then(other.0.chunk.cmp(&self.0.chunk))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keeps_what_sorting_everything_would(scores in proptest::collection::vec(0_u8..20, 0..60), limit in 0_usize..20) {
            let all: Vec<Candidate> = (0..).zip(&scores).map(|(chunk, &s)| Candidate { chunk, score: f32::from(s) }).collect();
            let mut nearest = Nearest::new(limit);
            all.iter().filter(|c| c.score >= nearest.threshold()).copied().collect::<Vec<_>>().into_iter().for_each(|c| nearest.offer(c));
            let mut sorted = all;
            sorted.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.chunk.cmp(&b.chunk)));
            sorted.truncate(limit);
            prop_assert_eq!(nearest.into_best_first(), sorted);
        }
    }
}
