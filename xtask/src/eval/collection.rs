//! A test collection in memory: documents, topics, judgements, whatever its files look like.

use std::path::Path;

use anyhow::{Context, bail};

use super::trec::Judgements;
use super::{cacm, cranfield};

/// A test collection.
pub(crate) struct Collection {
    pub(crate) name: &'static str,
    pub(crate) documents: Vec<Document>,
    /// Topic and what it asks.
    pub(crate) topics: Vec<(String, String)>,
    pub(crate) judgements: Judgements,
}

/// One of its documents.
#[derive(Debug, PartialEq)]
pub(crate) struct Document {
    /// As the judgements name it.
    pub(crate) id: String,
    pub(crate) title: String,
    /// All of its text, the title included where the collection repeats it there.
    pub(crate) text: String,
}

impl Collection {
    /// Reads the collection in `folder`; what it is, its files' names say.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let has = |name: &str| folder.join(name).exists();
        match () {
            () if has(cranfield::DOCUMENTS) => cranfield::read(folder),
            () if has(cacm::DOCUMENTS) => cacm::read(folder),
            () => bail!(
                "{} holds no collection that is known: neither {} nor {}",
                folder.display(),
                cranfield::DOCUMENTS,
                cacm::DOCUMENTS
            ),
        }
    }
}

/// Reads a file of the collection, in whatever 8-bit encoding it is.
pub(super) fn read_text(file: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The words on one line.
pub(super) fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
