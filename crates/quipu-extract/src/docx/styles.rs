//! Paragraph styles ([`Styles`]): which are headings, of which level, and which is the title.
//!
//! Style ids are localised (`berschrift1`, `Titre1`), so they tell nothing. What tells is the outline level, the
//! style's own or that of a style it is based on, and the built-in names, which stay English in every language.

use std::collections::HashMap;

use super::xml::{Element, Events, Piece};
use crate::{ExtractError, Limits};

/// A chain of styles based on one another is followed this far: a loop must end.
const BASED_ON_MAX: usize = 32;

/// What the styles part says.
#[derive(Default)]
pub(super) struct Styles {
    styles: HashMap<String, Style>,
    /// The document's default language.
    pub(super) language: Option<String>,
}

#[derive(Default)]
struct Style {
    name: String,
    based_on: Option<String>,
    /// 0 the highest; 9 means body text.
    outline_level: Option<usize>,
}

/// What a paragraph's style makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    Title,
    Heading(usize),
    Body,
}

impl Styles {
    pub(super) fn read(xml: &str, limits: &Limits) -> Result<Self, ExtractError> {
        let mut styles = Styles::default();
        let mut open: Option<(String, Style)> = None;
        let mut in_defaults = false;
        let mut events = Events::new(xml, limits);
        while let Some(piece) = events.next()? {
            match piece {
                Piece::Start(element) => match element.name() {
                    "docDefaults" => in_defaults = true,
                    "lang" if in_defaults => styles.language = element.value().filter(|tag| !tag.is_empty()),
                    "style" => open = element.attribute("styleId").map(|id| (id, Style::default())),
                    _ => {
                        if let Some((_, style)) = &mut open {
                            style.take(&element);
                        }
                    }
                },
                Piece::End(name) => match &*name {
                    "docDefaults" => in_defaults = false,
                    "style" => styles.styles.extend(open.take()),
                    _ => {}
                },
                Piece::Text(_) => {}
            }
        }
        Ok(styles)
    }

    /// What a paragraph of this style is.
    pub(super) fn rank(&self, id: &str) -> Rank {
        let mut id = id;
        for _ in 0..BASED_ON_MAX {
            let Some(style) = self.styles.get(id) else { break };
            if let Some(rank) = style.rank() {
                return rank;
            }
            let Some(base) = &style.based_on else { break };
            id = base;
        }
        Rank::Body
    }
}

impl Style {
    fn take(&mut self, element: &Element<'_>) {
        match element.name() {
            "name" => self.name = element.value().unwrap_or_default().to_lowercase(),
            "basedOn" => self.based_on = element.value(),
            "outlineLvl" => self.outline_level = element.value().and_then(|level| level.parse().ok()),
            _ => {}
        }
    }

    fn rank(&self) -> Option<Rank> {
        if self.name == "title" {
            return Some(Rank::Title);
        }
        if let Some(level) = self.name.strip_prefix("heading ").and_then(|level| level.parse().ok()) {
            return Some(Rank::Heading(level));
        }
        rank_of_level(self.outline_level?)
    }
}

/// What an outline level makes of a paragraph.
pub(super) fn rank_of_level(level: usize) -> Option<Rank> {
    Some(if level < 9 { Rank::Heading(level + 1) } else { Rank::Body })
}
