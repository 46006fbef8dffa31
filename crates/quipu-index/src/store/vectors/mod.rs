//! Nearest vectors by scanning: 1-bit codes in blocks find candidates, int8 codes give the score.
//!
//! Pure arithmetic over memory. Where vectors are kept and when a block is loaded is the store's matter;
//! which candidates become hits is the search's.
//!
//! ```text
//! query ─► VectorQuery (4 bits a dimension) ─┐
//! Block (signs, 4,096 chunks) ───────────────┴► scan ─► best few hundred ─► Vector::dot (int8) ─► cosine
//! ```
//!
//! Measured on all-MiniLM-L6-v2, recall@10 against exact f32, rescored on int8 (20,000 paragraphs of
//! documentation, 300 queries; in brackets rescored on f32, which shows the codes alone):
//!
//! | what | 100 candidates | 200 | 400 |
//! | --- | --- | --- | --- |
//! | signs | 0.9893 (0.9943) | 0.9947 (0.9997) | 0.9947 (1.0000) |
//! | signs with a factor for each vector (this) | 0.9900 (0.9950) | 0.9947 (0.9997) | 0.9947 (1.0000) |
//! | the same, of the vector less the collection's mean | 0.9907 (0.9957) | 0.9937 (0.9990) | 0.9947 (1.0000) |
//! | the same, after a random rotation | 0.9903 (0.9947) | 0.9943 (0.9993) | 0.9947 (1.0000) |
//!
//! Candidates are taken by the hundreds, so neither a mean (which would have to be known before the first
//! vector, for every model) nor a rotation earns its keep; the factor costs 4 bytes and makes the estimate a
//! cosine. What is lost is lost to int8; scales fitted by least squares or by search, and unit length after
//! rounding, changed nothing there.

mod block;
mod kernel;
mod nearest;
mod query;
mod scan;
mod vector;

pub use block::{BLOCK_CHUNKS, Block};
pub use kernel::Kernel;
pub use query::VectorQuery;
pub use scan::{Candidate, exact, scan};
pub use vector::Vector;
