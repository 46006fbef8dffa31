//! Building running text from blocks, lines, table cells and words ([`Prose`]), for formats that are not text
//! themselves (html, docx). White space between pieces is owed, not written: it is paid when words follow, so
//! that nested blocks never add up and the text neither starts nor ends in blank lines.

use crate::{ExtractError, Heading, Limits};

/// Text under construction.
#[derive(Debug)]
pub(crate) struct Prose {
    text: String,
    owed: Gap,
    /// A table cell has begun and holds no words yet, so that blocks in it owe nothing.
    fresh_cell: bool,
    /// The marker of a list item that has begun and holds no words yet.
    marker: Option<String>,
    headings: Vec<Heading>,
    open_heading: Option<OpenHeading>,
    text_bytes_max: usize,
    headings_max: usize,
    overflowed: bool,
}

#[derive(Debug)]
struct OpenHeading {
    level: usize,
    /// Where its first word stands, once there is one.
    offset: Option<usize>,
}

/// What separates two words, the stronger the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    Nothing,
    Space,
    Cell,
    Line,
    Paragraph,
}

impl Prose {
    pub(crate) fn new(limits: &Limits) -> Self {
        Prose {
            text: String::new(),
            owed: Gap::Nothing,
            fresh_cell: false,
            marker: None,
            headings: Vec::new(),
            open_heading: None,
            text_bytes_max: limits.text_bytes_max,
            headings_max: limits.headings_max,
            overflowed: false,
        }
    }

    /// Adds running text; white space in it collapses.
    pub(crate) fn words(&mut self, text: &str) {
        if text.starts_with(char::is_whitespace) {
            self.space();
        }
        for (index, word) in text.split_whitespace().enumerate() {
            if index > 0 {
                self.space();
            }
            self.push(word);
        }
        if text.ends_with(char::is_whitespace) {
            self.space();
        }
    }

    /// Adds text whose white space counts.
    pub(crate) fn verbatim(&mut self, text: &str) {
        if text.trim().is_empty() && self.owed > Gap::Space {
            return;
        }
        self.push(text);
    }

    /// Owes a space.
    pub(crate) fn space(&mut self) {
        self.owe(Gap::Space);
    }

    /// Owes a new line.
    pub(crate) fn line(&mut self) {
        self.owe(Gap::Line);
    }

    /// Owes a blank line.
    pub(crate) fn paragraph(&mut self) {
        self.owe(Gap::Paragraph);
    }

    /// Begins a table row that is not the table's first.
    pub(crate) fn next_row(&mut self) {
        self.fresh_cell = false;
        self.override_gap(Gap::Line);
    }

    /// Begins a table cell; `first` of its row or not.
    pub(crate) fn cell(&mut self, first: bool) {
        if first {
            self.owe(Gap::Line);
        } else {
            self.override_gap(Gap::Cell);
        }
        self.marker = None;
        self.fresh_cell = true;
    }

    /// Begins a list item; its marker is written before its first word, and so never alone.
    pub(crate) fn item(&mut self, marker: impl Into<String>) {
        self.marker = None;
        self.owe(Gap::Line);
        self.marker = Some(marker.into());
    }

    /// Ends a list item.
    pub(crate) fn item_end(&mut self) {
        self.marker = None;
        self.owe(Gap::Line);
    }

    /// Ends a table, and its last cell with it.
    pub(crate) fn table_end(&mut self) {
        self.fresh_cell = false;
        self.paragraph();
    }

    /// Begins a heading; one that is open ends.
    pub(crate) fn heading_start(&mut self, level: usize) {
        self.heading_end();
        self.paragraph();
        self.open_heading = Some(OpenHeading { level, offset: None });
    }

    /// Ends the open heading, if there is one.
    pub(crate) fn heading_end(&mut self) {
        let Some(open) = self.open_heading.take() else { return };
        if let Some(offset) = open.offset
            && self.headings.len() < self.headings_max
        {
            self.headings.extend(Heading::new(offset, open.level, &self.text[offset..]));
        }
        self.paragraph();
    }

    /// Whether no word has been added.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether the text has passed its limit; nothing is added any more.
    pub(crate) fn is_full(&self) -> bool {
        self.overflowed
    }

    /// The text and its headings.
    pub(crate) fn finish(mut self) -> Result<(String, Vec<Heading>), ExtractError> {
        self.heading_end();
        if self.overflowed {
            return Err(ExtractError::too_large("text_bytes_max", self.text_bytes_max as u64));
        }
        self.text.truncate(self.text.trim_end().len());
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        Ok((self.text, self.headings))
    }

