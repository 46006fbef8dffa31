//! How large each input of the products becomes, which decides how weights and rows share the eight bits.
//!
//! A few channels of a transformer are far larger than the others, and would take most of a row's 256 values. Dividing them by
//! a factor, and multiplying their weights by it, moves the trouble to where there is room (SmoothQuant, Xiao et al. 2023).
//! What the factors are is found out once for a model, from a small text of our own: they ship for the models that we
//! tested, and lie beside the model for others.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};

use crate::kernel::pack::Matrix;
use crate::model::folder::TOKENIZER_FILE;
use crate::tokenizer::FILE_BYTES_MAX;
use crate::{EmbedError, Kernel, files};

use super::{Encoder, Shape};

/// What the factors are found out from. Not what anything is judged by.
const TEXT: &str = include_str!("smoothing/text.txt");

/// The models whose maxima ship: the key, and what a cache would hold but for its end. They came about as caches.
const SHIPPED: [(&str, &[u8]); 1] =
    [("b543f1350ee55c2b", include_bytes!("smoothing/all-MiniLM-L6-v2.maxima"))];

/// The beginning of a cache's name; the key follows.
const CACHE_PREFIX: &str = "quipu-maxima-";

/// Bytes at its end, of a hash.
const CHECK_BYTES: usize = 8;

/// An input of a layer's products.
#[derive(Clone, Copy, Debug)]
pub(super) enum Input {
    /// Of queries, keys and values.
    Hidden,
    /// Of the projection after attention.
    Context,
    /// Of the feed-forward half.
    Attended,
    /// Of its second product.
    Wide,
}

/// For each layer and input, the largest absolute value of each channel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Maxima(Vec<[Vec<f32>; 4]>);

impl Maxima {
    fn nothing(layers: usize, shape: &Shape) -> Self {
        let widths = [shape.width, shape.context, shape.width, shape.wide];
        Self(vec![widths.map(|width| vec![0.0; width]); layers])
    }

    /// Takes rows of an input into account.
    pub(super) fn note(&mut self, layer: usize, input: Input, rows: &[f32]) {
        let maxima = &mut self.0[layer][input as usize];
        for row in rows.chunks_exact(maxima.len()) {
            for (most, x) in maxima.iter_mut().zip(row) {
                *most = most.max(x.abs());
            }
        }
    }

    /// What rows are to be multiplied by, and weights divided: most^−α · weight^(1−α).
    pub(super) fn factors(&self, layer: usize, input: Input, weights: &Matrix, exponent: f32) -> Vec<f32> {
        let pairs = self.0[layer][input as usize].iter().zip(weights.largest_by_input());
        let factor = |(&most, weight): (&f32, f32)| {
            let factor = weight.powf(1.0 - exponent) / most.powf(exponent);
            if factor.is_normal() { factor } else { 1.0 }
        };
        pairs.map(factor).collect()
    }

    /// The maxima of a model: shipped, or from the cache in its folder, or found out now and put there.
    pub(super) fn of(folder: &Path, key: &str, layers: usize, shape: &Shape) -> Result<Self, EmbedError> {
        let mut maxima = Self::nothing(layers, shape);
        if let Some((_, bytes)) = SHIPPED.iter().find(|(shipped, _)| *shipped == key)
            && maxima.read(bytes)
        {
            return Ok(maxima);
        }
        let cache = folder.join(format!("{CACHE_PREFIX}{key}"));
        let tokenizer = files::read(&folder.join(TOKENIZER_FILE), FILE_BYTES_MAX)?;
        if maxima.read_cache(&cache, &tokenizer) {
            return Ok(maxima);
        }
        let maxima = Self::measure(folder, layers, shape)?;
        let bytes = maxima.bytes();
        // A folder that cannot be written to costs the next start some tenths of a second, and nothing else.
        let _ = write_whole(&cache, &[&bytes[..], &check(&bytes, &tokenizer)].concat());
        Ok(maxima)
    }

    /// Whether the file is a cache, whole, and of this text and tokenizer. A crash may leave one of the right length that is all zeros, which would
    /// read as maxima and cost accuracy for ever after.
    fn read_cache(&mut self, cache: &Path, tokenizer: &[u8]) -> bool {
        let expected = 2 * self.numbers().count() + CHECK_BYTES;
        let may_be = |cache: std::fs::Metadata| cache.is_file() && cache.len() == expected as u64;
        if !std::fs::metadata(cache).is_ok_and(may_be) {
            return false;
        }
        let bytes = std::fs::read(cache).unwrap_or_default();
        let parts = bytes.split_last_chunk::<CHECK_BYTES>();
        parts.is_some_and(|(numbers, found)| check(numbers, tokenizer) == *found && self.read(numbers))
    }

    /// Embeds the text in f32, paragraph by paragraph, and looks.
    fn measure(folder: &Path, layers: usize, shape: &Shape) -> Result<Self, EmbedError> {
        let encoder = Encoder::load_with(folder, Kernel::best_in_f32())?;
        let chunks: Vec<_> = TEXT.split("\n\n").map(|text| encoder.tokenizer.encode(text)).collect();
        let mut scratch = super::Scratch { maxima: Some(Self::nothing(layers, shape)), ..Default::default() };
        let mut vectors = vec![0.0; chunks.len() * shape.hidden];
        encoder.embed_with(&chunks, &mut vectors, &mut scratch)?;
        let mut maxima = scratch.maxima.unwrap_or_else(|| Self::nothing(layers, shape));
        for number in maxima.numbers_mut() {
            *number = f32::from_bits(number.to_bits() & 0xffff_0000);
        }
        Ok(maxima)
    }

    fn numbers(&self) -> impl Iterator<Item = &f32> {
        self.0.iter().flatten().flatten()
    }

    fn numbers_mut(&mut self) -> impl Iterator<Item = &mut f32> {
        self.0.iter_mut().flatten().flatten()
    }

    fn bytes(&self) -> Vec<u8> {
        self.numbers().flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes()).collect()
    }

    /// Whether `bytes` are as many as there are numbers, each of them one that a maximum can be.
    fn read(&mut self, bytes: &[u8]) -> bool {
        let halves = bytes.as_chunks::<2>().0;
        if bytes.len() != 2 * self.numbers().count() {
            return false;
        }
        for (number, half) in self.numbers_mut().zip(halves) {
            *number = f32::from_bits(u32::from(u16::from_le_bytes(*half)) << 16);
        }
        self.numbers().all(|x| x.is_finite() && *x >= 0.0)
    }
}

/// What a cache ends with: it stands for the numbers, and for what besides the weights they were found out from.
fn check(numbers: &[u8], tokenizer: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hash = Sha256::new();
    for part in [numbers, TEXT.as_bytes(), tokenizer] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let hash: [u8; 32] = hash.finalize().into();
    std::array::from_fn(|index| hash[index])
}

/// Writes a file that others see whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    static WRITTEN: AtomicUsize = AtomicUsize::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let beside = path.with_extension(format!("{}-{number}", std::process::id()));
    std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path)).inspect_err(|_| {
        let _ = std::fs::remove_file(&beside);
    })
}
