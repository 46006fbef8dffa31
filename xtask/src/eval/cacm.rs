//! CACM: 3,204 titles and abstracts from the Communications of the ACM as HTML, 64 topics of which 52 are judged.
//!
//! Traps: the files are named `CACM-0756` where 55 judgements say `CACM-756`; the title is the text's first
//! paragraph, without a tag of its own; documents end in tables of citation numbers.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use super::collection::{Collection, Document, on_one_line, read_text};
use super::trec::{self, Judgements};

pub(super) const DOCUMENTS: &str = "cacm.tar.gz";
const TOPICS: &str = "topics.txt";
const JUDGEMENTS: &str = "qrels.txt";

pub(super) fn read(folder: &Path) -> anyhow::Result<Collection> {
    Ok(Collection {
        name: "cacm",
        documents: documents(&folder.join(DOCUMENTS))?,
        topics: topics(&read_text(&folder.join(TOPICS))?)?,
        judgements: judgements(&read_text(&folder.join(JUDGEMENTS))?)?,
    })
}

/// Unpacks with the machine's own `tar`: a crate for this one archive would be compiled by everybody.
fn documents(archive: &Path) -> anyhow::Result<Vec<Document>> {
    let folder = tempfile::tempdir()?;
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(archive).arg("-C").arg(folder.path());
    if !tar.status().context("starting tar")?.success() {
        bail!("tar could not unpack {}", archive.display());
    }
    let mut documents = Vec::new();
    for file in std::fs::read_dir(folder.path())? {
        let file = file?.path();
        let id = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        documents.push(document(id, &read_text(&file)?));
    }
    documents.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(documents)
}

fn document(id: String, html: &str) -> Document {
    let text = html.split_once("<pre>").map_or(html, |(_, text)| text);
    let text = text.split_once("</pre>").map_or(text, |(text, _)| text);
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").trim().to_owned();
    let title = text.split("\n\n").next().map(on_one_line).unwrap_or_default();
    Document { id, title, text }
}

/// `<DOC>`, its number in `<DOCNO>`, what it asks.
fn topics(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let topic = |record: &str| {
        let (number, rest) = record.split_once("</DOCNO>")?;
        let number = number.split_once("<DOCNO>")?.1.trim();
        Some((number.to_owned(), on_one_line(rest.split_once("</DOC>")?.0)))
    };
    let records = text.split("<DOC>").skip(1);
    records.map(|record| topic(record).with_context(|| format!("topic {record:?}"))).collect()
}

fn judgements(text: &str) -> anyhow::Result<Judgements> {
    let judgements = trec::judgements(text)?;
    let named = |judged: std::collections::BTreeMap<String, i32>| {
        judged.into_iter().map(|(document, grade)| (four_digits(&document), grade)).collect()
    };
    Ok(judgements.into_iter().map(|(topic, judged)| (topic, named(judged))).collect())
}

/// `CACM-756` is the file `CACM-0756`.
fn four_digits(document: &str) -> String {
    match document.split_once('-') {
        Some((name, number)) => format!("{name}-{number:0>4}"),
        None => document.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_paragraph_is_the_title_too() {
        let html =
            "<html>\n<pre>\n\n\nA Title\nOn Two Lines\n\nBody &lt; text.\n\n1\t5\t2\n\n</pre>\n</html>\n";
        let found = document("CACM-0001".into(), html);
        assert_eq!(found.title, "A Title On Two Lines");
        assert_eq!(found.text, "A Title\nOn Two Lines\n\nBody < text.\n\n1\t5\t2");
    }

    #[test]
    fn topics_keep_their_numbers() {
        let text =
            "<DOC>\n<DOCNO> 1 </DOCNO>\n\n What of\nTSS?\n\n </DOC>\n<DOC>\n<DOCNO> 3 </DOCNO>\n X </DOC>\n";
        let expected = [("1".to_owned(), "What of TSS?".to_owned()), ("3".into(), "X".into())];
        assert_eq!(topics(text).unwrap(), expected);
    }

    #[test]
    fn judgements_name_the_files_that_there_are() {
        let judged = judgements("1 Q0 CACM-756 1\n1 Q0 CACM-1410 1\n").unwrap();
        assert_eq!(judged["1"].keys().collect::<Vec<_>>(), ["CACM-0756", "CACM-1410"]);
    }
}