    fn owe(&mut self, gap: Gap) {
        let begun = !self.fresh_cell && self.marker.is_none();
        if begun || gap <= Gap::Space {
            self.owed = self.owed.max(gap);
        }
    }

    /// Owes this gap whatever was owed before: what a cell's last block owes counts for nothing outside.
    fn override_gap(&mut self, gap: Gap) {
        self.marker = None;
        self.owed = gap;
    }

    fn push(&mut self, text: &str) {
        if text.is_empty() || self.overflowed {
            return;
        }
        if self.text.len() + text.len() > self.text_bytes_max {
            self.overflowed = true;
            return;
        }
        self.pay();
        self.fresh_cell = false;
        if let Some(marker) = self.marker.take() {
            self.text.push_str(&marker);
            self.text.push(' ');
        }
        if let Some(open) = &mut self.open_heading {
            open.offset.get_or_insert(self.text.len());
        }
        if text.contains(is_unwanted) {
            self.text.extend(text.chars().filter(|c| !is_unwanted(*c)));
        } else {
            self.text.push_str(text);
        }
    }

    fn pay(&mut self) {
        let owed = std::mem::replace(&mut self.owed, Gap::Nothing);
        if self.text.is_empty() {
            return;
        }
        let newlines = self.text.bytes().rev().take_while(|byte| *byte == b'\n').count();
        let missing = match owed {
            Gap::Nothing => 0,
            Gap::Space if newlines == 0 => return self.text.push(' '),
            Gap::Cell if newlines == 0 => return self.text.push('\t'),
            Gap::Space | Gap::Cell => 0,
            Gap::Line => 1_usize.saturating_sub(newlines),
            Gap::Paragraph => 2_usize.saturating_sub(newlines),
        };
        self.text.extend(std::iter::repeat_n('\n', missing));
    }
}

/// Control characters, and soft hyphens, which only tell where a word may be broken.
fn is_unwanted(character: char) -> bool {
    (character.is_control() && !matches!(character, '\n' | '\t')) || character == '\u{ad}'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &str, build: impl FnOnce(&mut Prose)) {
        let mut prose = Prose::new(&Limits::default());
        build(&mut prose);
        assert_eq!(prose.finish().unwrap().0, expected);
    }

    #[test]
    fn gaps_do_not_add_up() {
        check("a\n\nb c\nd\n", |prose| {
            prose.paragraph();
            prose.words("a ");
            prose.line();
            prose.paragraph();
            prose.words(" b\n c");
            prose.line();
            prose.line();
            prose.words("d");
            prose.paragraph();
        });
    }

    #[test]
    fn cells_stay_on_their_row() {
        check("a\tb1\n\nb2\nc\td\n\nend\n", |prose| {
            prose.cell(true);
            prose.paragraph();
            prose.words("a");
            prose.paragraph();
            prose.cell(false);
            prose.paragraph();
            prose.words("b1");
            prose.paragraph();
            prose.words("b2");
            prose.paragraph();
            prose.next_row();
            prose.cell(true);
            prose.words("c");
            prose.cell(false);
            prose.words("d");
            prose.table_end();
            prose.words("end");
        });
    }

    #[test]
    fn a_marker_never_stands_alone() {
        check("- a\n- b\n\nc\n", |prose| {
            prose.item("-");
            prose.item_end();
            prose.item("-");
            prose.paragraph();
            prose.item("-");
            prose.words(" a");
            prose.item_end();
            prose.item("-");
            prose.paragraph();
            prose.words("b");
            prose.item("-");
            prose.item_end();
            prose.paragraph();
            prose.words("c");
        });
    }

    #[test]
    fn headings_start_at_their_first_word() {
        let mut prose = Prose::new(&Limits::default());
        prose.words("before");
        prose.heading_start(2);
        prose.words(" A  ");
        prose.words("title");
        prose.heading_end();
        prose.heading_start(1);
        prose.heading_end();
        prose.words("after");
        let (text, headings) = prose.finish().unwrap();
        assert_eq!(text, "before\n\nA title\n\nafter\n");
        assert_eq!(headings, [Heading { offset: 8, level: 2, text: "A title".into() }]);
    }

    #[test]
    fn text_beyond_the_limit_is_an_error() {
        let mut prose = Prose::new(&Limits { text_bytes_max: 4, ..Limits::default() });
        prose.words("four");
        assert!(!prose.is_full());
        prose.words("more");
        assert!(prose.is_full());
        assert!(matches!(prose.finish(), Err(ExtractError::TooLarge { .. })));
    }
}
