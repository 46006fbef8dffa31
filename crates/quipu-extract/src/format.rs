//! The formats that this crate tells apart ([`Format`]), their names and MIME types.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Language;

/// What a file's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Plain text.
    Text,
    /// Markdown (CommonMark with GitHub's extensions).
    Markdown,
    /// HTML or XHTML.
    Html,
    /// Source code, or data in a structured text format.
    Code(Language),
    /// PDF.
    Pdf,
    /// Office Open XML text (Word).
    Docx,
    /// A binary format that is known by name but not read, such as `zip`, `png` or `xlsx`.
    Other(&'static str),
    /// Bytes that are no text, of unknown kind.
    Binary,
}

impl Format {
    /// The MIME type.
    pub fn mime(&self) -> &'static str {
        match self {
            Format::Text => "text/plain",
            Format::Markdown => "text/markdown",
            Format::Html => "text/html",
            Format::Code(language) => language.mime(),
            Format::Pdf => "application/pdf",
            Format::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Format::Other(_) | Format::Binary => "application/octet-stream",
        }
    }

    /// A short name in lower case: `text`, `markdown`, `html`, `code`, `pdf`, `docx`, `binary`, `png`, …
    pub fn name(&self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::Markdown => "markdown",
            Format::Html => "html",
            Format::Code(_) => "code",
            Format::Pdf => "pdf",
            Format::Docx => "docx",
            Format::Other(name) => name,
            Format::Binary => "binary",
        }
    }

    /// Whether its parser reads foreign binary structures, so that it belongs in a worker process.
    pub fn is_foreign(&self) -> bool {
        matches!(self, Format::Pdf | Format::Docx)
    }

    /// Whether [`crate::extract`] has a reader for it.
    pub fn is_supported(&self) -> bool {
        !matches!(self, Format::Other(_) | Format::Binary)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Format::Code(language) => write!(formatter, "{} code", language.name()),
            _ => formatter.write_str(self.name()),
        }
    }
}

/// As a string: a supported format's name, for code with its language (`code:rust`).
impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Format::Code(language) => serializer.collect_str(&format_args!("code:{}", language.name())),
            _ => serializer.serialize_str(self.name()),
        }
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const PLAIN: [Format; 6] =
            [Format::Text, Format::Markdown, Format::Html, Format::Pdf, Format::Docx, Format::Binary];
        let name = String::deserialize(deserializer)?;
        let code = name.strip_prefix("code:").and_then(Language::by_name).map(Format::Code);
        code.or_else(|| PLAIN.into_iter().find(|format| format.name() == name))
            .ok_or_else(|| serde::de::Error::custom(format_args!("no supported format is called {name:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supported_formats_survive_serialisation() {
        let rust = Format::Code(Language::by_name("rust").unwrap());
        for format in [Format::Text, Format::Markdown, Format::Html, rust, Format::Pdf, Format::Docx] {
            let json = serde_json::to_string(&format).unwrap();
            assert_eq!(serde_json::from_str::<Format>(&json).unwrap(), format);
        }
        assert!(serde_json::from_str::<Format>("\"png\"").is_err());
    }
}
