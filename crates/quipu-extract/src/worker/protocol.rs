//! What pool and worker say to each other: frames of a JSON header and a body of bytes.
//!
//! A frame is `QPX` + version, the header's length (u32) and the body's (u64), both little-endian, then the two. A
//! request's body is the file, an answer's body is its text: neither is ever escaped or copied into JSON. Lengths
//! are capped before anything is allocated, since whoever writes may have gone mad.
//!
//! Before its answer a worker says that it has the request. What a pipe has accepted nobody need ever read: only so can
//! the pool tell a worker that had died before from one that the file has killed.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{ExtractError, Extracted, Format, Limits};

/// The first bytes of each frame; the last one is the protocol's version.
const MAGIC: [u8; 4] = *b"QPX\x02";
/// What a worker says when it has read a whole request, and before it does anything with it.
pub(super) const TAKEN: [u8; 4] = *b"QPT\x02";
/// Bytes before the header.
pub(super) const PREFIX_BYTES: usize = 16;
/// Most bytes of a header: metadata and headings, all of them capped themselves.
const HEADER_BYTES_MAX: usize = 16 << 20;
/// Most bytes of a body: a file, or a text.
pub(super) const BODY_BYTES_MAX: u64 = 4 << 30;

/// Asks for the text of the body.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) format: Format,
    pub(super) limits: Limits,
}

/// What came of it. The text travels as the body.
pub(super) type Answer = Result<Extracted, ExtractError>;

/// Lengths of what follows a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths {
    pub(super) header: usize,
    pub(super) body: usize,
}

/// The prefix and header of a frame whose body has this length.
pub(super) fn head(header: &impl Serialize, body_length: usize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(header)?;
    if json.len() > HEADER_BYTES_MAX || body_length as u64 > BODY_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the frame would be too large"));
    }
    let mut head = Vec::with_capacity(PREFIX_BYTES + json.len());
    head.extend_from_slice(&MAGIC);
    head.extend_from_slice(&(json.len() as u32).to_le_bytes());
    head.extend_from_slice(&(body_length as u64).to_le_bytes());
    head.extend_from_slice(&json);
    Ok(head)
}

/// Reads a prefix; an error if it is none, or promises more than is allowed.
pub(super) fn lengths(prefix: &[u8; PREFIX_BYTES]) -> io::Result<Lengths> {
    let [m0, m1, m2, m3, h0, h1, h2, h3, body @ ..] = *prefix;
    let header = u32::from_le_bytes([h0, h1, h2, h3]) as usize;
    let body = u64::from_le_bytes(body);
    if [m0, m1, m2, m3] != MAGIC || header > HEADER_BYTES_MAX || body > BODY_BYTES_MAX {
        return Err(garbage("no frame of this version"));
    }
    Ok(Lengths { header, body: body as usize })
}

/// Looks at what a worker says first.
pub(super) fn taken(said: [u8; 4]) -> io::Result<()> {
    if said == TAKEN { Ok(()) } else { Err(garbage("no frame of this version")) }
}

/// Reads a header.
pub(super) fn header<T: DeserializeOwned>(json: &[u8]) -> io::Result<T> {
    serde_json::from_slice(json).map_err(|error| garbage(&error.to_string()))
}

/// Parts an answer into header and body.
pub(super) fn split(mut answer: Answer) -> (Answer, String) {
    let text = answer.as_mut().map(|extracted| std::mem::take(&mut extracted.text)).unwrap_or_default();
    (answer, text)
}

/// Joins header and body again, and checks what callers rely on.
pub(super) fn join(answer: Answer, body: Vec<u8>) -> io::Result<Answer> {
    let mut extracted = match answer {
        Ok(extracted) => extracted,
        Err(error) => return Ok(Err(error)),
    };
    extracted.text = String::from_utf8(body).map_err(|_| garbage("the text is not UTF-8"))?;
    let headings = extracted.headings.iter().map(|heading| heading.offset);
    let mut offsets = headings.chain(extracted.pages.iter().copied());
    if !offsets.all(|offset| extracted.text.is_char_boundary(offset)) {
        return Err(garbage("an offset lies outside of the text"));
    }
    Ok(Ok(extracted))
}

fn garbage(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_the_way() {
        let request = Request { format: Format::Pdf, limits: Limits::default() };
        let head = head(&request, 7).unwrap();
        let (prefix, json) = head.split_first_chunk::<PREFIX_BYTES>().unwrap();
        assert_eq!(lengths(prefix).unwrap(), Lengths { header: json.len(), body: 7 });
        let read: Request = header(json).unwrap();
        assert_eq!((read.format, read.limits), (request.format, request.limits));
    }

    #[test]
    fn absurd_lengths_are_refused_before_they_are_allocated() {
        let mut prefix = [0xff; PREFIX_BYTES];
        assert!(lengths(&prefix).is_err());
        prefix[..4].copy_from_slice(&MAGIC);
        assert!(lengths(&prefix).is_err());
        prefix[4..].fill(0);
        assert_eq!(lengths(&prefix).unwrap(), Lengths { header: 0, body: 0 });
    }

    #[test]
    fn answers_are_checked() {
        let mut extracted = Extracted::new(Format::Pdf, "é".into());
        extracted.pages.push(1);
        let (answer, text) = split(Ok(extracted));
        assert!(join(answer, text.into_bytes()).is_err());
        let (answer, text) = split(Err(ExtractError::Encrypted(Format::Pdf)));
        assert!(matches!(join(answer, text.into_bytes()), Ok(Err(ExtractError::Encrypted(Format::Pdf)))));
    }

    #[test]
    fn every_error_of_a_parser_survives_the_way() {
        for error in [
            ExtractError::parse(Format::Docx, "no zip"),
            ExtractError::too_large("zip_ratio_max", 200),
            ExtractError::Empty(Format::Pdf),
            ExtractError::Timeout(std::time::Duration::from_secs(3)),
        ] {
            let words = error.to_string();
            let json = serde_json::to_vec(&Answer::Err(error)).unwrap();
            assert_eq!(header::<Answer>(&json).unwrap().unwrap_err().to_string(), words);
        }
    }
}
