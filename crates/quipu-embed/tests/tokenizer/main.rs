//! Our WordPiece against the `tokenizers` library: pieces and offsets must be equal for every text and every file that
//! both take. Most texts here are such as no model has seen.
#![allow(clippy::unwrap_used)]

mod files;
mod oracle;
#[path = "../support/mod.rs"]
mod support;
mod texts;

use oracle::Pair;
use proptest::prelude::*;
use quipu_embed::Tokenizer;
use serde_json::{Value, json};

/// Texts that once were, or easily could be, cut differently.
const TELLING: &[&str] = &[
    "",
    " ",
    "\u{0}",
    "naïve 東京 café, a-b_c: x²! don't",
    "[CLS] [MASK]x x[SEP] [cls] [ UNK ] [UNK]",
    "İstanbul ΣΊΣΥΦΟΣ ǅ ﬁ ẞ K Å",
    "한국어 각 ㄱ ᄀ\u{1161}\u{11a8}",
    "a\u{0}b\u{200d}c\u{ad}d\u{fffd}e\u{85}f\u{a0}g\u{2028}h\u{3000}i\tj\u{c}k",
    "e\u{301}\u{323} \u{301} ế\u{323} \u{344}\u{316} \u{f73}\u{f71}",
    "\u{1d15e}\u{1d16d}\u{1d165}x a\u{302e}\u{302a}\u{301} \u{302e}\u{1d165}",
    "ế\u{302e}\u{0}\u{1d165}\u{323}b \u{1d160}\u{1d165}",
    "; \u{37e} \u{1fef} \u{2126} 豈 \u{2f800} \u{2b820} \u{9ff0}",
    "\u{1e130}\u{302e}x \u{e000}\u{f0000} \u{10ffff}",
];

/// Every way of setting a `BertNormalizer`.
fn normalizers() -> impl Iterator<Item = Value> {
    (0..24).map(|bits| {
        json!({
            "type": "BertNormalizer",
            "clean_text": bits & 1 == 0,
            "handle_chinese_chars": bits & 2 == 0,
            "lowercase": bits & 4 == 0,
            "strip_accents": ([None, Some(true), Some(false)][bits >> 3]),
        })
    })
}

#[test]
fn telling_texts_are_equal_however_the_normaliser_is_set() {
    // Those that the texts have or become, few enough to be read this often.
    let mut file = files::characters(('\0'..='\u{33ff}').chain('\u{1d100}'..='\u{1d1ff}'));
    for normalizer in normalizers() {
        file["normalizer"] = normalizer;
        let pair = Pair::new(&file).unwrap();
        pair.check_all(TELLING);
        let long = [99, 100, 101].map(|length| ["a".repeat(length), "é".repeat(length), "각".repeat(length)]);
        pair.check_all(long.as_flattened());
    }
}

/// Each between spaces and inside a word, and some as a whole text: all of them stripped and in lower case as most
/// models have it, samples of them cased, neither cleaned nor set apart, and not even stripped.
#[test]
fn every_character_of_unicode_is_equal() {
    const TOGETHER: usize = 512;
    let mut file = files::every_character();
    for (which, step) in [(0, 1), (4, 29), (11, 31), (23, 37)] {
        file["normalizer"] = normalizers().nth(which).unwrap();
        let pair = Pair::new(&file).unwrap();
        let characters: Vec<char> = ('\0'..=char::MAX).step_by(step).collect();
        for some in characters.chunks(TOGETHER) {
            let text: String = some.iter().map(|character| format!("{character} a{character}b ")).collect();
            pair.check_offsets(&text);
        }
        for &character in characters.iter().step_by(29) {
            pair.check(character.encode_utf8(&mut [0; 4]));
        }
    }
}

#[test]
fn the_real_model_is_equal_on_telling_texts() {
    let Some(mut file) = files::real_model() else { return };
    for normalizer in normalizers() {
        file["normalizer"] = normalizer;
        let pair = Pair::new(&file).unwrap();
        pair.check_all(TELLING);
        pair.check(include_str!("../reference/texts.json"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_equal_with_any_file(file in files::small(), texts in prop::collection::vec(texts::strange(), 1..8)) {
        let pair = Pair::new(&file).map_err(TestCaseError::fail)?;
        pair.check_all(&texts);
    }

    #[test]
    fn any_text_is_equal_with_the_real_model(texts in prop::collection::vec(texts::strange(), 1..8)) {
        if let Some(pair) = oracle::real_model() {
            pair.check_all(&texts);
        }
    }

    #[test]
    fn any_text_is_equal_with_every_character_known(texts in prop::collection::vec(texts::strange(), 1..8)) {
        oracle::every_character().check_all(&texts);
    }

    #[test]
    fn a_damaged_file_is_an_error_or_works(
        file in files::small(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
        text in texts::strange(),
    ) {
        let mut bytes = serde_json::to_vec(&file).unwrap();
        for (place, byte, inserts) in damage {
            let place = place.index(bytes.len());
            if inserts { bytes.insert(place, byte) } else { bytes[place] = byte }
        }
        if let Ok(tokenizer) = Tokenizer::parse(&bytes, 64) {
            tokenizer.pieces_with_offsets(&text);
        }
    }

    #[test]
    fn any_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Tokenizer::parse(&bytes, 64).is_err());
    }
}

#[test]
fn the_data_folder_is_equal() {
    // Only where there is one: these are others' files, which are not in this project.
    let Some(folder) = std::env::var_os("QUIPU_DATA") else { return };
    let Some(pair) = oracle::real_model() else { return };
    let (mut bytes, mut pieces) = (0, 0);
    oracle::each_text(folder.as_ref(), &mut |text| {
        bytes += text.len();
        pieces += pair.check(text);
    });
    println!("{bytes} bytes of text, {pieces} pieces, all equal");
    assert!(pieces > 0, "no text in the data folder");
}
