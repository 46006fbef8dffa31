//! Plain text: bytes in any encoding to UTF-8 with `\n` newlines, and the question whether bytes are text at all.
//!
//! UTF-8 is taken at its word; UTF-16 is known by its mark or by its pattern of zero bytes; what is neither is
//! guessed by `chardetng` and decoded by `encoding_rs`, as browsers do. Line numbers stay those of the file.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::{ExtractError, Extracted, Format, Limits};

/// How much of a file's beginning, and of its end, is looked at to tell what it is.
pub(crate) const HEAD_BYTES: usize = 64 << 10;

/// Text that has more control characters than one in so many bytes is not text.
const CONTROL_ONE_IN: usize = 50;

/// How much of a text `chardetng` gets to see: its guess settles long before.
const GUESS_BYTES_MAX: usize = 1 << 20;

/// Reads a file of plain text.
pub(crate) fn extract(format: Format, bytes: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    let (text, encoding) = read(bytes, limits)?;
    let mut extracted = Extracted::new(format, text);
    extracted.text_is_file = true;
    if encoding != UTF_8 {
        extracted.note("encoding", encoding.name());
    }
    Ok(extracted)
}

/// Decodes a text file and brings its newlines and control characters in order.
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<(String, &'static Encoding), ExtractError> {
    let encoding = detect(bytes, None);
    // Refused before decoding: the text will hardly be shorter than half its bytes.
    limits.check_text(bytes.len() / 2)?;
    let text = normalise(decode(bytes, encoding));
    limits.check_text(text.len())?;
    Ok((text, encoding))
}

/// The encoding of a text; `declared` is what the text says of itself, heard only where it is not valid UTF-8.
pub(crate) fn detect(bytes: &[u8], declared: Option<&'static Encoding>) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return encoding;
    }
    if let Some(encoding) = utf16_by_pattern(bytes) {
        return encoding;
    }
    // Escape sequences switch ISO-2022-JP's alphabets: it is ASCII, and so UTF-8, to the eye.
    let escapes = declared == Some(encoding_rs::ISO_2022_JP) && bytes.contains(&0x1b);
    if !escapes && std::str::from_utf8(bytes).is_ok() {
        return UTF_8;
    }
    if let Some(encoding) = declared.filter(|encoding| encoding.is_ascii_compatible() && *encoding != UTF_8) {
        return encoding;
    }
    if escapes {
        return encoding_rs::ISO_2022_JP;
    }
    if mostly_utf8(bytes) {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(&bytes[..bytes.len().min(GUESS_BYTES_MAX)], true);
    detector.guess(None, Utf8Detection::Deny)
}

/// Decodes, leaving out a byte order mark; what cannot be decoded becomes U+FFFD.
pub(crate) fn decode<'a>(bytes: &'a [u8], encoding: &'static Encoding) -> Cow<'a, str> {
    encoding.decode_with_bom_removal(bytes).0
}

/// The decoded beginning of a text, for telling formats apart.
pub(crate) fn decode_start(bytes: &[u8]) -> Cow<'_, str> {
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let encoding = Encoding::for_bom(head).map(|(encoding, _)| encoding);
    decode(head, encoding.or_else(|| utf16_by_pattern(head)).unwrap_or(UTF_8))
}

/// Whether bytes are text, by the share of control characters at their two ends.
pub(crate) fn looks_like_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    if let Some((encoding, _)) = Encoding::for_bom(head) {
        // Two bytes that look like a mark are soon met in binary data as well.
        let start = decode(head, encoding);
        let strange = start.chars().filter(|c| is_control(*c) || *c == char::REPLACEMENT_CHARACTER).count();
        return strange * CONTROL_ONE_IN <= start.len();
    }
    if utf16_by_pattern(head).is_some() {
        return true;
    }
    let tail = &bytes[bytes.len().saturating_sub(HEAD_BYTES)..];
    let tolerable = |part: &[u8]| {
        let controls = part.iter().filter(|byte| is_control_byte(**byte)).count();
        controls * CONTROL_ONE_IN <= part.len()
    };
    tolerable(head) && tolerable(tail)
}

/// Control characters that text files do not use; tabs, newlines, form feeds, backspaces and escapes they do.
fn is_control_byte(byte: u8) -> bool {
    byte == 0x7f || (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x08 | 0x1b))
}

