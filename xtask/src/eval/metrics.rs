//! How good a run is: nDCG@10, MAP, P@30, R@100, as trec_eval defines them and `pytrec_eval` computes them.
//!
//! Their rules, which differ from what one would guess: documents are sorted by score as a 32-bit float, ties by
//! document *descending*; a gain is the grade itself; P@30 divides by 30 however few were found; the mean runs
//! over the topics that are both judged and answered.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;

use super::trec::{Judgements, Run};

/// The figures of a run, means over its topics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Metrics {
    /// Topics both judged and answered.
    pub(crate) topics: usize,
    #[serde(rename = "ndcg_cut_10")]
    pub(crate) ndcg_at_10: f64,
    pub(crate) map: f64,
    #[serde(rename = "P_30")]
    pub(crate) precision_at_30: f64,
    #[serde(rename = "recall_100")]
    pub(crate) recall_at_100: f64,
}

/// Judges a run.
pub(crate) fn measure(run: &Run, judgements: &Judgements) -> Metrics {
    let judged =
        run.topics.iter().filter_map(|(topic, found)| Some(measure_topic(found, judgements.get(topic)?)));
    let mut total = judged.fold(Metrics::default(), |total, topic| Metrics {
        topics: total.topics + topic.topics,
        ndcg_at_10: total.ndcg_at_10 + topic.ndcg_at_10,
        map: total.map + topic.map,
        precision_at_30: total.precision_at_30 + topic.precision_at_30,
        recall_at_100: total.recall_at_100 + topic.recall_at_100,
    });
    let count = total.topics.max(1) as f64;
    total.ndcg_at_10 /= count;
    total.map /= count;
    total.precision_at_30 /= count;
    total.recall_at_100 /= count;
    total
}

fn measure_topic(found: &[(String, f32)], judged: &BTreeMap<String, i32>) -> Metrics {
    let mut order: Vec<&(String, f32)> = found.iter().collect();
    order.sort_by(|a, b| descending(a.1, b.1).then_with(|| b.0.cmp(&a.0)));
    let grades: Vec<i32> =
        order.iter().map(|(document, _)| judged.get(document).copied().unwrap_or(0)).collect();
    let relevant = judged.values().filter(|&&grade| grade > 0).count();
    Metrics {
        topics: 1,
        ndcg_at_10: ndcg(&grades, judged, 10),
        map: average_precision(&grades, relevant),
        precision_at_30: relevant_within(&grades, 30) / 30.0,
        recall_at_100: share(relevant_within(&grades, 100), relevant as f64),
    }
}

fn descending(a: f32, b: f32) -> Ordering {
    b.total_cmp(&a)
}

fn ndcg(grades: &[i32], judged: &BTreeMap<String, i32>, depth: usize) -> f64 {
    let mut ideal: Vec<i32> = judged.values().copied().collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    share(gain(grades, depth), gain(&ideal, depth))
}

/// Σ grade / log₂(rank + 1).
fn gain(grades: &[i32], depth: usize) -> f64 {
    let ranked = (1_u32..).zip(grades.iter().take(depth));
    ranked.map(|(rank, &grade)| f64::from(grade.max(0)) / f64::from(rank + 1).log2()).sum()
}

/// The precision at each relevant document, over all that are relevant.
fn average_precision(grades: &[i32], relevant: usize) -> f64 {
    let mut seen = 0.0;
    let mut sum = 0.0;
    for (rank, _) in (1_u32..).zip(grades).filter(|(_, grade)| **grade > 0) {
        seen += 1.0;
        sum += seen / f64::from(rank);
    }
    share(sum, relevant as f64)
}

fn relevant_within(grades: &[i32], depth: usize) -> f64 {
    grades.iter().take(depth).filter(|&&grade| grade > 0).count() as f64
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::trec::judgements;
    use super::*;

    /// Made by `fixture/make.py` with pytrec_eval: ties, grades, a topic without a relevant document, topics
    /// that are only judged or only answered.
    #[test]
    fn equals_pytrec_eval() {
        let run = Run::from_text(include_str!("fixture/run.txt")).unwrap();
        let judged = judgements(include_str!("fixture/qrels.txt")).unwrap();
        let expected: serde_json::Value =
            serde_json::from_str(include_str!("fixture/expected.json")).unwrap();
        let found = measure(&run, &judged);
        assert_eq!(expected["topics"], found.topics);
        same(&found, &expected["mean"]);
        for (topic, expected) in expected["by_topic"].as_object().unwrap() {
            same(&measure_topic(&run.topics[topic], &judged[topic]), expected);
        }
    }

    fn same(found: &Metrics, expected: &serde_json::Value) {
        let found = serde_json::to_value(found).unwrap();
        for (name, value) in expected.as_object().unwrap() {
            let difference = found[name].as_f64().unwrap() - value.as_f64().unwrap();
            assert!(difference.abs() < 1e-12, "{name}: {} instead of {value}", found[name]);
        }
    }

    #[test]
    fn a_run_keeps_the_order_that_it_was_given() {
        let mut run = Run::default();
        run.add("1", vec!["b".into(), "a".into(), "c".into()]);
        assert_eq!(run.to_text("x"), "1 Q0 b 1 3 x\n1 Q0 a 2 2 x\n1 Q0 c 3 1 x\n");
        let judged = judgements("1 0 b 1\n").unwrap();
        assert_eq!(measure(&run, &judged).map, 1.0);
    }
}
