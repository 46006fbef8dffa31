//! Any bytes as the weights of a small model: an error, or finite vectors, with products in f32 and in eight bits.
#![no_main]

#[path = "../small_model.rs"]
mod small_model;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use small_model::SmallModel;

static MODEL: LazyLock<SmallModel> = LazyLock::new(|| SmallModel::create("weights"));

fuzz_target!(|bytes: &[u8]| {
    MODEL.write("model.safetensors", bytes);
    MODEL.load_and_embed();
});
