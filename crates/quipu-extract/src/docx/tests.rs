//! Documents made with the zip crate.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::extract::tests::check_offsets;

const DOCUMENT: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<w:document xmlns:w="w" xmlns:mc="mc"><w:body>
<w:p><w:pPr><w:pStyle w:val="Titel"/></w:pPr><w:r><w:t>The knots</w:t></w:r></w:p>
<w:p><w:pPr><w:pStyle w:val="berschrift1"/></w:pPr><w:r><w:t xml:space="preserve">One </w:t></w:r><w:r><w:t>cord</w:t></w:r></w:p>
<w:p><w:pPr><w:tabs><w:tab w:val="left"/></w:tabs></w:pPr><w:r><w:t>A &amp; b&#x21;</w:t><w:tab/><w:t>c</w:t><w:br/><w:t>d</w:t></w:r>
<w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r></w:p>
<w:p><w:pPr><w:pStyle w:val="Sub"/></w:pPr><w:r><w:t>Two</w:t></w:r></w:p>
<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>item</w:t></w:r></w:p>
<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>item 2</w:t></w:r></w:p>
<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr>
<w:tr><w:tc><w:p><w:r><w:t>c</w:t></w:r></w:p></w:tc><w:tc><w:p/></w:tc></w:tr></w:tbl>
<w:p><w:r><mc:AlternateContent><mc:Choice><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent></mc:Choice>
<mc:Fallback><w:p><w:r><w:t>boxed</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent></w:r><w:r><w:t>after</w:t></w:r></w:p>
</w:body></w:document>"#;

const STYLES: &str = r#"<w:styles xmlns:w="w"><w:docDefaults><w:rPrDefault><w:rPr><w:lang w:val="de-DE"/></w:rPr></w:rPrDefault></w:docDefaults>
<w:style w:styleId="Titel"><w:name w:val="Title"/></w:style>
<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:styleId="Base"><w:name w:val="Base"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
<w:style w:styleId="Sub"><w:name w:val="Mine"/><w:basedOn w:val="Base"/></w:style>
<w:style w:styleId="Loop"><w:name w:val="l"/><w:basedOn w:val="Loop"/></w:style></w:styles>"#;

const FOOTNOTES: &str = r#"<w:footnotes xmlns:w="w"><w:footnote w:type="separator"><w:p><w:r><w:t>no</w:t></w:r></w:p></w:footnote>
<w:footnote w:id="2"><w:p><w:r><w:t>A note.</w:t></w:r></w:p></w:footnote></w:footnotes>"#;

const CORE: &str = r#"<cp:coreProperties xmlns:cp="c" xmlns:dc="d" xmlns:dcterms="t"><dc:title> </dc:title><dc:creator>Ana B</dc:creator>
<cp:keywords>x, y</cp:keywords><dcterms:created>2024-01-02T03:04:05Z</dcterms:created></cp:coreProperties>"#;

const RELATIONS: &str = r#"<Relationships><Relationship Id="a" Type="http://x/officeDocument" Target="word/document.xml"/></Relationships>"#;
const DOCUMENT_RELATIONS: &str = r#"<Relationships><Relationship Id="a" Type="http://x/styles" Target="styles.xml"/>
<Relationship Id="b" Type="http://x/footnotes" Target="/word/footnotes.xml"/></Relationships>"#;

