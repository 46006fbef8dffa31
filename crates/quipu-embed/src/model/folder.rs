//! Reads the small files of a model folder as sentence-transformers writes it (old and new layouts) and refuses what
//! the encoder does not compute. The weights and the vocabulary are left to their own readers.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::kernel::attention::HEAD;
use crate::tokenizer::FILE_BYTES_MAX;
use crate::{EmbedError, Prompts, files};

/// Where the weights lie in a model folder.
pub(crate) const WEIGHTS_FILE: &str = "model.safetensors";
/// Where the vocabulary lies.
pub(crate) const TOKENIZER_FILE: &str = "tokenizer.json";
const CONFIG_FILE: &str = "config.json";
const MODULES_FILE: &str = "modules.json";
const LIMIT_FILE: &str = "sentence_bert_config.json";
const TOKENIZER_CONFIG_FILE: &str = "tokenizer_config.json";
pub(crate) const PROMPTS_FILE: &str = "config_sentence_transformers.json";

/// The largest of the files that are read here, which have a kilobyte, or where they list tokens some hundreds.
const SMALL_FILE_BYTES_MAX: u64 = 4 << 20;

/// Each head is computed with as many numbers as [`HEAD`], so models of many narrow heads become larger than they are: they
/// may become four times as wide, or so wide.
const NARROW_HEADS_WIDTH_MAX: usize = 1 << 12;

/// The largest sizes that are believed. BERT-large has 1,024 and 4,096 numbers in a row, 24 layers, 30,522 words and 512
/// positions; the products of these fit 64 bits.
const WIDTH_MAX: usize = 1 << 16;
const LAYERS_MAX: usize = 1 << 10;
const ROWS_MAX: usize = 1 << 24;

/// What a model folder says about itself.
#[derive(Debug)]
pub(crate) struct ModelFolder {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) bert: BertConfig,
    pub(crate) pooling: Pooling,
    pub(crate) normalised: bool,
    pub(crate) tokens_max: usize,
    /// The model was trained on lower-cased text.
    pub(crate) lower_case: bool,
    pub(crate) prompts: Prompts,
    pub(crate) licence: Option<String>,
}

/// The part of `config.json` that decides shapes and arithmetic.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct BertConfig {
    model_type: String,
    pub(crate) hidden_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) max_position_embeddings: usize,
    pub(crate) vocab_size: usize,
    pub(crate) type_vocab_size: usize,
    pub(crate) layer_norm_eps: f32,
    hidden_act: String,
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
}

