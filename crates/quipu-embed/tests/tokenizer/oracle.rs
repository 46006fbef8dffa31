//! The library and ours, made from one file.

use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use quipu_embed::Tokenizer;
use serde_json::Value;

use super::files;

/// An id, and the bytes of the text that it came from.
type Piece = (u32, Range<usize>);

pub(crate) struct Pair {
    ours: Tokenizer,
    oracle: tokenizers::Tokenizer,
}

impl Pair {
    /// Both must take the file.
    pub(crate) fn new(file: &Value) -> Result<Self, String> {
        let bytes = serde_json::to_vec(file).map_err(|error| error.to_string())?;
        let mut oracle =
            tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| format!("library: {error}"))?;
        oracle.with_truncation(None).map_err(|error| error.to_string())?;
        oracle.with_padding(None);
        let ours = Tokenizer::parse(&bytes, 64).map_err(|error| format!("ours: {error}"))?;
        Ok(Self { ours, oracle })
    }

    #[track_caller]
    pub(crate) fn check_all(&self, texts: &[impl AsRef<str>]) {
        for text in texts {
            self.check(text.as_ref());
        }
    }

    /// Holds all that there is of a text against each other: pieces, offsets, special tokens. Says how many pieces.
    #[track_caller]
    pub(crate) fn check(&self, text: &str) -> usize {
        let ids = self.check_offsets(text);
        assert_eq!(ids, self.ours.pieces(text), "ids alone of {text:?}");
        let expected = self.oracle.encode_fast(text, true).unwrap();
        assert_eq!(expected.get_ids().len(), ids.len() + self.ours.specials());
        if expected.get_ids().len() <= self.ours.tokens_max() {
            assert_eq!(expected.get_ids(), self.ours.encode(text).as_slice(), "with special tokens");
        }
        ids.len()
    }

    /// Holds pieces and their offsets against each other.
    #[track_caller]
    pub(crate) fn check_offsets(&self, text: &str) -> Vec<u32> {
        let encoding = self.oracle.encode(text, false).unwrap();
        let offsets = encoding.get_offsets().iter().map(|&(start, end)| start..end);
        let expected: Vec<Piece> = encoding.get_ids().iter().copied().zip(offsets).collect();
        let found = self.ours.pieces_with_offsets(text);
        if expected != found {
            let equal = expected.iter().zip(&found).take_while(|(expected, found)| expected == found).count();
            let start = expected.get(equal).or(found.get(equal)).map_or(0, |(_, range)| range.start);
            let before = text.floor_char_boundary(start.saturating_sub(16));
            let around: String = text[before..].chars().take(40).collect();
            let few =
                |pieces: &[Piece]| format!("{:?}", pieces.iter().skip(equal).take(4).collect::<Vec<_>>());
            panic!("piece {equal}, in {around:?}: expected {}, found {}", few(&expected), few(&found));
        }
        expected.into_iter().map(|(id, _)| id).collect()
    }
}

/// The real model's, made once.
pub(crate) fn real_model() -> Option<&'static Pair> {
    static PAIR: LazyLock<Option<Pair>> =
        LazyLock::new(|| files::real_model().map(|file| Pair::new(&file).unwrap()));
    PAIR.as_ref()
}

/// One whose vocabulary hides nothing, made once.
pub(crate) fn every_character() -> &'static Pair {
    static PAIR: LazyLock<Pair> = LazyLock::new(|| Pair::new(&files::every_character()).unwrap());
    &PAIR
}

/// All text in a folder: whatever is UTF-8, however it is marked up.
pub(crate) fn each_text(folder: &Path, visit: &mut impl FnMut(&str)) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            each_text(&path, visit);
        } else if let Ok(text) = String::from_utf8(std::fs::read(&path).unwrap()) {
            visit(&text);
        }
    }
}