/// A container of these entries.
fn container(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn whole() -> Vec<u8> {
    container(&[
        ("[Content_Types].xml", b"<Types/>"),
        ("_rels/.rels", RELATIONS.as_bytes()),
        ("word/document.xml", DOCUMENT.as_bytes()),
        ("word/_rels/document.xml.rels", DOCUMENT_RELATIONS.as_bytes()),
        ("word/styles.xml", STYLES.as_bytes()),
        ("word/footnotes.xml", FOOTNOTES.as_bytes()),
        ("docProps/core.xml", CORE.as_bytes()),
    ])
}

fn with_body(body: &str) -> Vec<u8> {
    container(&[(
        "word/document.xml",
        format!("<w:document><w:body>{body}</w:body></w:document>").as_bytes(),
    )])
}

fn error(bytes: &[u8], limits: &Limits) -> String {
    extract(bytes, limits).unwrap_err().to_string()
}

#[test]
fn a_document_with_everything() {
    let file = whole();
    assert_eq!(crate::identify("x", &file), Format::Docx);
    let extracted = extract(&file, &Limits::default()).unwrap();
    check_offsets(&extracted);
    assert_eq!(
        extracted.text,
        "The knots\n\nOne cord\n\nA & b! c\nd\n\nTwo\n\n- item\n- item 2\n\na\tb\nc\n\nboxed\n\nafter\n\nA note.\n"
    );
    let headings: Vec<_> = extracted.headings.iter().map(|h| (h.level, h.text.as_str())).collect();
    assert_eq!(headings, [(1, "One cord"), (2, "Two")]);
    assert_eq!(extracted.title.as_deref(), Some("The knots"));
    assert_eq!(extracted.author.as_deref(), Some("Ana B"));
    assert_eq!(extracted.language.as_deref(), Some("de-DE"));
    assert_eq!(extracted.metadata["tags"], "x, y");
    assert_eq!(extracted.metadata["created"], "2024-01-02T03:04:05Z");
}

#[test]
fn what_is_no_container_says_so() {
    assert!(error(b"just words", &Limits::default()).starts_with("reading docx: opening the zip: "));
    assert_eq!(error(b"", &Limits::default()), "docx is empty");
    assert_eq!(error(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", &Limits::default()), "docx is encrypted");
    let empty = container(&[("other.xml", b"<a/>")]);
    assert_eq!(error(&empty, &Limits::default()), "reading docx: the part word/document.xml is missing");
    let whole = whole();
    let cut = &whole[..whole.len() * 2 / 3];
    assert_eq!(crate::identify("x.docx", cut), Format::Docx);
    assert!(error(cut, &Limits::default()).starts_with("reading docx: opening the zip: "));
}

#[test]
fn bombs_meet_their_limits() {
    let bomb = with_body(&format!("<w:p><w:r><w:t>{}</w:t></w:r></w:p>", "a".repeat(6 << 20)));
    assert!(bomb.len() < 100_000);
    assert_eq!(error(&bomb, &Limits::default()), "larger than zip_ratio_max allows (200)");
    let check = |limits: Limits, name: &str| {
        let words = error(&whole(), &limits);
        assert!(words.starts_with(&format!("larger than {name} allows")), "{words}");
    };
    check(Limits { zip_entry_bytes_max: 300, ..Limits::default() }, "zip_entry_bytes_max");
    check(Limits { zip_bytes_max: 800, ..Limits::default() }, "zip_bytes_max");
    check(Limits { zip_entries_max: 3, ..Limits::default() }, "zip_entries_max");
    check(Limits { text_bytes_max: 20, ..Limits::default() }, "text_bytes_max");
    check(Limits { xml_depth_max: 4, ..Limits::default() }, "xml_depth_max");
    let deep = with_body(&"<w:p>".repeat(100_000));
    assert_eq!(error(&deep, &Limits::default()), "larger than xml_depth_max allows (512)");
}

#[test]
fn broken_xml_says_where() {
    let words = error(&with_body("<w:p><w:r></w:p>"), &Limits::default());
    assert!(words.starts_with("reading docx: XML at byte "), "{words}");
    let cut = container(&[("word/document.xml", b"<w:document><w:body><w:p>")]);
    assert!(error(&cut, &Limits::default()).contains("ends too early"));
}

#[test]
fn entities_that_a_document_declares_are_not_expanded() {
    let laughs = r#"<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><w:document><w:body>
        <w:p><w:r><w:t>x&b;y</w:t></w:r></w:p></w:body></w:document>"#;
    let extracted =
        extract(&container(&[("word/document.xml", laughs.as_bytes())]), &Limits::default()).unwrap();
    assert_eq!(extracted.text, "xy\n");
}

#[test]
fn utf16_parts_are_read() {
    let xml = "<?xml version='1.0' encoding='UTF-16'?><w:document><w:body><w:p><w:r><w:t>слово</w:t></w:r></w:p></w:body></w:document>";
    let bytes: Vec<u8> =
        "\u{feff}".encode_utf16().chain(xml.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let extracted = extract(&container(&[("word/document.xml", &bytes)]), &Limits::default()).unwrap();
    assert_eq!(extracted.text, "слово\n");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 128, ..Default::default() })]
    #[test]
    fn truncated_and_flipped_documents_never_panic(
        keep in 0usize..4000,
        flips in proptest::collection::vec((0usize..4000, 0u8..8), 0..6),
    ) {
        let mut file = whole();
        for (at, bit) in flips {
            let at = at % file.len();
            file[at] ^= 1 << bit;
        }
        file.truncate(keep);
        if let Ok(extracted) = extract(&file, &Limits::default()) {
            check_offsets(&extracted);
        }
    }

    #[test]
    fn mutated_xml_never_panics(at in 0usize..2500, byte in 0u8.., length in 0usize..40) {
        let mut xml = DOCUMENT.as_bytes().to_vec();
        let at = at % xml.len();
        let end = (at + length).min(xml.len());
        xml.splice(at..end, [byte]);
        let file = container(&[("word/document.xml", &xml), ("word/styles.xml", STYLES.as_bytes())]);
        if let Ok(extracted) = extract(&file, &Limits::default()) {
            check_offsets(&extracted);
        }
    }
}
