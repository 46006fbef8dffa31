//! What extraction yields ([`Extracted`]) and what it may cost ([`Limits`]).
//!
//! Offsets are bytes into [`Extracted::text`]; they always lie on character boundaries and ascend.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ExtractError, Format};

/// A document's text with its structure and metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    /// What the bytes were.
    pub format: Format,
    /// The text: UTF-8, lines end in `\n`, no NULs, no other control characters but tabs.
    pub text: String,
    /// The title that the document gives itself.
    pub title: Option<String>,
    /// Its author, as the document names them.
    pub author: Option<String>,
    /// The natural language that the document declares (a BCP 47 tag such as `en` or `de-AT`); never guessed.
    pub language: Option<String>,
    /// Byte offset in `text` at which page *i* + 1 starts; empty if the format has no pages.
    pub pages: Vec<usize>,
    /// Headings in the order of the text.
    pub headings: Vec<Heading>,
    /// Whether `text` is the file's own text, so that line numbers in it are line numbers in the file.
    pub text_is_file: bool,
    /// Further fields by name: `tags`, `description`, `created`, `encoding`, …
    pub metadata: BTreeMap<String, String>,
}

/// A heading and where it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// Byte offset in the text at which the heading's line starts (or its page, where only that is known).
    pub offset: usize,
    /// Depth, 1 the highest, at most [`Heading::LEVEL_MAX`].
    pub level: u8,
    /// Its words, on one line.
    pub text: String,
}

/// What one extraction may cost. Past a limit it ends in [`ExtractError::TooLarge`], which names the limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most bytes of extracted text.
    pub text_bytes_max: usize,
    /// Most headings kept; further ones stay text only.
    pub headings_max: usize,
    /// Most pages of a pdf.
    pub pages_max: usize,
    /// Longest time that the HTML tokenizer may take. It is linear except for absurd tags, and runs in the process.
    pub html_time_max: Duration,
    /// Most entries of a zip container.
    pub zip_entries_max: usize,
    /// Most bytes that one entry of a zip container may unpack to.
    pub zip_entry_bytes_max: u64,
    /// Most bytes that all entries read from one container may unpack to.
    pub zip_bytes_max: u64,
    /// Most bytes that a byte of a zip entry may unpack to, counted from `zip_ratio_from_bytes` on.
    pub zip_ratio_max: u64,
    /// Entries that unpack to less are not judged by their ratio: small XML is often very repetitive.
    pub zip_ratio_from_bytes: u64,
    /// Deepest nesting of XML elements.
    pub xml_depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Limits {
            text_bytes_max: 256 << 20,
            headings_max: 10_000,
            pages_max: 50_000,
            html_time_max: Duration::from_secs(30),
            zip_entries_max: 10_000,
            zip_entry_bytes_max: 256 * MIB,
            zip_bytes_max: 512 * MIB,
            zip_ratio_max: 200,
            zip_ratio_from_bytes: 4 * MIB,
            xml_depth_max: 512,
        }
    }
}

impl Limits {
    pub(crate) fn check_text(&self, bytes: usize) -> Result<(), ExtractError> {
        if bytes > self.text_bytes_max {
            return Err(ExtractError::too_large("text_bytes_max", self.text_bytes_max as u64));
        }
        Ok(())
    }
}

impl Extracted {
    /// A document of nothing but text.
    pub(crate) fn new(format: Format, text: String) -> Self {
        Extracted {
            format,
            text,
            title: None,
            author: None,
            language: None,
            pages: Vec::new(),
            headings: Vec::new(),
            text_is_file: false,
            metadata: BTreeMap::new(),
        }
    }

    /// Bytes on the heap that this document holds (what a memory budget counts).
    pub fn heap_bytes(&self) -> usize {
        let option = |value: &Option<String>| value.as_ref().map_or(0, String::capacity);
        let headings: usize = self.headings.iter().map(|heading| heading.text.capacity()).sum();
        let metadata: usize =
            self.metadata.iter().map(|(key, value)| key.capacity() + value.capacity() + ENTRY_BYTES).sum();
        self.text.capacity()
            + option(&self.title)
            + option(&self.author)
            + option(&self.language)
            + self.pages.capacity() * size_of::<usize>()
            + self.headings.capacity() * size_of::<Heading>()
            + headings
            + metadata
    }

    /// Notes a field unless its value is blank; long values are cut to [`FIELD_BYTES_MAX`].
    pub(crate) fn note(&mut self, name: &str, value: &str) {
        if let Some(value) = one_line(value, FIELD_BYTES_MAX) {
            self.metadata.insert(name.to_owned(), value);
        }
    }
}

impl Heading {
    /// The deepest level; deeper headings count as this one.
    pub const LEVEL_MAX: u8 = 9;
    /// Longest heading text kept, in bytes.
    pub(crate) const TEXT_BYTES_MAX: usize = 500;

    /// A heading, unless its text is blank.
    pub(crate) fn new(offset: usize, level: usize, text: &str) -> Option<Self> {
        let text = one_line(text, Self::TEXT_BYTES_MAX)?;
        let level = level.clamp(1, usize::from(Self::LEVEL_MAX)) as u8;
        Some(Heading { offset, level, text })
    }
}

/// Longest metadata value kept, in bytes: metadata describes a document, it is no second text.
pub(crate) const FIELD_BYTES_MAX: usize = 4096;

/// What an entry of a `BTreeMap<String, String>` weighs beside its strings, about.
const ENTRY_BYTES: usize = 64;

/// The words of `value` on one line, cut at a character boundary; nothing if it is blank.
pub(crate) fn one_line(value: &str, bytes_max: usize) -> Option<String> {
    let mut line = String::new();
    for word in value.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > bytes_max {
            line.truncate(line.floor_char_boundary(bytes_max));
            break;
        }
    }
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_joins_words_and_cuts_at_a_character() {
        assert_eq!(one_line(" a \n b\u{0}c ", 100).as_deref(), Some("a b c"));
        assert_eq!(one_line("\u{0} \n", 100), None);
        assert_eq!(one_line("ééé", 3).as_deref(), Some("é"));
    }

    #[test]
    fn heap_bytes_counts_every_part() {
        let mut extracted = Extracted::new(Format::Text, String::from("text"));
        let bare = extracted.heap_bytes();
        extracted.note("tags", "a b");
        extracted.headings.extend(Heading::new(0, 1, "heading"));
        assert!(extracted.heap_bytes() > bare + "tags".len() + size_of::<Heading>());
    }
}
