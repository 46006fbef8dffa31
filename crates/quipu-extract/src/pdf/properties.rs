//! What a PDF says of itself: the Info dictionary, and XMP where that is silent.

use pdf_oxide::PdfDocument;
use pdf_oxide::extractors::xmp::XmpExtractor;

use crate::Extracted;
use crate::document::{FIELD_BYTES_MAX, one_line};

/// Fields of the Info dictionary and the names that all formats share.
const FIELDS: &[(&str, &str)] =
    &[("Subject", "subject"), ("Keywords", "tags"), ("CreationDate", "created"), ("ModDate", "modified")];

/// Fills title, author and metadata.
pub(super) fn read(document: &PdfDocument, extracted: &mut Extracted) {
    let info = |key: &str| info_string(document, key).and_then(|value| one_line(&value, FIELD_BYTES_MAX));
    extracted.title = info("Title");
    extracted.author = info("Author");
    for (key, name) in FIELDS {
        if let Some(value) = info(key) {
            let value = if key.ends_with("Date") { date(&value).unwrap_or(value) } else { value };
            extracted.note(name, &value);
        }
    }
    if let Ok(Some(xmp)) = XmpExtractor::extract(document) {
        let blank = |value: Option<String>| value.and_then(|value| one_line(&value, FIELD_BYTES_MAX));
        if extracted.title.is_none() {
            extracted.title = blank(xmp.dc_title);
        }
        if extracted.author.is_none() {
            extracted.author = one_line(&xmp.dc_creator.join(", "), FIELD_BYTES_MAX);
        }
    }
}

fn info_string(document: &PdfDocument, key: &str) -> Option<String> {
    let info = document.trailer().as_dict()?.get("Info")?;
    let info = document.resolve_object(info).ok()?;
    let value = document.resolve_object(info.as_dict()?.get(key)?).ok()?;
    Some(text_string(value.as_string()?))
}

/// A PDF text string (ISO 32000-2, 7.9.2.2): UTF-16 or UTF-8 with a mark, else PDFDocEncoding, which is close to
/// Windows-1252 where it is used.
fn text_string(bytes: &[u8]) -> String {
    match encoding_rs::Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding.decode_with_bom_removal(bytes).0.into_owned(),
        None if std::str::from_utf8(bytes).is_ok() => String::from_utf8_lossy(bytes).into_owned(),
        None => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

/// `D:YYYYMMDDHHmmSS…` (ISO 32000-2, 7.9.4) as ISO 8601, without its offset from UTC.
fn date(value: &str) -> Option<String> {
    let digits: String = value.strip_prefix("D:")?.chars().take_while(char::is_ascii_digit).collect();
    let part = |from: usize| digits.get(from..from + 2);
    let day = format!("{}-{}-{}", digits.get(..4)?, part(4).unwrap_or("01"), part(6).unwrap_or("01"));
    Some(match (part(8), part(10), part(12)) {
        (Some(hours), Some(minutes), Some(seconds)) => format!("{day}T{hours}:{minutes}:{seconds}"),
        _ => day,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_strings_of_every_kind() {
        assert_eq!(date("D:20240102030405+01'00'").as_deref(), Some("2024-01-02T03:04:05"));
        assert_eq!(date("D:2024").as_deref(), Some("2024-01-01"));
        assert_eq!(date("yesterday"), None);
        assert_eq!(text_string(b"\xfe\xff\x04\x16"), "Ж");
        assert_eq!(text_string(b"caf\xe9"), "café");
        assert_eq!(text_string("é".as_bytes()), "é");
    }
}
