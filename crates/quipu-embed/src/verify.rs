//! Whether a model on disk is what it should be, and computes what it should: files by hash, vectors of fixed sentences
//! beside those of the reference implementation, or, for a model that nobody registered, beside its own in f32.
//!
//! What a person is shown of it is left to the program; the main type is [`Verdict`].

use std::path::PathBuf;

use serde::Serialize;

use crate::kernel::pack::Words;
use crate::model::hashes::{FileState, HashedFile, hash_files, hexadecimal, recognise};
use crate::model::registry::{DEFAULT, Known, known};
use crate::model::{Settings, locate};
use crate::{EmbedError, Embedder, Encoder, Kernel, TokenIds};

/// What every model embeds, one a line: several scripts, code, from a few tokens to a hundred.
const SENTENCES: &str = include_str!("verify/sentences.txt");

/// What came out.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// The model's name.
    pub model: String,
    /// Where it lies.
    pub folder: PathBuf,
    /// Whether the registry knows it; then its files have hashes and its vectors expected values.
    pub registered: bool,
    /// As the registry or the model's card has it.
    pub licence: Option<String>,
    /// What it was computed with.
    pub kernel: &'static str,
    /// Numbers in a vector, if it could be loaded; so with the next two.
    pub dimensions: Option<usize>,
    /// Tokens in the longest sequence.
    pub tokens_max: Option<usize>,
    /// The fingerprint that an index is bound to, in hexadecimal.
    pub configuration: Option<String>,
    /// Its files and their hashes.
    pub files: Vec<HashedFile>,
    /// Vectors beside others.
    pub comparison: Option<Comparison>,
    /// Why it is not well; empty if it is.
    pub problems: Vec<String>,
    /// What should be looked at.
    pub warnings: Vec<String>,
}

/// How near vectors are to others of the same sentences.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// Whose vectors were looked at.
    pub kernel: &'static str,
    /// Whose they were held against.
    pub against: &'static str,
    /// How many sentences.
    pub sentences: usize,
    /// The mean of their cosines.
    pub mean: f64,
    /// The smallest of them.
    pub least: f64,
    /// What both should be at least.
    pub bounds: Bounds,
}

/// How near a kernel's vectors are to exact ones of a tested model, whatever the text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Bounds {
    /// The least mean of cosines.
    pub mean: f64,
    /// The least cosine.
    pub least: f64,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Bounds {
    /// Those of a kernel. Some texts are nothing but a few signs, which is where eight bits are furthest off.
    pub fn of(kernel: Kernel) -> Self {
        let (mean, least) = match kernel.words() {
            Words::F32 => (0.999_99, 0.999_99),
            Words::Bf16 => (0.999_95, 0.999_9),
            Words::Int8 => (0.999, 0.996),
            Words::Int8Pairs => (0.997_5, 0.994),
        };
        Self { mean, least }
    }
}

/// Looks at a model, a known name or a folder as [`locate()`] takes them, with `kernel`.
///
/// A known model that is not here is fetched; one that is here is taken as it is, and never repaired.
///
/// # Errors
/// As [`locate()`]. What is wrong with the model itself is in the verdict.
pub fn verify(settings: &Settings, model: Option<&str>, kernel: Kernel) -> Result<Verdict, EmbedError> {
    let wanted = known(model.unwrap_or(DEFAULT));
    let here = wanted.map(|known| settings.cache.join(known.name)).filter(|folder| folder.is_dir());
    let (name, folder) = match (wanted, here) {
        (Some(known), Some(folder)) => (known.name.to_owned(), folder),
        _ => locate(settings, model).map(|located| (located.name, located.folder))?,
    };
    let known = wanted.or_else(|| recognise(&folder));
    let mut verdict = Verdict {
        model: name,
        registered: known.is_some(),
        licence: known.map(|known| known.licence.to_owned()),
        kernel: kernel.name(),
        dimensions: None,
        tokens_max: None,
        configuration: None,
        files: hash_files(known, &folder),
        comparison: None,
        problems: Vec::new(),
        warnings: Vec::new(),
        folder,
    };
    verdict.judge_files();
    if let Err(error) = verdict.embed(known, kernel) {
        verdict.problems.push(described(&error));
    }
    Ok(verdict)
}

impl Verdict {
    fn judge_files(&mut self) {
        for file in &self.files {
            let problem = match file.state {
                FileState::Wrong => "is not the file that was registered",
                FileState::Missing => "cannot be read",
                FileState::Right | FileState::Unregistered => continue,
            };
            self.problems.push(format!("{} {problem}", file.path));
        }
    }

