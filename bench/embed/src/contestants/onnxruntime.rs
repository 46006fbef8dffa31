//! onnxruntime through `ort`, with the library of PyPI's package opened at run time: one thread, all graph optimisations.

use anyhow::anyhow;
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use quipu_embed::{TokenIds, Tokenizer};

use super::padded::{Padded, pool};
use super::{Engine, onnx_file, tokenizer};
use crate::arguments::Places;

pub(super) struct OnnxRuntime {
    session: Session,
    tokenizer: Tokenizer,
}

impl OnnxRuntime {
    pub(super) fn load(places: &Places, form: &str) -> anyhow::Result<Self> {
        let environment = environment(places)?;
        let file = onnx_file(places, form)?;
        let builder_error = |error: ort::Error<_>| anyhow!("{error}");
        let session = Session::builder(&environment)?
            .with_optimization_level(GraphOptimizationLevel::Level3)
            .map_err(builder_error)?
            .with_intra_threads(1)
            .map_err(builder_error)?
            .commit_from_file(file)?;
        Ok(Self { session, tokenizer: tokenizer(&places.model)? })
    }
}

/// Opens the library.
pub(super) fn environment(places: &Places) -> anyhow::Result<Environment> {
    let library = places.onnxruntime.as_ref().map_err(|why| anyhow!("no onnxruntime library: {why}"))?;
    if let Some(without) = places.without {
        without.hide_in(library)?;
    }
    Ok(ort::init_from(library)?.with_telemetry(false).build()?)
}

impl Engine for OnnxRuntime {
    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn embed(&mut self, batch: &[TokenIds], vectors: &mut [f32]) -> anyhow::Result<()> {
        let padded = Padded::<i64>::new(batch);
        let shape = [padded.rows, padded.length];
        let outputs = self.session.run(ort::inputs! {
            "input_ids" => TensorRef::from_array_view((shape, padded.ids.as_slice()))?,
            "attention_mask" => TensorRef::from_array_view((shape, padded.mask.as_slice()))?,
        })?;
        let (_, hidden) = outputs["last_hidden_state"].try_extract_tensor::<f32>()?;
        pool(hidden, batch, padded.length, vectors);
        Ok(())
    }
}
