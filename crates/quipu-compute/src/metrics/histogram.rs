//! Durations by size: four buckets an octave, from a nanosecond to eighteen minutes. [`Recorder`] is written by one
//! thread, [`Histogram`] is a reading.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets: four for each power of two up to 2^41 ns; what is longer counts in the last.
const BUCKETS: usize = 160;

/// Counts of one worker. Only that worker writes, so it needs no read-modify-write.
pub(super) struct Recorder {
    counts: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; BUCKETS], sum_ns: AtomicU64::new(0) }
    }
}

impl Recorder {
    pub(super) fn record(&self, span: Duration) {
        let ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        add(&self.counts[bucket(ns)], 1);
        add(&self.sum_ns, ns);
    }
}

/// Adds to a counter that this thread alone writes.
pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

/// How long things took, as counts by size: a quantile is right to a quarter of an octave.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    sum_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum_ns: 0 }
    }
}

impl Histogram {
    /// How many durations were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// Their mean; zero if there are none.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.checked_div(self.count()).unwrap_or(0))
    }

    /// The least duration that the share `quantile` (0.0 to 1.0) of them does not exceed, rounded up to the end of its
    /// bucket; zero if there are none.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Duration {
        // Casts: a rank is far below 2^52, and the share is clamped first.
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rank = ((self.count() as f64 * quantile.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        for (end, count) in self.buckets() {
            seen += count;
            if seen >= rank {
                return end;
            }
        }
        Duration::ZERO
    }

    /// The non-empty buckets from short to long: the end of each, inclusive, and its count.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(|(index, &count)| (Duration::from_nanos(bucket_end(index)), count))
    }

    pub(super) fn add(&mut self, recorder: &Recorder) {
        for (sum, count) in self.counts.iter_mut().zip(&recorder.counts) {
            *sum += count.load(Relaxed);
        }
        self.sum_ns = self.sum_ns.wrapping_add(recorder.sum_ns.load(Relaxed));
    }

    pub(super) fn since(mut self, baseline: &Self) -> Self {
        for (count, before) in self.counts.iter_mut().zip(&baseline.counts) {
            *count = count.saturating_sub(*before);
        }
        self.sum_ns = self.sum_ns.saturating_sub(baseline.sum_ns);
        self
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.buckets()).finish()
    }
}

impl std::fmt::Display for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [half, most, nearly] = [0.5, 0.99, 0.999].map(|quantile| self.quantile(quantile));
        write!(f, "mean {:.1?}, p50 {half:.1?}, p99 {most:.1?}, p99.9 {nearly:.1?}", self.mean())
    }
}

fn bucket(ns: u64) -> usize {
    let octave = ns.checked_ilog2().unwrap_or(0) as usize;
    if octave < 2 {
        return usize::from(ns as u8);
    }
    let quarter = (ns >> (octave - 2)) & 3;
    ((octave - 1) * 4 + usize::from(quarter as u8)).min(BUCKETS - 1)
}

/// The largest duration in a bucket, in nanoseconds.
fn bucket_end(index: usize) -> u64 {
    if index < 4 {
        return index as u64;
    }
    let (octave, quarter) = (index / 4 + 1, index as u64 % 4);
    ((5 + quarter) << (octave - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_lies_in_its_bucket() {
        let spans = (0..5000u64)
            .chain((0..40).flat_map(|octave| [(1 << octave) - 1, 1 << octave, (3 << octave) / 2]));
        for ns in spans {
            let index = bucket(ns);
            assert!(ns <= bucket_end(index), "{ns} in {index}");
            assert!(index == 0 || ns > bucket_end(index - 1), "{ns} in {index}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_and_mean() {
        let recorder = Recorder::default();
        (1..=100).for_each(|ms| recorder.record(Duration::from_millis(ms)));
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(0.5), histogram.mean()), (Duration::ZERO, Duration::ZERO));
        histogram.add(&recorder);
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.mean(), Duration::from_micros(50_500));
        let half = histogram.quantile(0.5).as_millis();
        assert!((50..=63).contains(&half), "{half}");
        assert!(histogram.quantile(1.0) >= Duration::from_millis(100));
    }
}
