//! A file mapped into memory, seen as bytes or as f32.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

/// A read-only mapping of a whole file.
pub(super) struct Mapping(memmap2::Mmap);

impl Mapping {
    pub(super) fn open(file: &Path) -> io::Result<Self> {
        let file = File::open(file)?;
        // SAFETY: the bytes of a mapping change when someone writes into the file, and reading past a truncation is a
        // bus error; neither can be ruled out for a file that others own. Quipu itself never writes a model's file in
        // place: model::fetch writes a new folder and renames it, and a mapping keeps the old file alive. The user
        // guide says the same of a folder given with --model. Any bit pattern is a valid u8 and f32.
        Ok(Self(unsafe { memmap2::Mmap::map(&file)? }))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A range of the bytes as f32, or nothing if it is not aligned for them or this machine is big-endian.
    pub(super) fn floats(&self, range: Range<usize>) -> Option<&[f32]> {
        if cfg!(target_endian = "big") {
            return None;
        }
        // SAFETY: every bit pattern is a valid f32, and align_to hands back whatever is not aligned.
        let (before, floats, after) = unsafe { self.0.get(range)?.align_to::<f32>() };
        (before.is_empty() && after.is_empty()).then_some(floats)
    }
}
