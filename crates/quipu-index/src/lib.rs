//! Files to a searchable index: the pipeline, the ledger, the store, the search.
//!
//! The way of a document, which is also the reading order of the rooms:
//!
//! 1. [`walk`] shows the files below a root.
//! 2. [`chunk`] cuts a document's text into chunks that the model can read whole.
//! 3. [`run`] is one run of `quipu index`: its `pipeline` is the whole way on one screen.
//! 4. [`endpoint`] has a server make the vectors, where a user names one.
//! 5. [`store`] keeps what a run found: one SQLite file is the truth, ledger included.
//! 6. [`search`] answers questions by meaning, words and metadata.
//!
//! Extraction and embedding are crates of their own (`quipu-extract`, `quipu-embed`), and the engine that runs the
//! pipeline is `quipu-flow`; this crate glues them together.

pub mod chunk;
pub mod endpoint;
mod error;
pub mod run;
pub mod search;
pub mod store;
pub mod walk;

use quipu_embed::ModelInfo;

pub use error::IndexError;

/// What an index made with `model` on this machine is made with: a hash over the model, the chunker's and the
/// extractor's version.
pub fn configuration(model: &ModelInfo) -> store::Configuration {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&model.configuration);
    configuration_of(model.name.clone(), model.dimensions, hasher)
}

/// The configuration of a model about which `hasher` knows all that decides a vector.
fn configuration_of(model: String, dimensions: usize, mut hasher: blake3::Hasher) -> store::Configuration {
    hasher.update(&chunk::CHUNKER_VERSION.to_le_bytes());
    hasher.update(&quipu_extract::EXTRACTOR_VERSION.to_le_bytes());
    store::Configuration { model, dimensions, hash: *hasher.finalize().as_bytes() }
}

#[cfg(test)]
mod testing;
