//! The sentence encoder: BERT's forward pass over packed sequences of any lengths, without padding.
//!
//! A batch is one matrix of all its tokens, which goes through [`embeddings`], layer after [`layer`] and [`pool`]. What a
//! model's file says is read once ([`weights`]), put together ([`assemble`], [`smoothing`]) and packed for the kernel; it
//! is not needed afterwards. Working memory is a [`Scratch`], reused.

mod assemble;
mod embeddings;
mod layer;
mod pool;
mod scratch;
mod smoothing;
mod weights;

use std::cmp::Reverse;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::kernel::attention::HEAD;
use crate::kernel::pack::{INPUTS, padded};
use crate::kernel::rows::{Norm, Normalise, Target};
use crate::kernel::{PANEL, ROWS};
use crate::model::folder::{BertConfig, ModelFolder, PROMPTS_FILE, Pooling, TOKENIZER_FILE, WEIGHTS_FILE};
use crate::model::hashes::hexadecimal;
use crate::{EmbedError, Embedder, Kernel, ModelInfo, TokenIds, Tokenizer};
use embeddings::Embeddings;
use layer::Layer;
use scratch::Scratch;
use smoothing::{Input, Maxima};
use weights::Weights;

/// Tokens of one batch inside [`Encoder::embed_into`], and the budget to cut by outside of it: few enough that the
/// working memory (about 5 kB a token for hidden size 384) stays near the second-level cache, enough that reading
/// the weights once a batch costs nothing.
pub const BATCH_TOKENS: usize = 512;

/// Rows that are taken from one product to the next, so that what lies between stays in the caches.
const BLOCK_ROWS: usize = 4 * ROWS;

/// Enters the fingerprint; to be raised whenever the arithmetic changes more than a kernel may differ from another.
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
    embeddings: Embeddings,
    layers: Vec<Layer>,
    shape: Shape,
    pooling: Pooling,
    normalised: bool,
}

/// What all layers share: their sizes, and what they are computed with.
#[derive(Clone, Debug)]
struct Shape {
    hidden: usize,
    intermediate: usize,
    heads: usize,
    /// `hidden` in whole panels, and `intermediate`.
    width: usize,
    wide: usize,
    /// A head's numbers, and those of all heads, in whole registers.
    head: usize,
    context: usize,
    /// Queries, keys and values of all heads, in whole panels.
    projected: usize,
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
        check_prompts(&folder, &tokenizer)?;
        let weights = Weights::open(&folder.path.join(WEIGHTS_FILE))?;
        let info = ModelInfo {
            name: folder.name.clone(),
            dimensions: folder.bert.hidden_size,
            tokens_max: folder.tokens_max,
            configuration: fingerprint(&folder, &weights)?,
            licence: folder.licence.clone(),
            prompts: folder.prompts.clone(),
        };
        let network = Network::build(&weights, &folder, kernel)?;
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

