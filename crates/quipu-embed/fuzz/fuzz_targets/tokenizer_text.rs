//! Any text, cut by ours and by the `tokenizers` library: pieces and offsets are equal. The first byte sets the
//! normaliser; the vocabulary has every character of the Basic Multilingual Plane, so that none hides behind the
//! unknown piece.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quipu_embed::Tokenizer;
use serde_json::{Map, Value, json};

const SPECIALS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

struct Pair {
    ours: Tokenizer,
    library: tokenizers::Tokenizer,
}

/// One for each way in which models set the normaliser, and one for how none does.
static PAIRS: LazyLock<[Pair; 4]> = LazyLock::new(|| [0, 1, 2, 3].map(pair));

fuzz_target!(|bytes: &[u8]| {
    let Some((&which, text)) = bytes.split_first() else { return };
    let pair = &PAIRS[usize::from(which) % PAIRS.len()];
    let text = String::from_utf8_lossy(text);
    let expected = pair.library.encode(text.as_ref(), false).expect("the library takes any text");
    let offsets = expected.get_offsets().iter().map(|&(start, end)| start..end);
    let expected: Vec<_> = expected.get_ids().iter().copied().zip(offsets).collect();
    assert_eq!(expected, pair.ours.pieces_with_offsets(&text), "{text:?}");
});

fn pair(which: u8) -> Pair {
    let file = serde_json::to_vec(&file(which)).expect("a value is written");
    let library = tokenizers::Tokenizer::from_bytes(&file).expect("the library takes the file");
    Pair { ours: Tokenizer::parse(&file, 64).expect("ours takes the file"), library }
}

fn file(which: u8) -> Value {
    let characters = || ('\0'..='\u{ffff}').map(String::from);
    let ends = characters().map(|character| format!("##{character}"));
    let words = SPECIALS.map(str::to_owned).into_iter().chain(characters()).chain(ends);
    let vocabulary: Map<String, Value> = words.zip(0_u32..).map(|(word, id)| (word, json!(id))).collect();
    // Some are looked for in the text as it is, some in normalised text; some take white space in, some stand alone.
    let added: Vec<Value> = SPECIALS
        .iter()
        .map(|name| {
            json!({
                "id": vocabulary[*name], "content": name, "special": true, "normalized": which == 3 && *name == "[SEP]",
                "single_word": *name == "[MASK]", "lstrip": *name == "[SEP]", "rstrip": *name == "[PAD]",
            })
        })
        .collect();
    json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": which != 1, "handle_chinese_chars": which != 1,
            "strip_accents": ([None, Some(true), Some(false), Some(true)][usize::from(which)]), "lowercase": which != 3,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": null,
        "decoder": null,
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary,
        },
    })
}
