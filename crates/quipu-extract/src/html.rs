//! HTML: the visible text in reading order, with blocks, list items and table cells kept apart.
//!
//! The tokens of `html5ever`'s tokenizer are read as a stream; no tree is built. A tree would serve no purpose
//! here, costs many times the file's size on the heap of the main process, and its construction is quadratic in
//! the nesting depth (100,000 nested `<div>`s) or in unclosed formatting tags. A stream has no depth to overflow.

mod elements;
mod reader;

use std::time::Instant;

use encoding_rs::Encoding;
use html5ever::TokenizerResult;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{BufferQueue, Tokenizer, TokenizerOpts};

use crate::document::one_line;
use crate::{ExtractError, Extracted, Format, Limits, text};
use reader::{Page, Reader};

/// The tokenizer gets this much at a time, and the clock is looked at in between.
const PIECE_BYTES: usize = 16 << 10;

/// How far into the bytes a declaration of their encoding is looked for (the HTML standard's number).
const DECLARATION_WITHIN: usize = 1024;

/// Longest title kept, in bytes.
const TITLE_BYTES_MAX: usize = 1000;

/// Reads an HTML page.
pub(crate) fn extract(bytes: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    let encoding = text::detect(bytes, declared_encoding(bytes));
    let source = text::decode(bytes, encoding);
    let mut page = read(&source, true, limits)?;
    if page.is_suspiciously_bare {
        // All of it stood in a `<nav>` or the like, or in one that never closed.
        page = read(&source, false, limits)?;
    }
    let mut extracted = assemble(page)?;
    if encoding != encoding_rs::UTF_8 {
        extracted.note("encoding", encoding.name());
    }
    Ok(extracted)
}

/// One pass over the page; `skip_noise` leaves out navigation and page footers.
fn read(source: &str, skip_noise: bool, limits: &Limits) -> Result<Page, ExtractError> {
    let start = Instant::now();
    let tokenizer = Tokenizer::new(Reader::new(skip_noise, limits), TokenizerOpts::default());
    let input = BufferQueue::default();
    let mut rest = source;
    while !rest.is_empty() && !tokenizer.sink.is_full() {
        if start.elapsed() > limits.html_time_max {
            return Err(ExtractError::Timeout(limits.html_time_max));
        }
        let piece;
        (piece, rest) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES.min(rest.len())));
        input.push_back(StrTendril::from_slice(piece));
        while !matches!(tokenizer.feed(&input), TokenizerResult::Done) {}
    }
    tokenizer.end();
    Ok(tokenizer.sink.into_page())
}

fn assemble(page: Page) -> Result<Extracted, ExtractError> {
    let (text, headings) = page.prose.finish()?;
    let mut extracted = Extracted::new(Format::Html, text);
    extracted.title = one_line(&page.title, TITLE_BYTES_MAX)
        .or_else(|| page.fields.get("og:title").cloned())
        .or_else(|| headings.iter().find(|heading| heading.level == 1).map(|heading| heading.text.clone()));
    extracted.headings = headings;
    extracted.language = page.language;
    for (name, value) in &page.fields {
        match name.as_str() {
            "author" => extracted.author = one_line(value, TITLE_BYTES_MAX),
            "article:author" | "dc.creator" | "dcterms.creator" => {
                extracted.author = extracted.author.take().or_else(|| one_line(value, TITLE_BYTES_MAX));
            }
            "description" => extracted.note("description", value),
            "og:description" if !page.fields.contains_key("description") => {
                extracted.note("description", value)
            }
            "keywords" => extracted.note("tags", value),
            "article:published_time" | "dc.date" | "dcterms.created" => extracted.note("created", value),
            "article:modified_time" => extracted.note("modified", value),
            _ => {}
        }
    }
    Ok(extracted)
}

