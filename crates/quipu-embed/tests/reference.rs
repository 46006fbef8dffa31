//! The encoder against vectors that sentence-transformers made (`scripts/make_reference.py`), with the real model.
//!
//! The model is found, and fetched if need be, by the code under test. Where that fails the tests fail, unless
//! `QUIPU_OFFLINE` is set: who forbids the network gets them skipped, with a line that says so.

use quipu_embed::{Embedder, Encoder, Kernel, TokenIds, model};
use serde::Deserialize;

/// What embed.md asks of f32.
const COSINE_MIN: f64 = 0.99999;

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

/// The model's folder, or `None` where the network is forbidden and the cache lacks it.
fn folder() -> Option<std::path::PathBuf> {
    let settings = model::Settings::from_environment();
    match model::locate(&settings, None) {
        Ok(located) => Some(located.folder),
        Err(error) if settings.offline => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn embed(encoder: &Encoder, chunks: &[TokenIds]) -> Vec<f32> {
    let mut vectors = vec![0.0; chunks.len() * encoder.info().dimensions];
    encoder.embed_into(chunks, &mut vectors).unwrap();
    vectors
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn every_text_is_as_sentence_transformers_has_it() {
    let Some(folder) = folder() else { return };
    let (reference, expected) = reference();
    for kernel in Kernel::available() {
        let encoder = Encoder::load_with(&folder, kernel).unwrap();
        assert_eq!(encoder.info().dimensions, reference.dimensions);
        let texts = reference.texts.iter();
        let chunks: Vec<TokenIds> = texts.map(|text| encoder.tokenizer().encode(&text.text)).collect();
        let vectors = embed(&encoder, &chunks);
        let mut smallest = 1.0_f64;
        for (index, text) in reference.texts.iter().enumerate() {
            assert_eq!(chunks[index].len(), text.tokens, "tokens of {:?}", text.text);
            let range = index * reference.dimensions..(index + 1) * reference.dimensions;
            let cosine = cosine(&vectors[range.clone()], &expected[range.clone()]);
            assert!(cosine >= COSINE_MIN, "{:?} on {}: {cosine}", text.text, kernel.name());
            let length: f32 = vectors[range].iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-5);
            smallest = smallest.min(cosine);
        }
        println!("{}: smallest cosine {smallest:.9}", kernel.name());
    }
}
