//! The weights of a model, straight out of its mapped safetensors file: one copy in the whole process, shared with
//! other processes through the page cache, and no time spent reading what a query never touches (the embedding table
//! is half of the file).

mod mapping;

use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use crate::EmbedError;
use mapping::Mapping;

/// Windows of each tensor that go into the fingerprint, and the bytes of each.
const FINGERPRINT_WINDOWS: usize = 16;
const FINGERPRINT_WINDOW_BYTES: usize = 64;

/// An open weights file.
pub(crate) struct Weights {
    file: PathBuf,
    mapping: Mapping,
    header_bytes: usize,
    header: safetensors::tensor::Metadata,
}

/// One tensor: a place in the mapping, or a copy where the file does not align it for f32.
pub(crate) enum Tensor {
    Mapped(Range<usize>),
    Copied(Box<[f32]>),
}

impl Weights {
    /// Maps the file and checks its header against its length.
    pub(crate) fn open(file: &Path) -> Result<Self, EmbedError> {
        let mapping = Mapping::open(file).map_err(|source| EmbedError::Read { file: file.into(), source })?;
        let parsed = SafeTensors::read_metadata(mapping.bytes());
        let (header_length, header) =
            parsed.map_err(|error| EmbedError::Weights { file: file.into(), problem: error.to_string() })?;
        // Eight bytes before the header hold its length.
        let header_bytes = 8 + header_length;
        let expected = header_bytes + header.data_len();
        if mapping.bytes().len() != expected {
            let problem = format!("it has {} bytes, its header says {expected}", mapping.bytes().len());
            return Err(EmbedError::Weights { file: file.into(), problem });
        }
        Ok(Self { file: file.into(), mapping, header_bytes, header })
    }

    /// Whether a tensor of this name exists.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.header.info(name).is_some()
    }

    /// Finds a tensor and checks its type and shape.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, EmbedError> {
        let info = self.header.info(name);
        let info =
            info.ok_or_else(|| EmbedError::MissingTensor { file: self.file.clone(), tensor: name.into() })?;
        if info.dtype != Dtype::F32 || info.shape != shape {
            return Err(EmbedError::WrongTensor {
                file: self.file.clone(),
                tensor: name.into(),
                expected: shape.into(),
                found: format!("{:?} {:?}", info.dtype, info.shape),
            });
        }
        let (start, end) = info.data_offsets;
        let range = self.header_bytes + start..self.header_bytes + end;
        if self.mapping.floats(range.clone()).is_some() {
            return Ok(Tensor::Mapped(range));
        }
        let words = self.mapping.bytes()[range].as_chunks::<4>().0;
        Ok(Tensor::Copied(words.iter().map(|&word| f32::from_le_bytes(word)).collect()))
    }

    /// The numbers of a tensor of this file.
    pub(crate) fn floats<'a>(&'a self, tensor: &'a Tensor) -> &'a [f32] {
        match tensor {
            Tensor::Mapped(range) => self.mapping.floats(range.clone()).unwrap_or_default(),
            Tensor::Copied(numbers) => numbers,
        }
    }

    /// Adds what tells these weights from others: the header and evenly spaced windows of each tensor.
    ///
    /// Not every byte, because hashing 90 MB would take longer than a whole search may. Training or quantising a model
    /// again changes nearly every number, so two models that differ at all differ in a window.
    pub(crate) fn fingerprint(&self, hash: &mut Sha256) {
        let bytes = self.mapping.bytes();
        hash.update(&bytes[..self.header_bytes]);
        let mut ranges: Vec<(usize, usize)> =
            self.header.tensors().values().map(|info| info.data_offsets).collect();
        ranges.sort_unstable();
        for (start, end) in ranges {
            let data = &bytes[self.header_bytes + start..self.header_bytes + end];
            let last = data.len().saturating_sub(FINGERPRINT_WINDOW_BYTES);
            for window in 0..FINGERPRINT_WINDOWS {
                let from = last * window / (FINGERPRINT_WINDOWS - 1);
                hash.update(&data[from..data.len().min(from + FINGERPRINT_WINDOW_BYTES)]);
            }
        }
    }
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Weights").field("file", &self.file).finish_non_exhaustive()
    }
}
