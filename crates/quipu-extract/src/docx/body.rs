//! The text of a document's main part and of its notes ([`Body`]).

use super::styles::{Rank, Styles, rank_of_level};
use super::xml::{Element, Events, Piece};
use crate::document::{FIELD_BYTES_MAX, one_line};
use crate::prose::Prose;
use crate::{ExtractError, Limits};

/// Collects prose from one part after another.
pub(super) struct Body<'a> {
    styles: &'a Styles,
    limits: &'a Limits,
    prose: Prose,
    /// The first paragraph that is styled as the title.
    title: Option<String>,
    /// Open paragraphs: a text box holds paragraphs inside of one.
    paragraphs: Vec<Paragraph>,
    tables: Vec<Table>,
    run_open: bool,
    run_hidden: bool,
    in_text: bool,
    /// How many elements deep inside of one that is left out.
    skipped: usize,
}

struct Paragraph {
    rank: Rank,
    is_item: bool,
    begun: bool,
    /// Its words, where it is styled as the title.
    title: String,
}

/// Rows begun so far, and cells of the last of them.
#[derive(Default)]
struct Table {
    rows: usize,
    cells: usize,
}

impl<'a> Body<'a> {
    pub(super) fn new(styles: &'a Styles, limits: &'a Limits) -> Self {
        Body {
            styles,
            limits,
            prose: Prose::new(limits),
            title: None,
            paragraphs: Vec::new(),
            tables: Vec::new(),
            run_open: false,
            run_hidden: false,
            in_text: false,
            skipped: 0,
        }
    }

    /// Reads a part to its end.
    pub(super) fn read(&mut self, xml: &str) -> Result<(), ExtractError> {
        let mut events = Events::new(xml, self.limits);
        while let Some(piece) = events.next()? {
            match piece {
                Piece::Start(_) if self.skipped > 0 => self.skipped += 1,
                Piece::End(_) if self.skipped > 0 => self.skipped -= 1,
                Piece::Start(element) => self.start(&element),
                Piece::End(name) => self.end(&name),
                Piece::Text(text) if self.in_text && self.skipped == 0 => self.text(&text),
                Piece::Text(_) => {}
            }
            if self.prose.is_full() {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> (Prose, Option<String>) {
        (self.prose, self.title)
    }

    fn start(&mut self, element: &Element<'_>) {
        match element.name() {
            // Deleted or moved away; the twin of a choice already read; properties as they were before a tracked
            // change; how to pronounce what stands beneath.
            "del" | "moveFrom" | "Fallback" | "pPrChange" | "rPrChange" | "rt" => self.skipped = 1,
            "footnote" | "endnote" => {
                let special = element.attribute("type").is_some_and(|kind| kind != "normal");
                self.skipped = usize::from(special);
                self.prose.paragraph();
            }
            "p" => self.paragraph_start(),
            "pStyle" | "outlineLvl" | "numPr" => self.paragraph_property(element),
            "r" => self.run_open = true,
            "vanish" => self.run_hidden = self.run_open && element.is_on(),
            "t" => self.in_text = true,
            // Tab stops are defined, outside of runs, by elements of the same name.
            "tab" | "ptab" if self.run_open => self.prose.space(),
            "br" | "cr" => self.prose.line(),
            "noBreakHyphen" => self.text("-"),
            "tbl" => {
                self.prose.paragraph();
                self.tables.push(Table::default());
            }
            "tr" | "tc" => self.table_part(element.name() == "tr"),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "t" => self.in_text = false,
            "r" => (self.run_open, self.run_hidden) = (false, false),
            "p" => self.paragraph_end(),
            "tbl" => {
                self.tables.pop();
                self.prose.table_end();
            }
            _ => {}
        }
    }

    /// A property counts before the paragraph's first words only: those of a text box inside have their own.
    fn paragraph_property(&mut self, element: &Element<'_>) {
        let Some(paragraph) = self.paragraphs.last_mut().filter(|paragraph| !paragraph.begun) else { return };
        let value = element.value();
        match element.name() {
            "pStyle" => paragraph.rank = value.map_or(Rank::Body, |id| self.styles.rank(&id)),
            "outlineLvl" => {
                let rank = value.and_then(|level| level.parse().ok()).and_then(rank_of_level);
                if paragraph.rank != Rank::Title {
                    paragraph.rank = rank.unwrap_or(paragraph.rank);
                }
            }
            _ => paragraph.is_item = true,
        }
    }

    fn paragraph_start(&mut self) {
        (self.run_open, self.run_hidden) = (false, false);
        self.paragraphs.push(Paragraph {
            rank: Rank::Body,
            is_item: false,
            begun: false,
            title: String::new(),
        });
    }

    fn paragraph_end(&mut self) {
        let Some(paragraph) = self.paragraphs.pop() else { return };
        match paragraph.rank {
            Rank::Heading(_) => self.prose.heading_end(),
            _ if paragraph.is_item => self.prose.item_end(),
            _ => self.prose.paragraph(),
        }
        if self.title.is_none() {
            self.title = one_line(&paragraph.title, FIELD_BYTES_MAX);
        }
    }

    /// A row or a cell of the innermost table begins.
    fn table_part(&mut self, is_row: bool) {
        let Some(table) = self.tables.last_mut() else { return };
        if is_row {
            if table.rows > 0 {
                self.prose.next_row();
            }
            table.rows += 1;
            table.cells = 0;
        } else {
            self.prose.cell(table.cells == 0);
            table.cells += 1;
        }
    }

    fn text(&mut self, text: &str) {
        if self.run_hidden || text.is_empty() {
            return;
        }
        if let Some(paragraph) = self.paragraphs.last_mut() {
            if !std::mem::replace(&mut paragraph.begun, true) {
                match paragraph.rank {
                    Rank::Heading(level) => self.prose.heading_start(level),
                    _ if paragraph.is_item => self.prose.item("-"),
                    _ => self.prose.paragraph(),
                }
            }
            if paragraph.rank == Rank::Title && paragraph.title.len() < FIELD_BYTES_MAX {
                paragraph.title.push_str(text);
            }
        }
        self.prose.words(text);
    }
}
