//! Which kind of zip container: told by the names of its entries, which lie uncompressed in the headers.
//!
//! The archive is not opened: a truncated docx must still be known as one, so that its error can say so.

use super::{ends, find};
use crate::Format;

/// Where a local file header keeps its entry's name, and its signature.
const LOCAL_HEADER: (&[u8], usize) = (b"PK\x03\x04", 30);
/// The same for the central directory.
const CENTRAL_HEADER: (&[u8], usize) = (b"PK\x01\x02", 46);

/// Beginnings of entry names, and what they give away. The first match counts.
const ENTRIES: &[(&str, Format)] = &[
    ("word/document", Format::Docx),
    ("xl/workbook", Format::Other("xlsx")),
    ("ppt/presentation", Format::Other("pptx")),
    ("META-INF/container.xml", Format::Other("epub")),
    ("visio/document", Format::Other("vsdx")),
    ("META-INF/MANIFEST.MF", Format::Other("jar")),
    ("AndroidManifest.xml", Format::Other("apk")),
];

/// Kinds that say so in a first, stored entry named `mimetype`.
const MIME_TYPES: &[(&[u8], Format)] = &[
    (b"application/epub+zip", Format::Other("epub")),
    (b"application/vnd.oasis.opendocument.text", Format::Other("odt")),
    (b"application/vnd.oasis.opendocument.spreadsheet", Format::Other("ods")),
    (b"application/vnd.oasis.opendocument.presentation", Format::Other("odp")),
];

pub(super) fn identify(extension: &str, bytes: &[u8]) -> Format {
    let (name_at, name) = (LOCAL_HEADER.1, b"mimetype");
    if bytes.get(name_at..name_at + name.len()) == Some(name) {
        let content = &bytes[name_at + name.len()..];
        if let Some((_, format)) = MIME_TYPES.iter().find(|(mime, _)| content.starts_with(mime)) {
            return *format;
        }
    }
    let (head, tail) = ends(bytes);
    let has = |prefix: &str| has_entry(head, prefix) || has_entry(tail, prefix);
    if let Some((_, format)) = ENTRIES.iter().find(|(prefix, _)| has(prefix)) {
        return *format;
    }
    // The headers that were looked at may not reach the telling entry (or are lost).
    let office = has("[Content_Types].xml") || has("_rels/.rels");
    if office && matches!(extension, "docx" | "docm" | "dotx") { Format::Docx } else { Format::Other("zip") }
}

/// Whether a header of either kind names an entry that begins so.
fn has_entry(part: &[u8], prefix: &str) -> bool {
    let prefix = prefix.as_bytes();
    let mut from = 0;
    while let Some(at) = find(&part[from..], prefix) {
        let at = from + at;
        let follows = |(signature, length): (&[u8], usize)| {
            at.checked_sub(length).is_some_and(|start| part[start..].starts_with(signature))
        };
        if follows(LOCAL_HEADER) || follows(CENTRAL_HEADER) {
            return true;
        }
        from = at + 1;
    }
    false
}
