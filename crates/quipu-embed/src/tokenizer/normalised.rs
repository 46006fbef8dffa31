//! A text in its normalised form as a whole, with the way back: what added tokens need that are looked for there.
//! Without such tokens, which are rare, text is normalised by the character and nowhere kept.

use std::ops::Range;

use super::normalise::{Normal, Normaliser};

/// A normalised text.
pub(super) struct NormalisedText {
    pub(super) text: String,
    characters: Vec<Placed>,
}

/// A character of it: where it is there, and which bytes of the text it came from.
pub(super) struct Placed {
    at: usize,
    pub(super) normal: Normal,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl NormalisedText {
    pub(super) fn new(normaliser: &Normaliser, text: &str) -> Self {
        let mut normalised = Self { text: String::new(), characters: Vec::new() };
        normaliser.segment(text, 0..text.len(), &mut |normal, start, end| {
            normalised.characters.push(Placed { at: normalised.text.len(), normal, start, end });
            normalised.text.push(normal.character);
        });
        normalised
    }

    /// The characters that lie in these bytes of it.
    pub(super) fn characters(&self, range: Range<usize>) -> &[Placed] {
        let index = |at| self.characters.partition_point(|placed| placed.at < at);
        &self.characters[index(range.start)..index(range.end)]
    }
}
