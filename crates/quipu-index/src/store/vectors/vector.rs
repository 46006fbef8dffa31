//! A vector as it is kept: one signed byte a dimension and a scale.
//!
//! The truth from which blocks are made and on which candidates are scored; see [`Vector`].

/// Bytes in front of the codes when a vector is written down: the scale.
const SCALE_BYTES: usize = size_of::<f32>();
/// Partial sums of a dot product: enough for the compiler to fill any machine's registers.
const LANES: usize = 16;

/// An embedding in int8: dimension i is `scale × codes[i]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector {
    /// What one step of a code is worth.
    pub scale: f32,
    /// One code a dimension, in −127…127.
    pub codes: Box<[i8]>,
}

impl Vector {
    /// Rounds `values` to 255 levels between plus and minus the largest magnitude.
    #[must_use]
    pub fn quantise(values: &[f32]) -> Self {
        let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let scale = largest / f32::from(i8::MAX);
        let steps = if scale > 0.0 { scale.recip() } else { 0.0 };
        Self { scale, codes: values.iter().map(|value| (value * steps).round() as i8).collect() }
    }

    /// The values that the codes stand for.
    #[must_use]
    pub fn dequantise(&self) -> Vec<f32> {
        self.codes.iter().map(|&code| f32::from(code) * self.scale).collect()
    }

    /// How many dimensions it has.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.codes.len()
    }

    /// The inner product with a query in full precision: the cosine where both have length 1.
    #[must_use]
    pub fn dot(&self, query: &[f32]) -> f32 {
        dot_codes(&self.codes, |&code| code, query) * self.scale
    }

    /// Little-endian scale, then the codes: 4 bytes more than it has dimensions.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SCALE_BYTES + self.codes.len());
        bytes.extend_from_slice(&self.scale.to_le_bytes());
        bytes.extend(self.codes.iter().map(|code| code.to_le_bytes()[0]));
        bytes
    }

    /// Reads what [`Vector::to_bytes`] wrote; `None` when the bytes hold no scale.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (scale, codes) = bytes.split_first_chunk::<SCALE_BYTES>()?;
        let codes = codes.iter().map(|&code| i8::from_le_bytes([code])).collect();
        Some(Self { scale: f32::from_le_bytes(*scale), codes })
    }

    /// [`Vector::dot`] on the written form, without building a vector; `None` when the lengths differ.
    #[must_use]
    pub fn dot_bytes(bytes: &[u8], query: &[f32]) -> Option<f32> {
        let (scale, codes) = bytes.split_first_chunk::<SCALE_BYTES>()?;
        (codes.len() == query.len())
            .then(|| dot_codes(codes, |&byte| byte as i8, query) * f32::from_le_bytes(*scale))
    }
}

/// Σ code·query in independent lanes, so that it vectorises without reassociating a sum. The order of
/// the additions is fixed: the same input gives the same bits on every machine.
#[inline]
fn dot_codes<C>(codes: &[C], code_of: impl Fn(&C) -> i8, query: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (code_lanes, code_rest) = codes.as_chunks::<LANES>();
    let (query_lanes, query_rest) = query.as_chunks::<LANES>();
    for (codes, query) in code_lanes.iter().zip(query_lanes) {
        for lane in 0..LANES {
            sums[lane] += f32::from(code_of(&codes[lane])) * query[lane];
        }
    }
    let rest: f32 = code_rest.iter().zip(query_rest).map(|(code, q)| f32::from(code_of(code)) * q).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rounds_to_within_half_a_step(values in proptest::collection::vec(-1.0_f32..1.0, 0..80)) {
            let vector = Vector::quantise(&values);
            for (value, back) in values.iter().zip(vector.dequantise()) {
                prop_assert!((value - back).abs() <= vector.scale * 0.501);
            }
        }

        #[test]
        fn survives_being_written(values in proptest::collection::vec(-1.0_f32..1.0, 0..80)) {
            let vector = Vector::quantise(&values);
            prop_assert_eq!(Vector::from_bytes(&vector.to_bytes()), Some(vector));
        }

        #[test]
        fn dot_is_the_sum_of_products(values in proptest::collection::vec(-1.0_f32..1.0, 0..80)) {
            let vector = Vector::quantise(&values);
            let query: Vec<f32> = values.iter().rev().copied().collect();
            let expected: f32 = vector.dequantise().iter().zip(&query).map(|(a, b)| a * b).sum();
            prop_assert!((vector.dot(&query) - expected).abs() < 1e-4);
            prop_assert_eq!(Vector::dot_bytes(&vector.to_bytes(), &query), Some(vector.dot(&query)));
        }
    }

    #[test]
    fn a_vector_of_zeros_stays_zero() {
        assert_eq!(Vector::quantise(&[0.0; 5]).dequantise(), [0.0; 5]);
    }

    #[test]
    fn bytes_of_another_length_are_refused() {
        let bytes = Vector::quantise(&[1.0, 0.5]).to_bytes();
        assert_eq!(Vector::dot_bytes(&bytes, &[1.0; 3]), None);
        assert_eq!(Vector::from_bytes(&bytes[..3]), None);
    }
}
