//! Reads a `tokenizer.json` as the `tokenizers` library writes it, and refuses by name what is not BERT's WordPiece.
//!
//! Truncation, padding and decoder are passed over: they say how a model was trained or exported, not what it takes.
//! What the parts mean is left to their own files; the main type is [`TokenizerFile`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::added::AddedToken;
use super::normalise::Settings;
use super::vocabulary::{WORD_CHARACTERS_MAX, WordList};

/// The largest file that is read; BERT's have half a megabyte, the largest multilingual ones some twenty.
pub(crate) const FILE_BYTES_MAX: u64 = 64 << 20;

/// What a `tokenizer.json` says.
pub(super) struct TokenizerFile {
    pub(super) settings: Settings,
    pub(super) added_tokens: Vec<AddedToken>,
    pub(super) words: WordList,
    pub(super) unknown: String,
    /// What the vocabulary writes before a piece that continues a word, `##`.
    pub(super) continuing_prefix: String,
    /// A word of more characters is unknown.
    pub(super) word_characters_max: usize,
    /// Ids that the model wants before each sequence, `[CLS]` for BERT, and after it, `[SEP]`.
    pub(super) surroundings: (Vec<u32>, Vec<u32>),
}

/// The longest of the small parts that is looked at: as values its numbers take thirty times as much memory as written.
const PART_BYTES_MAX: usize = 1 << 20;

/// The file as it is. Small parts whose kind decides their fields are looked at as values first.
#[derive(Deserialize)]
struct Written<'a> {
    version: Option<String>,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(borrow)]
    normalizer: Option<&'a RawValue>,
    #[serde(borrow)]
    pre_tokenizer: Option<&'a RawValue>,
    #[serde(borrow)]
    post_processor: Option<&'a RawValue>,
    model: WrittenModel,
}

/// Everything is optional, so that a model of another kind is refused as one rather than for lacking a field.
#[derive(Deserialize)]
struct WrittenModel {
    #[serde(rename = "type")]
    kind: Option<String>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    max_input_chars_per_word: Option<usize>,
    vocab: Option<WrittenWords>,
}

#[derive(Deserialize)]
struct WrittenNormalizer {
    clean_text: bool,
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    lowercase: bool,
}

#[derive(Deserialize)]
struct BertProcessing {
    cls: (String, u32),
    sep: (String, u32),
}

#[derive(Deserialize)]
struct TemplateProcessing {
    single: Vec<TemplatePart>,
    #[serde(default)]
    special_tokens: HashMap<String, SpecialToken>,
}

#[derive(Deserialize)]
enum TemplatePart {
    Sequence { id: String },
    SpecialToken { id: String },
}

#[derive(Deserialize)]
struct SpecialToken {
    ids: Vec<u32>,
}

impl TokenizerFile {
    /// # Errors
    /// What is wrong with the file, or what it asks for that is not read.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        // Checked as a whole at once, which is faster than string by string.
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let written: Written<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if let Some(version) = written.version.filter(|version| version != "1.0") {
            return Err(format!("its version is {version:?}, and only \"1.0\" is read"));
        }
        let model = written.model;
        if let Some(kind) = model.kind.filter(|kind| kind != "WordPiece") {
            return Err(refusal("model", &kind));
        }
        let Some(WrittenWords::Words(words)) = model.vocab else {
            return Err("its model has no vocabulary of words and ids".into());
        };
        let field = |name| format!("its model lacks the field {name}");
        let unknown = model.unk_token.ok_or_else(|| field("unk_token"))?;
        let continuing_prefix =
            model.continuing_subword_prefix.ok_or_else(|| field("continuing_subword_prefix"))?;
        let word_characters_max =
            model.max_input_chars_per_word.ok_or_else(|| field("max_input_chars_per_word"))?;
        if word_characters_max > WORD_CHARACTERS_MAX {
            return Err(format!(
                "its words may have {word_characters_max} characters (max_input_chars_per_word), and at most \
                 {WORD_CHARACTERS_MAX} are read; BERT has 100"
            ));
        }
        let pre_tokenizer = part("pre_tokenizer", written.pre_tokenizer)?;
        match kind(&pre_tokenizer) {
            "BertPreTokenizer" => {}
            other => return Err(refusal("pre_tokenizer", other)),
        }
        Ok(Self {
            settings: settings(part("normalizer", written.normalizer)?)?,
            added_tokens: written.added_tokens,
            words,
            unknown,
            continuing_prefix,
            word_characters_max,
            surroundings: surroundings(part("post_processor", written.post_processor)?)?,
        })
    }
}

