//! The sentence encoder: BERT's forward pass in f32 over packed sequences of any lengths, without padding.
//!
//! A batch is one matrix of all its tokens. Each projection is one product over that matrix ([`feed_forward`] and the
//! projections in [`layer`]); only [`attention`] looks at one sequence at a time. [`pool`] makes one vector of each
//! sequence. Weights stay in their mapped file ([`weights`]); working memory is a [`Scratch`], reused.

mod attention;
mod embeddings;
mod feed_forward;
mod layer;
mod pool;
mod scratch;
mod weights;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::model::folder::{ModelFolder, Pooling, TOKENIZER_FILE, WEIGHTS_FILE};
use crate::{EmbedError, Embedder, Kernel, ModelInfo, TokenIds, Tokenizer, plan_batches};
use embeddings::Embeddings;
use layer::Layer;
use scratch::Scratch;
use weights::Weights;

/// Tokens of one batch inside [`Encoder::embed_into`], and the budget to cut by outside of it: few enough that the
/// working memory (about 14 kB a token for hidden size 384) stays near the second-level cache, enough that reading
/// the weights once a batch costs nothing.
pub const BATCH_TOKENS: usize = 512;

/// Enters the fingerprint; to be raised whenever the arithmetic changes more than rounding.
const ARITHMETIC_VERSION: &str = "quipu-embed f32 1";

/// A loaded model of the BERT family, ready to embed. One per process is enough: share it by reference.
#[derive(Debug)]
pub struct Encoder {
    info: ModelInfo,
    tokenizer: Tokenizer,
    network: Network,
    /// Working memory of calls that are over, at most one per call that ever ran at the same time.
    idle: Mutex<Vec<Scratch>>,
}

/// The architecture and its numbers.
#[derive(Debug)]
struct Network {
    weights: Weights,
    embeddings: Embeddings,
    layers: Vec<Layer>,
    shape: Shape,
    pooling: Pooling,
    normalised: bool,
}

/// What all layers share: their sizes, and what they are computed with.
#[derive(Clone, Copy, Debug)]
struct Shape {
    hidden: usize,
    intermediate: usize,
    heads: usize,
    epsilon: f32,
    vocabulary: usize,
    kernel: Kernel,
}

impl Encoder {
    /// Loads a model folder as sentence-transformers writes it, for the fastest kernel that this machine has.
    ///
    /// # Errors
    /// A missing, broken or unsupported file, or a missing or misshapen tensor, each by name.
    pub fn load(folder: &Path) -> Result<Self, EmbedError> {
        Self::load_with(folder, Kernel::best())
    }

    /// [`Encoder::load`] with a kernel of the caller's choice, for tests and measurements.
    ///
    /// # Errors
    /// As [`Encoder::load`].
    pub fn load_with(folder: &Path, kernel: Kernel) -> Result<Self, EmbedError> {
        let folder = ModelFolder::read(folder)?;
        let tokenizer = Tokenizer::load(&folder.path.join(TOKENIZER_FILE), folder.tokens_max)?;
        check_tokenizer(&folder, &tokenizer)?;
        let weights = Weights::open(&folder.path.join(WEIGHTS_FILE))?;
        let info = ModelInfo {
            name: folder.name.clone(),
            dimensions: folder.bert.hidden_size,
            tokens_max: folder.tokens_max,
            configuration: fingerprint(&folder, &weights)?,
            licence: folder.licence.clone(),
            prompts: folder.prompts.clone(),
        };
        let network = Network::build(weights, &folder, kernel)?;
        Ok(Self { info, tokenizer, network, idle: Mutex::new(Vec::new()) })
    }

    /// The kernel in use.
    pub fn kernel(&self) -> Kernel {
        self.network.shape.kernel
    }

