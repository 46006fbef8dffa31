//! From normalised characters to the pieces of a text: gathers words, which end at white space and before and after
//! each punctuation mark, cuts them by the vocabulary, and says which bytes of the text each piece came from.
//!
//! What a character becomes is decided in [`normalise`](super::normalise). The main type is [`Words`].

use super::normalise::{Kind, Normal};
use super::vocabulary::{Piece, Vocabulary};

/// The word that is being gathered, and where its pieces go: `emit(id, start, end)`.
pub(super) struct Words<'a, E> {
    vocabulary: &'a Vocabulary,
    /// A word of more characters is unknown, however it is written.
    characters_max: usize,
    emit: E,
    /// The normalised word. Of one that is too long the rest is not kept, so that no text makes this large.
    word: Vec<u8>,
    characters: usize,
    /// The bytes of the text that the word came from.
    start: usize,
    end: usize,
    /// For each byte of the word the bytes of the text that its character came from. Empty while the word is as long
    /// as those, character by character, and each byte's origin can be counted off from `start`.
    origins: Vec<(usize, usize)>,
    pieces: Vec<Piece>,
}

impl<'a, E: FnMut(u32, usize, usize)> Words<'a, E> {
    pub(super) fn new(vocabulary: &'a Vocabulary, characters_max: usize, emit: E) -> Self {
        let (word, origins, pieces) = (Vec::new(), Vec::new(), Vec::new());
        Self { vocabulary, characters_max, emit, word, characters: 0, start: 0, end: 0, origins, pieces }
    }

    /// Takes one normalised character that came from the bytes `start..end` of the text.
    #[inline]
    pub(super) fn push(&mut self, normal: Normal, start: usize, end: usize) {
        match normal.kind {
            Kind::Letter => self.letter(normal.character, start, end),
            Kind::Space => self.finish(),
            Kind::Punctuation => {
                self.finish();
                self.letter(normal.character, start, end);
                self.finish();
            }
        }
    }

    /// Takes bytes of the text, one after another from `start` on, each of which is a letter of ASCII: `letters` are
    /// what they become.
    #[inline]
    pub(super) fn letters(&mut self, letters: impl ExactSizeIterator<Item = u8>, start: usize) {
        let end = start + letters.len();
        let follows = self.follows(start);
        if !self.takes(letters.len(), start, end) {
            return;
        }
        if !follows || !self.origins.is_empty() {
            self.keep_origins();
            self.origins.extend((start..end).map(|byte| (byte, byte + 1)));
        }
        self.word.extend(letters);
    }

    fn letter(&mut self, character: char, start: usize, end: usize) {
        let length = character.len_utf8();
        let follows = self.follows(start) && end - start == length;
        if !self.takes(1, start, end) {
            return;
        }
        if !follows || !self.origins.is_empty() {
            self.keep_origins();
            self.origins.resize(self.word.len() + length, (start, end));
        }
        self.word.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// Whether a character that came from `start` on would leave no gap in the word's origin.
    #[inline]
    fn follows(&self, start: usize) -> bool {
        self.characters == 0 || start == self.end
    }

    /// From here on each byte's origin is written down: those of the word so far too.
    #[cold]
    fn keep_origins(&mut self) {
        if self.origins.is_empty() {
            let counted = self.start..self.start + self.word.len();
            self.origins.extend(counted.map(|byte| (byte, byte + 1)));
        }
    }

    /// Counts characters of the word; false if they need not be kept, as the word is unknown anyway.
    #[inline]
    fn takes(&mut self, characters: usize, start: usize, end: usize) -> bool {
        if self.characters == 0 {
            self.start = start;
        }
        self.end = end;
        self.characters += characters;
        self.characters <= self.characters_max
    }

    /// Ends the word, if there is one.
    #[inline]
    pub(super) fn finish(&mut self) {
        if self.characters == 0 {
            return;
        }
        if self.characters > self.characters_max {
            (self.emit)(self.vocabulary.unknown(), self.start, self.end);
        } else {
            self.vocabulary.split(&self.word, &mut self.pieces);
            self.emit_pieces();
        }
        self.word.clear();
        self.origins.clear();
        self.characters = 0;
    }

    fn emit_pieces(&mut self) {
        let mut from = 0;
        for &Piece { id, end: to } in &self.pieces {
            let (start, end) = if self.origins.is_empty() {
                (self.start + from, self.start + to)
            } else {
                (self.origins[from].0, self.origins[to - 1].1)
            };
            (self.emit)(id, start, end);
            from = to;
        }
    }
}
