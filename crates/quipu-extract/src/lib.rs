//! Bytes to text with structure and metadata: pdf, docx, html, markdown, code, plain text.
//!
//! The way of a file: [`identify`] looks at its bytes (its name only breaks ties) and says which [`Format`]
//! it is; [`extract`] turns the bytes into an [`Extracted`]: UTF-8 text with headings, pages and metadata, or
//! says why not ([`ExtractError`]). Both are plain, synchronous functions.
//!
//! Formats whose parsers read foreign binary structures ([`Format::is_foreign`]: pdf, docx) can hang, eat memory
//! or overflow a stack, and no code in the same process can stop that. They run in the killable processes of
//! [`worker::WorkerPool`], which is the only async part of this crate.
//!
//! It deliberately leaves walking, reading files and chunking to `quipu-index`, and knows nothing of `quipu-flow`.
//!
//! ```
//! use quipu_extract::{Format, Limits, extract, identify};
//!
//! let bytes = b"# Knots\n\nA cord carries them.\n";
//! let format = identify("notes/knots.md", bytes);
//! assert_eq!(format, Format::Markdown);
//! let extracted = extract(&format, bytes, &Limits::default())?;
//! assert_eq!(extracted.title.as_deref(), Some("Knots"));
//! # Ok::<(), quipu_extract::ExtractError>(())
//! ```

mod document;
mod error;
mod extract;
mod format;
mod identify;
mod language;

mod code;
mod docx;
mod html;
mod markdown;
mod pdf;
mod prose;
mod text;

pub mod worker;

pub use document::{Extracted, Heading, Limits};
pub use error::ExtractError;
pub use extract::{EXTRACTOR_VERSION, extract, extract_owned};
pub use format::Format;
pub use identify::identify;
pub use language::Language;
