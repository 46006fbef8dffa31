//! Rust source split into code and comments, so that a rule sees only what it is about.
//!
//! Both halves keep every newline, hence line numbers; whatever belongs to the other half, and the inside of every
//! literal, is left out. It is a lexer of the few things that can hide one another, no parser.

/// The two halves of one source file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// What the compiler acts on, with literals emptied.
    pub code: String,
    /// What people read.
    pub comments: String,
}

/// Splits `source`. Text that is not Rust gives some split, never a panic.
pub(crate) fn split(source: &str) -> Split {
    let mut split = Split { code: String::new(), comments: String::new() };
    let mut rest = source;
    while let Some(next) = rest.chars().next() {
        let before = split.code.chars().next_back();
        let (length, is_comment) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), true)
        } else if rest.starts_with("/*") {
            (block_comment_length(rest), true)
        } else if let Some(length) = literal_length(rest, before) {
            keep_newlines(&rest[..length], &mut split);
            split.code.push_str("\"\"");
            rest = &rest[length..];
            continue;
        } else {
            (next.len_utf8(), false)
        };
        let piece = &rest[..length];
        rest = &rest[length..];
        if is_comment {
            split.comments.push_str(piece);
            split.code.extend(piece.chars().filter(|&c| c == '\n'));
        } else {
            split.code.push_str(piece);
            split.comments.extend(piece.chars().filter(|&c| c == '\n'));
        }
    }
    split
}

fn keep_newlines(piece: &str, split: &mut Split) {
    for _ in piece.matches('\n') {
        split.code.push('\n');
        split.comments.push('\n');
    }
}

/// Block comments nest.
fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of the string or character literal that `rest` begins with, its prefix included.
fn literal_length(rest: &str, before: Option<char>) -> Option<usize> {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let prefix = if in_word { 0 } else { prefix_length(rest) };
    let (marks, body) = (&rest[..prefix], &rest[prefix..]);
    if marks.ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let body = &body[hashes..];
        let close = format!("\"{}", "#".repeat(hashes));
        let inside = body.strip_prefix('"')?;
        let end = inside.find(&close).map_or(body.len(), |at| 1 + at + close.len());
        return Some(prefix + hashes + end);
    }
    match body.chars().next()? {
        '"' => Some(prefix + quoted_length(body, '"')),
        '\'' => character_length(body).map(|length| prefix + length),
        _ => None,
    }
}

/// `b`, `c`, `r`, `br` or `cr` before a literal.
fn prefix_length(rest: &str) -> usize {
    for prefix in ["br", "cr", "b", "c", "r"] {
        if let Some(body) = rest.strip_prefix(prefix) {
            let opens = body.trim_start_matches('#').starts_with('"')
                && (prefix.ends_with('r') || body.starts_with('"'));
            if opens || (prefix == "b" && body.starts_with('\'')) {
                return prefix.len();
            }
        }
    }
    0
}

fn quoted_length(body: &str, close: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in body.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if c == close => return at + c.len_utf8(),
            _ => {}
        }
    }
    body.len()
}

/// A quote opens a character literal when another closes it right behind one character or an escape; else it is a
/// lifetime.
fn character_length(body: &str) -> Option<usize> {
    let inside = body.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    if first == '\\' {
        return Some(quoted_length(body, '\''));
    }
    inside[first.len_utf8()..].starts_with('\'').then(|| 2 + first.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, code: &str, comments: &str) {
        let split = split(source);
        assert_eq!((split.code.as_str(), split.comments.as_str()), (code, comments), "{source}");
    }

    #[test]
    fn comments_leave_the_code() {
        check("a(); // b\nc();", "a(); \nc();", "// b\n");
        check("a /* b /* c */\n d */ e", "a \n e", "/* b /* c */\n d */");
        check("//! door", "", "//! door");
    }

    #[test]
    fn literals_are_emptied_and_hide_comments() {
        check(r#"a("// b", c)"#, r#"a("", c)"#, "");
        check(r#"a("\"// b")"#, r#"a("")"#, "");
        check("a(r#\"\"// b\"#)", r#"a("")"#, "");
        check(r#"a(b"x", br"y\", 'z', b'\'')"#, r#"a("", "", "", "")"#, "");
        check("a(\"x\ny\"); b", "a(\n\"\"); b", "\n");
    }

    #[test]
    fn lifetimes_and_raw_names_are_code() {
        check("fn a<'b>(c: &'b str) -> r#type", "fn a<'b>(c: &'b str) -> r#type", "");
        check("for\"x\"", "for\"\"", "");
    }

    #[test]
    fn what_never_closes_ends_with_the_file() {
        check("a \"b", "a \"\"", "");
        check("a /* b", "a ", "/* b");
        check("r#\"a", "\"\"", "");
    }
}
