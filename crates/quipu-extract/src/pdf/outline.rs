//! Headings from a PDF's outline (its bookmarks), found again in the text of the page that they point to.

use pdf_oxide::{Destination, OutlineItem, PdfDocument};

use crate::document::one_line;
use crate::{Extracted, Heading, Limits};

/// The outline as headings, in the order of the text.
pub(super) fn headings(document: &PdfDocument, extracted: &Extracted, limits: &Limits) -> Vec<Heading> {
    let Ok(Some(items)) = document.get_outline() else { return Vec::new() };
    let mut headings = Vec::new();
    let mut open: Vec<(usize, OutlineItem)> = items.into_iter().rev().map(|item| (1, item)).collect();
    while let Some((level, mut item)) = open.pop() {
        if headings.len() == limits.headings_max {
            break;
        }
        let children = std::mem::take(&mut item.children);
        open.extend(children.into_iter().rev().map(|child| (level + 1, child)));
        if let Some(page) = page_of(document, &item) {
            headings.extend(place(extracted, page, level, &item.title));
        }
    }
    headings.sort_by_key(|heading| heading.offset);
    headings
}

fn page_of(document: &PdfDocument, item: &OutlineItem) -> Option<usize> {
    match item.dest.as_ref()? {
        Destination::PageIndex(index) => Some(*index),
        Destination::Named(name) => document.resolve_named_destination(name).ok().flatten(),
    }
}

/// The heading at its words on the page; at the beginning of the page where they are not found.
fn place(extracted: &Extracted, page: usize, level: usize, title: &str) -> Option<Heading> {
    let start = *extracted.pages.get(page)?;
    let end = extracted.pages.get(page + 1).copied().unwrap_or(extracted.text.len());
    let title = one_line(title, Heading::TEXT_BYTES_MAX)?;
    let offset = extracted.text[start..end].find(&title).map_or(start, |at| start + at);
    Heading::new(offset, level, &title)
}