/// UTF-16 without a mark: white space and Latin letters leave zeros in one half of each pair only.
fn utf16_by_pattern(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = &bytes[..bytes.len().min(HEAD_BYTES) & !1];
    let pairs = head.len() / 2;
    if pairs < 2 || !bytes.len().is_multiple_of(2) {
        return None;
    }
    let zeros = |half: usize| head.iter().skip(half).step_by(2).filter(|byte| **byte == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    // Scripts beyond Latin leave zeros only at spaces and newlines, hence the low share.
    let (encoding, share, other) =
        if second > first { (UTF_16LE, second, first) } else { (UTF_16BE, first, second) };
    if share * 20 < pairs || other * 100 > share || encoding.decode_without_bom_handling(head).1 {
        return None;
    }
    let controls = encoding.decode_without_bom_handling(head).0.chars().filter(|c| is_control(*c)).count();
    (controls * CONTROL_ONE_IN <= pairs).then_some(encoding)
}

fn is_control(character: char) -> bool {
    u8::try_from(u32::from(character)).is_ok_and(is_control_byte)
}

/// Whether a text with a few broken bytes is UTF-8 all the same: most of its non-ASCII sequences are valid.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let (mut valid, mut broken) = (0usize, 0usize);
    for chunk in bytes[..bytes.len().min(GUESS_BYTES_MAX)].utf8_chunks() {
        valid += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    valid > 10 * broken
}

/// Newlines to `\n`, control characters out. The number of lines stays that of the file.
///
/// `\r\n` is one newline. A lone `\r` is one where the file has no `\n` at all (old Macs); in other files it is a
/// progress bar or noise, no tool counts it as a line, and so it becomes a space.
pub(crate) fn normalise(text: Cow<'_, str>) -> String {
    let text = text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), |rest| Cow::Owned(rest.to_owned()));
    let strange = |byte: u8| byte == b'\r' || byte == 0x7f || (byte < 0x20 && byte != b'\n' && byte != b'\t');
    if !text.bytes().any(strange) {
        return text.into_owned();
    }
    let lone_return = if text.contains('\n') { ' ' } else { '\n' };
    let mut normal = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\r' => normal.push(lone_return),
            '\n' | '\t' => normal.push(character),
            '\u{b}' | '\u{c}' => normal.push(' '),
            '\0'..='\u{1f}' | '\u{7f}' => {}
            _ => normal.push(character),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        let extracted = extract(Format::Text, bytes, &Limits::default()).unwrap();
        assert_eq!(extracted.text, expected);
        assert!(extracted.text_is_file);
    }

    fn utf16(text: &str, little: bool) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
            .collect()
    }

    #[test]
    fn unicode_with_and_without_a_mark() {
        check("żółć\n".as_bytes(), "żółć\n");
        check("\u{feff}żółć\n".as_bytes(), "żółć\n");
        let words = "Some words, and some слова.\r\nA second line.\r\n";
        for little in [true, false] {
            check(&utf16(words, little), "Some words, and some слова.\nA second line.\n");
            check(
                &utf16(&format!("\u{feff}{words}"), little),
                "Some words, and some слова.\nA second line.\n",
            );
        }
    }

    #[test]
    fn older_encodings_are_guessed() {
        let check = |encoding: &'static Encoding, words: &str| {
            let (bytes, _, unmappable) = encoding.encode(words);
            assert!(!unmappable);
            let (text, found) = read(&bytes, &Limits::default()).unwrap();
            assert_eq!(text, words, "taken for {}", found.name());
        };
        check(
            encoding_rs::WINDOWS_1252,
            "Le garçon a mangé une crème brûlée à l’hôtel — déjà vu, n’est-ce pas? Où est la forêt?",
        );
        check(encoding_rs::WINDOWS_1251, "Съешь же ещё этих мягких французских булок, да выпей чаю.");
        check(encoding_rs::SHIFT_JIS, "これは日本語で書かれた短い文章です。文字コードを推測します。");
        check(encoding_rs::GBK, "这是一个用中文写的简短句子，用来测试编码检测。");
        check(encoding_rs::EUC_KR, "이것은 한국어로 작성된 짧은 문장입니다. 인코딩을 추측합니다.");
    }

    #[test]
    fn one_broken_byte_does_not_turn_utf8_into_latin() {
        let mut bytes = "Здравствуйте, это длинный русский текст в юникоде.".as_bytes().to_vec();
        bytes.push(0xff);
        let (text, encoding) = read(&bytes, &Limits::default()).unwrap();
        assert_eq!(encoding, UTF_8);
        assert!(text.starts_with("Здравствуйте") && text.ends_with('\u{fffd}'));
    }

    #[test]
    fn line_numbers_stay_those_of_the_file() {
        check(b"a\r\nb\r\n", "a\nb\n");
        check(b"a\rb\r", "a\nb\n");
        check(b"10%\r20%\r\ndone\n", "10% 20%\ndone\n");
        check(b"a\n\x0cb\n", "a\n b\n");
    }

    #[test]
    fn a_mark_alone_makes_no_text() {
        assert!(looks_like_text(&utf16("\u{feff}слово", true)));
        assert!(!looks_like_text(&[b"\xff\xfe".as_slice(), &[0, 0xd8, 1, 0, 2, 0, 3, 0]].concat()));
    }

    #[test]
    fn control_characters_go() {
        check(b"a\0b\x07c\x1b[0m\td\x7f\n", "abc[0m\td\n");
        check(b"", "");
    }

    #[test]
    fn a_text_above_the_limit_is_refused() {
        let limits = Limits { text_bytes_max: 8, ..Limits::default() };
        assert!(matches!(read(b"nine byte", &limits), Err(ExtractError::TooLarge { .. })));
        assert!(read(b"8 bytes.", &limits).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_become_clean_text(bytes in proptest::collection::vec(0u8.., 0..400)) {
            let (text, _) = read(&bytes, &Limits::default()).unwrap();
            proptest::prop_assert!(!text.contains(['\0', '\r']));
        }

        #[test]
        fn utf8_keeps_its_lines(text in "[a-zé\n\t ]{0,200}") {
            let (read, _) = read(text.as_bytes(), &Limits::default()).unwrap();
            proptest::prop_assert_eq!(read, text);
        }
    }
}
