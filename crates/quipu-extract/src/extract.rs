//! The one way in: [`extract`] sends bytes to the reader of their format and contains its panics.

use std::any::Any;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{ExtractError, Extracted, Format, Limits, code, docx, html, markdown, pdf, text};

/// Changes whenever the text that the same bytes yield may change; an index stores it with what it extracted.
pub const EXTRACTOR_VERSION: u32 = 1;

/// Turns bytes of a known format into text with structure and metadata.
///
/// Synchronous, and pure but for the clock. A panic in a parser ends in [`ExtractError::Panicked`]. Formats that
/// are [foreign](Format::is_foreign) can still hang or overflow the stack: give those to a
/// [`WorkerPool`](crate::worker::WorkerPool).
///
/// # Errors
///
/// When the bytes break their format's rules, are encrypted, pass one of the `limits`, or have no reader.
pub fn extract(format: &Format, bytes: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    dispatch(*format, Cow::Borrowed(bytes), limits)
}

/// The same for bytes that the caller can spare: a pdf is not copied once more.
///
/// # Errors
///
/// Those of [`extract`].
pub fn extract_owned(format: &Format, bytes: Vec<u8>, limits: &Limits) -> Result<Extracted, ExtractError> {
    dispatch(*format, Cow::Owned(bytes), limits)
}

fn dispatch(format: Format, bytes: Cow<'_, [u8]>, limits: &Limits) -> Result<Extracted, ExtractError> {
    contain_panics(format, || match format {
        Format::Text => text::extract(Format::Text, &bytes, limits),
        Format::Markdown => markdown::extract(&bytes, limits),
        Format::Html => html::extract(&bytes, limits),
        Format::Code(language) => code::extract(language, &bytes, limits),
        Format::Pdf => pdf::extract(bytes.into_owned(), limits),
        Format::Docx => docx::extract(&bytes, limits),
        Format::Other(_) | Format::Binary => Err(ExtractError::Unsupported(format)),
    })
}

/// Runs a parser; its panic becomes an error. Parsers keep nothing between calls that a panic could leave broken.
pub(crate) fn contain_panics<T>(
    format: Format,
    parse: impl FnOnce() -> Result<T, ExtractError>,
) -> Result<T, ExtractError> {
    catch_unwind(AssertUnwindSafe(parse))
        .unwrap_or_else(|panic| Err(ExtractError::Panicked { format, message: panic_message(panic) }))
}

fn panic_message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => {
            panic.downcast_ref::<&str>().map_or_else(|| String::from("no message"), ToString::to_string)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Offsets lie on character boundaries of the text and ascend.
    pub(crate) fn check_offsets(extracted: &Extracted) {
        let headings: Vec<usize> = extracted.headings.iter().map(|heading| heading.offset).collect();
        for offsets in [&headings, &extracted.pages] {
            assert!(offsets.iter().all(|offset| extracted.text.is_char_boundary(*offset)), "{offsets:?}");
            assert!(offsets.is_sorted(), "{offsets:?}");
        }
        assert!(!extracted.text.contains(['\0', '\r']));
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let error = contain_panics::<()>(Format::Pdf, || panic!("bad {}", "luck")).unwrap_err();
        assert!(
            matches!(error, ExtractError::Panicked { format: Format::Pdf, message } if message == "bad luck")
        );
    }

    #[test]
    fn formats_without_a_reader_say_so() {
        let error = extract(&Format::Other("png"), b"", &Limits::default()).unwrap_err();
        assert_eq!(error.to_string(), "no reader for png");
    }
}
