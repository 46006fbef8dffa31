//! Text into units: the smallest parts that packing never tears, each tokenised once.
//!
//! A unit is a line; a line of more than half a chunk is cut into sentences, a sentence that would not fit a
//! chunk into words. BERT's tokenizer splits at white space before anything else, so the tokens of
//! neighbouring units, joined, are the tokens of the text they span. Each unit also says how good a place
//! its beginning is to start a chunk: that is all that packing needs to know of structure.

use std::ops::Range;

use quipu_embed::Tokenizer;
use quipu_extract::{Extracted, Format};

/// A line is cut after this many bytes before it is tokenised: minified files are one line.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// A text is cut and packed in windows of about this many bytes: units take many times the bytes of short lines.
const WINDOW_BYTES: usize = 1024 * 1024;

/// How good a place is to begin a chunk; the greater the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Break {
    /// Inside a sentence that is too long for a chunk.
    Word,
    /// Between two sentences of one line.
    Sentence,
    /// Between two lines.
    Line,
    /// After an empty line, or where a page begins.
    Paragraph,
    /// In code: after an empty line, where something begins at the left margin.
    Item,
    /// Where a heading stands.
    Heading,
}

/// A part of the text that stays whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// Bytes of the document's text, without white space at either end.
    pub(super) range: Range<usize>,
    pub(super) tokens: Vec<u32>,
    /// What lies between the unit before and this one.
    pub(super) starts: Break,
}

/// The text in windows that are cut and packed one after the other; each ends with a paragraph where it can, else
/// with a line.
pub(super) fn windows(text: &str) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    while text.len() - start > WINDOW_BYTES {
        let most = floor_char_boundary(text, start + WINDOW_BYTES);
        let window = &text[start..most];
        let end = window.rfind("\n\n").or_else(|| window.rfind('\n')).map_or(most, |end| start + end + 1);
        windows.push(start..end);
        start = end;
    }
    windows.push(start..text.len());
    windows
}

/// Cuts a window of a document's text into units of at most `budget` tokens each, in the order of the text.
pub(super) fn cut(
    document: &Extracted,
    window: Range<usize>,
    tokenizer: &Tokenizer,
    budget: usize,
) -> Vec<Unit> {
    let text = document.text.as_str();
    let mut cutter = Cutter { text, tokenizer, budget, units: Vec::new() };
    let mut headings = Marks::new(document.headings.iter().map(|heading| heading.offset), &window);
    let mut pages = Marks::new(document.pages.iter().copied(), &window);
    let is_code = matches!(document.format, Format::Code(_));
    let (mut after_empty_line, mut page_begins) = (false, false);
    for line in lines(text, window) {
        page_begins |= pages.passed_before(line.end);
        let words = trim(text, line.clone());
        if words.is_empty() {
            after_empty_line = true;
            continue;
        }
        let starts = if headings.passed_before(line.end) {
            Break::Heading
        } else if is_code && after_empty_line && words.start == line.start {
            Break::Item
        } else if after_empty_line || page_begins {
            Break::Paragraph
        } else if line.start == 0 || text.as_bytes()[line.start - 1] == b'\n' {
            Break::Line
        } else {
            Break::Word
        };
        (after_empty_line, page_begins) = (false, false);
        cutter.line(words, starts);
    }
    cutter.units
}

/// Ascending offsets, each of which is passed once.
struct Marks {
    offsets: Vec<usize>,
    next: usize,
}

impl Marks {
    /// Those of `offsets`, which ascend, that lie in `window`.
    fn new(offsets: impl Iterator<Item = usize>, window: &Range<usize>) -> Self {
        Self { offsets: offsets.filter(|offset| window.contains(offset)).collect(), next: 0 }
    }

    /// Whether a mark not yet passed lies before `end`; passes all that do.
    fn passed_before(&mut self, end: usize) -> bool {
        let from = self.next;
        while self.offsets.get(self.next).is_some_and(|&offset| offset < end) {
            self.next += 1;
        }
        self.next > from
    }
}

