//! The `tokenizer.json` files that both tokenizers are made from.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support;

const SPECIALS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// The real model's own, or nothing where the network is forbidden and the cache lacks it.
pub(crate) fn real_model() -> Option<Value> {
    let bytes = std::fs::read(support::real_model()?.join("tokenizer.json")).unwrap();
    Some(serde_json::from_slice(&bytes).unwrap())
}

/// A vocabulary of all characters in the planes that have any, so that none hides behind the unknown piece.
pub(crate) fn every_character() -> Value {
    characters('\0'..='\u{2ffff}')
}

/// A vocabulary of characters, alone and as ends of words.
pub(crate) fn characters(all: impl Iterator<Item = char> + Clone) -> Value {
    let alone = all.clone().map(String::from);
    let ends = all.filter(|&character| character < '\u{20000}').map(|character| format!("##{character}"));
    let words = SPECIALS.map(str::to_owned).into_iter().chain(alone).chain(ends);
    file(words.zip(0_u32..).map(|(word, id)| (word, json!(id))).collect())
}

/// BERT's settings around a vocabulary that has BERT's special tokens.
fn file(vocabulary: Map<String, Value>) -> Value {
    let added: Vec<Value> =
        SPECIALS.iter().map(|name| added(name, vocabulary[*name].as_u64().unwrap(), [false; 4])).collect();
    let special = |name: &str| json!({"id": name, "ids": [vocabulary[name]], "tokens": [name]});
    json!({
        "version": "1.0",
        "truncation": {"max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": null,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
            "lowercase": true,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": special("[CLS]"), "[SEP]": special("[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary,
        },
    })
}

fn added(content: &str, id: u64, [single_word, lstrip, rstrip, normalized]: [bool; 4]) -> Value {
    json!({
        "id": id, "content": content, "special": true,
        "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip, "normalized": normalized,
    })
}

/// What may be added beside BERT's: all differ when normalised, whatever is normalised.
const ADDED: [&str; 10] =
    ["Quipu", "<e1>", " two words", "naïf", "東京", "x", "[MASK]x", "\u{301}", "é-", "Ǆ"];

/// What every small vocabulary has.
const SINGLES: &str = "abcdxqéеßk가각한ᄒ中東京i\u{307}ςσ,.;-'[]<>\u{301}\u{302e}\u{1d165}\u{1e130}";

/// Any small file: any settings, prefix, limit, pieces and added tokens.
pub(crate) fn small() -> impl Strategy<Value = Value> {
    let pieces = prop::collection::hash_set("[a-dxqéеß각한中İς,.;-]{1,4}", 0..60);
    let names = prop::sample::subsequence(&ADDED[..], 0..=4);
    let names = names.prop_flat_map(|names| {
        let flags = prop::collection::vec(any::<[bool; 4]>(), names.len());
        (Just(names), flags)
    });
    let prefix = prop::sample::select(vec!["##", "##", "", "a", "é"]);
    let normalizer = (any::<[bool; 3]>(), any::<Option<bool>>());
    (pieces, names, prefix, 0_usize..12, normalizer, any::<bool>()).prop_map(
        |(pieces, (names, flags), prefix, limit, (switches, strip_accents), old_processor)| {
            let singles = SINGLES.chars().map(String::from);
            let whole: Vec<String> = pieces.into_iter().chain(singles).collect();
            let ends = whole.iter().filter(|word| word.len() % 3 < 2).map(|word| format!("{prefix}{word}"));
            let mut vocabulary = Map::new();
            let words = SPECIALS.map(str::to_owned).into_iter().chain(whole.iter().cloned()).chain(ends);
            for word in words {
                let next = vocabulary.len();
                vocabulary.entry(word).or_insert_with(|| json!(next));
            }
            let mut file = file(vocabulary.clone());
            let mut next = vocabulary.len() as u64;
            for (name, mut flags) in names.into_iter().zip(flags) {
                let id = vocabulary.get(name).and_then(Value::as_u64).unwrap_or(next);
                next += u64::from(id == next);
                // The library panics where white space belongs to two tokens at once.
                flags[1] &= !name.starts_with(' ');
                // Nothing may be left of it.
                flags[3] &= name != "\u{301}";
                file["added_tokens"].as_array_mut().unwrap().push(added(name, id, flags));
            }
            let [clean_text, handle_chinese_chars, lowercase] = switches;
            file["normalizer"] = json!({
                "type": "BertNormalizer", "clean_text": clean_text,
                "handle_chinese_chars": handle_chinese_chars, "strip_accents": strip_accents, "lowercase": lowercase,
            });
            if old_processor {
                file["post_processor"] = json!({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]});
            }
            file["model"]["continuing_subword_prefix"] = json!(prefix);
            file["model"]["max_input_chars_per_word"] = json!(limit);
            file
        },
    )
}
