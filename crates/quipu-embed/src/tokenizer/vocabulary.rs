//! WordPiece itself: which words, and which ends of words, a model knows, and how a word that it does not know whole
//! falls into the longest pieces that it knows. The main type is [`Vocabulary`].
//!
//! Nine words of ten in prose are in BERT's vocabulary whole (93 % of Cranfield's), so the common case is one look-up
//! in a hash table of all words. For the rest, prefixes are looked up from the longest that any word with that first
//! byte has. A trie or LinMaxMatch (Song et al. 2021, "Fast WordPiece Tokenization") would read each byte once, but
//! every step of theirs waits for the one before; look-ups of prefixes are independent of one another, and words are
//! short. A word has at most [`WORD_CHARACTERS_MAX`] characters or is not looked at, so time is linear in the text
//! whatever the vocabulary.
//!
//! What a word is, and that one may be too long to be looked at, is decided in [`words`](super::words).

use std::hash::BuildHasher;

/// The largest `max_input_chars_per_word` that is read; BERT has 100.
pub(super) const WORD_CHARACTERS_MAX: usize = 256;

/// The words of a `tokenizer.json` in its order, not yet to be looked up in.
#[derive(Debug, Default)]
pub(super) struct WordList {
    /// The text of all words, one after another: one allocation instead of one a word.
    text: String,
    words: Vec<Word>,
}

/// A word of the list: where its text is, and its id.
#[derive(Clone, Copy, Debug)]
struct Word {
    start: u32,
    end: u32,
    id: u32,
}

/// All that is needed to cut words into pieces.
pub(super) struct Vocabulary {
    list: WordList,
    /// Every word as it is written: whole words, and beginnings of words.
    first: Table,
    /// Those that begin with the prefix of a continuation (`##`), without it.
    following: Table,
    unknown: u32,
}

/// A piece of a word: its id, and where in the word it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) id: u32,
    pub(super) end: usize,
}

impl WordList {
    /// Adds a word.
    pub(super) fn push(&mut self, word: &str, id: u32) {
        // A file is far smaller than 4 GiB, and so are its words.
        let start = self.text.len() as u32;
        self.text.push_str(word);
        self.words.push(Word { start, end: self.text.len() as u32, id });
    }

    fn bytes(&self, word: Word) -> &[u8] {
        &self.text.as_bytes()[word.start as usize..word.end as usize]
    }
}

impl Vocabulary {
    /// # Errors
    /// A vocabulary without words, or without the one that stands for unknown words.
    pub(super) fn new(mut list: WordList, unknown: &str, prefix: &str) -> Result<Self, String> {
        if list.words.is_empty() {
            return Err("its vocabulary is empty".into());
        }
        let first = Table::new(&list, list.words.iter().copied());
        let following = list.words.iter().filter(|word| list.bytes(**word).starts_with(prefix.as_bytes()));
        let following = following.map(|word| Word { start: word.start + prefix.len() as u32, ..*word });
        let following = Table::new(&list, following.filter(|word| word.start < word.end));
        let unknown = first
            .find(&list, unknown.as_bytes())
            .ok_or_else(|| format!("its vocabulary lacks {unknown:?}, the piece for unknown words"))?;
        // The tables have them now.
        list.words = Vec::new();
        Ok(Self { list, first, following, unknown })
    }

    /// The id of a word that is in the vocabulary as it is.
    pub(super) fn id(&self, word: &str) -> Option<u32> {
        self.first.find(&self.list, word.as_bytes())
    }

    /// How many different words there are.
    pub(super) fn len(&self) -> usize {
        self.first.words
    }

    /// The largest id of a word.
    pub(super) fn id_max(&self) -> u32 {
        self.first.slots.iter().map(|slot| slot.word.id).max().unwrap_or(0)
    }

    /// The id of what is in no vocabulary.
    pub(super) fn unknown(&self) -> u32 {
        self.unknown
    }

    /// Cuts a word of UTF-8 into its longest known pieces, from the left; one unknown piece where that fails. The
    /// pieces replace what `pieces` held.
    pub(super) fn split(&self, word: &[u8], pieces: &mut Vec<Piece>) {
        pieces.clear();
        let mut start = 0;
        while start < word.len() {
            let table = if start == 0 { &self.first } else { &self.following };
            let Some(piece) = table.longest_prefix(&self.list, &word[start..]) else {
                pieces.clear();
                pieces.push(Piece { id: self.unknown, end: word.len() });
                return;
            };
            start += piece.end;
            pieces.push(Piece { end: start, ..piece });
        }
    }
}

