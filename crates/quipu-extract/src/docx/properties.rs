//! The core properties part ([`Properties`]): title, author, dates, keywords.

use super::xml::{Events, Piece};
use crate::document::{FIELD_BYTES_MAX, one_line};
use crate::{ExtractError, Limits};

/// What the document says of itself.
#[derive(Default)]
pub(super) struct Properties {
    pub(super) title: Option<String>,
    pub(super) author: Option<String>,
    pub(super) language: Option<String>,
    /// Further fields by the names that all formats share.
    pub(super) fields: Vec<(&'static str, String)>,
}

impl Properties {
    pub(super) fn read(xml: &str, limits: &Limits) -> Result<Self, ExtractError> {
        let mut properties = Properties::default();
        let mut value = String::new();
        let mut events = Events::new(xml, limits);
        while let Some(piece) = events.next()? {
            match piece {
                Piece::Start(_) => value.clear(),
                Piece::Text(text) if value.len() < FIELD_BYTES_MAX => value.push_str(&text),
                Piece::Text(_) => {}
                Piece::End(name) => {
                    if let Some(line) = one_line(&std::mem::take(&mut value), FIELD_BYTES_MAX) {
                        properties.take(&name, line);
                    }
                }
            }
        }
        Ok(properties)
    }

    fn take(&mut self, name: &str, value: String) {
        let field = match name {
            "title" => return self.title = Some(value),
            "creator" => return self.author = Some(value),
            "language" => return self.language = Some(value),
            "created" => "created",
            "modified" => "modified",
            "keywords" => "tags",
            "description" => "description",
            "subject" => "subject",
            "category" => "category",
            "lastModifiedBy" => "modified_by",
            _ => return,
        };
        self.fields.push((field, value));
    }
}
