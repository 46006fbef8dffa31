//! What each HTML element means for running text ([`Role`]).

/// How an element's tags and content are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Part of a line.
    Inline,
    /// Begins and ends a line.
    Line,
    /// Set apart by blank lines.
    Paragraph,
    /// A heading of this level.
    Heading(usize),
    /// A list, numbered or not.
    List { numbered: bool },
    /// An entry of a list.
    Item,
    /// A table.
    Table,
    /// A row of a table.
    Row,
    /// A cell of a row.
    Cell,
    /// Text whose white space counts.
    Preformatted,
    /// `<br>`.
    Break,
    /// The main part of a page, which is never noise.
    Main,
    /// Navigation and the like: left out where the page has other text.
    Noise,
    /// A footer: noise, unless it belongs to an article.
    Footer,
    /// Never shown to a reader.
    Hidden,
}

/// The role of the element of this name (lower case).
pub(super) fn role(name: &str) -> Role {
    match name {
        "div" | "dt" | "dd" | "summary" | "option" | "optgroup" | "caption" | "figcaption" | "legend"
        | "address" | "tbody" | "thead" | "tfoot" | "center" | "dir" | "label" => Role::Line,
        "p" | "section" | "header" | "hgroup" | "aside" | "blockquote" | "figure" | "details" | "dialog"
        | "fieldset" | "form" | "dl" | "hr" | "body" | "html" | "search" => Role::Paragraph,
        "h1" => Role::Heading(1),
        "h2" => Role::Heading(2),
        "h3" => Role::Heading(3),
        "h4" => Role::Heading(4),
        "h5" => Role::Heading(5),
        "h6" => Role::Heading(6),
        "ul" | "menu" => Role::List { numbered: false },
        "ol" => Role::List { numbered: true },
        "li" => Role::Item,
        "table" => Role::Table,
        "tr" => Role::Row,
        "td" | "th" => Role::Cell,
        "pre" | "listing" | "xmp" | "plaintext" => Role::Preformatted,
        "br" => Role::Break,
        "main" | "article" => Role::Main,
        "nav" => Role::Noise,
        "footer" => Role::Footer,
        "script" | "style" | "template" | "noscript" | "noframes" | "noembed" | "iframe" | "object"
        | "svg" | "audio" | "video" | "canvas" | "map" | "select" | "datalist" | "button" | "textarea"
        | "title" | "annotation" | "annotation-xml" | "rp" => Role::Hidden,
        _ => Role::Inline,
    }
}

/// Elements that have no end tag.
pub(super) fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
    )
}
