//! What becomes of files that are wrong or of another kind, and of texts that are too much. That ordinary ones are cut
//! as they should be is held against the `tokenizers` library in `tests/tokenizer`.

use serde_json::{Value, json};

use super::Tokenizer;
use crate::EmbedError;

/// A complete file with a vocabulary of 61 words: letters, ends of letters, `the`, `##ing`.
fn small() -> Value {
    serde_json::from_str(include_str!("../../tests/shapes/cls/tokenizer.json")).unwrap()
}

fn build(file: &Value) -> Result<Tokenizer, EmbedError> {
    Tokenizer::parse(&serde_json::to_vec(file).unwrap(), 48)
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut file = small();
    change(&mut file);
    file
}

#[track_caller]
fn check_refused(change: impl FnOnce(&mut Value), expected: &str) {
    match build(&changed(change)) {
        Err(error @ EmbedError::Configuration { .. }) => {
            let said = error.to_string();
            assert!(said.contains(expected), "{said:?} does not say {expected:?}");
        }
        other => panic!("{other:?} instead of {expected:?}"),
    }
}

fn add(file: &mut Value, id: u64, content: &str, normalized: bool) {
    file["added_tokens"].as_array_mut().unwrap().push(json!({
        "id": id, "content": content, "special": false, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": normalized,
    }));
}