/// A window's lines without their ends; lines past [`LINE_BYTES_MAX`] in several parts.
fn lines(text: &str, window: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = window.start;
    std::iter::from_fn(move || {
        if at >= window.end {
            return None;
        }
        let start = at;
        let most = floor_char_boundary(text, (start + LINE_BYTES_MAX).min(window.end));
        let end = match text.as_bytes()[start..most].iter().position(|&byte| byte == b'\n') {
            Some(length) => {
                at = start + length + 1;
                start + length
            }
            None if most == window.end => {
                at = most;
                most
            }
            None => {
                // No end of line in sight: cut after the last white space, or in the middle of a word.
                let last_space = text[start..most].rfind(char::is_whitespace).filter(|&space| space > 0);
                at = last_space.map_or(most, |space| start + space);
                at
            }
        };
        Some(start..end)
    })
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = range.start + (part.len() - part.trim_start().len());
    start..start.max(range.start + part.trim_end().len())
}

struct Cutter<'a> {
    text: &'a str,
    tokenizer: &'a Tokenizer,
    budget: usize,
    units: Vec<Unit>,
}

impl Cutter<'_> {
    /// Adds one line, whole where it is short, else by sentences.
    fn line(&mut self, range: Range<usize>, starts: Break) {
        let pieces = self.tokenizer.pieces_with_offsets(&self.text[range.clone()]);
        if pieces.len() <= self.budget / 2 {
            return self.unit(range, pieces.into_iter().map(|(token, _)| token).collect(), starts);
        }
        let (mut from, mut starts) = (range.start, starts);
        let mut rest = pieces.as_slice();
        for end in sentence_ends(&self.text[range.clone()]).into_iter().chain([range.len()]) {
            let (sentence, after) = rest.split_at(rest.partition_point(|(_, at)| at.start < end));
            let end = range.start + end;
            self.sentence(from..end, range.start, sentence, starts);
            (from, rest, starts) = (end, after, Break::Sentence);
        }
    }

    /// Adds one sentence, or as many parts as it needs to fit; a part begins with a word where it can.
    /// Characters that the tokenizer drops stay with the token before them. `origin` is what the offsets of
    /// `pieces` count from.
    fn sentence(
        &mut self,
        range: Range<usize>,
        origin: usize,
        pieces: &[(u32, Range<usize>)],
        mut starts: Break,
    ) {
        let (mut from, mut rest) = (range.start, pieces);
        loop {
            let mut take = rest.len();
            if take > self.budget {
                let begins_word = |at: &usize| rest[*at].1.start > rest[*at - 1].1.end;
                take = (1..=self.budget).rev().find(begins_word).unwrap_or(self.budget);
            }
            let (part, after) = rest.split_at(take);
            let end = after.first().map_or(range.end, |(_, at)| origin + at.start);
            let words = trim(self.text, from..end);
            if !words.is_empty() {
                self.unit(words, part.iter().map(|&(token, _)| token).collect(), starts);
            }
            if after.is_empty() {
                return;
            }
            (from, rest, starts) = (end, after, Break::Word);
        }
    }

    fn unit(&mut self, range: Range<usize>, tokens: Vec<u32>, starts: Break) {
        self.units.push(Unit { range, tokens, starts });
    }
}

/// Where sentences end inside a line, in bytes from its start: after `.`, `!` or `?` (and what closes
/// behind them) before white space, after a full stop of Chinese or Japanese anywhere.
fn sentence_ends(line: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut chars = line.char_indices().peekable();
    let mut ended = false;
    while let Some((at, char)) = chars.next() {
        ended = match char {
            '。' | '！' | '？' => {
                ends.push(at + char.len_utf8());
                false
            }
            '.' | '!' | '?' => true,
            ')' | ']' | '"' | '\'' | '”' | '’' => ended,
            _ => false,
        };
        if ended && chars.peek().is_some_and(|(_, next)| next.is_whitespace()) {
            ends.push(at + char.len_utf8());
            ended = false;
        }
    }
    ends
}
