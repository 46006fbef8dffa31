//! Holds the files of a model's folder against the hashes that the registry has for them.

use std::io::{self, Read, Write};
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::locate::is_complete;
use super::registry::{KNOWN, Known};
use crate::files;

const COPY_BUFFER_BYTES: usize = 64 << 10;

/// Files of a model that is not in the registry, as far as it has them.
const USUAL_FILES: [&str; 8] = [
    "config.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "model.safetensors",
];

/// A file of a model, and what it hashes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HashedFile {
    /// Its path in the model's folder.
    pub path: &'static str,
    /// Its length, if it can be read.
    pub bytes: Option<u64>,
    /// In hexadecimal, if it can be read.
    pub sha256: Option<String>,
    /// What the registry says to that.
    pub state: FileState,
}

/// What the registry says to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileState {
    /// It is what was registered.
    Right,
    /// It is something else.
    Wrong,
    /// It cannot be read.
    Missing,
    /// The model is not registered.
    Unregistered,
}

/// The files of a folder: those that the registry has for `known`, else those that are there.
pub(crate) fn hash_files(known: Option<&Known>, folder: &Path) -> Vec<HashedFile> {
    let file = |path, expected: Option<[u8; 32]>| {
        let found = hash(&folder.join(path)).ok();
        let state = match (expected, found) {
            (None, _) => FileState::Unregistered,
            (Some(_), None) => FileState::Missing,
            (Some(expected), Some((_, hash))) if expected == hash => FileState::Right,
            (Some(_), Some(_)) => FileState::Wrong,
        };
        let sha256 = found.map(|(_, hash)| hexadecimal(&hash));
        HashedFile { path, bytes: found.map(|(bytes, _)| bytes), sha256, state }
    };
    match known {
        Some(known) => known.files.iter().map(|pinned| file(pinned.path, Some(pinned.sha256))).collect(),
        None => {
            let files = USUAL_FILES.into_iter().map(|path| file(path, None));
            files.filter(|file| file.sha256.is_some()).collect()
        }
    }
}

/// The registered model whose files these are, all of them and unchanged.
pub(crate) fn recognise(folder: &Path) -> Option<&'static Known> {
    KNOWN.iter().find(|known| is_intact(known, folder))
}

/// Whether all files are there and hash to what they should.
pub(super) fn is_intact(known: &Known, folder: &Path) -> bool {
    is_complete(known, folder)
        && known
            .files
            .iter()
            .all(|file| hash(&folder.join(file.path)).is_ok_and(|(_, hash)| hash == file.sha256))
}

fn hash(file: &Path) -> io::Result<(u64, [u8; 32])> {
    copy_hashed(&mut files::open(file)?, &mut io::sink())
}

/// Copies all, and says how much it was and what it hashes to.
pub(super) fn copy_hashed(from: &mut impl Read, to: &mut impl Write) -> io::Result<(u64, [u8; 32])> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok((bytes, hash.finalize().into())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        bytes += count as u64;
    }
}

/// Bytes as they are usually written.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
