//! Files of a model's folder, of which nothing is believed: they are opened only if they are files, and read only up to a
//! limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::EmbedError;

/// Opens a file. A pipe would be waited for, and a device need not have an end.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    File::open(path)
}

/// All of a file.
///
/// # Errors
/// [`EmbedError::Read`], or [`EmbedError::Configuration`] for one of more than `bytes_max`.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, EmbedError> {
    let mut bytes = Vec::new();
    open(path)
        .and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes))
        .map_err(|source| EmbedError::Read { file: path.into(), source })?;
    if bytes.len() as u64 > bytes_max {
        let problem = format!("it has more than {bytes_max} bytes");
        return Err(EmbedError::Configuration { file: path.into(), problem });
    }
    Ok(bytes)
}