    fn check(&self, chunks: &[TokenIds], out: &[f32]) -> Result<(), EmbedError> {
        let expected = chunks.len() * self.info.dimensions;
        if out.len() != expected {
            return Err(EmbedError::OutputLength { expected, found: out.len() });
        }
        let (tokens_max, vocabulary) = (self.info.tokens_max, self.network.shape.vocabulary);
        for (index, chunk) in chunks.iter().enumerate() {
            let unknown = chunk.as_slice().iter().find(|&&id| id as usize >= vocabulary);
            let problem = match (chunk.len(), unknown) {
                (0, _) => "it has no tokens".to_owned(),
                (length, _) if length > tokens_max => {
                    format!("it has {length} tokens, the model takes {tokens_max}")
                }
                (_, Some(id)) => format!("the model has {vocabulary} tokens, and none with the id {id}"),
                (_, None) => continue,
            };
            return Err(EmbedError::Input { index, problem });
        }
        Ok(())
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Scratch>> {
        // A panic elsewhere leaves the list of buffers whole: buffers are taken out of it while in use.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Embedder for Encoder {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn embed_into(&self, chunks: &[TokenIds], out: &mut [f32]) -> Result<(), EmbedError> {
        self.check(chunks, out)?;
        let lengths: Vec<usize> = chunks.iter().map(TokenIds::len).collect();
        let mut scratch = self.idle().pop().unwrap_or_default();
        for batch in plan_batches(&lengths, BATCH_TOKENS) {
            let sequences: Vec<&[u32]> = batch.iter().map(|&index| chunks[index].as_slice()).collect();
            self.network.forward(&sequences, &mut scratch);
            let dimensions = self.info.dimensions;
            for (&index, vector) in batch.iter().zip(scratch.pooled.chunks_exact(dimensions)) {
                out[index * dimensions..][..dimensions].copy_from_slice(vector);
            }
        }
        self.idle().push(scratch);
        Ok(())
    }
}

impl Network {
    fn build(weights: Weights, folder: &ModelFolder, kernel: Kernel) -> Result<Self, EmbedError> {
        let bert = &folder.bert;
        let shape = Shape {
            hidden: bert.hidden_size,
            intermediate: bert.intermediate_size,
            heads: bert.num_attention_heads,
            epsilon: bert.layer_norm_eps,
            vocabulary: bert.vocab_size,
            kernel,
        };
        // A BertModel saved from inside a task model has its tensors under "bert.".
        let prefix = if weights.has("bert.embeddings.word_embeddings.weight") { "bert." } else { "" };
        let embeddings = Embeddings::find(&weights, prefix, bert)?;
        let layers: Result<Vec<Layer>, EmbedError> =
            (0..bert.num_hidden_layers).map(|number| Layer::find(&weights, prefix, number, shape)).collect();
        let (pooling, normalised) = (folder.pooling, folder.normalised);
        Ok(Self { embeddings, layers: layers?, weights, shape, pooling, normalised })
    }

    /// Fills `scratch.pooled` with one vector per sequence.
    fn forward(&self, sequences: &[&[u32]], scratch: &mut Scratch) {
        scratch.fit(sequences, self.shape);
        self.embeddings.write(self, sequences, scratch);
        for layer in &self.layers {
            layer.apply(self, sequences, scratch);
        }
        pool::pool(self, sequences, scratch);
    }
}

fn check_tokenizer(folder: &ModelFolder, tokenizer: &Tokenizer) -> Result<(), EmbedError> {
    let problem = if folder.lower_case && !tokenizer.folds_case() {
        "sentence_bert_config.json asks for lower case, and this tokenizer keeps case".to_owned()
    } else if tokenizer.ids() > folder.bert.vocab_size {
        format!("it has {} ids, config.json says {} (vocab_size)", tokenizer.ids(), folder.bert.vocab_size)
    } else {
        return Ok(());
    };
    Err(EmbedError::Configuration { file: folder.path.join(TOKENIZER_FILE), problem })
}

fn fingerprint(folder: &ModelFolder, weights: &Weights) -> Result<[u8; 32], EmbedError> {
    let mut hash = Sha256::new();
    for part in [ARITHMETIC_VERSION.as_bytes().to_vec()].into_iter().chain(folder.deciding_bytes()?) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(&part);
    }
    weights.fingerprint(&mut hash);
    Ok(hash.finalize().into())
}
