//! Model folders and texts from someone who means harm, or from a disk that lies: each is an error that names file and
//! field, or a vector of finite numbers. Never a panic, and never memory for what only a header promises.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use quipu_embed::{EmbedError, Embedder, Encoder, Kernel, TokenIds};
use serde_json::{Map, Value, json};
use support::{CONFIG, Copy, WEIGHTS, embed};

/// The smallest shape: 3 kB of weights.
const LEAST: &str = "least";

/// A weights file in its parts.
struct Parts {
    header: Map<String, Value>,
    data: Vec<u8>,
}

impl Parts {
    fn of(copy: &Copy) -> Self {
        let bytes = copy.read(WEIGHTS);
        let (length, rest) = bytes.split_first_chunk().unwrap();
        let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        Self { header: serde_json::from_slice(header).unwrap(), data: data.into() }
    }

    fn write(&self, copy: &Copy) {
        write_weights(copy, &Value::Object(self.header.clone()).to_string(), &self.data);
    }

    /// Names, notes left out.
    fn names(&self) -> Vec<String> {
        self.header.keys().filter(|name| *name != "__metadata__").cloned().collect()
    }

    fn bytes_of(&mut self, name: &str) -> &mut [u8] {
        let offsets = &self.header[name]["data_offsets"];
        let [start, end] = [0, 1].map(|index| offsets[index].as_u64().unwrap() as usize);
        &mut self.data[start..end]
    }
}

fn write_weights(copy: &Copy, header: &str, data: &[u8]) {
    let length = (header.len() as u64).to_le_bytes();
    copy.write(WEIGHTS, [&length[..], header.as_bytes(), data].concat());
}

/// Loads for each of the kernels, and embeds: errors are told apart by the caller, vectors are finite.
fn outcome(copy: &Copy, kernel: Kernel) -> Result<(), EmbedError> {
    let encoder = Encoder::load_with(copy.path(), kernel)?;
    let chunks = ["", "the sea", "singing, in the rain."].map(|text| encoder.tokenizer().encode(text));
    let mut vectors = vec![0.0; chunks.len() * encoder.info().dimensions];
    encoder.embed_into(&chunks, &mut vectors)?;
    assert!(vectors.iter().all(|x| x.is_finite()), "{vectors:?} on {}", kernel.name());
    Ok(())
}

#[test]
fn numbers_that_are_none_are_refused_by_tensor() {
    let halves = |half: u16| half.to_le_bytes().to_vec();
    let words = |x: f32| x.to_le_bytes().to_vec();
    for (shape, bad) in [
        (LEAST, [words(f32::NAN), words(f32::INFINITY), words(f32::NEG_INFINITY)]),
        ("gte", [halves(0x7e00), halves(0x7c00), halves(0xfc01)]),
        ("bge", [halves(0x7fc0), halves(0x7f80), halves(0xff80)]),
    ] {
        let copy = Copy::of(shape);
        for (name, bad) in Parts::of(&copy).names().into_iter().zip(bad.iter().cycle()) {
            let mut parts = Parts::of(&Copy::of(shape));
            parts.bytes_of(&name)[..bad.len()].copy_from_slice(bad);
            parts.write(&copy);
            let error = copy.error();
            assert!(matches!(&error, EmbedError::NotFinite { tensor, .. } if *tensor == name), "{error}");
        }
    }
}

#[test]
fn numbers_at_the_end_of_the_range_are_an_error_or_a_finite_vector() {
    let mut refused = 0;
    for value in [-3e38_f32, 1e30, 1e-45, 0.0] {
        let copy = Copy::of("cls");
        for name in Parts::of(&copy).names() {
            let mut parts = Parts::of(&Copy::of("cls"));
            parts
                .bytes_of(&name)
                .as_chunks_mut()
                .0
                .iter_mut()
                .step_by(3)
                .for_each(|word| *word = value.to_le_bytes());
            parts.write(&copy);
            for kernel in Kernel::available() {
                if let Err(error) = outcome(&copy, kernel) {
                    refused += 1;
                    let is_told = matches!(error, EmbedError::Input { .. }) && value.abs() > 1.0;
                    assert!(is_told, "{name} of {value} on {}: {error}", kernel.name());
                }
            }
        }
    }
    assert!(refused > 0, "some of them are too large");
}

