//! Word documents (ECMA-376, Office Open XML): a zip of XML parts, read with caps on everything that an attacker
//! could inflate.
//!
//! Read are the main part, styles (for headings and the language), foot- and endnotes, and the core properties.
//! Left out are headers and footers (repeated noise), comments, deleted text and pictures.

mod body;
mod container;
mod properties;
mod relations;
mod styles;
mod xml;

use crate::prose::Prose;
use crate::{ExtractError, Extracted, Format, Limits};
use body::Body;
use container::Container;
use properties::Properties;
use relations::Relations;
use styles::Styles;

/// What an OLE2 file begins with: Office wraps encrypted documents in one.
const OLE2_SIGNATURE: &[u8] = b"\xd0\xcf\x11\xe0";

/// Reads a Word document.
pub(crate) fn extract(bytes: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    if bytes.is_empty() {
        return Err(ExtractError::Empty(Format::Docx));
    }
    if bytes.starts_with(OLE2_SIGNATURE) {
        return Err(ExtractError::Encrypted(Format::Docx));
    }
    let mut container = Container::open(bytes, limits)?;
    let package = Relations::read(&mut container, "")?;
    let main = package.target("/officeDocument").unwrap_or_else(|| "word/document.xml".to_owned());
    let relations = Relations::read(&mut container, &main)?;
    let styles = match relations.target("/styles") {
        Some(part) => {
            container.xml(&part)?.map_or_else(|| Ok(Styles::default()), |xml| Styles::read(&xml, limits))?
        }
        None => Styles::default(),
    };
    let mut body = Body::new(&styles, limits);
    let Some(xml) = container.xml(&main)? else {
        return Err(ExtractError::parse(Format::Docx, format_args!("the part {main} is missing")));
    };
    body.read(&xml)?;
    drop(xml);
    for kind in ["/footnotes", "/endnotes"] {
        if let Some(part) = relations.target(kind)
            && let Some(xml) = container.xml(&part)?
        {
            body.read(&xml)?;
        }
    }
    let core = package.target("/core-properties").unwrap_or_else(|| "docProps/core.xml".to_owned());
    let properties = match container.xml(&core)? {
        Some(xml) => Properties::read(&xml, limits)?,
        None => Properties::default(),
    };
    assemble(body.finish(), properties, styles)
}

fn assemble(
    (prose, styled_title): (Prose, Option<String>),
    properties: Properties,
    styles: Styles,
) -> Result<Extracted, ExtractError> {
    let (text, headings) = prose.finish()?;
    let mut extracted = Extracted::new(Format::Docx, text);
    extracted.title = properties
        .title
        .or(styled_title)
        .or_else(|| headings.iter().find(|heading| heading.level == 1).map(|heading| heading.text.clone()));
    extracted.headings = headings;
    extracted.author = properties.author;
    extracted.language = properties.language.or(styles.language);
    for (name, value) in &properties.fields {
        extracted.note(name, value);
    }
    Ok(extracted)
}

#[cfg(test)]
mod tests;