/// A hash table with open addressing over some words of a list.
struct Table {
    /// A power of two of them, at most half of them taken.
    slots: Vec<Slot>,
    words: usize,
    /// The length in bytes of the longest word by its first byte.
    longest: [u32; 256],
    /// Chosen anew for each table, so that no file can be made whose words all collide.
    seed: u64,
}

/// A word, and part of its hash, so that the text of other words is seldom looked at.
#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    word: Word,
}

impl Slot {
    /// No word begins there.
    const EMPTY: Self = Self { tag: 0, word: Word { start: u32::MAX, end: u32::MAX, id: 0 } };
}

impl Table {
    fn new(list: &WordList, words: impl Iterator<Item = Word> + Clone) -> Self {
        let slots = (words.clone().count() * 2).next_power_of_two();
        let seed = std::hash::RandomState::new().hash_one(slots);
        let mut table = Self { slots: vec![Slot::EMPTY; slots], words: 0, longest: [0; 256], seed };
        for word in words {
            table.insert(list, word);
        }
        table
    }

    /// Of a word that comes twice the later id stands, as with any JSON object.
    fn insert(&mut self, list: &WordList, word: Word) {
        let bytes = list.bytes(word);
        let (tag, slot) = match self.probe(list, bytes) {
            Ok(known) => return self.slots[known].word.id = word.id,
            Err(free) => free,
        };
        self.slots[slot] = Slot { tag, word };
        self.words += 1;
        if let Some(&first) = bytes.first() {
            let longest = &mut self.longest[usize::from(first)];
            *longest = (*longest).max(bytes.len() as u32);
        }
    }

    fn find(&self, list: &WordList, word: &[u8]) -> Option<u32> {
        self.probe(list, word).ok().map(|slot| self.slots[slot].word.id)
    }

    /// The slot of a word, or else the tag that it would have and the slot that it would take.
    #[inline]
    fn probe(&self, list: &WordList, word: &[u8]) -> Result<usize, (u32, usize)> {
        let hash = hash(self.seed, word);
        let tag = (hash >> 32) as u32;
        let mut at = hash as usize & (self.slots.len() - 1);
        loop {
            let slot = self.slots[at];
            if slot.word.start == u32::MAX {
                return Err((tag, at));
            }
            if slot.tag == tag && list.bytes(slot.word) == word {
                return Ok(at);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// The longest word that `text` begins with. A prefix that ends inside a character is no word.
    fn longest_prefix(&self, list: &WordList, text: &[u8]) -> Option<Piece> {
        let longest = self.longest[usize::from(*text.first()?)] as usize;
        let lengths = (1..=longest.min(text.len())).rev();
        lengths.filter_map(|end| self.find(list, &text[..end]).map(|id| Piece { id, end })).next()
    }
}

/// A hash of few bytes in few instructions: two words of eight bytes, which may overlap, hold up to sixteen, and a
/// multiplication of 64 × 64 bits folded in half mixes them (after wyhash, by Wang Yi, in the public domain).
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    const ODD: [u64; 2] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db];
    let length = bytes.len();
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        (product >> 64) as u64 ^ product as u64
    };
    let eight = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
    let four =
        |at: usize| u64::from(u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
    let mut state = seed ^ ODD[0];
    let (low, high) = match length {
        0 => (0, 0),
        1..=3 => {
            let ends = u64::from(bytes[0]) << 16 | u64::from(bytes[length / 2]) << 8;
            (ends | u64::from(bytes[length - 1]), 0)
        }
        4..=8 => (four(0), four(length - 4)),
        9..=16 => (eight(0), eight(length - 8)),
        _ => {
            for at in (0..length - 16).step_by(16) {
                state = fold(eight(at) ^ ODD[1], eight(at + 8) ^ state);
            }
            (eight(length - 16), eight(length - 8))
        }
    };
    fold(ODD[1] ^ length as u64, fold(low ^ ODD[1], high ^ state))
}