    /// Loads the model and embeds the sentences.
    fn embed(&mut self, known: Option<&Known>, kernel: Kernel) -> Result<(), EmbedError> {
        let encoder = Encoder::load_with(&self.folder, kernel)?;
        let info = encoder.info();
        self.dimensions = Some(info.dimensions);
        self.tokens_max = Some(info.tokens_max);
        self.configuration = Some(hexadecimal(&info.configuration));
        self.licence = self.licence.take().or_else(|| info.licence.clone());
        let vectors = together(&encoder)?;
        if one_by_one(&Encoder::load_with(&self.folder, kernel)?)? != vectors {
            self.problems.push("a text's vector is not always the same".into());
        }
        match known {
            Some(known) => self.hold_against_reference(known, kernel, &vectors),
            None => self.hold_against_f32(kernel, &vectors)?,
        }
        Ok(())
    }

    fn hold_against_reference(&mut self, known: &Known, kernel: Kernel, vectors: &[f32]) {
        if (self.dimensions, self.tokens_max) != (Some(known.dimensions), Some(known.tokens_max)) {
            let (dimensions, tokens_max) = (known.dimensions, known.tokens_max);
            self.problems
                .push(format!("it should have {dimensions} dimensions and take {tokens_max} tokens"));
        }
        let words = known.vectors.as_chunks::<4>().0;
        let expected: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
        if expected.len() == vectors.len() {
            let comparison = Comparison::new(kernel, vectors, "sentence-transformers", &expected);
            self.problems
                .extend(comparison.is_low().then(|| "its vectors are not those of the model".into()));
            self.comparison = Some(comparison);
        }
    }

    /// The kernel beside one in f32, or, if it is one itself, beside the fastest in eight bits.
    fn hold_against_f32(&mut self, kernel: Kernel, vectors: &[f32]) -> Result<(), EmbedError> {
        let load = |kernel| Encoder::load_with(&self.folder, kernel);
        let comparison = if kernel.words() == Words::F32 {
            let in_eight_bits = Kernel::available().into_iter().rfind(|kernel| kernel.is_in_eight_bits());
            let Some(other) = in_eight_bits else { return Ok(()) };
            Comparison::new(other, &together(&load(other)?)?, kernel.name(), vectors)
        } else {
            let exact = Kernel::best_in_f32();
            Comparison::new(kernel, vectors, exact.name(), &together(&load(exact)?)?)
        };
        if comparison.is_low() {
            let kernel = comparison.kernel;
            self.warnings.push(format!(
                "with {kernel} vectors are further from f32 than those of tested models: try --kernel {}",
                Kernel::best_in_f32().name()
            ));
        }
        self.comparison = Some(comparison);
        Ok(())
    }
}

impl Comparison {
    fn new(kernel: Kernel, vectors: &[f32], against: &'static str, expected: &[f32]) -> Self {
        let sentences = SENTENCES.lines().count();
        let width = (vectors.len() / sentences).max(1);
        let cosines =
            vectors.chunks_exact(width).zip(expected.chunks_exact(width)).map(|(a, b)| cosine(a, b));
        let (sum, least) =
            cosines.fold((0.0, 1.0_f64), |(sum, least), cosine| (sum + cosine, least.min(cosine)));
        let mean = sum / sentences as f64;
        Self { kernel: kernel.name(), against, sentences, mean, least, bounds: Bounds::of(kernel) }
    }

    /// Whether it is below its bounds.
    pub fn is_low(&self) -> bool {
        self.mean < self.bounds.mean || self.least < self.bounds.least
    }
}

/// The sentences' vectors, one after another.
fn together(encoder: &Encoder) -> Result<Vec<f32>, EmbedError> {
    let chunks: Vec<TokenIds> = sentences(encoder).collect();
    let mut vectors = vec![0.0; chunks.len() * encoder.info().dimensions];
    encoder.embed_into(&chunks, &mut vectors)?;
    Ok(vectors)
}

/// The same, each sentence by itself and the last first.
fn one_by_one(encoder: &Encoder) -> Result<Vec<f32>, EmbedError> {
    let chunks: Vec<TokenIds> = sentences(encoder).collect();
    let dimensions = encoder.info().dimensions;
    let mut vectors = vec![0.0; chunks.len() * dimensions];
    for (chunk, vector) in chunks.chunks(1).zip(vectors.chunks_exact_mut(dimensions)).rev() {
        encoder.embed_into(chunk, vector)?;
    }
    Ok(vectors)
}

fn sentences(encoder: &Encoder) -> impl Iterator<Item = TokenIds> {
    SENTENCES.lines().map(|sentence| encoder.tokenizer().encode(sentence))
}

/// The cosine of the angle between two vectors of one length; 1 for two that are equal, nothing but zeros among them.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    if a == b { 1.0 } else { dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE) }
}

/// An error with its causes, on one line.
fn described(error: &EmbedError) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