#[test]
fn other_kinds_are_refused_by_name() {
    check_refused(|file| file["model"]["type"] = json!("BPE"), "model is BPE, and only BERT's WordPiece");
    let unigram = json!({"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.5]]});
    check_refused(|file| file["model"] = unigram, "model is Unigram");
    check_refused(|file| file["normalizer"] = json!({"type": "NFC"}), "normalizer is NFC");
    check_refused(|file| file["normalizer"] = Value::Null, "normalizer is nothing");
    check_refused(|file| file["normalizer"] = json!({}), "normalizer is something without a type");
    let metaspace = json!({"type": "Metaspace", "replacement": "_"});
    check_refused(|file| file["pre_tokenizer"] = metaspace, "pre_tokenizer is Metaspace");
    check_refused(|file| file["post_processor"]["type"] = json!("RobertaProcessing"), "RobertaProcessing");
    check_refused(|file| file["version"] = json!("2.0"), "version is \"2.0\"");
}

#[test]
fn a_vocabulary_that_contradicts_itself_is_refused() {
    check_refused(|file| file["model"]["vocab"] = json!({}), "vocabulary is empty");
    check_refused(|file| file["model"]["unk_token"] = json!("<unk>"), "lacks \"<unk>\"");
    check_refused(|file| file["model"]["unk_token"] = Value::Null, "lacks the field unk_token");
    check_refused(|file| file["model"]["vocab"]["x"] = json!(1_u64 << 32), "expected u32");
    check_refused(|file| file["model"]["vocab"]["x"] = json!(-1), "expected u32");
    check_refused(|file| file["model"]["vocab"]["x"] = json!("x"), "expected u32");
    check_refused(
        |file| file["model"]["max_input_chars_per_word"] = json!(1_000_000),
        "max_input_chars_per_word",
    );
    check_refused(|file| add(file, 99, "new", false), "\"new\" has the id 99, and by its place");
    check_refused(|file| file["added_tokens"][0]["id"] = json!(60), "\"[PAD]\" has the id 60");
    let twins = |file: &mut Value| {
        add(file, 61, "New", true);
        add(file, 62, "new", true);
    };
    check_refused(twins, "the same when normalised");
    check_refused(|file| add(file, 61, "\u{301}", true), "nothing is left");
    let one_id = |file: &mut Value| {
        file["model"]["vocab"]["y"] = json!(30);
        add(file, 30, "y", false);
        add(file, 30, "z", false);
    };
    check_refused(one_id, "have one id, 30");
}

#[test]
fn a_template_that_does_not_surround_one_sequence_is_refused() {
    let template = |single: Value| move |file: &mut Value| file["post_processor"]["single"] = single;
    let sequence = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    check_refused(template(json!([])), "no place");
    check_refused(template(json!([sequence("A"), sequence("A")])), "a further one");
    check_refused(template(json!([sequence("B")])), "a further one, \"B\"");
    check_refused(template(json!([{"SpecialToken": {"id": "[X]", "type_id": 0}}])), "no ids for \"[X]\"");
    let all_special = json!([sequence("A"), {"SpecialToken": {"id": "[CLS]", "type_id": 0}}]);
    let file = changed(template(all_special));
    let limit = Tokenizer::parse(&serde_json::to_vec(&file).unwrap(), 1).unwrap_err();
    assert!(limit.to_string().contains("leaves no room"), "{limit}");
}

#[test]
fn what_is_no_json_is_refused() {
    let text = serde_json::to_string(&small()).unwrap();
    let half_a_character = text.replace("\"the\"", "\"\\ud83d\"");
    let cut = text.split_at(text.len() / 2).0.to_owned();
    let deep = "[".repeat(1 << 20);
    for bytes in [&half_a_character, &cut, &deep, "", "null", "[]", "{}"] {
        assert!(Tokenizer::parse(bytes.as_bytes(), 48).is_err());
    }
    assert!(Tokenizer::parse(b"\xff\xfe{}", 48).is_err());
}

#[test]
fn ids_count_up_to_the_largest_whatever_holes_there_are() {
    assert_eq!(build(&small()).unwrap().ids(), 61);
    let far = changed(|file| file["model"]["vocab"]["z"] = json!(1_000));
    let tokenizer = build(&far).unwrap();
    assert_eq!((tokenizer.ids(), tokenizer.pieces("z")), (1_001, vec![1_000]));
    assert_eq!(build(&changed(|file| add(file, 61, "new", true))).unwrap().ids(), 62);
    let special = changed(|file| file["post_processor"]["special_tokens"]["[SEP]"]["ids"] = json!([70, 71]));
    let tokenizer = build(&special).unwrap();
    assert_eq!((tokenizer.ids(), tokenizer.specials()), (72, 3));
    assert_eq!(tokenizer.encode("a").as_slice(), [2, 5, 70, 71]);
}

#[test]
fn words_spelt_with_escapes_and_fields_in_any_order_are_read() {
    let text = serde_json::to_string(&small()).unwrap();
    let escaped = text.replace("\"the\"", "\"\\u0074h\\u0065\"");
    assert_ne!(escaped, text);
    let tokenizer = Tokenizer::parse(escaped.as_bytes(), 48).unwrap();
    assert_eq!(tokenizer.pieces("The"), [57]);
    // Of a word that comes twice the later id stands.
    let twice = text.replace("\"the\":57", "\"the\":57,\"the\":3");
    assert_eq!(Tokenizer::parse(twice.as_bytes(), 48).unwrap().pieces("the"), [3]);
}

/// Time that is not linear in the length would not end before the test's limit.
#[test]
fn ten_megabytes_of_anything_take_little_time() {
    const BYTES: usize = 10 << 20;
    let tokenizer = build(&changed(|file| {
        file["added_tokens"][4]["lstrip"] = json!(true);
        file["added_tokens"][3]["rstrip"] = json!(true);
        add(file, 61, " ", false);
        file["added_tokens"][5]["rstrip"] = json!(true);
    }));
    let (tokenizer, plain) = (tokenizer.unwrap(), build(&small()).unwrap());
    let of = |part: &str| part.repeat(BYTES / part.len());
    let unknown = [(1, 0..BYTES)];
    assert_eq!(plain.pieces_with_offsets(&of("a")), unknown);
    assert_eq!(plain.pieces_with_offsets(&of("e\u{301}a")).len(), 1);
    assert_eq!(plain.pieces(&of("the ")).len(), BYTES / 4);
    for part in [" ", "\u{0}", "\u{301}", "\u{302e}\u{1d165}", "[", "[CLS", "a\u{0}\u{301}", "각 "] {
        plain.pieces(&of(part));
    }
    // Every space is a token that takes all spaces after it; the rest of the text is read no more often for that.
    assert_eq!(tokenizer.pieces(&of(" ")).len(), BYTES);
    assert!(tokenizer.pieces(&of("  [MASK]  [SEP]")).len() > BYTES / 15);
}

/// A vocabulary made to be slow: each letter begins a long piece that fails at its last letter.
#[test]
fn the_slowest_vocabulary_is_slow_by_a_bounded_factor() {
    let long = format!("{}b", "a".repeat(255));
    let tokenizer = build(&changed(|file| {
        file["model"]["max_input_chars_per_word"] = json!(256);
        file["model"]["vocab"][&long] = json!(61);
        file["model"]["vocab"][&format!("##{long}")] = json!(62);
    }));
    let words = vec!["a".repeat(256); 1_000].join(" ");
    assert_eq!(tokenizer.unwrap().pieces(&words).len(), 256_000);
}
