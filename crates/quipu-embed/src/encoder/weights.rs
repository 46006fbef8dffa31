//! Reads the tensors of a safetensors file, each when it is asked for, into memory of its own.
//!
//! The file is neither mapped nor kept open: what becomes of it after loading is nobody's concern.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use sha2::{Digest, Sha256};

use crate::EmbedError;

/// Windows of each tensor that go into the fingerprint, and the bytes of each.
const FINGERPRINT_WINDOWS: usize = 16;
const FINGERPRINT_WINDOW_BYTES: usize = 64;

/// The longest header that is read; a large model's has some hundred kilobytes.
const HEADER_BYTES_MAX: u64 = 16 << 20;

/// The bytes before the header, which hold its length.
const LENGTH_BYTES: usize = 8;

/// An open weights file.
pub(crate) struct Weights {
    path: PathBuf,
    #[cfg_attr(not(unix), allow(dead_code, reason = "each read there opens its own"))]
    file: File,
    header: Vec<u8>,
    tensors: BTreeMap<String, Tensor>,
}

/// What the header says of a tensor.
#[derive(Debug, Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<usize>,
    /// Its first byte and the one after its last, counted from the end of the header.
    data_offsets: (usize, usize),
}

/// How a number is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    F32,
    F16,
    Bf16,
}

/// Where a tensor's numbers are.
struct Place {
    format: Format,
    /// Its first byte, counted from the end of the header.
    start: usize,
    count: usize,
}

/// A header's tensors by name.
struct Tensors(BTreeMap<String, Tensor>);

impl Weights {
    /// Opens the file and checks its header against its length.
    pub(crate) fn open(path: &Path) -> Result<Self, EmbedError> {
        let unread = |source| EmbedError::Read { file: path.into(), source };
        let broken = |problem: String| EmbedError::Weights { file: path.into(), problem };
        let mut file = File::open(path).map_err(unread)?;
        let bytes = file.metadata().map_err(unread)?.len();
        let mut length = [0; LENGTH_BYTES];
        if bytes < LENGTH_BYTES as u64 {
            return Err(broken(format!("it has {bytes} bytes, which is no safetensors file")));
        }
        file.read_exact(&mut length).map_err(unread)?;
        let header_bytes = u64::from_le_bytes(length);
        if header_bytes > HEADER_BYTES_MAX || header_bytes > bytes - LENGTH_BYTES as u64 {
            return Err(broken(format!("it has {bytes} bytes and says that its header has {header_bytes}")));
        }
        let mut header = length.to_vec();
        header.resize(LENGTH_BYTES + header_bytes as usize, 0);
        file.read_exact(&mut header[LENGTH_BYTES..]).map_err(unread)?;
        let tensors = parse(&header[LENGTH_BYTES..]).map_err(broken)?;
        let ends = tensors.values().map(|tensor| tensor.data_offsets.1 as u64);
        let expected = (header.len() as u64).saturating_add(ends.max().unwrap_or(0));
        if bytes != expected {
            return Err(broken(format!("it has {bytes} bytes, its header says {expected}")));
        }
        Ok(Self { path: path.into(), file, header, tensors })
    }

    /// Whether a tensor of this name exists.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Whether there is a tensor of this name and shape; asks for no memory.
    pub(crate) fn check(&self, name: &str, shape: &[usize]) -> Result<(), EmbedError> {
        self.find(name, shape).map(|_| ())
    }

    /// The numbers of a tensor of this shape, all of them finite.
    pub(crate) fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EmbedError> {
        let place = self.find(name, shape)?;
        let mut numbers = vec![0.0_f32; place.count];
        self.fill(&mut numbers, place.format, place.start)
            .map_err(|source| EmbedError::Read { file: self.path.clone(), source })?;
        if !all_finite(&numbers) {
            return Err(EmbedError::NotFinite { file: self.path.clone(), tensor: name.into() });
        }
        Ok(numbers)
    }

