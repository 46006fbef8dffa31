//! Markdown: the text stays the file's text; headings, title and front matter are read from it.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::{ExtractError, Extracted, Format, Heading, Limits, text};

/// Reads a markdown file.
pub(crate) fn extract(bytes: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    let mut extracted = text::extract(Format::Markdown, bytes, limits)?;
    let mut outline = outline(&extracted.text, limits.headings_max);
    let front_matter = outline.front_matter.take().unwrap_or_default();
    for (key, value) in front_matter {
        match key.as_str() {
            "title" => extracted.title = Some(value),
            "author" | "authors" => extracted.author = Some(value),
            "lang" | "language" => extracted.language = Some(value),
            "keywords" => extracted.note("tags", &value),
            _ => extracted.note(&key, &value),
        }
    }
    if extracted.title.is_none() {
        extracted.title = outline.headings.iter().find(|heading| heading.level == 1).map(|h| h.text.clone());
    }
    extracted.headings = outline.headings;
    Ok(extracted)
}

/// What the parser's events tell.
struct Outline {
    headings: Vec<Heading>,
    front_matter: Option<Vec<(String, String)>>,
}

fn outline(text: &str, headings_max: usize) -> Outline {
    let options = Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES;
    let mut outline = Outline { headings: Vec::new(), front_matter: None };
    let mut open: Option<(usize, usize, String)> = None;
    let mut in_metadata = false;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                open = Some((range.start, level as usize, String::new()))
            }
            Event::End(TagEnd::Heading(_)) => {
                let heading =
                    open.take().and_then(|(offset, level, words)| Heading::new(offset, level, &words));
                if outline.headings.len() < headings_max {
                    outline.headings.extend(heading);
                }
            }
            Event::Start(Tag::MetadataBlock(_)) => in_metadata = true,
            Event::End(TagEnd::MetadataBlock(_)) => in_metadata = false,
            Event::Text(words) if in_metadata => {
                outline.front_matter.get_or_insert_with(|| front_matter(&words));
            }
            Event::Text(words) | Event::Code(words) => {
                if let Some((.., heading)) = &mut open {
                    heading.push_str(&words);
                }
            }
            Event::SoftBreak | Event::HardBreak => {
                if let Some((.., heading)) = &mut open {
                    heading.push(' ');
                }
            }
            _ => {}
        }
    }
    outline
}

/// The fields of a YAML front matter that are plain: `key: value`, `key: [a, b]` and lists of `- item` lines.
/// Nested maps are passed over: this is no YAML parser, and needs to be none for titles, authors and tags.
fn front_matter(yaml: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in yaml.lines() {
        let item = line.trim_start().strip_prefix("- ");
        if let (Some(item), Some((_, value))) = (item, fields.last_mut()) {
            let separator = if value.is_empty() { "" } else { ", " };
            *value = format!("{value}{separator}{}", unquote(item));
        } else if let Some((key, value)) =
            line.split_once(':').filter(|_| !line.starts_with([' ', '\t', '#']))
        {
            let value = value.trim();
            let list = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let value = match list {
                Some(items) => items.split(',').map(unquote).collect::<Vec<_>>().join(", "),
                None => unquote(value).to_owned(),
            };
            fields.push((key.trim().to_lowercase(), value));
        }
    }
    fields.retain(|(key, value)| !key.is_empty() && !value.is_empty());
    fields
}

fn unquote(value: &str) -> &str {
    let value = value.trim();
    let quoted = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Extracted {
        extract(text.as_bytes(), &Limits::default()).unwrap()
    }

    #[test]
    fn headings_stand_where_their_lines_start() {
        let text = "# One *two* `three`\n\n```\n# no heading\n```\n\nSetext\n---\n\n> ## Quoted {#id}\n";
        let extracted = read(text);
        assert_eq!(extracted.text, text);
        let found: Vec<_> = extracted.headings.iter().map(|h| (h.level, h.text.as_str(), h.offset)).collect();
        let at = |words: &str| text.find(words).unwrap();
        assert_eq!(
            found,
            [(1, "One two three", 0), (2, "Setext", at("Setext")), (2, "Quoted", at("## Quoted"))]
        );
        assert_eq!(extracted.title.as_deref(), Some("One two three"));
        assert!(extracted.text_is_file);
    }

    #[test]
    fn front_matter_becomes_metadata_and_stays_text() {
        let text = "---\ntitle: \"A: b\"\nauthor:\n  - Ana\n  - Bo\ntags: [x, 'y z']\nnested:\n  k: v\ndate: 2024-01-02\n---\n\n# H\n";
        let extracted = read(text);
        assert_eq!(extracted.text, text);
        assert_eq!(extracted.title.as_deref(), Some("A: b"));
        assert_eq!(extracted.author.as_deref(), Some("Ana, Bo"));
        assert_eq!(extracted.metadata["tags"], "x, y z");
        assert_eq!(extracted.metadata["date"], "2024-01-02");
        assert!(!extracted.metadata.contains_key("nested"));
        assert_eq!(extracted.headings.len(), 1);
    }

    #[test]
    fn only_so_many_headings_are_kept() {
        let limits = Limits { headings_max: 3, ..Limits::default() };
        let extracted = extract("# h\n\n".repeat(10).as_bytes(), &limits).unwrap();
        assert_eq!(extracted.headings.len(), 3);
    }

    proptest::proptest! {
        #[test]
        fn headings_ascend_on_character_boundaries(text in "([#>*`é\n =-]|[a-z]|---\n|\r\n){0,80}") {
            let extracted = read(&text);
            crate::extract::tests::check_offsets(&extracted);
        }
    }
}
