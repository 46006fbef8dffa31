//! Which format are these bytes? [`identify`] decides by content; the file's name only breaks ties between
//! formats that are all plain text (markdown, code, text).
//!
//! Only the first and last parts of the bytes are looked at, so it costs microseconds however large the file.

mod magic;
mod zip_kind;

use crate::text::{self, HEAD_BYTES};
use crate::{Format, Language};

/// Says what `bytes` are. A `report.txt` that holds a PDF is a PDF; an `x.pdf` that holds plain text is text.
pub fn identify(file_name: &str, bytes: &[u8]) -> Format {
    let name = FileName::new(file_name);
    if let Some(format) = magic::identify(&name.extension, bytes) {
        return format;
    }
    if !text::looks_like_text(bytes) {
        return Format::Binary;
    }
    let start = text::decode_start(bytes);
    identify_text(&name, &start)
}

/// The parts of a file's name that say something.
struct FileName {
    whole: String,
    extension: String,
}

impl FileName {
    fn new(path: &str) -> Self {
        let whole = path.rsplit(['/', '\\']).next().unwrap_or_default().to_lowercase();
        let extension = match whole.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => extension.to_owned(),
            _ => String::new(),
        };
        FileName { whole, extension }
    }
}

/// Tells the textual formats apart by the decoded beginning of the text.
fn identify_text(name: &FileName, start: &str) -> Format {
    let language = Language::by_file_name(&name.whole).or_else(|| Language::by_extension(&name.extension));
    let markdown = matches!(
        name.extension.as_str(),
        "md" | "markdown" | "mdown" | "mkd" | "mkdn" | "mdx" | "qmd" | "rmd"
    );
    match html_evidence(start) {
        // A template in another language may well start with a doctype.
        Evidence::Document if language.is_none_or(|language| language.name() == "xml") => {
            return Format::Html;
        }
        Evidence::Tags if matches!(name.extension.as_str(), "html" | "htm" | "xhtml" | "shtml") => {
            return Format::Html;
        }
        _ => {}
    }
    if markdown {
        return Format::Markdown;
    }
    if let Some(language) = language {
        return Format::Code(language);
    }
    // A `notes.txt` that quotes a script stays text; a bare `configure` is a script.
    if name.extension != "txt" {
        let first_line = start.lines().next().unwrap_or_default();
        if let Some(language) = Language::by_shebang(first_line) {
            return Format::Code(language);
        }
    }
    if start.starts_with("<?xml") { xml() } else { Format::Text }
}

fn xml() -> Format {
    Language::by_name("xml").map_or(Format::Text, Format::Code)
}

enum Evidence {
    /// It starts as an HTML document does.
    Document,
    /// It has tags somewhere near its beginning.
    Tags,
    None,
}