    fn find(&self, name: &str, shape: &[usize]) -> Result<Place, EmbedError> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(EmbedError::MissingTensor { file: self.path.clone(), tensor: name.into() });
        };
        let bytes = tensor.data_offsets.1 - tensor.data_offsets.0;
        tensor.place(shape).ok_or_else(|| EmbedError::WrongTensor {
            file: self.path.clone(),
            tensor: name.into(),
            expected: shape.into(),
            found: format!("{} {:?} in {bytes} bytes", tensor.dtype, tensor.shape),
        })
    }

    /// Reads numbers from `start` on.
    fn fill(&self, numbers: &mut [f32], format: Format, start: usize) -> io::Result<()> {
        if format == Format::F32 {
            self.read_at(start, bytemuck::cast_slice_mut(numbers))?;
            if cfg!(target_endian = "big") {
                for number in numbers {
                    *number = f32::from_bits(number.to_bits().swap_bytes());
                }
            }
            return Ok(());
        }
        let mut bytes = vec![0; numbers.len() * format.bytes()];
        self.read_at(start, &mut bytes)?;
        let to_f32 = if format == Format::F16 { from_f16 } else { from_bf16 };
        for (number, &half) in numbers.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *number = to_f32(u16::from_le_bytes(half));
        }
        Ok(())
    }

    /// Fills `bytes` from `start` on, counted from the end of the header. Threads may read at once.
    fn read_at(&self, start: usize, bytes: &mut [u8]) -> io::Result<()> {
        let start = (self.header.len() + start) as u64;
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, start);
        #[cfg(not(unix))]
        {
            use std::io::{Seek, SeekFrom};
            // A handle has one place, which threads would take from each other.
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(bytes)
        }
    }

    /// Adds what tells these weights from others: the header and evenly spaced windows of each tensor.
    ///
    /// Not every byte, because hashing 90 MB would take longer than a whole search may. Training or quantising a model
    /// again changes nearly every number, so two models that differ at all differ in a window.
    pub(crate) fn fingerprint(&self, hash: &mut Sha256) -> Result<(), EmbedError> {
        hash.update(&self.header);
        let mut ranges: Vec<(usize, usize)> =
            self.tensors.values().map(|tensor| tensor.data_offsets).collect();
        ranges.sort_unstable();
        let mut window = [0; FINGERPRINT_WINDOW_BYTES];
        for (start, end) in ranges {
            let length = (end - start).min(FINGERPRINT_WINDOW_BYTES);
            let last = (end - start).saturating_sub(FINGERPRINT_WINDOW_BYTES);
            for number in 0..FINGERPRINT_WINDOWS {
                let from = start + last * number / (FINGERPRINT_WINDOWS - 1);
                self.read_at(from, &mut window[..length])
                    .map_err(|source| EmbedError::Read { file: self.path.clone(), source })?;
                hash.update(&window[..length]);
            }
        }
        Ok(())
    }
}

impl Tensor {
    /// Where its numbers are, if they have this shape and fill their bytes.
    fn place(&self, shape: &[usize]) -> Option<Place> {
        let (format, (start, end)) = (self.format()?, self.data_offsets);
        let count = shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size))?;
        let is_whole = count.checked_mul(format.bytes()) == Some(end - start);
        (self.shape == shape && is_whole).then_some(Place { format, start, count })
    }

    fn format(&self) -> Option<Format> {
        match &*self.dtype {
            "F32" => Some(Format::F32),
            "F16" => Some(Format::F16),
            "BF16" => Some(Format::Bf16),
            _ => None,
        }
    }
}

impl Format {
    fn bytes(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }
}

/// The tensors of a header, which lie one after another without gaps.
fn parse(header: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let Tensors(tensors) =
        serde_json::from_slice(header).map_err(|error| format!("its header cannot be read: {error}"))?;
    let mut places: Vec<(usize, usize, &String)> =
        tensors.iter().map(|(name, tensor)| (tensor.data_offsets.0, tensor.data_offsets.1, name)).collect();
    places.sort_unstable();
    let mut end = 0;
    for (start, after, name) in places {
        if start != end || after < start {
            return Err(format!(
                "its header puts {name} at {start} to {after}, and what is before it ends at {end}"
            ));
        }
        end = after;
    }
    Ok(tensors)
}

impl<'de> Deserialize<'de> for Tensors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TensorsVisitor)
    }
}

/// Refuses a name that comes twice, of which a map would keep the last.
struct TensorsVisitor;

impl<'de> Visitor<'de> for TensorsVisitor {
    type Value = Tensors;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensors, A::Error> {
        /// What the format has for notes beside the tensors.
        const NOTES: &str = "__metadata__";
        let mut tensors = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == NOTES {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let tensor = map.next_value().map_err(|error| A::Error::custom(format!("{name}: {error}")))?;
            if tensors.contains_key(&name) {
                return Err(A::Error::custom(format!("{name} comes twice")));
            }
            tensors.insert(name, tensor);
        }
        Ok(Tensors(tensors))
    }
}

/// Whether no number is infinite or none at all.
fn all_finite(numbers: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    // Without an early end, so that it is one comparison of sixteen at a time.
    numbers
        .chunks(4_096)
        .all(|chunk| chunk.iter().fold(0, |most, x| most.max(x.to_bits() & EXPONENT)) < EXPONENT)
}

/// IEEE 754 binary16.
fn from_f16(half: u16) -> f32 {
    let (sign, magnitude) = (u32::from(half & 0x8000) << 16, u32::from(half & 0x7fff));
    let bits = match magnitude {
        // Infinities and NaN.
        0x7c00.. => magnitude << 13 | 0x7f80_0000,
        0x0400.. => (magnitude << 13) + ((127 - 15) << 23),
        // Without a leading one: multiples of 2⁻²⁴.
        _ => (magnitude as f32 * 2.0_f32.powi(-24)).to_bits(),
    };
    f32::from_bits(sign | bits)
}

fn from_bf16(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Weights").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_read_as_it_was_meant() {
        for (half, number) in [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
        ] {
            assert_eq!(from_f16(half).to_bits(), f32::to_bits(number), "{half:#x}");
        }
        assert!(from_f16(0x7c00).is_infinite() && from_f16(0xfc01).is_nan());
        assert_eq!((from_bf16(0x3f80), from_bf16(0xc040)), (1.0, -3.0));
    }
}
