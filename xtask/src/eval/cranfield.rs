//! Cranfield: 1,400 abstracts of aerodynamics, 225 topics.
//!
//! Traps: a topic's `.I` is not its number in the judgements, which count 1 to 225 in the file's order; there,
//! 1 is the best grade, 4 the least and −1 not relevant; two documents are empty. The published figures take
//! grades 1 to 4 as relevant, all alike.

use std::path::Path;

use anyhow::Context;

use super::collection::{Collection, Document, on_one_line, read_text};
use super::trec::Judgements;

pub(super) const DOCUMENTS: &str = "cran.all.1400";
const TOPICS: &str = "cran.qry";
const JUDGEMENTS: &str = "cranqrel";

pub(super) fn read(folder: &Path) -> anyhow::Result<Collection> {
    Ok(Collection {
        name: "cranfield",
        documents: documents(&read_text(&folder.join(DOCUMENTS))?),
        topics: topics(&read_text(&folder.join(TOPICS))?),
        judgements: judgements(&read_text(&folder.join(JUDGEMENTS))?)?,
    })
}

fn documents(text: &str) -> Vec<Document> {
    let document = |record: Record<'_>| Document {
        id: record.id.to_owned(),
        title: on_one_line(&record.field(".T")),
        text: record.field(".W"),
    };
    records(text).map(document).collect()
}

fn topics(text: &str) -> Vec<(String, String)> {
    (1..)
        .zip(records(text))
        .map(|(number, record): (u32, _)| (number.to_string(), on_one_line(&record.field(".W"))))
        .collect()
}

/// `topic document grade` a line.
fn judgements(text: &str) -> anyhow::Result<Judgements> {
    let mut judgements = Judgements::new();
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let (Some(topic), Some(document), Some(grade)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let grade: i32 = grade.parse().with_context(|| format!("judgement {line:?}"))?;
        let relevant = i32::from((1..=4).contains(&grade));
        judgements.entry(topic.to_owned()).or_default().insert(document.to_owned(), relevant);
    }
    Ok(judgements)
}

/// What lies between one `.I` and the next.
struct Record<'a> {
    id: &'a str,
    lines: Vec<&'a str>,
}

impl Record<'_> {
    /// The lines below the field's mark, up to the next mark.
    fn field(&self, mark: &str) -> String {
        let below = self.lines.iter().skip_while(|line| line.trim_end() != mark).skip(1);
        below.take_while(|line| !is_mark(line)).copied().collect::<Vec<_>>().join("\n")
    }
}

fn is_mark(line: &str) -> bool {
    matches!(line.trim_end(), ".T" | ".A" | ".B" | ".W")
}

fn records(text: &str) -> impl Iterator<Item = Record<'_>> {
    let records = text.split("\n.I ").map(|record| record.strip_prefix(".I ").unwrap_or(record));
    records.filter(|record| !record.trim().is_empty()).map(|record| {
        let mut lines = record.lines();
        Record { id: lines.next().unwrap_or_default().trim(), lines: lines.collect() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_have_a_title_and_a_text_and_may_be_empty() {
        let text = ".I 1\n.T\na wing in\na slipstream .\n.A\nx\n.B\ny\n.W\na wing .\n  more .\n.I 2\n.T\n.A\n.B\n.W\n";
        let (title, body) = ("a wing in a slipstream .", "a wing .\n  more .");
        let expected = [
            Document { id: "1".into(), title: title.into(), text: body.into() },
            Document { id: "2".into(), title: String::new(), text: String::new() },
        ];
        assert_eq!(documents(text), expected);
    }

    #[test]
    fn topics_are_numbered_in_the_order_of_the_file() {
        let text = ".I 001\n.W\nwhat laws\nhold .\n.I 004\n.W\nwhat heat .\n";
        let expected = [("1".to_owned(), "what laws hold .".to_owned()), ("2".into(), "what heat .".into())];
        assert_eq!(topics(text), expected);
    }

    #[test]
    fn grades_one_to_four_are_relevant_and_minus_one_is_not() {
        let judged = judgements("1 184 2 \n1 486 -1\n2 12 1 \n2 13 4\n").unwrap();
        assert_eq!((judged["1"]["184"], judged["1"]["486"]), (1, 0));
        assert_eq!((judged["2"]["12"], judged["2"]["13"]), (1, 1));
    }
}