#[test]
fn headers_that_lie_about_their_length_are_refused() {
    let copy = Copy::of(LEAST);
    let bytes = copy.read(WEIGHTS);
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let beyond = bytes.len() as u64 - 7;
    for length in [0, 1, header - 1, header + 1, beyond - 1, beyond, 1 << 24, 1 << 32, u64::MAX - 8, u64::MAX]
    {
        copy.write(WEIGHTS, [&length.to_le_bytes()[..], &bytes[8..]].concat());
        let error = copy.error();
        assert!(matches!(error, EmbedError::Weights { .. }), "{length}: {error}");
    }
}

/// What may be said of the first tensor and be wrong, and what the error then says.
#[test]
fn headers_that_lie_about_tensors_are_refused() {
    let name = "embeddings.LayerNorm.bias";
    for (entry, expected) in [
        (json!({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}), "ends at 4"),
        (json!({"dtype": "F32", "shape": [2], "data_offsets": [4, 8]}), "at 4 to 8"),
        (json!({"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}), "at 8 to 0"),
        (json!({"dtype": "F32", "shape": [2], "data_offsets": [0, 12]}), "ends at 12"),
        (json!({"dtype": "F32", "shape": [2], "data_offsets": [0, u64::MAX]}), "ends at"),
        (json!({"dtype": "F32", "shape": [2], "data_offsets": [u64::MAX, u64::MAX]}), "ends at"),
        (json!({"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}), name),
        (json!({"dtype": "F32", "shape": [2], "data_offsets": [0.5, 8]}), name),
        (json!({"dtype": "F32", "shape": [2], "data_offsets": [0]}), name),
        (json!({"dtype": "F32", "shape": [2]}), name),
        (json!({"dtype": "F32", "shape": "2", "data_offsets": [0, 8]}), name),
        (json!({"dtype": 7, "shape": [2], "data_offsets": [0, 8]}), name),
        (json!({"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}), "F64"),
        (json!({"dtype": "F32", "shape": [], "data_offsets": [0, 8]}), "expected"),
        (json!({"dtype": "F32", "shape": [0], "data_offsets": [0, 8]}), "expected"),
        (json!({"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}), "expected"),
        (json!({"dtype": "F32", "shape": [1_u64 << 62, 2], "data_offsets": [0, 8]}), "expected"),
        (json!({"dtype": "F16", "shape": [2], "data_offsets": [0, 8]}), "in 8 bytes"),
        (json!(null), name),
    ] {
        let copy = Copy::of(LEAST);
        let mut parts = Parts::of(&copy);
        assert_eq!(parts.header[name]["data_offsets"], json!([0, 8]), "the first one");
        parts.header[name] = entry.clone();
        parts.write(&copy);
        let error = copy.error().to_string();
        assert!(error.contains(expected) && error.contains(WEIGHTS), "{entry}: {error}");
    }
}

#[test]
fn headers_that_are_no_lists_of_tensors_are_refused() {
    let copy = Copy::of(LEAST);
    let parts = Parts::of(&copy);
    let whole = Value::Object(parts.header.clone()).to_string();
    let entry = r#"{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
    let twice = format!("{{\"embeddings.LayerNorm.bias\":{entry},{}", &whole[1..]);
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    let surrogate = whole.replacen("embeddings", r"\ud800", 1);
    for (header, expected) in [
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        ("null", "cannot be read"),
        ("{}", "bytes"),
        ("{\"a\":", "cannot be read"),
        (&deep, "cannot be read"),
        (&twice, "comes twice"),
        (&surrogate, "cannot be read"),
    ] {
        write_weights(&copy, header, &parts.data);
        let error = copy.error();
        assert!(matches!(error, EmbedError::Weights { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// A file with notes and tensors that no one asks for, some of them empty, is a good one.
#[test]
fn what_no_one_asks_for_may_be_there() {
    let copy = Copy::of(LEAST);
    let encoder = copy.load();
    let chunk = [encoder.tokenizer().encode("the sea")];
    let expected = embed(&encoder, &chunk);
    let mut parts = Parts::of(&copy);
    let end = parts.data.len();
    parts.header.insert("__metadata__".into(), json!({"format": "pt", "deep": [[1]]}));
    parts.header.insert("none".into(), json!({"dtype": "I64", "shape": [0, 7], "data_offsets": [end, end]}));
    parts.header.insert("two".into(), json!({"dtype": "I64", "shape": [2], "data_offsets": [end, end + 16]}));
    parts.data.extend([7; 16]);
    parts.write(&copy);
    assert_eq!(embed(&copy.load(), &chunk), expected);
}

#[test]
fn absurd_configurations_are_refused_by_field() {
    let absurd = ["0", "-1", "1.5", "null", "\"8\"", "1000000000", "18446744073709551615", "1e300"];
    for field in [
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "vocab_size",
        "type_vocab_size",
    ] {
        for value in absurd {
            let copy = Copy::of("cls");
            copy.configure(field, value);
            let error = copy.error();
            assert!(matches!(error, EmbedError::Configuration { .. }), "{field} as {value}: {error}");
            let (error, is_number) = (error.to_string(), value.bytes().all(|byte| byte.is_ascii_digit()));
            assert!(error.contains(CONFIG), "{error}");
            assert!(error.contains(field) || !is_number, "{field} as {value}: {error}");
        }
    }
    for (field, value, expected) in [
        ("num_attention_heads", "5", "num_attention_heads, 5"),
        ("num_attention_heads", "64", "num_attention_heads, 64"),
        ("layer_norm_eps", "-1e-5", "layer_norm_eps"),
        ("layer_norm_eps", "1e39", "layer_norm_eps"),
        ("hidden_size", "\"a lone \\ud800\"", CONFIG),
    ] {
        let copy = Copy::of("cls");
        let config = String::from_utf8(copy.read(CONFIG)).unwrap();
        let line = config.lines().find(|line| line.contains(&format!("{field:?}"))).unwrap();
        copy.write(CONFIG, config.replace(line, &format!("{field:?}: {value},")));
        let error = copy.error().to_string();
        assert!(error.contains(expected), "{field} as {value}: {error}");
    }
}

/// Each head takes at least 32 numbers when it is computed: many narrow ones would take far more memory than the file.
#[test]
fn narrow_heads_are_refused_where_they_are_many() {
    let copy = Copy::of("cls");
    copy.configure("hidden_size", "32768");
    copy.configure("num_attention_heads", "8192");
    let error = copy.error().to_string();
    assert!(error.contains("heads of 4 numbers") && error.contains(CONFIG), "{error}");
}

/// Sizes that could be true, and are not: the tensor that says otherwise is named, and nothing is made room for before.
#[test]
fn configurations_that_the_weights_contradict_are_refused_by_tensor() {
    for (field, value, expected) in [
        ("hidden_size", "65536", "word_embeddings"),
        ("hidden_size", "36", "word_embeddings"),
        ("num_hidden_layers", "1024", "encoder.layer.2."),
        ("intermediate_size", "65536", "intermediate.dense"),
        ("max_position_embeddings", "16777216", "position_embeddings"),
        ("max_position_embeddings", "63", "position_embeddings"),
        ("vocab_size", "16777216", "word_embeddings"),
        ("type_vocab_size", "3", "token_type_embeddings"),
    ] {
        let copy = Copy::of("cls");
        copy.configure(field, value);
        let error = copy.error().to_string();
        assert!(error.contains(expected) && error.contains(WEIGHTS), "{field} as {value}: {error}");
    }
    let copy = Copy::of("cls");
    copy.configure("vocab_size", "60");
    let error = copy.error().to_string();
    assert!(error.contains("tokenizer.json") && error.contains("61 ids"), "{error}");
}

#[test]
fn other_files_that_are_no_json_are_named() {
    for file in ["modules.json", "1_Pooling/config.json", "tokenizer.json", "tokenizer_config.json"] {
        let deep = "[".repeat(100_000);
        let contents: [&[u8]; 6] =
            [b"", b"{", b"nul", b"\xff\xfe{}", deep.as_bytes(), br#"{"a lone \ud800": 1}"#];
        for content in contents {
            let copy = Copy::of("cls");
            copy.write(file, content);
            let error = copy.error();
            assert!(matches!(error, EmbedError::Configuration { .. }), "{file}: {error}");
            assert!(error.to_string().contains(file), "{file}: {error}");
        }
    }
    let copy = Copy::of("odd-sizes");
    copy.write("config_sentence_transformers.json", r#"{"prompts": {"query": "\udc00"}}"#);
    assert!(copy.error().to_string().contains("config_sentence_transformers.json"));
    let copy = Copy::of("cls");
    copy.write(CONFIG, vec![b' '; (4 << 20) + 1]);
    assert!(copy.error().to_string().contains("more than"));
}

/// Parts that would be read as values take much memory; no tokenizer has large ones.
#[test]
fn tokenizers_with_huge_parts_are_refused() {
    for part in ["normalizer", "pre_tokenizer", "post_processor"] {
        let copy = Copy::of("cls");
        let mut written: Value = serde_json::from_slice(&copy.read("tokenizer.json")).unwrap();
        written[part] = json!(vec![0; 1 << 20]);
        copy.write("tokenizer.json", written.to_string());
        let error = copy.error().to_string();
        assert!(error.contains(part) && error.contains("more than"), "{error}");
    }
}

#[test]
fn prompts_that_leave_no_room_for_a_text_are_refused() {
    let copy = Copy::of("cls");
    for role in ["query", "document"] {
        let prompt = |words: usize| json!({"prompts": {role: "the ".repeat(words)}}).to_string();
        let encoder = copy.load();
        assert_eq!(encoder.tokenizer().pieces("the the").len(), 2, "words of one token");
        let half = encoder.info().tokens_max / 2 - encoder.tokenizer().specials();
        copy.write("config_sentence_transformers.json", prompt(half));
        copy.load();
        copy.write("config_sentence_transformers.json", prompt(half + 1));
        let error = copy.error().to_string();
        assert!(error.contains("config_sentence_transformers.json") && error.contains("prompt"), "{error}");
        std::fs::remove_file(copy.file("config_sentence_transformers.json")).unwrap();
    }
}

#[test]
fn pooling_that_is_not_computed_is_refused() {
    let copy = Copy::of("cls");
    let mut pooling: Value = serde_json::from_slice(&copy.read("1_Pooling/config.json")).unwrap();
    pooling["include_prompt"] = json!(true);
    copy.write("1_Pooling/config.json", pooling.to_string());
    copy.load();
    pooling["include_prompt"] = json!(false);
    copy.write("1_Pooling/config.json", pooling.to_string());
    assert!(copy.error().to_string().contains("include_prompt"));
    let kinds = |kinds: &[&str]| {
        let module = |kind: &&str| {
            let path = if *kind == "Pooling" { "1_Pooling" } else { "" };
            json!({"path": path, "type": format!("sentence_transformers.models.{kind}")})
        };
        Value::Array(kinds.iter().map(module).collect()).to_string()
    };
    for wrong in [
        &["Transformer", "Pooling", "Pooling"][..],
        &["Transformer", "Normalize", "Pooling"],
        &["Pooling", "Transformer"],
        &["Transformer", "Pooling", "Normalize", "Normalize"],
    ] {
        let copy = Copy::of("cls");
        copy.write("modules.json", kinds(wrong));
        assert!(copy.error().to_string().contains("the module"), "{wrong:?}");
    }
}

/// A pipe beside a model would be waited for until someone writes.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_read() {
    let copy = Copy::of("cls");
    let made = std::process::Command::new("mkfifo").arg(copy.file("README.md")).status().unwrap();
    assert!(made.success());
    copy.load();
    std::fs::remove_file(copy.file("tokenizer.json")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", copy.file("tokenizer.json")).unwrap();
    assert!(copy.error().to_string().contains("tokenizer.json"));
}

/// The note about activations beside a model: whatever lies there instead, the vectors are those of a fresh folder.
#[test]
fn notes_beside_a_model_may_be_anything() {
    let kernel = Kernel::available().into_iter().find(|kernel| kernel.is_in_eight_bits()).unwrap();
    let copy = Copy::of("cls");
    let vectors = || {
        let encoder = Encoder::load_with(copy.path(), kernel).unwrap();
        embed(&encoder, &[encoder.tokenizer().encode("singing, in the rain.")])
    };
    let expected = vectors();
    let files = std::fs::read_dir(copy.path()).unwrap().map(|entry| entry.unwrap().path());
    let note = files.into_iter().find(|file| file.to_string_lossy().contains("quipu-maxima-")).unwrap();
    let whole = std::fs::read(&note).unwrap();
    let mut flipped = whole.clone();
    flipped[5] ^= 0x20;
    let contents =
        [vec![], whole[..whole.len() - 1].to_vec(), vec![0; whole.len()], vec![0xff; whole.len()], flipped];
    for content in contents.into_iter().chain([vec![1; 8 << 20]]) {
        std::fs::write(&note, &content).unwrap();
        assert_eq!(vectors(), expected);
        assert_eq!(std::fs::read(&note).unwrap(), whole, "it is written again");
    }
    assert_eq!(vectors(), expected, "from the note");
    std::fs::remove_file(&note).unwrap();
    std::fs::create_dir(&note).unwrap();
    assert_eq!(vectors(), expected, "a folder in its place");
    std::fs::remove_dir(&note).unwrap();
}

/// The note was made with a tokenizer; with another one it is another model's.
#[test]
fn notes_are_made_anew_for_another_tokenizer() {
    let kernel = Kernel::available().into_iter().find(|kernel| kernel.is_in_eight_bits()).unwrap();
    let copy = Copy::of("cls");
    let note = || {
        Encoder::load_with(copy.path(), kernel).unwrap();
        let files = std::fs::read_dir(copy.path()).unwrap().map(|entry| entry.unwrap().path());
        let notes: Vec<_> = files.filter(|file| file.to_string_lossy().contains("quipu-maxima-")).collect();
        assert_eq!(notes.len(), 1, "{notes:?}");
        std::fs::read(&notes[0]).unwrap()
    };
    let (first, again) = (note(), note());
    assert_eq!(first, again);
    let mut tokenizer: Value = serde_json::from_slice(&copy.read("tokenizer.json")).unwrap();
    tokenizer["post_processor"] = Value::Null;
    copy.write("tokenizer.json", tokenizer.to_string());
    assert_ne!(note(), first);
}

#[test]
fn any_text_has_a_vector() {
    let controls: String = ('\0'..'\u{a0}').filter(|c| c.is_control()).collect();
    let long = "the sea, singing. ".repeat(600_000);
    assert!(long.len() > 10 << 20);
    let one_word = "a".repeat(10 << 20);
    let texts =
        ["", " ", "\0", &controls, "\u{feff}\u{200b}\u{202e}", "\u{fffd}\u{10ffff}", &long, &one_word];
    for shape in ["cls", "odd-sizes"] {
        let encoder = Copy::of(shape).load();
        for text in texts {
            let chunk = encoder.tokenizer().encode(text);
            assert!(chunk.len() <= encoder.info().tokens_max);
            assert_eq!(chunk.is_truncated(), text == long);
            assert!(embed(&encoder, &[chunk]).iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
fn no_texts_have_no_vectors_and_a_lone_token_has_one() {
    for shape in ["cls", "long", LEAST] {
        let copy = Copy::of(shape);
        for kernel in Kernel::available() {
            let encoder = Encoder::load_with(copy.path(), kernel).unwrap();
            encoder.embed_into(&[], &mut []).unwrap();
            assert!(embed(&encoder, &[TokenIds::new(vec![2])]).iter().all(|x| x.is_finite()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// A good file in which some bytes are others, some of them in the header, and which may end early.
    #[test]
    fn a_mutated_weights_file_is_an_error_or_has_vectors(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let copy = Copy::of(LEAST);
        let mut bytes = copy.read(WEIGHTS);
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for (at, byte, in_header) in changes {
            let range = if in_header { 0..header } else { 0..bytes.len() };
            bytes[at.index(range.len())] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        copy.write(WEIGHTS, &bytes);
        for kernel in [Kernel::portable(), Kernel::best()] {
            let _ = outcome(&copy, kernel);
        }
    }

    /// A good configuration in which some bytes are others.
    #[test]
    fn a_mutated_configuration_is_an_error_or_has_vectors(
        file in prop::sample::select(vec![CONFIG, "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"0123456789-e.\",:[]{} tfn".to_vec())), 1..4),
    ) {
        let copy = Copy::of(LEAST);
        let mut bytes = copy.read(file);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        copy.write(file, &bytes);
        let _ = outcome(&copy, Kernel::portable());
    }
}
