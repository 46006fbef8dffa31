//! A reading reaches the recorder that the program installed.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used)]

mod support;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

type Values = Arc<Mutex<BTreeMap<String, f64>>>;

#[derive(Default)]
struct Book(Values);

struct Line(Values, String);

impl Line {
    fn set(&self, value: f64) {
        self.0.lock().unwrap().insert(self.1.clone(), value);
    }
}

impl CounterFn for Line {
    fn increment(&self, _: u64) {
        unreachable!("counters are absolute");
    }
    fn absolute(&self, value: u64) {
        self.set(value as f64);
    }
}

impl GaugeFn for Line {
    fn increment(&self, _: f64) {
        unreachable!("gauges are set");
    }
    fn decrement(&self, _: f64) {
        unreachable!("gauges are set");
    }
    fn set(&self, value: f64) {
        Line::set(self, value);
    }
}

impl Book {
    fn line(&self, key: &Key) -> Arc<Line> {
        let labels: Vec<String> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Line(self.0.clone(), format!("{}{{{}}}", key.name(), labels.join(","))))
    }
}

impl Recorder for Book {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.line(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.line(key))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_reading_reaches_the_recorder() {
    let pool = support::pool(2);
    for _ in 0..3 {
        pool.execute(|| ()).wait().unwrap();
    }
    let book = Book::default();
    metrics::with_local_recorder(&book, || pool.metrics().export("embed"));
    let values = book.0.lock().unwrap();
    assert_eq!(values["quipu_compute_jobs_completed{pool=embed}"], 3.0);
    assert_eq!(values["quipu_compute_threads{pool=embed}"], 2.0);
    assert_eq!(values["quipu_compute_wait_seconds_count{pool=embed}"], 3.0);
    assert!(values["quipu_compute_run_seconds{pool=embed,quantile=0.99}"] > 0.0);
    assert!(values.contains_key("quipu_compute_run_seconds_sum{pool=embed}"));
}
