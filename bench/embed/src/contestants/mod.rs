//! Who is measured: our kernels, and the peers, each behind one of two doors.
//!
//! An [`Engine`] is given batches of token sequences, so that each is measured at its best batch; a [`Library`] is given
//! texts and does everything itself, as its users have it.

#[cfg(feature = "candle")]
mod candle;
#[cfg(feature = "fastembed")]
mod fastembed;
#[cfg(feature = "onnxruntime")]
mod onnxruntime;
mod ours;
mod padded;
#[cfg(feature = "rten")]
mod rten;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use quipu_embed::{Kernel, TokenIds, Tokenizer};

use crate::arguments::Places;

/// Peers that take batches.
pub(crate) const ENGINES: [&str; 5] =
    ["onnxruntime f32", "onnxruntime int8", "rten f32", "rten int8", "candle f32"];
/// Peers that take texts.
pub(crate) const LIBRARIES: [&str; 2] = ["fastembed f32", "fastembed int8"];

/// Batches of token sequences to vectors, on one thread.
pub(crate) trait Engine: Send {
    fn tokenizer(&self) -> &Tokenizer;
    /// One batch; `vectors` has room for one of [`Engine::dimensions`] numbers per sequence.
    fn embed(&mut self, batch: &[TokenIds], vectors: &mut [f32]) -> anyhow::Result<()>;
    /// Whether a batch is computed as if all its sequences were as long as the longest.
    fn pads(&self) -> bool {
        true
    }
    /// Another on the same weights, for a second thread of this process.
    fn second(&self) -> Option<Box<dyn Engine>> {
        None
    }
    fn dimensions(&self) -> usize {
        384
    }
}

/// Texts to vectors, with all cores that the process may use.
pub(crate) trait Library {
    fn tokenizer(&self) -> &Tokenizer;
    fn embed(&mut self, texts: &[String]) -> anyhow::Result<Vec<f32>>;
}

/// A contestant, loaded.
pub(crate) enum Contestant {
    Engine(Box<dyn Engine>),
    Library(Box<dyn Library>),
}

/// Our kernels by the names under which [`load`] finds them, slowest first.
pub(crate) fn ours() -> Vec<String> {
    Kernel::available().into_iter().map(|kernel| format!("ours {}", kernel.name())).collect()
}

/// Loads one by its name; "all of" before one of ours is that one as a [`Library`].
pub(crate) fn load(name: &str, places: &Places) -> anyhow::Result<Contestant> {
    let (family, form) =
        name.rsplit_once(' ').with_context(|| format!("no contestant is called `{name}`"))?;
    if let Some((_, why)) = places.unbuilt.iter().find(|(peer, _)| peer == family) {
        bail!("not built: {why}");
    }
    match family {
        "ours" => Ok(Contestant::Engine(Box::new(ours::Ours::load(&places.model, form)?))),
        "all of ours" => Ok(Contestant::Library(Box::new(ours::Ours::load(&places.model, form)?))),
        #[cfg(feature = "candle")]
        "candle" => Ok(Contestant::Engine(Box::new(candle::Candle::load(&places.model)?))),
        #[cfg(feature = "onnxruntime")]
        "onnxruntime" => Ok(Contestant::Engine(Box::new(onnxruntime::OnnxRuntime::load(places, form)?))),
        #[cfg(feature = "rten")]
        "rten" => Ok(Contestant::Engine(Box::new(rten::Rten::load(places, form)?))),
        #[cfg(feature = "fastembed")]
        "fastembed" => Ok(Contestant::Library(Box::new(fastembed::FastEmbed::load(places, form)?))),
        _ => bail!("`{name}` is not in this build"),
    }
}

/// Whether it takes texts, and all cores it may use.
pub(crate) fn is_library(name: &str) -> bool {
    name.starts_with("all of ") || LIBRARIES.contains(&name)
}

/// The tokenizer of the model, for those that bring none.
#[cfg(any(feature = "candle", feature = "onnxruntime", feature = "rten"))]
fn tokenizer(model: &Path) -> anyhow::Result<Tokenizer> {
    Ok(Tokenizer::load(&model.join("tokenizer.json"), tokens_max(model)?)?)
}

/// Tokens in the longest sequence that the model takes.
fn tokens_max(model: &Path) -> anyhow::Result<usize> {
    let file = model.join("sentence_bert_config.json");
    let settings: serde_json::Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let limit =
        settings["max_seq_length"].as_u64().context("sentence_bert_config.json has no max_seq_length")?;
    Ok(limit.try_into()?)
}

/// The model as ONNX, in f32 or as dynamic quantisation is best for this processor.
fn onnx_file(places: &Places, form: &str) -> anyhow::Result<PathBuf> {
    let folder = places.onnx.as_ref().map_err(|why| anyhow!("no ONNX file: {why}"))?;
    let name = match form {
        "f32" => "f32.onnx",
        "int8" if sums_of_eight_bits_are_exact() => "int8.onnx",
        "int8" => "int8-reduced.onnx",
        _ => bail!("there is no ONNX file in {form}"),
    };
    Ok(folder.join(name))
}

/// Without VNNI, x86 adds two products of eight bits in 16, and they saturate unless weights have seven.
fn sums_of_eight_bits_are_exact() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni");
    #[cfg(not(target_arch = "x86_64"))]
    true
}