/// The encoding that a `<meta charset>` or an XML declaration names.
fn declared_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION_WITHIN)]).to_ascii_lowercase();
    for name in ["charset", "encoding"] {
        for (at, _) in head.match_indices(name) {
            let Some(value) = head[at + name.len()..].trim_start().strip_prefix('=') else { continue };
            let label = value
                .trim_start_matches([' ', '"', '\''])
                .split(['"', '\'', ' ', ';', '>', '/', '?'])
                .next()
                .unwrap_or_default();
            if let Some(encoding) = Encoding::for_label(label.as_bytes()) {
                return Some(encoding);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(html: &str) -> Extracted {
        extract(html.as_bytes(), &Limits::default()).unwrap()
    }

    fn check(html: &str, expected: &str) {
        assert_eq!(read(html).text, expected, "{html}");
    }

    #[test]
    fn blocks_lists_and_breaks() {
        check("<p>one <b>two</b>three<p>four<br>five<div>six</div>", "one twothree\n\nfour\nfive\nsix\n");
        check("<ul><li>a<li>b<ol><li>c<li><p>d</ol></ul>e", "- a\n- b\n\n1. c\n2. d\n\ne\n");
        check("a<span> b </span> c&nbsp;d &amp; e&#x21;", "a b c d & e!\n");
        check("<pre>\n  x\n\ty\n</pre>z", "  x\n\ty\n\nz\n");
    }

    #[test]
    fn table_cells_are_separated() {
        check("<table><tr><th>a<th>b<tr><td><p>c</p></td><td><p>d</td></table>e", "a\tb\nc\td\n\ne\n");
    }

    #[test]
    fn what_no_reader_sees_is_left_out() {
        check(
            "<head><title>T</title><style>p{}</style></head><script>if (a<b) '</p>'</script><p>x\
             <noscript>y</noscript><template><p>z</template><!-- c --><svg><title>s</title><text>t</text></svg>",
            "x\n",
        );
        check("<nav>menu</nav><main><p>text</main><footer>imprint</footer>", "text\n");
        check("<article><p>text<footer>by Ana</footer></article>", "text\n\nby Ana\n");
    }

    #[test]
    fn an_unclosed_nav_swallows_nothing() {
        check("<nav><ul><li>menu</ul><p>body text", "- menu\n\nbody text\n");
        check("<nav><ul><li>menu</ul><main><p>body text</main>", "body text\n");
        check("<nav>only a menu</nav>", "only a menu\n");
    }

    #[test]
    fn metadata_and_headings() {
        let page = read(
            "<!doctype html><html lang=de><head><title> A\n title </title><meta name=author content='Ana B'>\
             <meta name=Keywords content='x, y'><meta property=og:description content=d></head>\
             <body><h1>One <a href=#>two</a></h1><p>text<h3>Three</h3>",
        );
        assert_eq!(page.title.as_deref(), Some("A title"));
        assert_eq!(page.author.as_deref(), Some("Ana B"));
        assert_eq!(page.language.as_deref(), Some("de"));
        assert_eq!(page.metadata["tags"], "x, y");
        assert_eq!(page.metadata["description"], "d");
        let found: Vec<_> = page.headings.iter().map(|h| (h.level, h.text.as_str())).collect();
        assert_eq!(found, [(1, "One two"), (3, "Three")]);
        assert!(page.headings.iter().all(|h| page.text[h.offset..].starts_with(&h.text)));
    }

    #[test]
    fn encodings_declared_and_not() {
        let html = "<meta charset='windows-1251'><p>Привет";
        let (bytes, ..) = encoding_rs::WINDOWS_1251.encode(html);
        assert_eq!(extract(&bytes, &Limits::default()).unwrap().text, "Привет\n");
        // It says Latin-1 and is UTF-8: what it is counts.
        check("<meta charset='iso-8859-1'><p>Привет", "Привет\n");
    }

    #[test]
    fn a_hundred_thousand_nested_elements_are_no_trouble() {
        let depth = 100_000;
        check(&format!("{}x{}", "<div><b>".repeat(depth), "</b></div>".repeat(depth)), "x\n");
        check(&format!("{}x", "<table><tr><td>".repeat(depth)), "x\n");
        check(&format!("{}x", "<nav>".repeat(depth)), "x\n");
        let page = read(&format!("{}x", "<ul><li>".repeat(depth)));
        assert!(page.text.ends_with("x\n"));
    }

    proptest::proptest! {
        #[test]
        fn broken_markup_never_panics(
            html in "(<(/)?(p|div|h1|h2|table|tr|td|li|ol|pre|nav|main|script|title|svg|br)( a=\"x)?>|[a-zé &;<>\n-]){0,60}"
        ) {
            let page = read(&html);
            crate::extract::tests::check_offsets(&page);
        }
    }
}
