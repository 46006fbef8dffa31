//! The encoder against vectors that sentence-transformers made (`scripts/make_reference.py`), with the real model.
//!
//! The model is found, and fetched if need be, by the code under test. Where that fails the tests fail, unless
//! `QUIPU_OFFLINE` is set: who forbids the network gets them skipped, with a line that says so.
#![allow(clippy::unwrap_used)]

mod support;

use quipu_embed::verify::{Bounds, cosine};
use quipu_embed::{Embedder, Encoder, Kernel, TokenIds};
use serde::Deserialize;
use support::{check_bit_identical, embed, real_model};

#[derive(Deserialize)]
struct Reference {
    dimensions: usize,
    texts: Vec<ReferenceText>,
}

#[derive(Deserialize)]
struct ReferenceText {
    text: String,
    tokens: usize,
}

fn reference() -> (Reference, Vec<f32>) {
    let reference: Reference = serde_json::from_str(include_str!("reference/texts.json")).unwrap();
    let vectors = include_bytes!("reference/vectors.f32").as_chunks::<4>().0;
    (reference, vectors.iter().map(|&word| f32::from_le_bytes(word)).collect())
}

#[test]
fn every_text_is_as_sentence_transformers_has_it() {
    let Some(folder) = real_model() else { return };
    let (reference, expected) = reference();
    for kernel in Kernel::available() {
        let encoder = Encoder::load_with(&folder, kernel).unwrap();
        assert_eq!(encoder.info().dimensions, reference.dimensions);
        let texts = reference.texts.iter();
        let chunks: Vec<TokenIds> = texts.map(|text| encoder.tokenizer().encode(&text.text)).collect();
        let vectors = embed(&encoder, &chunks);
        let bounds = Bounds::of(kernel);
        let (mut smallest, mut sum) = (1.0_f64, 0.0);
        for (index, text) in reference.texts.iter().enumerate() {
            assert_eq!(chunks[index].len(), text.tokens, "tokens of {:?}", text.text);
            let range = index * reference.dimensions..(index + 1) * reference.dimensions;
            let cosine = cosine(&vectors[range.clone()], &expected[range.clone()]);
            assert!(cosine >= bounds.least, "{:?} on {}: {cosine}", text.text, kernel.name());
            let length: f32 = vectors[range].iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-5);
            smallest = smallest.min(cosine);
            sum += cosine;
        }
        let mean = sum / reference.texts.len() as f64;
        println!("{}: mean cosine {mean:.9}, smallest {smallest:.9}", kernel.name());
        assert!(mean >= bounds.mean, "on {}: {mean}", kernel.name());
    }
}

/// Vectors must not depend on what is embedded beside a text, in which order, by how many threads, or by a scratch that
/// held something else before.
#[test]
fn vectors_are_bit_identical_whatever_the_batch_order_or_threads() {
    let Some(folder) = real_model() else { return };
    let (reference, _) = reference();
    let encoder = Encoder::load(&folder).unwrap();
    // A third of the texts, from 2 to 256 tokens: enough for several batches, few enough for a slow machine.
    let texts = reference.texts.iter().step_by(3);
    let chunks: Vec<TokenIds> = texts.map(|text| encoder.tokenizer().encode(&text.text)).collect();
    check_bit_identical(&encoder, &chunks);
}

/// The model's tokenizer.json has truncation at 128 and padding to 128 switched on; its limit is 256.
#[test]
fn a_text_of_250_tokens_is_taken_whole_and_a_short_one_is_not_padded() {
    let Some(folder) = real_model() else { return };
    let encoder = Encoder::load(&folder).unwrap();
    let tokenizer = encoder.tokenizer();
    assert_eq!((tokenizer.tokens_max(), tokenizer.specials()), (256, 2));
    let text = vec!["stone"; 248].join(" ");
    let sequence = tokenizer.encode(&text);
    assert_eq!((sequence.len(), sequence.is_truncated()), (250, false));
    assert_eq!(tokenizer.encode("stone").as_slice(), [101, 2962, 102]);
    let full = tokenizer.encode(&vec!["stone"; 254].join(" "));
    assert_eq!((full.len(), full.is_truncated()), (256, false));
    let cut = tokenizer.encode(&vec!["stone"; 255].join(" "));
    assert_eq!((cut.as_slice(), cut.is_truncated()), (full.as_slice(), true));
}

#[test]
fn offsets_are_bytes_of_the_text_and_both_encodings_agree() {
    let Some(folder) = real_model() else { return };
    let encoder = Encoder::load(&folder).unwrap();
    let tokenizer = encoder.tokenizer();
    let (reference, _) = reference();
    for text in reference.texts.iter().map(|text| text.text.as_str()) {
        let pieces = tokenizer.pieces_with_offsets(text);
        let ids: Vec<u32> = pieces.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, tokenizer.pieces(text), "{text:?}");
        let mut end = 0;
        for (_, range) in &pieces {
            assert!(
                range.start >= end || *range == (end - range.len()..end),
                "{text:?}: {range:?} after {end}"
            );
            assert!(text.get(range.clone()).is_some(), "{text:?}: {range:?} cuts a character");
            end = range.end;
        }
    }
    let text = "naïve 東京 café";
    let words: Vec<&str> =
        tokenizer.pieces_with_offsets(text).into_iter().map(|(_, range)| &text[range]).collect();
    assert_eq!(words, ["naïve", "東", "京", "café"]);
}

#[test]
fn the_info_says_what_the_model_is() {
    let Some(folder) = real_model() else { return };
    let encoder = Encoder::load(&folder).unwrap();
    let info = encoder.info();
    assert_eq!((info.name.as_str(), info.dimensions, info.tokens_max), ("all-MiniLM-L6-v2", 384, 256));
}
