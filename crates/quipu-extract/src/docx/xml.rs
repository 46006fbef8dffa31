//! XML events of one part ([`Events`]): names without prefixes, references resolved, depth capped.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::{ExtractError, Format, Limits};

/// What a part consists of, as far as documents need it.
pub(super) enum Piece<'a> {
    Start(Element<'a>),
    /// An end, with the element's local name.
    End(Cow<'a, str>),
    Text(Cow<'a, str>),
}

/// A start tag.
pub(super) struct Element<'a>(BytesStart<'a>);

impl Element<'_> {
    /// Its name without the prefix.
    pub(super) fn name(&self) -> &str {
        self.0.local_name().into_inner()
    }

    /// The value of the first attribute of this local name.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        self.0
            .attributes()
            .with_checks(false)
            .flatten()
            .find(|attribute| attribute.key.local_name().into_inner() == name)
            .and_then(|attribute| {
                attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).ok().map(Cow::into_owned)
            })
    }

    /// The attribute `val`, where WordprocessingML keeps an element's value.
    pub(super) fn value(&self) -> Option<String> {
        self.attribute("val")
    }

    /// Whether an on/off property is on: it is, unless its value says otherwise.
    pub(super) fn is_on(&self) -> bool {
        !matches!(self.value().as_deref(), Some("0" | "false" | "off"))
    }
}

/// The events of one part, an iterator by hand.
pub(super) struct Events<'a> {
    reader: Reader<&'a [u8]>,
    depth: usize,
    depth_max: usize,
}

impl<'a> Events<'a> {
    pub(super) fn new(xml: &'a str, limits: &Limits) -> Self {
        let mut reader = Reader::from_str(xml);
        reader.config_mut().expand_empty_elements = true;
        Events { reader, depth: 0, depth_max: limits.xml_depth_max }
    }

    /// The next piece; nothing at the end of the part.
    pub(super) fn next(&mut self) -> Result<Option<Piece<'a>>, ExtractError> {
        loop {
            let event = self.reader.read_event().map_err(|error| self.error(&error))?;
            let piece = match event {
                Event::Start(start) | Event::Empty(start) => {
                    self.depth += 1;
                    if self.depth > self.depth_max {
                        return Err(ExtractError::too_large("xml_depth_max", self.depth_max as u64));
                    }
                    Piece::Start(Element(start))
                }
                Event::End(end) => {
                    self.depth = self.depth.saturating_sub(1);
                    Piece::End(Cow::Owned(end.local_name().into_inner().to_owned()))
                }
                Event::Text(text) => Piece::Text(text.into_inner()),
                Event::CData(text) => Piece::Text(text.into_inner()),
                Event::GeneralRef(reference) => match resolve(&reference) {
                    Some(character) => Piece::Text(Cow::Owned(character.to_string())),
                    None => continue,
                },
                Event::Eof if self.depth > 0 => return Err(self.error(&"the XML ends too early")),
                Event::Eof => return Ok(None),
                _ => continue,
            };
            return Ok(Some(piece));
        }
    }

    fn error(&self, message: &dyn std::fmt::Display) -> ExtractError {
        let at = self.reader.error_position().max(self.reader.buffer_position());
        ExtractError::parse(Format::Docx, format_args!("XML at byte {at}: {message}"))
    }
}

/// The character that a reference stands for. Entities that a document declares itself are left out: they are
/// not allowed here, and are how XML bombs are built.
fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    match &**reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}
