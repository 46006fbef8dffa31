//! How many of the nearest vectors the scan over 1-bit codes finds.

use quipu_index::store::Reader;

/// As many as a ranking takes from each list.
const CANDIDATES: usize = 500;
const NEAREST: usize = 10;

/// The mean share of the ten nearest by int8 that are among the scan's candidates. What int8 itself loses
/// against f32, `quipu_index::store::vectors` says.
pub(crate) fn recall<'a>(reader: &Reader, queries: impl Iterator<Item = &'a [f32]>) -> anyhow::Result<f64> {
    let snapshot = reader.snapshot()?;
    let (mut found, mut wanted) = (0, 0);
    for query in queries {
        let truth = snapshot.exact_vectors(query, None, NEAREST)?;
        let scanned = snapshot.vector_candidates(query, None, CANDIDATES)?;
        wanted += truth.len();
        found += truth.iter().filter(|(chunk, _)| scanned.iter().any(|(other, _)| other == chunk)).count();
    }
    Ok(if wanted > 0 { found as f64 / wanted as f64 } else { 1.0 })
}
