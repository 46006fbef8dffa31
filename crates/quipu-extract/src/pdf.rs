//! PDF through `pdf_oxide`: text page by page, the document's own metadata, headings from its outline.
//!
//! The parser meets bytes from anywhere and panics on some: each page is a boundary of its own, so that one bad
//! page costs no other. What a panic cannot stop (hangs, stack overflows, memory) is the worker's to bound.

mod outline;
mod properties;

use pdf_oxide::{Error, PdfDocument};

use crate::extract::contain_panics;
use crate::{ExtractError, Extracted, Format, Limits, text};

/// So many pages in a row that do not exist end the reading: a page tree may claim any number of them.
const MISSING_PAGES_MAX: usize = 32;

/// How many numbers of unreadable pages the metadata lists.
const LISTED_PAGES_MAX: usize = 50;

/// Reads a PDF.
pub(crate) fn extract(bytes: Vec<u8>, limits: &Limits) -> Result<Extracted, ExtractError> {
    if bytes.is_empty() {
        return Err(ExtractError::Empty(Format::Pdf));
    }
    let mut document = PdfDocument::from_bytes(bytes).map_err(refusal)?;
    // A second copy of the file, which only its editor needs.
    document.source_bytes = Vec::new();
    // Opening has tried the empty password.
    if !document.is_authenticated() {
        return Err(ExtractError::Encrypted(Format::Pdf));
    }
    let page_count = page_count(&document, limits)?;
    let mut extracted = Extracted::new(Format::Pdf, String::new());
    let failed = read_pages(&document, page_count, &mut extracted, limits)?;
    note_failed_pages(&failed, &mut extracted);
    // Text is what counts: metadata and outline that panic are merely missing.
    let _ = contain_panics(Format::Pdf, || {
        properties::read(&document, &mut extracted);
        Ok(())
    });
    let headings = contain_panics(Format::Pdf, || Ok(outline::headings(&document, &extracted, limits)));
    extracted.headings = headings.unwrap_or_default();
    Ok(extracted)
}

/// The number of pages: what the document claims, or more where there are more.
fn page_count(document: &PdfDocument, limits: &Limits) -> Result<usize, ExtractError> {
    let claimed = document.page_count().map_err(refusal)?;
    if claimed == 0 {
        return Err(ExtractError::Empty(Format::Pdf));
    }
    let mut count = claimed;
    while count <= limits.pages_max && document.get_page(count).is_ok() {
        count += 1;
    }
    Ok(count)
}

/// Appends the pages' texts and returns the numbers (from 1) of those that could not be read.
fn read_pages(
    document: &PdfDocument,
    page_count: usize,
    extracted: &mut Extracted,
    limits: &Limits,
) -> Result<Vec<usize>, ExtractError> {
    let mut failed = Vec::new();
    let mut first_error = None;
    let mut missing = 0;
    for index in 0..page_count {
        if index >= limits.pages_max {
            return Err(ExtractError::too_large("pages_max", limits.pages_max as u64));
        }
        let page = contain_panics(Format::Pdf, || document.extract_text(index).map_err(refusal));
        extracted.pages.push(extracted.text.len());
        match page {
            Ok(page) => {
                missing = 0;
                append_page(&mut extracted.text, &page);
                limits.check_text(extracted.text.len())?;
            }
            Err(error) => {
                failed.push(index + 1);
                first_error.get_or_insert(error);
                missing = if document.get_page(index).is_err() { missing + 1 } else { 0 };
                if missing == MISSING_PAGES_MAX {
                    let found = extracted.pages.len() - missing;
                    extracted.pages.truncate(found);
                    failed.truncate(failed.len() - missing);
                    extracted.note("pages_claimed", &page_count.to_string());
                    break;
                }
            }
        }
    }
    match first_error {
        Some(error) if failed.len() == extracted.pages.len() => Err(error),
        _ => Ok(failed),
    }
}

/// A page's text, ended by a blank line so that no word runs over into the next page.
fn append_page(text: &mut String, page: &str) {
    let page = text::normalise(page.into());
    let page = page.trim_matches(|c: char| c == '\n' || c == ' ');
    if !page.is_empty() {
        text.push_str(page);
        text.push_str("\n\n");
    }
}

fn note_failed_pages(failed: &[usize], extracted: &mut Extracted) {
    if !failed.is_empty() {
        let numbers: Vec<String> = failed.iter().take(LISTED_PAGES_MAX).map(ToString::to_string).collect();
        let more = if failed.len() > LISTED_PAGES_MAX { ", …" } else { "" };
        extracted.note("pages_failed", &format!("{}{more}", numbers.join(", ")));
    }
}

fn refusal(error: Error) -> ExtractError {
    match error {
        Error::EncryptedPdf => ExtractError::Encrypted(Format::Pdf),
        error => ExtractError::parse(Format::Pdf, error),
    }
}

#[cfg(test)]
mod tests;
