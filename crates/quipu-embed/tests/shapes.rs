//! Small models with random weights against `transformers` (`scripts/make_shapes.py`), and copies of them broken in
//! every way that a model folder can be.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use quipu_embed::{EmbedError, Embedder, Encoder, Kernel, TokenIds};
use serde::Deserialize;

const SHAPES: [&str; 3] = ["cls", "twelve-layers", "odd-sizes"];

#[derive(Deserialize)]
struct Expected {
    text: String,
    ids: Vec<u32>,
    vector: Vec<f32>,
}

fn shape(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shapes").join(name)
}

fn embed(encoder: &Encoder, chunks: &[TokenIds]) -> Vec<f32> {
    let mut vectors = vec![0.0; chunks.len() * encoder.info().dimensions];
    encoder.embed_into(chunks, &mut vectors).unwrap();
    vectors
}

#[test]
fn every_shape_computes_what_transformers_computes() {
    for name in SHAPES {
        let expected = std::fs::read(shape(name).join("expected.json")).unwrap();
        let expected: Vec<Expected> = serde_json::from_slice(&expected).unwrap();
        for kernel in Kernel::available() {
            let encoder = Encoder::load_with(&shape(name), kernel).unwrap();
            assert_eq!(encoder.info().tokens_max, 48, "{name}");
            // Of the vector's length.
            let allowed = match kernel.name() {
                "int8-avx2" | "int8-avx512" => 0.1,
                name if name.starts_with("int8") => 0.05,
                name if name.starts_with("bf16") => 0.02,
                _ => 1e-5,
            };
            let texts = expected.iter();
            let chunks: Vec<TokenIds> = texts.map(|text| encoder.tokenizer().encode(&text.text)).collect();
            let vectors = embed(&encoder, &chunks);
            for ((text, chunk), got) in
                expected.iter().zip(&chunks).zip(vectors.chunks(encoder.info().dimensions))
            {
                assert_eq!(chunk.as_slice(), text.ids, "{name}: {:?}", text.text);
                let length = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
                let apart = length(&mut got.iter().zip(&text.vector).map(|(a, b)| a - b));
                let difference = apart / length(&mut text.vector.iter().copied());
                assert!(
                    difference < allowed,
                    "{name} on {}: {:?} is off by {difference}",
                    kernel.name(),
                    text.text
                );
            }
        }
    }
}

#[test]
fn prompts_come_from_the_model() {
    let prompts = Encoder::load(&shape("odd-sizes")).unwrap().info().prompts.clone();
    assert_eq!((prompts.query.as_str(), prompts.document.as_str()), ("query: ", "passage: "));
    let prompts = Encoder::load(&shape("cls")).unwrap().info().prompts.clone();
    assert_eq!((prompts.query.as_str(), prompts.document.as_str()), ("", ""));
}

#[test]
fn fingerprints_tell_models_apart_and_copies_do_not_differ() {
    let configuration = |folder: &Path| Encoder::load(folder).unwrap().info().configuration;
    let copy = Copy::of("cls");
    assert_eq!(configuration(&shape("cls")), configuration(copy.path()));
    assert_ne!(configuration(&shape("cls")), configuration(&shape("twelve-layers")));
    copy.write("tokenizer_config.json", br#"{"model_max_length": 40}"#);
    assert_ne!(configuration(&shape("cls")), configuration(copy.path()), "another limit");
    let copy = Copy::of("cls");
    let mut weights = std::fs::read(copy.path().join("model.safetensors")).unwrap();
    for word in weights[8_192..].as_chunks_mut::<4>().0 {
        word[0] ^= 1;
    }
    copy.write("model.safetensors", &weights);
    assert_ne!(configuration(&shape("cls")), configuration(copy.path()), "other numbers");
}

#[test]
fn inputs_that_no_model_can_take_are_refused_by_position() {
    let encoder = Encoder::load(&shape("cls")).unwrap();
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
        (whole("config.json", "{"), "config.json"),
        (whole("config.json", r#"{"model_type": "bert"}"#), "hidden_size"),
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
        (whole("model.safetensors", ""), "model.safetensors"),
        (whole("model.safetensors", "no tensors in here at all"), "model.safetensors"),
    ];
    for ((file, content), expected) in cases {
        let copy = Copy::of("cls");
        copy.write(&file, content.as_bytes());
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
        let config = std::fs::read_to_string(copy.path().join("config.json")).unwrap();
        assert!(config.contains(from), "{from} is in {config}");
        copy.write("config.json", config.replace(from, to).as_bytes());
        let error = Encoder::load(copy.path()).unwrap_err();
        assert!(matches!(error, EmbedError::Unsupported { .. }), "{to}: {error}");
    }
}

#[test]
fn missing_files_are_named() {
    for file in
        ["config.json", "modules.json", "1_Pooling/config.json", "tokenizer.json", "model.safetensors"]
    {
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
        let weights = std::fs::read(copy.path().join("model.safetensors")).unwrap();
        let at = weights.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let changed = [&weights[..at], to.as_bytes(), &weights[at + from.len()..]].concat();
        assert_eq!(changed.len(), weights.len());
        copy.write("model.safetensors", &changed);
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
    let weights = std::fs::read(copy.path().join("model.safetensors")).unwrap();
    for length in [1, 7, 8, 100, weights.len() / 2, weights.len() - 4, weights.len() - 1] {
        copy.write("model.safetensors", &weights[..length]);
        let error = Encoder::load(copy.path()).unwrap_err();
        assert!(matches!(&error, EmbedError::Weights { .. }), "{length} bytes: {error}");
    }
    copy.write("model.safetensors", &[&weights[..], &[0; 4]].concat());
    assert!(matches!(Encoder::load(copy.path()).unwrap_err(), EmbedError::Weights { .. }));
}

/// Safetensors written elsewhere may pad its header to any length; then nothing can be used in place.
#[test]
fn unaligned_weights_are_copied_and_give_the_same_vectors() {
    let copy = Copy::of("cls");
    let weights = std::fs::read(copy.path().join("model.safetensors")).unwrap();
    let header = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let changed =
        [&(header as u64 + 1).to_le_bytes()[..], &weights[8..8 + header], b" ", &weights[8 + header..]];
    copy.write("model.safetensors", &changed.concat());
    let (aligned, unaligned) = (Encoder::load(&shape("cls")).unwrap(), Encoder::load(copy.path()).unwrap());
    let chunk = [aligned.tokenizer().encode("singing in the rain")];
    assert_eq!(embed(&aligned, &chunk), embed(&unaligned, &chunk));
}

/// A model folder to break, gone when dropped.
struct Copy(tempfile::TempDir);

impl Copy {
    fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
        for file in [
            "config.json",
            "modules.json",
            "1_Pooling/config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "model.safetensors",
        ] {
            std::fs::copy(shape(name).join(file), folder.path().join(file)).unwrap();
        }
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, file: &str, content: &[u8]) {
        std::fs::write(self.path().join(file), content).unwrap();
    }
}
