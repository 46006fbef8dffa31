//! What a searcher sees of an answer, and how programs read it.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::ser::{Serialize, SerializeSeq, Serializer};

use super::error::SearchError;
use super::question::Question;
use super::snippet::{Snippet, cut};
use crate::store::{ChunkId, HitRow};

/// An answer. Serialised, it is the document that `search --json` prints.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Results {
    /// Best first, one for each document.
    pub hits: Vec<Hit>,
    /// Milliseconds, without the query's own embedding.
    pub took_ms: f64,
    /// Milliseconds to embed the query; 0 where it was not needed or not done here.
    pub embedding_ms: f64,
}

/// The best chunk of one document.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Hit {
    /// Higher is better; comparable within one answer only.
    pub score: f64,
    /// Where the document lies.
    pub path: String,
    /// As the document says.
    pub title: Option<String>,
    /// The part of the chunk that shows why.
    pub snippet: Snippet,
    /// Bytes of the document's extracted text.
    #[serde(serialize_with = "pair")]
    pub range: Range<u64>,
    /// First and last line in the file, from 1, where the text is the file.
    pub lines: Option<(u32, u32)>,
    /// From 1, where the format has pages.
    pub page: Option<u32>,
    /// `"A > B"`.
    pub heading: Option<String>,
    /// What else is known of the document: format, mime, size, author, language, pages and what the file says.
    pub metadata: BTreeMap<String, String>,
}

/// Reads and cuts what is shown of the chunks found.
pub(super) fn show(question: &Question<'_>, found: &[(ChunkId, f64)]) -> Result<Vec<Hit>, SearchError> {
    let mut hits = Vec::with_capacity(found.len());
    for &(chunk, score) in found {
        if let Some(row) = question.snapshot.hit(chunk)? {
            hits.push(hit(question, score, row));
        }
    }
    Ok(hits)
}

fn hit(question: &Question<'_>, score: f64, row: HitRow) -> Hit {
    Hit {
        score,
        snippet: cut(&row.text, &question.asked),
        metadata: metadata(&row),
        path: row.path,
        title: row.title,
        range: row.range,
        lines: row.lines,
        page: row.page,
        heading: row.heading,
    }
}

/// The columns that every document has win over what a file says of itself.
fn metadata(row: &HitRow) -> BTreeMap<String, String> {
    let columns = [
        ("format", Some(row.format.clone())),
        ("mime", Some(row.mime.clone())),
        ("size", Some(row.size.to_string())),
        ("author", row.author.clone()),
        ("language", row.language.clone()),
        ("pages", row.pages.map(|pages| pages.to_string())),
    ];
    let mut metadata = row.metadata.clone();
    metadata.extend(columns.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    metadata
}

fn pair<S: Serializer>(range: &Range<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut pair = serializer.serialize_seq(Some(2))?;
    pair.serialize_element(&range.start)?;
    pair.serialize_element(&range.end)?;
    pair.end()
}

/// Programs get the text with matches between `**`.
impl Serialize for Snippet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.marked("**", "**"))
    }
}
