//! Text to vectors: tokenizer, sentence encoder, and the model's files.
//!
//! The way of a text through the rooms, which is also the reading order:
//!
//! 1. [`model`] finds the files of a sentence-transformers model, on disk or over the network.
//! 2. [`Tokenizer`] turns text into pieces; the chunker packs by them, so nothing is tokenised twice.
//! 3. [`plan_batches`] cuts many token sequences into batches of a token budget.
//! 4. [`Encoder`] is the [`Embedder`] of this crate: a BERT forward pass over packed sequences, with a [`Kernel`].
//! 5. [`verify`] holds a model against what is known of it, and [`measure`] says how fast it is on this machine.
//!
//! Everything that computes is synchronous, single-threaded inside one call and safe to call from many threads at
//! once. Only [`model`] ever waits, and each of its waits is bounded.
//!
//! ```no_run
//! use quipu_embed::{Embedder, Encoder, model};
//!
//! let located = model::locate(&model::Settings::from_environment(), None)?;
//! println!("{}", located.note);
//! let encoder = Encoder::load(&located.folder)?;
//! let chunk = encoder.tokenizer().encode("Granite cools slowly.");
//! let mut vector = vec![0.0; encoder.info().dimensions];
//! encoder.embed_into(&[chunk], &mut vector)?;
//! # Ok::<(), quipu_embed::EmbedError>(())
//! ```

mod batch;
mod embedder;
mod encoder;
mod error;
mod files;
mod kernel;
pub mod measure;
pub mod model;
mod tokenizer;
pub mod verify;
mod work;

pub use batch::plan_batches;
pub use embedder::{Embedder, ModelInfo, Prompts};
pub use encoder::{BATCH_TOKENS, Encoder};
pub use error::EmbedError;
pub use kernel::Kernel;
pub use tokenizer::{TokenIds, Tokenizer};
pub use work::Work;