/// How token vectors become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    Mean,
    FirstToken,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct PoolingConfig {
    /// Whether a prompt's tokens are part of the text's mean.
    include_prompt: Option<bool>,
    /// Layout since version 6.
    pooling_mode: Option<String>,
    /// Layout before it: one flag per mode, `pooling_mode_mean_tokens` and so on.
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

#[derive(Default, Deserialize)]
struct LimitConfig {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

#[derive(Default, Deserialize)]
struct TokenizerConfig {
    /// Sometimes 10^30 for "no limit", which only a float holds.
    model_max_length: Option<f64>,
}

#[derive(Default, Deserialize)]
struct PromptsConfig {
    #[serde(default)]
    prompts: std::collections::HashMap<String, String>,
}

impl ModelFolder {
    /// Reads and checks everything but weights and vocabulary.
    pub(crate) fn read(path: &Path) -> Result<Self, EmbedError> {
        let bert: BertConfig = required(path, CONFIG_FILE)?;
        bert.check(&path.join(CONFIG_FILE))?;
        let modules: Vec<Module> = required(path, MODULES_FILE)?;
        let (pooling, normalised) = read_modules(path, &modules)?;
        let limit: LimitConfig = optional(path, LIMIT_FILE)?.unwrap_or_default();
        let tokenizer: TokenizerConfig = optional(path, TOKENIZER_CONFIG_FILE)?.unwrap_or_default();
        let prompts: PromptsConfig = optional(path, PROMPTS_FILE)?.unwrap_or_default();
        for file in [WEIGHTS_FILE, TOKENIZER_FILE] {
            if !path.join(file).is_file() {
                return Err(EmbedError::MissingFile { folder: path.into(), file: file.into() });
            }
        }
        Ok(Self {
            path: path.into(),
            name: name_of(path),
            tokens_max: tokens_max(&limit, &tokenizer, bert.max_position_embeddings),
            lower_case: limit.do_lower_case,
            bert,
            pooling,
            normalised,
            prompts: prompts.named(),
            licence: licence_in_readme(path),
        })
    }

    /// The bytes of every small file that decides a vector, for the model's fingerprint.
    pub(crate) fn deciding_bytes(&self) -> Result<Vec<Vec<u8>>, EmbedError> {
        let facts = format!(
            "{:?} {:?} {} {} {} {:?}",
            self.bert, self.pooling, self.normalised, self.tokens_max, self.lower_case, self.prompts
        );
        Ok(vec![facts.into_bytes(), files::read(&self.path.join(TOKENIZER_FILE), FILE_BYTES_MAX)?])
    }
}

impl BertConfig {
    fn check(&self, file: &Path) -> Result<(), EmbedError> {
        let unsupported = |what: String| Err(EmbedError::Unsupported { file: file.into(), what });
        if self.model_type != "bert" {
            return unsupported(format!("model_type {:?}", self.model_type));
        }
        if self.hidden_act != "gelu" {
            return unsupported(format!("hidden_act {:?}", self.hidden_act));
        }
        if self.position_embedding_type.as_deref().is_some_and(|kind| kind != "absolute") {
            return unsupported(format!("position_embedding_type {:?}", self.position_embedding_type));
        }
        if self.is_decoder {
            return unsupported("is_decoder".into());
        }
        self.sizes().map_err(|problem| EmbedError::Configuration { file: file.into(), problem })
    }

    /// Refuses what would be a division by zero, an overflow or all of the memory later.
    fn sizes(&self) -> Result<(), String> {
        for (field, size, most) in [
            ("hidden_size", self.hidden_size, WIDTH_MAX),
            ("num_hidden_layers", self.num_hidden_layers, LAYERS_MAX),
            ("num_attention_heads", self.num_attention_heads, WIDTH_MAX),
            ("intermediate_size", self.intermediate_size, WIDTH_MAX),
            ("max_position_embeddings", self.max_position_embeddings, ROWS_MAX),
            ("vocab_size", self.vocab_size, ROWS_MAX),
            ("type_vocab_size", self.type_vocab_size, ROWS_MAX),
        ] {
            if size == 0 || size > most {
                return Err(format!("{field} is {size}, and must be from 1 to {most}"));
            }
        }
        let (hidden, heads) = (self.hidden_size, self.num_attention_heads);
        if !hidden.is_multiple_of(heads) {
            return Err(format!("hidden_size is {hidden}, no multiple of num_attention_heads, {heads}"));
        }
        let widened = heads * (hidden / heads).next_multiple_of(HEAD);
        if widened > (4 * hidden).max(NARROW_HEADS_WIDTH_MAX) {
            return Err(format!(
                "num_attention_heads is {heads}: heads of {} numbers are too narrow",
                hidden / heads
            ));
        }
        let epsilon = self.layer_norm_eps;
        if !epsilon.is_finite() || epsilon < 0.0 {
            return Err(format!("layer_norm_eps is {epsilon}"));
        }
        Ok(())
    }
}

impl PromptsConfig {
    fn named(mut self) -> Prompts {
        let mut take =
            |names: &[&str]| names.iter().find_map(|&name| self.prompts.remove(name)).unwrap_or_default();
        Prompts { query: take(&["query"]), document: take(&["document", "passage"]) }
    }
}

fn read_modules(path: &Path, modules: &[Module]) -> Result<(Pooling, bool), EmbedError> {
    let file = path.join(MODULES_FILE);
    let (mut pooling, mut normalised) = (None, false);
    for (place, module) in modules.iter().enumerate() {
        match (place, module.kind.rsplit('.').next()) {
            (0, Some("Transformer")) if module.path.is_empty() => {}
            (1, Some("Pooling")) => pooling = Some(read_pooling(path, &module.path)?),
            (2, Some("Normalize")) => normalised = true,
            _ => {
                let what = format!("the module {:?} in place {place}", module.kind);
                return Err(EmbedError::Unsupported { file, what });
            }
        }
    }
    let pooling =
        pooling.ok_or_else(|| EmbedError::Configuration { file, problem: "it has no Pooling".into() })?;
    Ok((pooling, normalised))
}

fn read_pooling(path: &Path, module: &str) -> Result<Pooling, EmbedError> {
    let name = format!("{module}/config.json");
    let config: PoolingConfig = required(path, &name)?;
    let flag = |(name, value): (&String, &serde_json::Value)| {
        let mode = name.strip_prefix("pooling_mode_")?;
        (value.as_bool() == Some(true))
            .then(|| mode.trim_end_matches("_tokens").trim_end_matches("_token").to_owned())
    };
    let modes: Vec<String> =
        config.pooling_mode.into_iter().chain(config.others.iter().filter_map(flag)).collect();
    if config.include_prompt == Some(false) {
        let what = "pooling that leaves out a prompt's tokens (include_prompt)".to_owned();
        return Err(EmbedError::Unsupported { file: path.join(name), what });
    }
    match modes.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["mean"] => Ok(Pooling::Mean),
        ["cls"] => Ok(Pooling::FirstToken),
        _ => Err(EmbedError::Unsupported { file: path.join(name), what: format!("pooling by {modes:?}") }),
    }
}

/// The limit that the model was trained for, never more than it has positions.
fn tokens_max(limit: &LimitConfig, tokenizer: &TokenizerConfig, positions: usize) -> usize {
    let stated = tokenizer.model_max_length.filter(|&length| length >= 1.0 && length <= positions as f64);
    limit.max_seq_length.or(stated.map(|length| length as usize)).unwrap_or(positions).min(positions)
}

fn name_of(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    absolute.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
}

/// `license:` in the front matter of the model card, if there is one.
fn licence_in_readme(path: &Path) -> Option<String> {
    let readme = String::from_utf8(files::read(&path.join("README.md"), SMALL_FILE_BYTES_MAX).ok()?).ok()?;
    let mut lines = readme.lines();
    lines.next().filter(|line| line.trim() == "---")?;
    let matter = lines.take_while(|line| line.trim() != "---");
    matter.filter_map(|line| line.strip_prefix("license:")).map(|value| value.trim().to_owned()).next()
}

fn required<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T, EmbedError> {
    optional(folder, name)?
        .ok_or_else(|| EmbedError::MissingFile { folder: folder.into(), file: name.into() })
}

fn optional<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, EmbedError> {
    let file = folder.join(name);
    if !file.is_file() {
        return Ok(None);
    }
    let bytes = files::read(&file, SMALL_FILE_BYTES_MAX)?;
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|error| EmbedError::Configuration { file, problem: error.to_string() })
}