fn settings(written: serde_json::Value) -> Result<Settings, String> {
    match kind(&written) {
        "BertNormalizer" => {}
        other => return Err(refusal("normalizer", other)),
    }
    let written: WrittenNormalizer = fields("normalizer", written)?;
    let WrittenNormalizer { clean_text, handle_chinese_chars, strip_accents, lowercase } = written;
    let strip_accents = strip_accents.unwrap_or(lowercase);
    Ok(Settings { clean_text, handle_chinese_chars, strip_accents, lowercase })
}

/// The ids before and after a single sequence.
fn surroundings(written: serde_json::Value) -> Result<(Vec<u32>, Vec<u32>), String> {
    match kind(&written) {
        "nothing" => return Ok((Vec::new(), Vec::new())),
        "BertProcessing" => {
            let BertProcessing { cls, sep } = fields("post_processor", written)?;
            return Ok((vec![cls.1], vec![sep.1]));
        }
        "TemplateProcessing" => {}
        other => return Err(refusal("post_processor", other)),
    }
    let template: TemplateProcessing = fields("post_processor", written)?;
    let (mut before, mut after) = (Vec::new(), None);
    for part in &template.single {
        match part {
            TemplatePart::Sequence { id } if id == "A" && after.is_none() => after = Some(Vec::new()),
            TemplatePart::Sequence { id } => {
                return Err(format!("its template for one sequence has a further one, {id:?}"));
            }
            TemplatePart::SpecialToken { id } => {
                let token = template.special_tokens.get(id);
                let token = token.ok_or_else(|| format!("its template has no ids for {id:?}"))?;
                after.as_mut().unwrap_or(&mut before).extend(&token.ids);
            }
        }
    }
    Ok((before, after.ok_or("its template for one sequence has no place for it")?))
}

fn part(name: &str, written: Option<&RawValue>) -> Result<serde_json::Value, String> {
    match written.map(RawValue::get) {
        None => Ok(serde_json::Value::Null),
        Some(text) if text.len() > PART_BYTES_MAX => {
            Err(format!("its {name} has more than {PART_BYTES_MAX} bytes"))
        }
        Some(text) => serde_json::from_str(text).map_err(|error| format!("its {name} is wrong: {error}")),
    }
}

/// The `type` of a part.
fn kind(written: &serde_json::Value) -> &str {
    if written.is_null() {
        return "nothing";
    }
    written.get("type").and_then(serde_json::Value::as_str).unwrap_or("something without a type")
}

fn fields<T: serde::de::DeserializeOwned>(part: &str, written: serde_json::Value) -> Result<T, String> {
    serde_json::from_value(written).map_err(|error| format!("its {part} is wrong: {error}"))
}

fn refusal(part: &str, found: &str) -> String {
    format!(
        "its {part} is {found}, and only BERT's WordPiece is read: a WordPiece model with BertNormalizer, \
         BertPreTokenizer, and TemplateProcessing or BertProcessing"
    )
}

/// A vocabulary, read straight into its list: a map of thirty thousand strings would take ten times as long.
enum WrittenWords {
    Words(WordList),
    /// A list, as models of other kinds have it.
    Other,
}

impl<'de> Deserialize<'de> for WrittenWords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

/// Copied only where the file spells it with escapes.
#[derive(Deserialize)]
struct WrittenWord<'a>(#[serde(borrow)] Cow<'a, str>);

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = WrittenWords;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map of words and their ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WrittenWords, A::Error> {
        let mut words = WordList::default();
        while let Some((word, id)) = map.next_entry::<WrittenWord<'de>, u32>()? {
            words.push(&word.0, id);
        }
        Ok(WrittenWords::Words(words))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<WrittenWords, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(WrittenWords::Other)
    }
}
