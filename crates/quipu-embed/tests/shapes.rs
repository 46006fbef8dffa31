//! Small models with random weights against `transformers` (`scripts/make_shapes.py`), and copies of them broken in
//! every way that a model folder can be.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use quipu_embed::{EmbedError, Embedder, Encoder, Kernel, TokenIds};
use serde::Deserialize;
use support::{CONFIG, Copy, WEIGHTS, check_bit_identical, embed};

const SHAPES: [&str; 7] = ["cls", "twelve-layers", "odd-sizes", "bge", "gte", "long", "least"];

#[derive(Deserialize)]
struct Expected {
    /// Tokens in the longest sequence.
    limit: usize,
    texts: Vec<ExpectedText>,
}

#[derive(Deserialize)]
struct ExpectedText {
    text: String,
    ids: Vec<u32>,
    vector: Vec<f32>,
}

#[test]
fn every_shape_computes_what_transformers_computes() {
    for name in SHAPES {
        let copy = Copy::of(name);
        let expected: Expected = serde_json::from_slice(&copy.read("expected.json")).unwrap();
        for kernel in Kernel::available() {
            let encoder = Encoder::load_with(copy.path(), kernel).unwrap();
            assert_eq!(encoder.info().tokens_max, expected.limit, "{name}");
            let texts = expected.texts.iter();
            let chunks: Vec<TokenIds> = texts.map(|text| encoder.tokenizer().encode(&text.text)).collect();
            let vectors = embed(&encoder, &chunks);
            for ((text, chunk), got) in
                expected.texts.iter().zip(&chunks).zip(vectors.chunks(encoder.info().dimensions))
            {
                assert_eq!(chunk.as_slice(), text.ids, "{name}: {:?}", text.text);
                let length = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
                let apart = length(&mut got.iter().zip(&text.vector).map(|(a, b)| a - b));
                let difference = apart / length(&mut text.vector.iter().copied());
                assert!(
                    difference < allowed(kernel),
                    "{name} on {}: {:?} is off by {difference}",
                    kernel.name(),
                    text.text
                );
            }
        }
    }
}

/// How far off a vector may be, as a part of its length.
fn allowed(kernel: Kernel) -> f32 {
    match kernel.name() {
        "int8-avx2" | "int8-avx512" => 0.1,
        name if name.starts_with("int8") => 0.05,
        name if name.starts_with("bf16") => 0.02,
        _ => 1e-5,
    }
}

#[test]
fn prompts_come_from_the_model() {
    let prompts = |name: &str| Copy::of(name).load().info().prompts.clone();
    let asked = prompts("odd-sizes");
    assert_eq!((asked.query.as_str(), asked.document.as_str()), ("query: ", "passage: "));
    let silent = prompts("cls");
    assert_eq!((silent.query.as_str(), silent.document.as_str()), ("", ""));
}

