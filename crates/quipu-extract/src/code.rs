//! Source code: its text as it stands. Titles and headings are left out on purpose: names of items are the
//! chunker's business, which parses the syntax anyway.

use crate::{ExtractError, Extracted, Format, Language, Limits, text};

/// Reads a file of source code.
pub(crate) fn extract(language: Language, bytes: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    let mut extracted = text::extract(Format::Code(language), bytes, limits)?;
    extracted.note("code", language.name());
    Ok(extracted)
}
