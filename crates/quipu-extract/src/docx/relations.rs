//! Which part plays which role: the `.rels` part beside each part ([`Relations`]).

use super::container::Container;
use super::xml::{Events, Piece};
use crate::ExtractError;

/// The relations of one part.
#[derive(Default)]
pub(super) struct Relations {
    /// Types and targets, the targets as names of entries.
    targets: Vec<(String, String)>,
}

impl Relations {
    /// Reads the relations of a part; those of the package itself if its name is empty.
    pub(super) fn read(container: &mut Container<'_>, part: &str) -> Result<Self, ExtractError> {
        let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
        let slash = if folder.is_empty() { "" } else { "/" };
        let mut relations = Relations::default();
        if let Some(xml) = container.xml(&format!("{folder}{slash}_rels/{file}.rels"))? {
            let mut events = Events::new(&xml, container.limits());
            while let Some(piece) = events.next()? {
                if let Piece::Start(element) = piece
                    && element.name() == "Relationship"
                    && element.attribute("TargetMode").as_deref() != Some("External")
                    && let (Some(kind), Some(target)) =
                        (element.attribute("Type"), element.attribute("Target"))
                {
                    relations.targets.push((kind, resolve(folder, &target)));
                }
            }
        }
        Ok(relations)
    }

    /// The entry that plays this role, by the end of the relation's type: strict and transitional documents
    /// differ in its beginning only.
    pub(super) fn target(&self, kind: &str) -> Option<String> {
        self.targets.iter().find(|(known, _)| known.ends_with(kind)).map(|(_, target)| target.clone())
    }
}

/// The name of the entry that a target means, seen from a folder.
fn resolve(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut path: Vec<&str> = folder.split('/').filter(|name| !name.is_empty()).collect();
    for name in target.split('/') {
        match name {
            "." | "" => {}
            ".." => {
                path.pop();
            }
            _ => path.push(name),
        }
    }
    path.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_seen_from_their_part() {
        assert_eq!(resolve("word", "styles.xml"), "word/styles.xml");
        assert_eq!(resolve("word", "/word/styles.xml"), "word/styles.xml");
        assert_eq!(resolve("word", "../docProps/core.xml"), "docProps/core.xml");
        assert_eq!(resolve("", "../../x"), "x");
    }
}
