//! Runs and judgements in TREC's text formats: what every tool of the field reads.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, bail};

/// Graded judgements: topic → document → grade. Above 0 is relevant.
pub(crate) type Judgements = BTreeMap<String, BTreeMap<String, i32>>;

/// What a search answered: topic → documents with their scores, best first.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) topics: BTreeMap<String, Vec<(String, f32)>>,
}

impl Run {
    /// Adds a topic's documents, best first.
    ///
    /// What is written as the score is the number of documents from here to the end: readers sort by score and
    /// break ties by document, so equal or nearly equal scores would not keep our order.
    pub(crate) fn add(&mut self, topic: &str, documents: Vec<String>) {
        let count = documents.len();
        let scored =
            documents.into_iter().enumerate().map(|(rank, document)| (document, (count - rank) as f32));
        self.topics.insert(topic.to_owned(), scored.collect());
    }

    /// `topic Q0 document rank score tag`, a line for each document.
    pub(crate) fn to_text(&self, tag: &str) -> String {
        let mut text = String::new();
        for (topic, documents) in &self.topics {
            for (rank, (document, score)) in (1..).zip(documents) {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{topic} Q0 {document} {rank} {score} {tag}");
            }
        }
        text
    }

    /// Reads what [`Run::to_text`] wrote; the order of lines does not matter to [`super::metrics`].
    #[cfg(test)]
    pub(crate) fn from_text(text: &str) -> anyhow::Result<Self> {
        let mut run = Self::default();
        for line in text.lines() {
            let [topic, _, document, _, score, _] = fields(line)?;
            let documents = run.topics.entry(topic.to_owned()).or_default();
            documents.push((document.to_owned(), score.parse().with_context(|| line.to_owned())?));
        }
        Ok(run)
    }
}

/// Reads judgements: `topic iteration document grade` a line.
pub(crate) fn judgements(text: &str) -> anyhow::Result<Judgements> {
    let mut judgements = Judgements::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let [topic, _, document, grade] = fields(line)?;
        let grade = grade.parse().with_context(|| format!("judgement {line:?}"))?;
        judgements.entry(topic.to_owned()).or_default().insert(document.to_owned(), grade);
    }
    Ok(judgements)
}

fn fields<const COUNT: usize>(line: &str) -> anyhow::Result<[&str; COUNT]> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let Ok(fields) = fields.try_into() else { bail!("expected {COUNT} fields in {line:?}") };
    Ok(fields)
}
