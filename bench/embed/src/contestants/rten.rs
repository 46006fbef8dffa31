//! rten on the same ONNX files: one thread, weights packed at load.

use std::sync::Arc;

use quipu_embed::{TokenIds, Tokenizer};
use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value};

use super::padded::{Padded, pool};
use super::{Engine, onnx_file, tokenizer};
use crate::arguments::Places;

pub(super) struct Rten {
    model: Model,
    inputs: [NodeId; 2],
    output: NodeId,
    pool: Arc<ThreadPool>,
    tokenizer: Tokenizer,
}

impl Rten {
    pub(super) fn load(places: &Places, form: &str) -> anyhow::Result<Self> {
        let model = ModelOptions::with_all_ops().prepack_weights(true).load_file(onnx_file(places, form)?)?;
        let inputs = [model.node_id("input_ids")?, model.node_id("attention_mask")?];
        let output = model.node_id("last_hidden_state")?;
        let pool = Arc::new(ThreadPool::with_num_threads(1));
        Ok(Self { model, inputs, output, pool, tokenizer: tokenizer(&places.model)? })
    }
}

impl Engine for Rten {
    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn embed(&mut self, batch: &[TokenIds], vectors: &mut [f32]) -> anyhow::Result<()> {
        let Padded { rows, length, ids, mask } = Padded::<i32>::new(batch);
        let value = |data: Vec<i32>| Value::from_shape([rows, length], data);
        let [ids_node, mask_node] = self.inputs;
        let inputs = vec![(ids_node, value(ids)?.into()), (mask_node, value(mask)?.into())];
        let options = RunOptions::default().with_thread_pool(Some(self.pool.clone()));
        let [hidden] = self.model.run_n(inputs, [self.output], Some(options))?;
        let (_, hidden) = hidden.into_shape_vec::<f32, 3>()?;
        pool(&hidden, batch, length, vectors);
        Ok(())
    }
}
