//! What becomes of each character before words are cut: BERT's normaliser and the classes that BERT splits words by,
//! exactly as the `tokenizers` library has them, which models were trained with. The main type is [`Normaliser`].
//!
//! The order of steps is that library's, and it matters: control characters go and white space becomes a space
//! (`clean_text`); spaces come around ideographs (`handle_chinese_chars`); characters are decomposed and lose their
//! nonspacing marks (`strip_accents`); then each is put in lower case (`lowercase`) and classed. All of it looks at
//! one character at a time, so the outcome is kept in a table, a page of which is filled when first met. The one
//! exception, marks whose order decomposition may change, is left to [`marks`](super::marks).
//!
//! Which version of Unicode a step follows is part of being exact: general categories are those of
//! `unicode_categories`, decompositions and combining classes those of `unicode-normalization-alignments`, both some
//! years old; lower case and white space are the standard library's.

use std::ops::Range;
use std::sync::OnceLock;

use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::char::{canonical_combining_class, decompose_canonical};

use super::marks;

/// The switches of a `BertNormalizer`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) clean_text: bool,
    pub(super) handle_chinese_chars: bool,
    pub(super) strip_accents: bool,
    pub(super) lowercase: bool,
}

/// A normalised character and its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Normal {
    pub(super) character: char,
    pub(super) kind: Kind,
}

/// What splitting does at a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It belongs to a word.
    Letter,
    /// It is a word of its own.
    Punctuation,
    /// It only separates.
    Space,
}

/// What becomes of a byte; values below [`Ascii::LETTERS`] are a letter of ASCII in its final case.
pub(super) struct Ascii([u8; 256]);

/// [`Settings`] applied to all of Unicode.
pub(super) struct Normaliser {
    settings: Settings,
    ascii: Ascii,
    /// All of Unicode has 17,408 of them; few texts meet more than ten.
    pages: Vec<OnceLock<Box<Page>>>,
}

/// Characters in a page: filling one takes about 50 µs.
const PAGE: usize = 64;

/// What becomes of the characters of one page.
struct Page {
    entries: [Entry; PAGE],
    several: Vec<Normal>,
}

#[derive(Clone, Copy)]
enum Entry {
    Nothing,
    One(Normal),
    /// Some of the page's `several`.
    Several {
        start: u16,
        end: u16,
    },
    /// A mark that is kept, whose place depends on the marks around it.
    Mark,
}

impl Ascii {
    pub(super) const LETTERS: u8 = 0x80;
    pub(super) const NOTHING: u8 = 0x80;
    pub(super) const SPACE: u8 = 0x81;
    pub(super) const PUNCTUATION: u8 = 0x82;
    /// A byte of a character outside ASCII.
    pub(super) const WIDE: u8 = 0x83;

    fn new(settings: Settings) -> Self {
        let code = |byte: u8| match Page::entry(settings, char::from(byte), &mut Vec::new()) {
            _ if !byte.is_ascii() => Self::WIDE,
            Entry::One(Normal { character, kind: Kind::Letter }) => character as u8,
            Entry::One(Normal { kind: Kind::Punctuation, .. }) => Self::PUNCTUATION,
            Entry::One(Normal { kind: Kind::Space, .. }) => Self::SPACE,
            Entry::Nothing | Entry::Several { .. } | Entry::Mark => Self::NOTHING,
        };
        Self(std::array::from_fn(|byte| code(byte as u8)))
    }

    #[inline]
    pub(super) fn of(&self, byte: u8) -> u8 {
        self.0[usize::from(byte)]
    }
}

impl Normaliser {
    pub(super) fn new(settings: Settings) -> Self {
        let pages = (char::MAX as usize + 1).div_ceil(PAGE);
        let pages = std::iter::repeat_with(OnceLock::new).take(pages).collect();
        Self { settings, ascii: Ascii::new(settings), pages }
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings
    }

    pub(super) fn ascii(&self) -> &Ascii {
        &self.ascii
    }

    /// Normalises the characters of `text[segment]`, each with the bytes of `text` that it came from.
    pub(super) fn segment(
        &self,
        text: &str,
        segment: Range<usize>,
        sink: &mut impl FnMut(Normal, usize, usize),
    ) {
        let mut at = segment.start;
        while at < segment.end {
            at = self.next(text, segment.clone(), at, sink);
        }
    }