    /// Batch after batch, longest sequences first: which are together decides only speed.
    fn embed_with(
        &self,
        chunks: &[TokenIds],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), EmbedError> {
        let mut order = std::mem::take(&mut scratch.order);
        order.clear();
        order.extend(0..chunks.len());
        order.sort_unstable_by_key(|&index| (Reverse(chunks[index].len()), index));
        let mut rest = &order[..];
        let mut result = Ok(());
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(batch_length(rest, chunks));
            self.network.forward(chunks, batch, scratch);
            result = result.and(self.pool(chunks, batch, scratch, out));
            rest = after;
        }
        scratch.order = order;
        result
    }

    /// Makes the vectors of a batch.
    fn pool(
        &self,
        chunks: &[TokenIds],
        batch: &[usize],
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<(), EmbedError> {
        let (shape, dimensions) = (&self.network.shape, self.info.dimensions);
        let mut rest = scratch.hidden.floats();
        let pooled = scratch.pooled.floats_mut();
        for &index in batch {
            let (tokens, after) = rest.split_at(chunks[index].len() * shape.width);
            let vector = &mut out[index * dimensions..][..dimensions];
            self.network.pool(shape, tokens, &mut pooled[..shape.width], vector);
            if !vector.iter().all(|x| x.is_finite()) {
                let problem = "its vector is not finite: the model's weights are too large".to_owned();
                return Err(EmbedError::Input { index, problem });
            }
            rest = after;
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
        let mut scratch = self.idle().pop().unwrap_or_default();
        let result = self.embed_with(chunks, out, &mut scratch);
        self.idle().push(scratch);
        result
    }
}

impl Network {
    fn build(weights: &Weights, folder: &ModelFolder, kernel: Kernel) -> Result<Self, EmbedError> {
        let bert = &folder.bert;
        let shape = Shape::new(bert, kernel);
        // A BertModel saved from inside a task model has its tensors under "bert.".
        let prefix = if weights.has("bert.embeddings.word_embeddings.weight") { "bert." } else { "" };
        Embeddings::check(weights, prefix, bert)?;
        let numbers = 0..bert.num_hidden_layers;
        numbers.clone().try_for_each(|number| Layer::check(weights, prefix, number, &shape))?;
        let maxima = if kernel.is_in_eight_bits() {
            let mut hash = Sha256::new();
            weights.fingerprint(&mut hash)?;
            let key = hexadecimal(&hash.finalize()[..8]);
            Some(Maxima::of(&folder.path, &key, numbers.len(), &shape)?)
        } else {
            None
        };
        let layer = |number| Layer::assemble(weights, prefix, number, &shape, maxima.as_ref());
        // The tables are half of the file; they are read while the other half is packed.
        let (embeddings, layers) = std::thread::scope(|scope| {
            let tables = scope.spawn(|| Embeddings::read(weights, prefix, bert, &shape));
            let layers: Result<Vec<Layer>, EmbedError> = numbers.map(layer).collect();
            (tables.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), layers)
        });
        let (embeddings, layers) = (embeddings?, layers?);
        Ok(Self { embeddings, layers, shape, pooling: folder.pooling, normalised: folder.normalised })
    }

    /// From the tokens of the `batch` of `chunks` to `scratch.hidden`.
    fn forward(&self, chunks: &[TokenIds], batch: &[usize], scratch: &mut Scratch) {
        let shape = &self.shape;
        let sequences = || batch.iter().map(|&index| chunks[index].as_slice());
        let tokens = sequences().map(<[u32]>::len).sum();
        let longest = sequences().map(<[u32]>::len).max().unwrap_or(0);
        let Some(first) = self.layers.first() else { return };
        scratch.fit(tokens, longest, shape, first);
        self.embeddings.write(shape, sequences(), &mut scratch.hidden);
        let rows = &mut scratch.hidden.floats_mut()[..tokens * shape.width];
        let target = Target { weights: &first.project, rows: &mut scratch.prepared, first: 0 };
        shape.kernel.run(Normalise { rows: &mut *rows, norm: &self.embeddings.norm, target: Some(target) });
        if let Some(maxima) = &mut scratch.maxima {
            maxima.note(0, Input::Hidden, rows);
        }
        for (number, layer) in self.layers.iter().enumerate() {
            layer.project(shape, tokens, scratch);
            layer.attend(shape, sequences().map(<[u32]>::len), scratch);
            layer.feed_forward(number, self.layers.get(number + 1), shape, tokens, scratch);
        }
    }
}

impl Shape {
    fn new(bert: &BertConfig, kernel: Kernel) -> Self {
        let heads = bert.num_attention_heads;
        let head = (bert.hidden_size / heads).next_multiple_of(HEAD);
        Self {
            hidden: bert.hidden_size,
            intermediate: bert.intermediate_size,
            heads,
            width: bert.hidden_size.next_multiple_of(PANEL),
            wide: bert.intermediate_size.next_multiple_of(PANEL),
            head,
            context: (heads * head).next_multiple_of(INPUTS),
            projected: (3 * heads * head).next_multiple_of(PANEL),
            epsilon: bert.layer_norm_eps,
            vocabulary: bert.vocab_size,
            kernel,
        }
    }

    /// Words of a row of queries, keys and values.
    fn projected_words(&self) -> usize {
        self.projected / self.kernel.numbers_in_attention()
    }

    fn norm(&self, gamma: Vec<f32>, beta: Vec<f32>) -> Norm {
        Norm {
            gamma: padded(&gamma, self.width),
            beta: padded(&beta, self.width),
            count: self.hidden,
            epsilon: self.epsilon,
        }
    }
}

/// How many of the first of `rest` make a batch: as many as the budget takes, and one at least.
fn batch_length(rest: &[usize], chunks: &[TokenIds]) -> usize {
    let mut tokens = 0;
    let fits = |index: &&usize| {
        tokens += chunks[**index].len();
        tokens <= BATCH_TOKENS
    };
    rest.iter().take_while(fits).count().max(1)
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

/// A prompt goes before each text, and must leave it half of the model's length.
fn check_prompts(folder: &ModelFolder, tokenizer: &Tokenizer) -> Result<(), EmbedError> {
    let most = folder.tokens_max / 2;
    for prompt in [&folder.prompts.query, &folder.prompts.document] {
        let tokens = tokenizer.pieces(prompt).len() + tokenizer.specials();
        if !prompt.is_empty() && tokens > most {
            let problem = format!(
                "a prompt takes {tokens} tokens; of the model's {} it may have half",
                folder.tokens_max
            );
            return Err(EmbedError::Configuration { file: folder.path.join(PROMPTS_FILE), problem });
        }
    }
    Ok(())
}

fn fingerprint(folder: &ModelFolder, weights: &Weights) -> Result<[u8; 32], EmbedError> {
    let mut hash = Sha256::new();
    for part in [ARITHMETIC_VERSION.as_bytes().to_vec()].into_iter().chain(folder.deciding_bytes()?) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(&part);
    }
    weights.fingerprint(&mut hash)?;
    Ok(hash.finalize().into())
}
