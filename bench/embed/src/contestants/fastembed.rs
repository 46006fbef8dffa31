//! fastembed-rs as its users call it: the same model through its user-defined-model interface, texts in the order in
//! which they come, its default batches and threads.

use anyhow::anyhow;
use fastembed::{
    InitOptionsUserDefined, Pooling, QuantizationMode, TextEmbedding, TokenizerFiles,
    UserDefinedEmbeddingModel,
};
use quipu_embed::Tokenizer;

use super::{Library, onnx_file, tokenizer, tokens_max};
use crate::arguments::Places;

pub(super) struct FastEmbed {
    embedding: TextEmbedding,
    tokenizer: Tokenizer,
}

impl FastEmbed {
    pub(super) fn load(places: &Places, form: &str) -> anyhow::Result<Self> {
        let environment = super::onnxruntime::environment(places)?;
        let special = serde_json::json!({
            "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
        });
        let mut settings = special.clone();
        settings["model_max_length"] = tokens_max(&places.model)?.into();
        let files = TokenizerFiles {
            tokenizer_file: std::fs::read(places.model.join("tokenizer.json"))?,
            config_file: std::fs::read(places.model.join("config.json"))?,
            special_tokens_map_file: serde_json::to_vec(&special)?,
            tokenizer_config_file: serde_json::to_vec(&settings)?,
        };
        // As fastembed itself marks its own two forms of this model.
        let quantisation = if form == "int8" { QuantizationMode::Dynamic } else { QuantizationMode::None };
        let model = UserDefinedEmbeddingModel::new(std::fs::read(onnx_file(places, form)?)?, files)
            .with_pooling(Pooling::Mean)
            .with_quantization(quantisation);
        let options = InitOptionsUserDefined::new().with_environment(environment);
        let embedding =
            TextEmbedding::try_new_from_user_defined(model, options).map_err(|error| anyhow!("{error}"))?;
        Ok(Self { embedding, tokenizer: tokenizer(&places.model)? })
    }
}

impl Library for FastEmbed {
    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn embed(&mut self, texts: &[String]) -> anyhow::Result<Vec<f32>> {
        Ok(self.embedding.embed(texts, None)?.concat())
    }
}