#[test]
fn fingerprints_tell_models_apart_and_copies_do_not_differ() {
    let configuration = |copy: &Copy| copy.load().info().configuration;
    let original = configuration(&Copy::of("cls"));
    let copy = Copy::of("cls");
    assert_eq!(original, configuration(&copy));
    assert_ne!(original, configuration(&Copy::of("twelve-layers")));
    copy.write("tokenizer_config.json", r#"{"model_max_length": 40}"#);
    assert_ne!(original, configuration(&copy), "another limit");
    let copy = Copy::of("cls");
    let mut weights = copy.read(WEIGHTS);
    for word in weights[8_192..].as_chunks_mut::<4>().0 {
        word[0] ^= 1;
    }
    copy.write(WEIGHTS, &weights);
    assert_ne!(original, configuration(&copy), "other numbers");
}

/// On every kernel; the real model's are in `tests/reference.rs`, on the fastest alone.
#[test]
fn vectors_are_bit_identical_whatever_the_batch_order_or_threads() {
    for shape in ["cls", "odd-sizes"] {
        for kernel in Kernel::available() {
            let encoder = Encoder::load_with(Copy::of(shape).path(), kernel).unwrap();
            let text = |index: usize| vec!["sea"; 1 + index * 7 % 40].join(" ");
            let chunks: Vec<TokenIds> =
                (0..40).map(|index| encoder.tokenizer().encode(&text(index))).collect();
            check_bit_identical(&encoder, &chunks);
        }
    }
}

#[test]
fn inputs_that_no_model_can_take_are_refused_by_position() {
    let encoder = Copy::of("cls").load();
    let good = encoder.tokenizer().encode("the sea");
    for (bad, problem) in [
        (TokenIds::new(vec![]), "no tokens"),
        (TokenIds::new(vec![2; 49]), "49 tokens"),
        (TokenIds::new(vec![2, 61, 3]), "id 61"),
    ] {
        let mut out = vec![7.0; 2 * 32];
        let error = encoder.embed_into(&[good.clone(), bad], &mut out).unwrap_err();
        assert!(matches!(&error, EmbedError::Input { index: 1, .. }), "{error}");
        assert!(error.to_string().contains(problem), "{error}");
        assert!(out.iter().all(|&x| x == 7.0), "the output was touched");
    }
    let error = encoder.embed_into(&[good], &mut [0.0; 31]).unwrap_err();
    assert!(matches!(error, EmbedError::OutputLength { expected: 32, found: 31 }));
    encoder.embed_into(&[], &mut []).unwrap();
}

#[test]
fn broken_folders_are_errors_that_name_the_file() {
    let whole = |file: &str, content: &str| (file.to_owned(), content.to_owned());
    let cases = [
        (whole(CONFIG, "{"), CONFIG),
        (whole(CONFIG, r#"{"model_type": "bert"}"#), "hidden_size"),
        (whole("modules.json", "[]"), "no Pooling"),
        (whole("modules.json", r#"[{"path": "2_Dense", "type": "a.Dense"}]"#), "a.Dense"),
        (whole("1_Pooling/config.json", r#"{"pooling_mode": "max"}"#), "max"),
        (
            whole(
                "1_Pooling/config.json",
                r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#,
            ),
            "pooling by",
        ),
        (whole("tokenizer.json", "{}"), "tokenizer.json"),
        (whole("tokenizer_config.json", r#"{"model_max_length": 2}"#), "no room"),
        (whole(WEIGHTS, ""), WEIGHTS),
        (whole(WEIGHTS, "no tensors in here at all"), WEIGHTS),
    ];
    for ((file, content), expected) in cases {
        let copy = Copy::of("cls");
        copy.write(&file, &content);
        let error = Encoder::load(copy.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{file} as {content:?}: {error}");
    }
}

#[test]
fn other_architectures_are_unsupported_by_name() {
    for (from, to) in [
        (r#""model_type": "bert""#, r#""model_type": "roberta""#),
        (r#""hidden_act": "gelu""#, r#""hidden_act": "relu""#),
        (r#""is_decoder": false"#, r#""is_decoder": true"#),
    ] {
        let copy = Copy::of("cls");
        let config = String::from_utf8(copy.read(CONFIG)).unwrap();
        assert!(config.contains(from), "{from} is in {config}");
        copy.write(CONFIG, config.replace(from, to));
        let error = Encoder::load(copy.path()).unwrap_err();
        assert!(matches!(error, EmbedError::Unsupported { .. }), "{to}: {error}");
    }
}

#[test]
fn missing_files_are_named() {
    for file in [CONFIG, "modules.json", "1_Pooling/config.json", "tokenizer.json", WEIGHTS] {
        let copy = Copy::of("cls");
        std::fs::remove_file(copy.path().join(file)).unwrap();
        let error = Encoder::load(copy.path()).unwrap_err();
        assert!(
            matches!(&error, EmbedError::MissingFile { file: missing, .. } if missing == file),
            "{error}"
        );
    }
    let error = Encoder::load(Path::new("no/such/folder")).unwrap_err();
    assert!(error.to_string().contains("no/such/folder"), "{error}");
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let rename = |from: &str, to: &str| {
        let copy = Copy::of("cls");
        let weights = copy.read(WEIGHTS);
        let at = weights.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let changed = [&weights[..at], to.as_bytes(), &weights[at + from.len()..]].concat();
        assert_eq!(changed.len(), weights.len());
        copy.write(WEIGHTS, changed);
        Encoder::load(copy.path()).unwrap_err()
    };
    let error = rename("encoder.layer.1.output.dense.bias", "encoder.layer.1.output.dense.sail");
    assert!(
        matches!(&error, EmbedError::MissingTensor { tensor, .. } if tensor == "encoder.layer.1.output.dense.bias"),
        "{error}"
    );
    let error = rename(r#"[32,64]"#, r#"[64,32]"#);
    assert!(matches!(&error, EmbedError::WrongTensor { .. }), "{error}");
    assert!(error.to_string().contains("output.dense.weight"), "{error}");
    let error = rename(r#""F32""#, r#""I32""#);
    assert!(error.to_string().contains("I32"), "{error}");
}

#[test]
fn truncated_weights_are_an_error_wherever_they_end() {
    let copy = Copy::of("cls");
    let weights = copy.read(WEIGHTS);
    for length in [1, 7, 8, 100, weights.len() / 2, weights.len() - 4, weights.len() - 1] {
        copy.write(WEIGHTS, &weights[..length]);
        let error = Encoder::load(copy.path()).unwrap_err();
        assert!(matches!(&error, EmbedError::Weights { .. }), "{length} bytes: {error}");
    }
    copy.write(WEIGHTS, [&weights[..], &[0; 4]].concat());
    assert!(matches!(Encoder::load(copy.path()).unwrap_err(), EmbedError::Weights { .. }));
}

/// Safetensors written elsewhere may pad its header to any length: then its numbers lie at odd addresses.
#[test]
fn unaligned_weights_are_copied_and_give_the_same_vectors() {
    let copy = Copy::of("cls");
    let weights = copy.read(WEIGHTS);
    let header = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let changed =
        [&(header as u64 + 1).to_le_bytes()[..], &weights[8..8 + header], b" ", &weights[8 + header..]];
    copy.write(WEIGHTS, changed.concat());
    let (aligned, unaligned) = (Copy::of("cls").load(), copy.load());
    let chunk = [aligned.tokenizer().encode("singing in the rain")];
    assert_eq!(embed(&aligned, &chunk), embed(&unaligned, &chunk));
}
