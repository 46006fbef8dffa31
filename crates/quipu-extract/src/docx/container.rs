//! The zip around a document ([`Container`]): entries read under caps on number, size, sum and ratio.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::{ExtractError, Format, Limits, text};

/// An opened container.
pub(super) struct Container<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    limits: &'a Limits,
    bytes_left: u64,
}

impl<'a> Container<'a> {
    pub(super) fn open(bytes: &'a [u8], limits: &'a Limits) -> Result<Self, ExtractError> {
        let archive = ZipArchive::new(Cursor::new(bytes))
            .map_err(|error| ExtractError::parse(Format::Docx, format_args!("opening the zip: {error}")))?;
        if archive.len() > limits.zip_entries_max {
            return Err(ExtractError::too_large("zip_entries_max", limits.zip_entries_max as u64));
        }
        Ok(Container { archive, limits, bytes_left: limits.zip_bytes_max })
    }

    pub(super) fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// The decoded XML of a part; nothing if there is no such part.
    pub(super) fn xml(&mut self, name: &str) -> Result<Option<String>, ExtractError> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        // The standard allows UTF-8 and UTF-16, and either may come with a mark.
        let encoding = text::detect(&bytes, Some(encoding_rs::UTF_8));
        Ok(Some(text::decode(&bytes, encoding).into_owned()))
    }

    fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, ExtractError> {
        let limits = self.limits;
        let entry = match self.archive.by_name(name) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => {
                return Err(ExtractError::parse(Format::Docx, format_args!("opening {name}: {error}")));
            }
        };
        let by_ratio =
            entry.compressed_size().saturating_mul(limits.zip_ratio_max).max(limits.zip_ratio_from_bytes);
        let (bytes_max, limit, limit_value) = [
            (limits.zip_entry_bytes_max, "zip_entry_bytes_max", limits.zip_entry_bytes_max),
            (self.bytes_left, "zip_bytes_max", limits.zip_bytes_max),
            (by_ratio, "zip_ratio_max", limits.zip_ratio_max),
        ]
        .into_iter()
        .min_by_key(|(bytes_max, ..)| *bytes_max)
        .unwrap_or_default();
        // What the header says of the size is not believed: reading stops one byte past the limit.
        let mut bytes = Vec::new();
        entry
            .take(bytes_max + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| ExtractError::parse(Format::Docx, format_args!("unpacking {name}: {error}")))?;
        if bytes.len() as u64 > bytes_max {
            return Err(ExtractError::too_large(limit, limit_value));
        }
        self.bytes_left -= bytes.len() as u64;
        Ok(Some(bytes))
    }
}