    /// Normalises the character at `at`, and where its marks are to be put in order also those; says where the next
    /// one is. Nothing of the text outside of `segment` is seen.
    ///
    /// # Panics
    /// If `at` is not inside of `segment`, or not where a character begins.
    pub(super) fn next(
        &self,
        text: &str,
        segment: Range<usize>,
        at: usize,
        sink: &mut impl FnMut(Normal, usize, usize),
    ) -> usize {
        let character = text[at..segment.end].chars().next().expect("a segment goes on here");
        let end = at + character.len_utf8();
        let (page, place) = (character as usize / PAGE, character as usize % PAGE);
        let page = self.pages[page].get_or_init(|| Box::new(Page::new(self.settings, page)));
        match page.entries[place] {
            Entry::Nothing => {}
            Entry::One(normal) => sink(normal, at, end),
            Entry::Several { start, end: stop } => {
                page.several[usize::from(start)..usize::from(stop)]
                    .iter()
                    .for_each(|&normal| sink(normal, at, end));
            }
            Entry::Mark => return marks::in_order(self.settings, text, segment, at, sink),
        }
        end
    }
}

impl Page {
    fn new(settings: Settings, page: usize) -> Self {
        let mut several = Vec::new();
        let entries = std::array::from_fn(|place| {
            let character = char::from_u32((page * PAGE + place) as u32);
            // A surrogate is no character, and is never asked for.
            character.map_or(Entry::Nothing, |character| Self::entry(settings, character, &mut several))
        });
        Self { entries, several }
    }

    fn entry(settings: Settings, character: char, several: &mut Vec<Normal>) -> Entry {
        let start = several.len();
        let mut kept = false;
        cleaned(settings, character, |character| {
            decomposed(settings, character, |part, class| {
                let stays = !settings.strip_accents || !part.is_mark_nonspacing();
                kept |= class > 0 && stays;
                if stays {
                    finished(settings, part, |normal| several.push(normal));
                }
            });
        });
        let entry = match several[start..] {
            _ if kept => Entry::Mark,
            [] => Entry::Nothing,
            [normal] => Entry::One(normal),
            // At most a few for each character of a page.
            _ => return Entry::Several { start: start as u16, end: several.len() as u16 },
        };
        several.truncate(start);
        entry
    }
}

/// What a character is before it is decomposed: nothing, itself, or an ideograph between spaces.
pub(super) fn cleaned(settings: Settings, character: char, mut sink: impl FnMut(char)) {
    let mut character = character;
    if settings.clean_text {
        if is_control(character) {
            return;
        }
        if character.is_whitespace() {
            character = ' ';
        }
    }
    if settings.handle_chinese_chars && is_ideograph(character) {
        [' ', character, ' '].into_iter().for_each(sink);
    } else {
        sink(character);
    }
}

/// The parts that a character falls into, each with its combining class; itself, with none, where nothing is stripped
/// and so nothing decomposed.
pub(super) fn decomposed(settings: Settings, character: char, mut sink: impl FnMut(char, u8)) {
    if settings.strip_accents {
        decompose_canonical(character, |part| sink(part, canonical_combining_class(part)));
    } else {
        sink(character, 0);
    }
}

/// What is left to do when marks are stripped: case, and the class of each character.
pub(super) fn finished(settings: Settings, character: char, mut sink: impl FnMut(Normal)) {
    if settings.lowercase {
        character.to_lowercase().for_each(|character| sink(Normal::new(character)));
    } else {
        sink(Normal::new(character));
    }
}

impl Normal {
    /// A punctuation mark of ASCII.
    pub(super) fn punctuation(byte: u8) -> Self {
        Self { character: char::from(byte), kind: Kind::Punctuation }
    }

    fn new(character: char) -> Self {
        let kind = if character.is_whitespace() {
            Kind::Space
        } else if character.is_ascii_punctuation() || character.is_punctuation() {
            Kind::Punctuation
        } else {
            Kind::Letter
        };
        Self { character, kind }
    }
}

/// What cleaning drops. Some of it is white space as well, a form feed for one.
fn is_control(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => false,
        '\0' | '\u{fffd}' => true,
        _ => character.is_other(),
    }
}

/// The blocks of CJK ideographs that BERT sets apart; one of extension E's it spells 2B920 where 2B820 was meant.
fn is_ideograph(character: char) -> bool {
    matches!(
        u32::from(character),
        0x4E00..=0x9FFF
            | 0x3400..=0x4DBF
            | 0x20000..=0x2A6DF
            | 0x2A700..=0x2B73F
            | 0x2B740..=0x2B81F
            | 0x2B920..=0x2CEAF
            | 0xF900..=0xFAFF
            | 0x2F800..=0x2FA1F
    )
}
