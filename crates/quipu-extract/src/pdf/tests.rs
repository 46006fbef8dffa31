//! Small PDFs made by hand.

use super::*;
use crate::Heading;
use crate::extract::tests::check_offsets;

/// A PDF with one page for each text, an Info dictionary, an outline to the last page, and a right xref table.
pub(crate) fn pdf(pages: &[&str]) -> Vec<u8> {
    let first_page = 6;
    let kids: Vec<String> = (0..pages.len()).map(|index| format!("{} 0 R", first_page + 2 * index)).collect();
    let last_page = first_page + 2 * (pages.len().max(1) - 1);
    let mut objects = vec![
        String::from("<</Type/Catalog/Pages 2 0 R/Outlines 4 0 R>>"),
        format!("<</Type/Pages/Count {}/Kids[{}]>>", pages.len(), kids.join(" ")),
        String::from("<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"),
        String::from("<</Type/Outlines/First 5 0 R/Last 5 0 R/Count 1>>"),
        format!("<</Title(Last words)/Parent 4 0 R/Dest[{last_page} 0 R/Fit]>>"),
    ];
    for (index, text) in pages.iter().enumerate() {
        let lines: Vec<String> = text.lines().map(|line| format!("({line})Tj T*")).collect();
        let stream = format!("BT/F1 12 Tf 72 700 Td 14 TL {} ET", lines.join(" "));
        let contents = first_page + 2 * index + 1;
        objects.push(format!(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents {contents} 0 R\
             /Resources<</Font<</F1 3 0 R>>>>>>"
        ));
        objects.push(format!("<</Length {}>>\nstream\n{stream}\nendstream", stream.len()));
    }
    objects.push(String::from("<</Title(A title)/Author(Ana B)/CreationDate(D:20240102030405Z)>>"));
    let mut file = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        file.extend_from_slice(format!("{} 0 obj\n{object}\nendobj\n", index + 1).as_bytes());
    }
    let xref = file.len();
    file.extend_from_slice(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).as_bytes());
    for offset in offsets {
        file.extend_from_slice(format!("{offset:010} 00000 n \n").as_bytes());
    }
    let size = objects.len() + 1;
    let trailer = format!(
        "trailer\n<</Size {size}/Root 1 0 R/Info {} 0 R>>\nstartxref\n{xref}\n%%EOF\n",
        objects.len()
    );
    file.extend_from_slice(trailer.as_bytes());
    file
}

#[test]
fn pages_metadata_and_outline() {
    let file = pdf(&["The first page.\nIts second line.", "Last words\nof the document."]);
    let extracted = extract(file, &Limits::default()).unwrap();
    check_offsets(&extracted);
    assert_eq!(extracted.pages.len(), 2);
    assert!(extracted.text[..extracted.pages[1]].contains("The first page."));
    assert!(extracted.text[extracted.pages[1]..].starts_with("Last words"));
    assert_eq!(extracted.title.as_deref(), Some("A title"));
    assert_eq!(extracted.author.as_deref(), Some("Ana B"));
    assert_eq!(extracted.metadata["created"], "2024-01-02T03:04:05");
    assert_eq!(
        extracted.headings,
        [Heading { offset: extracted.pages[1], level: 1, text: "Last words".into() }]
    );
    assert!(!extracted.text_is_file);
}

#[test]
fn limits_are_named() {
    let file = pdf(&["Some words.", "More words."]);
    let limits = Limits { text_bytes_max: 15, ..Limits::default() };
    assert_eq!(
        extract(file.clone(), &limits).unwrap_err().to_string(),
        "larger than text_bytes_max allows (15)"
    );
    let limits = Limits { pages_max: 1, ..Limits::default() };
    assert_eq!(extract(file.clone(), &limits).unwrap_err().to_string(), "larger than pages_max allows (1)");
}

#[test]
fn a_page_count_that_lies_ends() {
    let file = pdf(&["Some words."]);
    let lie = String::from_utf8_lossy(&file).into_owned().replace("/Count 1/Kids", "/Count 9999/Kids");
    let extracted = extract(lie.into_bytes(), &Limits::default()).unwrap();
    assert!(extracted.text.contains("Some words."));
    assert!(extracted.pages.len() <= 1 + MISSING_PAGES_MAX, "{}", extracted.pages.len());
}

#[test]
fn what_is_no_pdf_is_an_error() {
    for bytes in [b"".as_slice(), b"%PDF-1.4", b"not at all"] {
        assert!(extract(bytes.to_vec(), &Limits::default()).is_err(), "{bytes:?}");
    }
}
