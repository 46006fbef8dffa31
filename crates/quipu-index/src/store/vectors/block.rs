//! A block of 1-bit codes: the signs of 4,096 chunks' vectors, laid out for the scan.
//!
//! Holds no score and does no search; [`super::scan`] does.

use super::vector::Vector;

/// Chunks in a block. Chunk `c` lies in block `c / BLOCK_CHUNKS`, slot `c % BLOCK_CHUNKS`, so that a block's
/// live bits and a filter's bits line up.
pub const BLOCK_CHUNKS: usize = 4096;
/// Codes side by side in memory: eight 64-bit words fill one AVX-512 register.
pub(super) const LANES: usize = 8;
pub(super) const LIVE_WORDS: usize = BLOCK_CHUNKS / 64;

/// The 1-bit codes of up to [`BLOCK_CHUNKS`] vectors, 52 bytes each at 384 dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    dimensions: usize,
    /// Which slots hold a vector.
    live: [u64; LIVE_WORDS],
    /// ‖v‖² / ‖v‖₁ of each slot: the length that makes the signs' product an unbiased estimate of the vector's.
    factors: Box<[f32]>,
    /// Groups of eight slots; in each group word by word, eight slots side by side.
    codes: Box<[u64]>,
}

impl Block {
    /// An empty block for vectors of `dimensions`.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            live: [0; LIVE_WORDS],
            factors: vec![0.0; BLOCK_CHUNKS].into(),
            codes: vec![0; BLOCK_CHUNKS * words_per_code(dimensions)].into(),
        }
    }

    /// Puts a vector's code into `slot`, in place of what was there.
    ///
    /// # Panics
    /// When `slot` is not below [`BLOCK_CHUNKS`] or the vector has other dimensions than the block.
    pub fn insert(&mut self, slot: usize, vector: &Vector) {
        assert!(slot < BLOCK_CHUNKS, "slot {slot} of a block of {BLOCK_CHUNKS}");
        assert_eq!(vector.dimensions(), self.dimensions, "dimensions of a vector and of its block");
        let words = words_per_code(self.dimensions);
        let start = slot / LANES * LANES * words + slot % LANES;
        for (word, codes) in vector.codes.chunks(64).enumerate() {
            let signs = codes.iter().rev().fold(0, |signs, &code| signs << 1 | u64::from(code > 0));
            self.codes[start + word * LANES] = signs;
        }
        self.factors[slot] = factor(vector);
        self.live[slot / 64] |= 1 << (slot % 64);
    }

    /// Takes the vector out of `slot`, if there is one.
    pub fn remove(&mut self, slot: usize) {
        if let Some(word) = self.live.get_mut(slot / 64) {
            *word &= !(1 << (slot % 64));
        }
    }

    /// Whether no slot holds a vector.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.iter().all(|&word| word == 0)
    }

    /// How many slots hold a vector.
    #[must_use]
    pub fn live_count(&self) -> usize {
        self.live.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// How many dimensions its vectors have.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Live bits, factors, codes, all little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let live = self.live.iter().flat_map(|word| word.to_le_bytes());
        let factors = self.factors.iter().flat_map(|factor| factor.to_le_bytes());
        let codes = self.codes.iter().flat_map(|word| word.to_le_bytes());
        live.chain(factors).chain(codes).collect()
    }

    /// Reads what [`Block::to_bytes`] wrote; `None` when the length is not that of such a block.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], dimensions: usize) -> Option<Self> {
        let mut block = Self::new(dimensions);
        let (live, rest) = bytes.split_at_checked(LIVE_WORDS * 8)?;
        let (factors, codes) = rest.split_at_checked(BLOCK_CHUNKS * 4)?;
        if codes.len() != block.codes.len() * 8 {
            return None;
        }
        let words = |bytes: &[u8], out: &mut [u64]| {
            out.iter_mut().zip(bytes.as_chunks().0).for_each(|(word, b)| *word = u64::from_le_bytes(*b));
        };
        words(live, &mut block.live);
        words(codes, &mut block.codes);
        for (factor, bytes) in block.factors.iter_mut().zip(factors.as_chunks().0) {
            *factor = f32::from_le_bytes(*bytes);
        }
        Some(block)
    }

    pub(super) fn live(&self) -> &[u64; LIVE_WORDS] {
        &self.live
    }

    pub(super) fn factors(&self) -> &[f32] {
        &self.factors
    }

    pub(super) fn codes(&self) -> &[u64] {
        &self.codes
    }
}

/// 64-bit words that hold one sign for each dimension; the last one's spare bits stay 0.
pub(super) fn words_per_code(dimensions: usize) -> usize {
    dimensions.div_ceil(64)
}

/// From the codes, not from the original: a block rebuilt from the rows is the same block.
fn factor(vector: &Vector) -> f32 {
    let squares: i64 = vector.codes.iter().map(|&code| i64::from(code) * i64::from(code)).sum();
    let magnitudes: i64 = vector.codes.iter().map(|&code| i64::from(code).abs()).sum();
    if magnitudes == 0 { 0.0 } else { vector.scale * squares as f32 / magnitudes as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(dimensions: usize) -> Block {
        let mut block = Block::new(dimensions);
        for slot in [0, 7, 8, 63, 64, 4095] {
            let values: Vec<f32> = (0..dimensions).map(|d| ((d * 7 + slot * 3) as f32).sin()).collect();
            block.insert(slot, &Vector::quantise(&values));
        }
        block
    }

    #[test]
    fn survives_being_written() {
        for dimensions in [1, 64, 100, 384] {
            let block = block(dimensions);
            assert_eq!(Block::from_bytes(&block.to_bytes(), dimensions).as_ref(), Some(&block));
        }
    }

    #[test]
    fn bytes_of_another_length_are_refused() {
        let bytes = block(384).to_bytes();
        assert_eq!(Block::from_bytes(&bytes, 128), None);
        assert_eq!(Block::from_bytes(&bytes[..bytes.len() - 1], 384), None);
        assert_eq!(Block::from_bytes(&[], 384), None);
    }

    #[test]
    fn knows_which_slots_are_live() {
        let mut block = block(64);
        assert_eq!(block.live_count(), 6);
        [0, 7, 8, 63, 64].into_iter().for_each(|slot| block.remove(slot));
        block.remove(1);
        assert_eq!((block.live_count(), block.is_empty()), (1, false));
        block.remove(4095);
        assert!(block.is_empty());
    }

    #[test]
    fn a_slot_written_again_holds_the_new_vector_alone() {
        let (first, second) = (Vector::quantise(&[1.0, 1.0, -1.0]), Vector::quantise(&[-1.0, 1.0, -1.0]));
        let (mut twice, mut once) = (Block::new(3), Block::new(3));
        twice.insert(5, &first);
        twice.insert(5, &second);
        once.insert(5, &second);
        assert_eq!(twice, once);
    }
}
