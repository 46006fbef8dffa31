//! candle: its own BERT on the safetensors themselves.

use std::path::Path;

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config, DTYPE};
use quipu_embed::{TokenIds, Tokenizer};

use super::padded::{Padded, pool};
use super::{Engine, tokenizer};

pub(super) struct Candle {
    model: BertModel,
    tokenizer: Tokenizer,
}

impl Candle {
    pub(super) fn load(model: &Path) -> anyhow::Result<Self> {
        let config: Config = serde_json::from_slice(&std::fs::read(model.join("config.json"))?)?;
        let weights = std::fs::read(model.join("model.safetensors"))?;
        let weights = VarBuilder::from_buffered_safetensors(weights, DTYPE, &Device::Cpu)?;
        Ok(Self { model: BertModel::load(weights, &config)?, tokenizer: tokenizer(model)? })
    }
}

impl Engine for Candle {
    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn embed(&mut self, batch: &[TokenIds], vectors: &mut [f32]) -> anyhow::Result<()> {
        let Padded { rows, length, ids, mask } = Padded::<u32>::new(batch);
        let ids = Tensor::from_vec(ids, (rows, length), &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, (rows, length), &Device::Cpu)?;
        let hidden = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let hidden = hidden.flatten_all()?.to_vec1::<f32>()?;
        pool(&hidden, batch, length, vectors);
        Ok(())
    }
}
