//! A reading for the `metrics` facade: whatever recorder the program installed gets it. Call it as often as the
//! recorder is scraped; nothing here keeps time.

use super::{ComputeMetrics, Histogram};
use metrics::{counter, gauge};

/// Which quantiles are exported, and under which label.
const QUANTILES: [(f64, &str); 3] = [(0.5, "0.5"), (0.99, "0.99"), (0.999, "0.999")];

impl ComputeMetrics {
    /// Hands this reading to the installed recorder, labelled with the pool's name. Counters are absolute; durations
    /// are in seconds, as `_sum` and `_count` counters and as quantile gauges.
    pub fn export(&self, pool: &str) {
        let count = |name: &'static str, value| counter!(name, "pool" => pool.to_owned()).absolute(value);
        count("quipu_compute_jobs_completed", self.completed);
        count("quipu_compute_jobs_panicked", self.panicked);
        count("quipu_compute_jobs_cancelled", self.cancelled);
        count("quipu_compute_jobs_slow", self.slow);
        // Casts: counts of threads and jobs are far below 2^52.
        #[allow(clippy::cast_precision_loss)]
        let level =
            |name: &'static str, value: usize| gauge!(name, "pool" => pool.to_owned()).set(value as f64);
        level("quipu_compute_threads", self.threads);
        level("quipu_compute_jobs_queued", self.queued);
        level("quipu_compute_jobs_active", self.active);
        export_histogram("quipu_compute_wait", pool, &self.wait);
        export_histogram("quipu_compute_run", pool, &self.run);
    }
}

fn export_histogram(name: &str, pool: &str, histogram: &Histogram) {
    for (quantile, label) in QUANTILES {
        let name = format!("{name}_seconds");
        let seconds = histogram.quantile(quantile).as_secs_f64();
        gauge!(name, "pool" => pool.to_owned(), "quantile" => label).set(seconds);
    }
    counter!(format!("{name}_seconds_count"), "pool" => pool.to_owned()).absolute(histogram.count());
    gauge!(format!("{name}_seconds_sum"), "pool" => pool.to_owned()).set(histogram.sum().as_secs_f64());
}
