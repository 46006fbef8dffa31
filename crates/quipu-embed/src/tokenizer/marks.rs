//! The rare case of normalising that looks at more than one character: marks that survive stripping, because they are
//! spacing ones or newer than the table of nonspacing ones, have a place among their neighbours that canonical
//! decomposition decides by their combining classes.
//!
//! Where each came from follows the `tokenizers` library to the letter: the first part of a decomposed character
//! takes the next origin in the order of the text, whichever character it is of, and further parts take the origin of
//! the part before. After reordering that may be a neighbour's.

use std::ops::Range;

use unicode_categories::UnicodeCategories;

use super::normalise::{Normal, Settings, cleaned, decomposed, finished};

/// A part of a decomposed character.
#[derive(Clone, Copy)]
struct Part {
    character: char,
    /// Its combining class; 0 is a base, which stays where it is.
    class: u8,
    /// It is the first of its character.
    leads: bool,
}

/// Handles the whole run of marks around the one at `at`, the first of them that is kept, and says where the run ends.
/// It begins after a base or with the segment. Looking back costs no more than the run is long, and happens once in it.
pub(super) fn in_order(
    settings: Settings,
    text: &str,
    segment: Range<usize>,
    at: usize,
    sink: &mut impl FnMut(Normal, usize, usize),
) -> usize {
    let begin = base(settings, &text[..segment.end], segment.start, at);
    let mut parts = Vec::new();
    let mut origins = Vec::new();
    let mut end = begin;
    for character in text[begin..segment.end].chars() {
        let known = parts.len();
        append(settings, character, &mut parts);
        if end > at && parts.get(known).is_some_and(|part| part.class == 0) {
            parts.truncate(known);
            break;
        }
        let origin = (end, end + character.len_utf8());
        origins.extend(parts[known..].iter().filter(|part| part.leads).map(|_| origin));
        end = origin.1;
    }
    for marks in parts.split_mut(|part| part.class == 0) {
        marks.sort_by_key(|part| part.class);
    }
    let mut origins = origins.into_iter();
    let mut origin = (begin, begin);
    for part in parts {
        if part.leads {
            origin = origins.next().unwrap_or(origin);
        }
        // A base before `at` was handled when it was met, and marks that are not kept need not be.
        let is_new = begin == at || part.class > 0;
        if is_new && !part.character.is_mark_nonspacing() {
            finished(settings, part.character, |normal| sink(normal, origin.0, origin.1));
        }
    }
    end
}

/// Where the last character at or before `at` begins that has a base in it; without one, where the text begins.
fn base(settings: Settings, text: &str, start: usize, at: usize) -> usize {
    let mut parts = Vec::new();
    let mut has_base = |character| {
        parts.clear();
        append(settings, character, &mut parts);
        parts.iter().any(|part| part.class == 0)
    };
    if text[at..].chars().next().is_some_and(&mut has_base) {
        return at;
    }
    let before = text[start..at].char_indices().rev().find(|(_, character)| has_base(*character));
    before.map_or(start, |(index, _)| start + index)
}

fn append(settings: Settings, character: char, parts: &mut Vec<Part>) {
    cleaned(settings, character, |character| {
        let mut leads = true;
        decomposed(settings, character, |character, class| {
            parts.push(Part { character, class, leads });
            leads = false;
        });
    });
}
