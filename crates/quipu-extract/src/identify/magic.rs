//! Formats that their first bytes give away.

use super::{ends, find, zip_kind};
use crate::Format;

/// A PDF's header may stand anywhere in the first KiB (PDF 1.7, annex H, note 13).
const PDF_HEADER_WITHIN: usize = 1024;

/// Signatures at the very beginning. Office and zip kinds are told apart elsewhere.
const SIGNATURES: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"8BPS", "photoshop"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x7fELF", "elf"),
    (b"\xca\xfe\xba\xbe", "java class"),
    (b"\xcf\xfa\xed\xfe", "mach-o"),
    (b"\0asm", "wasm"),
    (b"SQLite format 3\0", "sqlite"),
    (b"PAR1", "parquet"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"GRIB", "grib"),
    (b"{\\rtf", "rtf"),
    (b"ID3", "mp3"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"RIFF", "riff"),
    (b"wOFF", "woff"),
    (b"wOF2", "woff2"),
    (b"\0\x01\0\0\0", "truetype"),
    (b"OTTO\0", "opentype"),
    (b"%!PS", "postscript"),
    (b"\xc5\xd0\xd3\xc6", "postscript"),
    (b"!<arch>\n", "ar"),
];

/// The signature of OLE2 compound files: old Office, and new Office when encrypted.
const OLE2: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// The format by signature, if there is one.
pub(super) fn identify(extension: &str, bytes: &[u8]) -> Option<Format> {
    if is_pdf(extension, bytes) {
        return Some(Format::Pdf);
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Some(zip_kind::identify(extension, bytes));
    }
    if bytes.starts_with(OLE2) {
        return Some(ole2_kind(extension, bytes));
    }
    if let Some((signature, name)) = SIGNATURES.iter().find(|(signature, _)| bytes.starts_with(signature)) {
        // Short signatures made of letters may begin a sentence.
        let letters = signature.iter().all(u8::is_ascii_alphanumeric);
        let is_text = letters && crate::text::looks_like_text(bytes);
        return (!is_text).then_some(Format::Other(name));
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return Some(Format::Other("mp4"));
    }
    (bytes.get(257..262) == Some(b"ustar")).then_some(Format::Other("tar"))
}

fn is_pdf(extension: &str, bytes: &[u8]) -> bool {
    let Some(at) = find(&bytes[..bytes.len().min(PDF_HEADER_WITHIN)], b"%PDF-") else {
        return false;
    };
    let version = bytes.get(at + 5).is_some_and(u8::is_ascii_digit);
    if bytes[..at].iter().all(|byte| byte.is_ascii_whitespace() || b"\xef\xbb\xbf".contains(byte)) && version
    {
        return true;
    }
    // Words about PDFs hold the header too; a real one has the machinery behind it.
    let (head, tail) = ends(bytes);
    extension == "pdf" || (version && (find(tail, b"startxref").is_some() || find(head, b" 0 obj").is_some()))
}

/// An encrypted docx is an OLE2 file with a stream of a well-known name, which is UTF-16.
fn ole2_kind(extension: &str, bytes: &[u8]) -> Format {
    let marker: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (head, tail) = ends(bytes);
    let encrypted = find(head, &marker).is_some() || find(tail, &marker).is_some();
    match (encrypted, extension) {
        (true, "docx" | "docm" | "dotx") => Format::Docx,
        (true, _) => Format::Other("encrypted office"),
        (false, _) => Format::Other("ole2"),
    }
}