fn html_evidence(start: &str) -> Evidence {
    let first = skip_prolog(start);
    let begins = |prefix: &str| {
        first.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
            && !first[prefix.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
    };
    if ["<!doctype html", "<html", "<head", "<body"].into_iter().any(begins) {
        return Evidence::Document;
    }
    let tag = |(at, _): (usize, &str)| {
        start[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!')
    };
    if start.match_indices('<').any(tag) { Evidence::Tags } else { Evidence::None }
}

/// What follows white space, an XML declaration and comments at the beginning.
fn skip_prolog(start: &str) -> &str {
    let mut rest = start.trim_start();
    loop {
        let closing = if rest.starts_with("<!--") {
            "-->"
        } else if rest.starts_with("<?") {
            "?>"
        } else {
            return rest;
        };
        match rest.find(closing) {
            Some(end) => rest = rest[end + closing.len()..].trim_start(),
            None => return rest,
        }
    }
}

/// The first and last [`HEAD_BYTES`] of the bytes: where signatures and directories are.
fn ends(bytes: &[u8]) -> (&[u8], &[u8]) {
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let tail = &bytes[bytes.len().saturating_sub(HEAD_BYTES)..];
    (head, tail)
}

/// Where `needle` first lies in `haystack`.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|&byte| byte == first) {
        if haystack[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, bytes: impl AsRef<[u8]>, expected: &str) {
        let format = identify(name, bytes.as_ref());
        let found = match format {
            Format::Code(language) => language.name(),
            _ => format.name(),
        };
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn content_beats_the_extension() {
        check("report.txt", b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj", "pdf");
        check("x.pdf", "just some words\n", "text");
        check("x.docx", "just some words\n", "text");
        check("x.docx", b"\x01\x02\x00\x00\xff\xfe\x01\x00\x05", "binary");
        check("page", "<!-- made by hand -->\n<!DOCTYPE html><p>hi", "html");
        check("page.txt", "\u{feff}  <HTML lang=de><body>", "html");
        check("page.md", "<!doctype html><title>x</title>", "html");
        check("notes.html", "no tags at all, 1 < 2", "text");
        check("picture.txt", b"\x89PNG\r\n\x1a\n....", "png");
        check("photo.md", b"\xff\xd8\xff\xe0\x00\x10JFIF", "jpeg");
    }

    #[test]
    fn the_extension_breaks_ties() {
        check("a.md", "# Title\n", "markdown");
        check("README", "# Title\n", "text");
        check("a.rs", "fn main() {}\n", "rust");
        check("a.PY", "print(1)\n", "python");
        check("src/Makefile", "all:\n\ttrue\n", "make");
        check("CMakeLists.txt", "project(x)\n", "cmake");
        check("configure", "#!/bin/sh\nexit 0\n", "shell");
        check("notes.txt", "#!/bin/sh\nis how scripts start\n", "text");
        check("data.xml", "<?xml version='1.0'?><a/>", "xml");
        check("data", "<?xml version='1.0'?><a/>", "xml");
        check("page.xml", "<?xml version='1.0'?>\n<html xmlns='x'>", "html");
        check("page.php", "<!doctype html><?php echo 1 ?>", "php");
        check("a.html", "<p>one<p>two", "html");
        check("README.md", "<div align=center><img src=x></div>\n\n# T", "markdown");
        check(".gitignore", "target\n", "text");
    }

    #[test]
    fn a_pdf_may_start_late_but_a_text_about_pdfs_is_text() {
        let mut late = vec![b' '; 900];
        late.extend_from_slice(b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\nstartxref\n0\n%%EOF");
        check("late", &late, "pdf");
        check("about.txt", "The file starts with %PDF-1.7 and then objects follow.\n", "text");
        let mut too_late = vec![b' '; 2000];
        too_late.extend_from_slice(b"%PDF-1.7\nstartxref");
        check("x.txt", &too_late, "text");
    }

    #[test]
    fn text_in_any_encoding_is_no_binary() {
        let utf16 = |text: &str, little: bool| -> Vec<u8> {
            text.encode_utf16()
                .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
                .collect()
        };
        check("a.txt", utf16("plain words, no mark\n", true), "text");
        check("a.txt", utf16("plain words, no mark\n", false), "text");
        check("a.txt", [b"\xff\xfe".as_slice(), &utf16("слова", true)].concat(), "text");
        check("a.html", utf16("<html><p>x</p>", true), "html");
        check("a.txt", b"caf\xe9 cr\xe8me br\xfbl\xe9e\n", "text");
        check("a.txt", b"\x83e\x83X\x83g\x82\xc5\x82\xb7\n", "text");
        check(
            "a.log",
            b"a log that a crash has\x00 scarred, but long enough to be read still. ".repeat(9),
            "text",
        );
        check("empty.md", b"", "markdown");
        check("empty.pdf", b"", "text");
    }

    #[test]
    fn other_offices_and_archives_are_named() {
        check("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00", "ole2");
        check("a.rtf", "{\\rtf1\\ansi hello}", "rtf");
        check("a.gz", b"\x1f\x8b\x08\x00\x00", "gzip");
        check("a.tar", [vec![b'a'; 257], b"ustar\x0000".to_vec()].concat(), "tar");
        check("a", b"\x7fELF\x02\x01\x01\x00", "elf");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_have_a_format(name in ".{0,12}", bytes in proptest::collection::vec(0u8.., 0..300)) {
            let _ = identify(&name, &bytes);
        }
    }
}
